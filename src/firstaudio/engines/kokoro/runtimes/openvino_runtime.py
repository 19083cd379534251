"""OpenVINO, in f32 or in bf16 where the processor has it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from firstaudio.engines.kokoro.runtimes.base import Arrays, Port, Shapes
from firstaudio.engines.kokoro.runtimes.hardware import usable_cores
from firstaudio.engines.kokoro.runtimes.kept import KeptGraphs
from firstaudio.engines.kokoro.runtimes.openvino_kept import ERRORS, Compiler, load_kept
from firstaudio.engines.kokoro.runtimes.ports import FETCH_AGAIN, check_file, check_inputs, first_line
from firstaudio.errors import ConfigError, EngineError, MissingExtraError

LIBRARY = "openvino"
Precision = Literal["f32", "bf16"]
TELEMETRY = "openvino_telemetry"
# Words of its errors that say that the file is at fault, not the device.
BAD_FILE = ("can't be parsed", "Unable to read the model", "Could not open the file")

_import_lock = threading.Lock()
_dtypes = {"f32": "float32", "f64": "float64", "f16": "float16", "boolean": "bool"} | {
    f"{short}{bits}": f"{long}{bits}" for short, long in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)
}


class OpenVinoRuntime:
    """OpenVINO on one device at one precision.

    Args:
        device: As OpenVINO calls it, in any case: "CPU", "GPU".
        precision: Of the arithmetic inside; inputs and outputs stay what the graph says. OpenVINO's own default is
            bf16 wherever there is any, so it is always told.
        num_threads: Threads of one step; 0: one for each physical core that this process may use.
        cache_folder: Where `load_each` keeps what it has compiled, so that a later start is quicker; None: nowhere.

    Raises:
        ConfigError: There is no such precision.
    """

    def __init__(
        self,
        device: str = "CPU",
        precision: Precision = "f32",
        *,
        num_threads: int = 0,
        cache_folder: Path | None = None,
    ) -> None:
        if precision not in get_args(Precision):
            raise ConfigError(f"OpenVINO has no precision {precision!r} here; it has: {', '.join(get_args(Precision))}")
        self.name = f"{LIBRARY}-{device.lower()}" + ("" if precision == "f32" else f"-{precision}")
        self._device = device.upper()
        self._precision = precision
        self._num_threads = num_threads or usable_cores()
        # Kept without their weights, which is an option of this one device.
        is_kept = cache_folder is not None and self._device == "CPU"
        self._store = KeptGraphs(cache_folder, self.name) if cache_folder is not None and is_kept else None

    def load(self, model: Path, shapes: Shapes | None = None) -> OpenVinoSession:
        """Load a graph; see `Runtime.load`. Fixed shapes make its steps a quarter faster.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            ConfigError: The file is missing, truncated or no ONNX.
            EngineError: The device cannot run the graph, or there is no such device.
        """
        with self._compiler(model) as compiler:
            graph = compiler.core.read_model(str(model))
            if shapes is not None:
                [compiled] = compiler.each(graph, [shapes])
            else:
                compiled = compiler.core.compile_model(graph, compiler.device, compiler.properties)
            return OpenVinoSession(self.name, compiled)

    def load_each(self, model: Path, shapes: Sequence[Shapes]) -> list[OpenVinoSession]:
        """Load a graph once for each set of shapes, from what was kept where it can be; see `ShapedRuntime.load_each`.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            ConfigError: The file is missing, truncated or no ONNX.
            EngineError: The device cannot run the graph, or there is no such device.
        """
        with self._compiler(model) as compiler:
            found = None if self._store is None else load_kept(compiler, self._store, model, shapes)
            if found is None:
                found = list(compiler.each(compiler.core.read_model(str(model)), shapes))
            return [OpenVinoSession(self.name, compiled) for compiled in found]

    @contextmanager
    def _compiler(self, model: Path) -> Iterator[Compiler]:
        """What compiles; what OpenVINO raises inside is raised as one of ours."""
        openvino = import_openvino()
        check_file(model)
        try:
            yield Compiler(openvino, openvino.Core(), self._device, self._properties())
        except ERRORS as error:
            raise self._refusal(model, error) from error

    def _properties(self) -> dict[str, Any]:
        properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "LATENCY"}
        if self._device == "CPU":
            properties["INFERENCE_NUM_THREADS"] = self._num_threads
            # Pinned, the threads of two sessions share one core while the next is idle: measured, two steps at once
            # took 183 ms on two cores, and 93 ms without.
            properties["ENABLE_CPU_PINNING"] = False
        return properties

    def _refusal(self, model: Path, error: Exception) -> ConfigError | EngineError:
        said = first_line(error)
        if any(words in str(error) for words in BAD_FILE):
            return ConfigError(f"{model} is no ONNX file or a truncated one (OpenVINO: {said}); {FETCH_AGAIN}")
        return EngineError(f"{self.name} cannot run {model}: {said}; choose another one in kokoro.runtimes")


class OpenVinoSession:
    """One compiled graph with its one infer request. Made by `OpenVinoRuntime.load`.

    Args:
        name: Of its runtime, for errors.
        compiled: An `openvino.CompiledModel`.
    """

    def __init__(self, name: str, compiled: Any) -> None:
        self._name = name
        self._request = compiled.create_infer_request()
        self.inputs = tuple(_port(port) for port in compiled.inputs)
        self.outputs = tuple(_port(port) for port in compiled.outputs)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name, copied out of the request; see `Session.run`. Raises EngineError."""
        check_inputs(self.inputs, inputs)
        try:
            results = self._request.infer(dict(inputs), share_inputs=True, share_outputs=False)
        except ERRORS as error:
            raise EngineError(f"{self._name} failed: {first_line(error)}", retryable=True) from error
        return {port.name: array for port, array in zip(self.outputs, results.values(), strict=True)}


def import_openvino() -> Any:
    """The module openvino. Raises MissingExtraError.

    Its import reports home, over a package beside it that it does without where it is absent (seen with 2026.4: a
    look-up of an analytics host, and an identifier written into the home folder). A speech server calls nobody, so
    that package is hidden while openvino is imported.
    """
    with _import_lock, _hidden(TELEMETRY):
        try:
            import openvino  # type: ignore[import-untyped] # ships no types
        except ImportError as error:
            raise MissingExtraError("running a model in OpenVINO", "openvino") from error
    return openvino


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Make `import package` fail inside the block, unless it is loaded already: then it is somebody else's wish."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # how the import system is told that there is none
    try:
        yield
    finally:
        del sys.modules[package]


def _port(port: Any) -> Port:
    kind = port.get_element_type().get_type_name()
    shape = port.get_partial_shape()
    sizes = tuple(None if size.is_dynamic else size.get_length() for size in shape)
    return Port(port.get_any_name(), _dtypes.get(kind, kind), sizes)
