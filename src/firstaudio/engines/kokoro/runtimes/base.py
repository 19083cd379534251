"""The protocol between the decoder and whatever executes a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph.

    Attributes:
        name: As the graph calls it.
        dtype: numpy's name of the element type: "int64", "int32", "float32".
        shape: One size per dimension; None where it varies.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Session(Protocol):
    """One graph, loaded on one device. `run` may be called from any thread, by one at a time."""

    @property
    def inputs(self) -> Sequence[Port]:
        """What `run` wants."""
        ...

    @property
    def outputs(self) -> Sequence[Port]:
        """What `run` gives."""
        ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name. The arrays are the caller's own.

        Raises:
            EngineError: The inputs are not what the graph wants, or the library failed (retryable).
        """
        ...


Shapes = Mapping[str, Sequence[int]]
"""Sizes of a graph's inputs, by name."""


class Runtime(Protocol):
    """A library on a device at a precision, such as OpenVINO on the CPU in bf16.

    Attributes:
        name: `<library>-<device>` for f32, `<library>-<device>-<precision>` otherwise: "onnxruntime-cpu",
            "openvino-cpu-bf16".
    """

    name: str

    def load(self, model: Path, shapes: Shapes | None = None) -> Session:
        """Load a graph.

        Args:
            model: An ONNX file.
            shapes: Sizes of inputs, where they are fixed for good; a runtime that gains nothing by it ignores them.

        Raises:
            MissingExtraError: The library is not installed.
            ConfigError: The file is missing, truncated or no ONNX, or the library lacks what drives the device.
            EngineError: The device cannot run the graph, or has no memory left for it.
        """
        ...


@runtime_checkable
class ShapedRuntime(Runtime, Protocol):
    """A runtime that is faster with fixed shapes, so that each of them is worth a session of its own."""

    def load_each(self, model: Path, shapes: Sequence[Shapes]) -> Sequence[Session]:
        """Load a graph once for each set of shapes; its weights are read once. Raises what `load` raises."""
        ...
