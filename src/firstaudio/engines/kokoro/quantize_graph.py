"""What quantisation asks of a graph: whether it can be cut, what it computes with, and a copy whose noise is given."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firstaudio.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import onnx

    from firstaudio.engines.kokoro.surgery.graph import Graph

# What dynamic quantisation puts in the place of MatMul, LSTM and Conv. Source: onnxruntime's docs/ContribOperators.md.
QUANTIZED = ("MatMulInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "ConvInteger")
# What other ways of quantising leave behind.
FOREIGN = ("DequantizeLinear", "QLinearMatMul", "QLinearConv", "MatMulNBits")
RANDOM = ("RandomNormalLike", "RandomUniformLike")
ALSO_RANDOM = ("RandomNormal", "RandomUniform", "Bernoulli", "Multinomial")
TAPE_SIZE = 1_000_003  # a prime, so that no row of a tensor gets the same numbers again and again


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a graph is made of.

    Attributes:
        operators: How many of each quantised operator it has.
        durations: The tensor of each token's frames; None where it was not found.
        cut_problem: Why it cannot be cut into pieces; empty where it can.
    """

    operators: Mapping[str, int] = field(default_factory=dict)
    durations: str | None = None
    cut_problem: str = ""


def examine(path: Path) -> Anatomy:
    """Read a file.

    Raises:
        ConfigError: It is no ONNX model.
        MissingExtraError: onnx is not installed.
    """
    graph = _load(path)
    operators = Counter(node.op_type for node in graph.nodes if node.op_type in (*QUANTIZED, *FOREIGN))
    durations, problem = _cut(graph)
    return Anatomy(dict(operators), durations, problem)


def _load(path: Path) -> Graph:
    try:
        from firstaudio.engines.kokoro.surgery.graph import AnchorError, Graph
    except ImportError as error:
        raise MissingExtraError("quantising a model", "kokoro") from error
    try:
        return Graph.load(path)
    except AnchorError as error:
        raise ConfigError(f"{error}; set kokoro.model to another file, or fetch it again") from error


def _cut(graph: Graph) -> tuple[str | None, str]:
    """The tensor of durations, and why the graph cannot be cut."""
    from firstaudio.engines.kokoro.surgery.anchors import find_anchors
    from firstaudio.engines.kokoro.surgery.cut import cut
    from firstaudio.engines.kokoro.surgery.graph import AnchorError

    durations = None
    try:
        anchors = find_anchors(graph)
        durations = anchors.durations
        cut(graph, anchors)
    except AnchorError as error:
        return durations, str(error)
    return durations, ""


def give_noise(source: Path, target: Path, durations: str | None) -> None:
    """Write a copy of a model in which random numbers are the same in every run and in every variant of it.

    The numbers of a node depend on the name of its output alone, which quantisation does not change, and not on the
    run: they are read from a tape.

    Args:
        source: An ONNX file.
        target: Where to.
        durations: A tensor to add as an output, unless there is an output of integers already.

    Raises:
        ConfigError: It has random numbers of another kind.
        OSError: It cannot be written.
    """
    from firstaudio.engines.kokoro.surgery.graph import initializer, replace_nodes

    graph = _load(source)
    if other := graph.of_type(*ALSO_RANDOM):
        raise ConfigError(f"two runs of {source} cannot be compared: its {other[0].op_type} draws what nobody can give")
    nodes: list[onnx.NodeProto] = []
    added = [initializer("tape_zero", np.int64(0)), initializer("tape_one", np.int64(1))]
    added += [initializer("tape_size", np.int64(TAPE_SIZE))]
    for node in graph.nodes:
        if node.op_type in RANDOM:
            added.append(initializer(f"{node.output[0]}/tape", _tape(node)))
            nodes += _reader(node)
        else:
            nodes.append(node)
    replace_nodes(graph.model, nodes, added)
    _tell_durations(graph, durations)
    target.write_bytes(graph.model.SerializeToString())


def _tape(node: onnx.NodeProto) -> NDArray[np.float32]:
    from firstaudio.engines.kokoro.surgery.graph import attribute

    random = np.random.default_rng(zlib.crc32(node.output[0].encode()))
    if node.op_type == "RandomNormalLike":
        numbers = random.standard_normal(TAPE_SIZE, dtype=np.float32)
        return _scaled(numbers, attribute(node, "scale", 1.0), attribute(node, "mean", 0.0))
    low, high = attribute(node, "low", 0.0), attribute(node, "high", 1.0)
    return _scaled(random.random(TAPE_SIZE, dtype=np.float32), high - low, low)


def _scaled(numbers: NDArray[np.float32], factor: Any, offset: Any) -> NDArray[np.float32]:
    return numbers * np.float32(factor) + np.float32(offset)


def _reader(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """As many numbers of the tape as the node's input has, from its beginning and round and round, in its shape."""
    from onnx import helper

    like, result = node.input[0], node.output[0]
    name = {key: f"{result}/{key}" for key in ("size", "range", "index", "row", "shape")}
    yield helper.make_node("Size", [like], [name["size"]])
    yield helper.make_node("Range", ["tape_zero", name["size"], "tape_one"], [name["range"]])
    yield helper.make_node("Mod", [name["range"], "tape_size"], [name["index"]])
    yield helper.make_node("Gather", [f"{result}/tape", name["index"]], [name["row"]])
    yield helper.make_node("Shape", [like], [name["shape"]])
    yield helper.make_node("Reshape", [name["row"], name["shape"]], [result])


def _tell_durations(graph: Graph, durations: str | None) -> None:
    from onnx import TensorProto, helper

    integers = (TensorProto.INT64, TensorProto.INT32)
    outputs = graph.model.graph.output
    is_told = any(item.type.tensor_type.elem_type in integers for item in outputs)
    if durations is not None and not is_told and durations in graph.producers:
        outputs.append(helper.make_tensor_value_info(durations, TensorProto.INT64, None))
