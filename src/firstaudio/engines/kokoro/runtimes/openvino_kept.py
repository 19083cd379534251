"""OpenVINO's compiled graphs kept on disk: without their weights, which all of them take from one mapped file.

What OpenVINO exports is the graph behind its transformations, three quarters of the work of compiling. Blobs that bring
their weights would hold them once for each set of shapes, on disk and in memory.
"""

from __future__ import annotations

import errno
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstaudio.engines.kokoro.disk import free_bytes, sha256_of
from firstaudio.engines.kokoro.memory import let_go_of_pages
from firstaudio.engines.kokoro.runtimes.base import Shapes
from firstaudio.engines.kokoro.runtimes.hardware import processor
from firstaudio.engines.kokoro.runtimes.kept import BLOB, WEIGHTS, Kept, KeptGraphs
from firstaudio.engines.kokoro.runtimes.ports import first_line
from firstaudio.errors import FirstaudioError

logger = logging.getLogger(__name__)

ERRORS = (RuntimeError, ValueError, TypeError, MemoryError)  # what OpenVINO raises: it has no error of its own
WITHOUT_WEIGHTS = {"CACHE_MODE": "OPTIMIZE_SIZE"}
ROOM = 1.2  # free bytes for each byte of the graph: its weights once, and the blobs


@dataclass(frozen=True, slots=True)
class Compiler:
    """OpenVINO, and how it is to compile.

    Attributes:
        openvino: The module.
        core: An `openvino.Core`.
        device: As OpenVINO calls it.
        properties: Of compiling and of importing.
    """

    openvino: Any
    core: Any
    device: str
    properties: Mapping[str, Any]

    def each(self, graph: Any, shapes: Sequence[Shapes], properties: Mapping[str, Any] | None = None) -> Any:
        """An iterator of one compiled graph for each set of shapes; they share the weights of `graph`."""
        for sizes in shapes:
            graph.reshape({name: list(shape) for name, shape in sizes.items()})
            yield self.core.compile_model(graph, self.device, {**self.properties, **(properties or {})})


def load_kept(compiler: Compiler, store: KeptGraphs, model: Path, shapes: Sequence[Shapes]) -> list[Any] | None:
    """The compiled graphs from disk, compiled and kept there first where they are not; None where that cannot be.

    Nothing that goes wrong here is more than a warning, because compiling in memory costs only time.

    Args:
        compiler: Makes them.
        store: Where they lie.
        model: An ONNX file.
        shapes: One set of sizes for each graph.
    """
    facts = _facts(compiler, model, shapes)
    try:
        if store.find(facts) is None:
            _make(compiler, store, facts, model, shapes)
        kept = store.find(facts)
    except (OSError, FirstaudioError, *ERRORS) as error:
        logger.warning("compiled graphs are not kept, every start compiles them again: %s", first_line(error))
        return None
    return None if kept is None else _read(compiler, kept, model)


def _facts(compiler: Compiler, model: Path, shapes: Sequence[Shapes]) -> dict[str, Any]:
    """What a compiled graph holds for."""
    here = processor()
    return {
        "graph": sha256_of(model),
        "openvino": compiler.openvino.get_version(),
        "device": compiler.core.get_property(compiler.device, "FULL_DEVICE_NAME"),
        "processor": [here.model, here.architecture, here.flags],
        "shapes": [{name: list(shape) for name, shape in sizes.items()} for sizes in shapes],
        "properties": {name: str(value) for name, value in compiler.properties.items()},
    }


def _make(
    compiler: Compiler, store: KeptGraphs, facts: Mapping[str, Any], model: Path, shapes: Sequence[Shapes]
) -> None:
    """Compile and write. Raises OSError, and what OpenVINO raises."""
    with store.making(facts) as folder:
        if free_bytes(folder) < model.stat().st_size * ROOM:
            raise OSError(errno.ENOSPC, "the disk is full", str(folder))
        written = folder / f"{Path(WEIGHTS).stem}.xml"  # OpenVINO writes the weights beside it
        compiler.openvino.save_model(compiler.core.read_model(str(model)), str(written), compress_to_fp16=False)
        graph = compiler.core.read_model(str(written))
        written.unlink()
        for index, compiled in enumerate(compiler.each(graph, shapes, WITHOUT_WEIGHTS)):
            blob = io.BytesIO()
            compiled.export_model(blob)
            (folder / f"{index}{BLOB}").write_bytes(blob.getvalue())


def _read(compiler: Compiler, kept: Kept, model: Path) -> list[Any] | None:
    properties = {**compiler.properties, **WITHOUT_WEIGHTS, "WEIGHTS_PATH": str(kept.weights)}
    found = []
    try:
        for blob in kept.blobs:
            found.append(compiler.core.import_model(io.BytesIO(blob), compiler.device, properties))
            let_go_of_pages(kept.weights)  # copied into the layout that the processor wants
    except ERRORS as error:
        logger.warning("OpenVINO refuses what it compiled of %s earlier: %s", model, first_line(error))
        return None
    return found
