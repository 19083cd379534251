"""What every runtime checks before a library sees it: the file of a graph, and the arrays of a step.

Libraries differ in what they let pass: OpenVINO runs with the values of the step before where an input is missing, and
casts what has another type; onnxruntime refuses both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from firstaudio.engines.kokoro.runtimes.base import Port
from firstaudio.errors import ConfigError, EngineError

FETCH_AGAIN = "copy or download it again; one that was pulled comes anew with: firstaudio models pull kokoro"


def check_file(model: Path) -> None:
    """Raise ConfigError unless there is a file to read, with something in it."""
    try:
        with model.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise ConfigError(f"cannot read the model {model}: {error.strerror or error}; {FETCH_AGAIN}") from error
    if is_empty:
        raise ConfigError(f"the model {model} is empty; {FETCH_AGAIN}")


def check_inputs(ports: Sequence[Port], inputs: Mapping[str, NDArray[Any]]) -> None:
    """Raise EngineError unless `inputs` are what the graph wants, by name, type and shape."""
    wanted = {port.name for port in ports}
    if wanted != inputs.keys():
        raise EngineError(f"the graph wants the inputs {_names(wanted)}, it was given {_names(inputs.keys())}")
    for port in ports:
        array = inputs[port.name]
        if str(array.dtype) != port.dtype or not _fits(port.shape, array.shape):
            given = f"{array.dtype} {list(array.shape)}"
            raise EngineError(f"the graph's input {port.name} is {describe(port)}, it was given {given}")


def describe(port: Port) -> str:
    """Type and shape for people: "int64 [1, ?]"."""
    return f"{port.dtype} [{', '.join('?' if size is None else str(size) for size in port.shape)}]"


def first_line(error: BaseException) -> str:
    """What a library says, without its pages of detail."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception from ")]
    return (told or lines or [type(error).__name__])[0].rstrip(".")


def _fits(shape: Sequence[int | None], given: Sequence[int]) -> bool:
    return len(shape) == len(given) and all(size in (None, got) for size, got in zip(shape, given, strict=True))


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
