"""onnxruntime and its execution providers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from firstaudio.engines.kokoro.runtimes.base import Arrays, Port
from firstaudio.engines.kokoro.runtimes.hardware import usable_cores
from firstaudio.engines.kokoro.runtimes.ports import FETCH_AGAIN, check_file, check_inputs, first_line
from firstaudio.errors import ConfigError, EngineError, MissingExtraError

LIBRARY = "onnxruntime"
CPU_PROVIDER = "CPUExecutionProvider"
ERRORS_ONLY = 3  # log severity: what it warns of (unused weights, nodes left to the CPU) nobody can mend
# Errors that say that the file is at fault, not the device.
BAD_FILE = ("InvalidProtobuf", "NoModel", "NoSuchFile", "InvalidGraph")

_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "int64": "int64",
    "int32": "int32",
    "int16": "int16",
    "int8": "int8",
    "uint8": "uint8",
    "bool": "bool",
}


@dataclass(frozen=True, slots=True)
class Provider:
    """One execution provider on one device.

    Attributes:
        name: onnxruntime's name for it.
        options: Its own settings.
        package: The distribution that brings it.
        note: What it needs beside that; empty: nothing.
    """

    name: str
    options: Mapping[str, str]
    package: str
    note: str = ""


# Source: onnxruntime's pages on execution providers. CoreML's program format knows more operators than its older one,
# and each of its units is a device of its own: the neural engine takes what it knows and leaves the rest to the CPU.
DEVICES = {
    "cpu": Provider(CPU_PROVIDER, {}, "onnxruntime"),
    "cuda": Provider("CUDAExecutionProvider", {}, "onnxruntime-gpu", "an NVIDIA GPU with CUDA and cuDNN"),
    "directml": Provider("DmlExecutionProvider", {}, "onnxruntime-directml", "Windows"),
    "coreml": Provider(
        "CoreMLExecutionProvider", {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}, "onnxruntime", "macOS"
    ),
    "coreml-neural": Provider(
        "CoreMLExecutionProvider",
        {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndNeuralEngine"},
        "onnxruntime",
        "macOS on Apple silicon",
    ),
    "coreml-gpu": Provider(
        "CoreMLExecutionProvider", {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}, "onnxruntime", "macOS"
    ),
}


class OrtRuntime:
    """One of onnxruntime's providers.

    Args:
        device: One of `DEVICES`.
        num_threads: Threads of one step; 0: one for each physical core that this process may use.
        memory_arena: Whether freed memory is kept for the next step. Without it memory is returned, and fetched again
            at every step: its peak is higher where sizes come back, as they do in windows.
        memory_pattern: Whether one block is planned for every shape that is seen. Growth without bound has been
            reported where shapes hardly ever come back.

    Raises:
        ConfigError: There is no such device.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        num_threads: int = 0,
        memory_arena: bool = True,
        memory_pattern: bool = False,
    ) -> None:
        if device not in DEVICES:
            raise ConfigError(f"onnxruntime has no device {device!r} here; it has: {', '.join(DEVICES)}")
        self.name = f"{LIBRARY}-{device}"
        self._provider = DEVICES[device]
        self._num_threads = num_threads or usable_cores()
        self._memory_arena = memory_arena
        # DirectML refuses to load with it on.
        self._memory_pattern = memory_pattern and device != "directml"

    def load(self, model: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> OrtSession:
        """Load a graph; see `Runtime.load`. Fixed shapes gain nothing here.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ConfigError: The file is missing, truncated or no ONNX, or this onnxruntime lacks the provider.
            EngineError: The device cannot run the graph, or has no memory left for it.
        """
        del shapes
        ort = import_ort()
        check_file(model)
        if self._provider.name not in ort.get_available_providers():
            raise ConfigError(f"{self.name}: this onnxruntime has no {self._provider.name}; {remedy(self._provider)}")
        return OrtSession(self.name, self._open(ort, model), errors_of(ort))

    def _open(self, ort: Any, model: Path) -> Any:
        providers = [(self._provider.name, dict(self._provider.options))]
        if self._provider.name != CPU_PROVIDER:
            providers.append((CPU_PROVIDER, {}))  # for the nodes that the device does not know
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a device that cannot be opened: said below, as an error
                session = ort.InferenceSession(str(model), self._options(ort), providers=providers)
        except errors_of(ort) as error:
            raise self._refusal(model, error) from error
        session.disable_fallback()
        if session.get_providers()[0] != self._provider.name:
            # onnxruntime goes on without the device, and every figure would be the CPU's under another name
            raise EngineError(
                f"{self.name}: {self._provider.name} did not start, onnxruntime would have used "
                f"{session.get_providers()[0]} in its place; it needs {self._provider.note or 'another installation'}"
            )
        return session

    def _options(self, ort: Any) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._num_threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_cpu_mem_arena = self._memory_arena
        options.enable_mem_pattern = self._memory_pattern
        options.use_deterministic_compute = True
        # Idle threads that spin are ahead by 10 ms within a graph of 2600 nodes, and then take as much from whatever
        # runs next, in another session or library; where somebody else wants the cores, a step took twice as long.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = ERRORS_ONLY
        return options

    def _refusal(self, model: Path, error: Exception) -> ConfigError | EngineError:
        said = first_line(error)
        if type(error).__name__ in BAD_FILE or "No graph was found" in said:
            return ConfigError(f"{model} is no ONNX file or a truncated one (onnxruntime: {said}); {FETCH_AGAIN}")
        return EngineError(f"{self.name} cannot run {model}: {said}; choose another one in kokoro.runtimes")


class OrtSession:
    """One graph in onnxruntime. Made by `OrtRuntime.load`.

    Args:
        name: Of its runtime, for errors.
        session: An `onnxruntime.InferenceSession`.
        errors: What it raises.
    """

    def __init__(self, name: str, session: Any, errors: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._session = session
        self._errors = errors
        self.inputs = tuple(_port(node) for node in session.get_inputs())
        self.outputs = tuple(_port(node) for node in session.get_outputs())
        self._names = [port.name for port in self.outputs]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name; see `Session.run`. Raises EngineError."""
        check_inputs(self.inputs, inputs)
        try:
            return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))
        except self._errors as error:
            raise EngineError(f"{self._name} failed: {first_line(error)}", retryable=True) from error


def import_ort() -> Any:
    """The module onnxruntime. Raises MissingExtraError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("running a model in onnxruntime", "kokoro") from error
    return onnxruntime


def errors_of(ort: Any) -> tuple[type[Exception], ...]:
    """Everything that onnxruntime raises: its own errors have no base of their own."""
    state = ort.capi.onnxruntime_pybind11_state
    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError, MemoryError)


def remedy(provider: Provider) -> str:
    """How to get a provider."""
    note = f" (needs {provider.note})" if provider.note else ""
    return f"pip install {provider.package}{note}"


def _port(node: Any) -> Port:
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return Port(node.name, _DTYPES.get(kind, kind), shape)
