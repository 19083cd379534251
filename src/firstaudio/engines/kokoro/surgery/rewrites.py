"""Rewrites of the generator that cost no accuracy worth the name and pay in time; figures in docs/log.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from firstaudio.engines.kokoro.surgery.graph import AnchorError, Graph, attribute, initializer, replace_nodes

NUM_TERMS = 5


def rewrite_snake(model: onnx.ModelProto) -> int:
    """sin(u)^2 as a polynomial of the distance from the nearest multiple of pi; how many were found.

    With r = u / pi - round(u / pi), sin(u)^2 is a function of r^2 alone; five terms leave an error of 1.6e-6. OpenVINO
    runs Sin as a slow reference kernel, and the chain of multiply and add is one fused loop.
    """
    graph = Graph(model)
    added = [initializer("snake_1_pi", np.float32(1 / math.pi)), initializer("snake_half", np.float32(0.5))]
    added += [initializer(f"snake_{i}", value) for i, value in enumerate(snake_coefficients())]
    nodes: list[onnx.NodeProto] = []
    squares: set[str] = set()
    for node in graph.nodes:
        square = _square_of_sine(graph, node)
        if square is not None:
            squares.add(square.output[0])
            nodes += _snake_nodes(node.input[0], square.output[0])
        elif node.output[0] not in squares:
            nodes.append(node)
    replace_nodes(model, nodes, added)
    return len(squares)


def snake_coefficients() -> NDArray[np.float32]:
    """c0..c4 of sin(pi r)^2 = z (c0 + c1 z + ... ), z = r^2 in 0..1/4; fitted at Chebyshev nodes."""
    nodes = (np.cos(np.pi * (np.arange(4000) + 0.5) / 4000) + 1) / 8
    values = np.sin(np.pi * np.sqrt(nodes)) ** 2 / nodes
    fit = np.polynomial.Polynomial.fit(nodes, values, NUM_TERMS - 1, domain=[0, 0.25], window=[0, 0.25])
    return fit.coef.astype(np.float32)


def _square_of_sine(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """The node that squares what `node`, a Sin, gives, if that is all that is done with it."""
    if node.op_type != "Sin" or node.output[0] in graph.outputs:
        return None
    after = graph.consumers(node.output[0])
    if not after or any(item is not after[0] for item in after):
        return None
    square = after[0]
    if square.op_type == "Mul":
        return square if list(square.input) == [node.output[0]] * 2 else None
    exponent = graph.constant(square.input[1]) if square.op_type == "Pow" else None
    return square if exponent is not None and exponent.size == 1 and float(exponent.reshape(())) == 2.0 else None


def _snake_nodes(u: str, result: str) -> Iterator[onnx.NodeProto]:
    def name(step: str) -> str:
        return f"{result}/snake_{step}"

    yield helper.make_node("Mul", [u, "snake_1_pi"], [name("turns")])
    yield helper.make_node("Add", [name("turns"), "snake_half"], [name("up")])
    yield helper.make_node("Floor", [name("up")], [name("nearest")])
    yield helper.make_node("Sub", [name("turns"), name("nearest")], [name("r")])
    yield helper.make_node("Mul", [name("r"), name("r")], [name("z")])
    value = f"snake_{NUM_TERMS - 1}"
    for term in reversed(range(NUM_TERMS - 1)):
        yield helper.make_node("Mul", [name("z"), value], [name(f"m{term}")])
        yield helper.make_node("Add", [name(f"m{term}"), f"snake_{term}"], [name(f"a{term}")])
        value = name(f"a{term}")
    yield helper.make_node("Mul", [name("z"), value], [result])


def rewrite_upsampling(model: onnx.ModelProto) -> int:
    """ConvTranspose as a convolution at the low rate and a shuffle of channels into time (exact); how many."""
    graph = Graph(model)
    nodes: list[onnx.NodeProto] = []
    added: list[onnx.TensorProto] = []
    count = 0
    for node in graph.nodes:
        weight = graph.constant(node.input[1]) if node.op_type == "ConvTranspose" else None
        if weight is None or not _is_plain_upsampling(node, weight):
            nodes.append(node)
            continue
        bias = graph.constant(node.input[2]) if len(node.input) > 2 else None
        count += 1
        more_nodes, tensors = _shuffled(node, weight, bias)
        nodes += more_nodes
        added += tensors
    replace_nodes(model, nodes, added)
    return count


def _is_plain_upsampling(node: onnx.NodeProto, weight: NDArray[np.float32]) -> bool:
    """Whether the output is exactly `stride` times as long as the input, all channels mixed."""
    if weight.ndim != 3 or attribute(node, "output_shape") or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return False
    (stride,), pads = attribute(node, "strides", [1]), attribute(node, "pads", [0, 0])
    extra = attribute(node, "output_padding", [0])[0]
    is_exact = pads[0] == pads[1] and weight.shape[2] - stride - 2 * pads[0] + extra == 0
    plain = attribute(node, "group", 1) == 1 and attribute(node, "dilations", [1]) == [1]
    return bool(is_exact and plain and stride > 1 and weight.shape[1] > 1)


def _shuffled(
    node: onnx.NodeProto, weight: NDArray[np.float32], bias: NDArray[np.float32] | None
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """y[s q + r] = sum over d of x[q + d] W[:, :, r + p - s d]: one convolution with s times the channels."""
    stride, pad = attribute(node, "strides")[0], attribute(node, "pads", [0, 0])[0]
    num_in, num_out, length = weight.shape
    shifts = [d for d in range(-length, length + 1) if any(0 <= r + pad - stride * d < length for r in range(stride))]
    kernel = np.zeros((num_out, stride, num_in, len(shifts)), np.float32)
    for d in shifts:
        for r in range(stride):
            if 0 <= r + pad - stride * d < length:
                kernel[:, r, :, d - shifts[0]] = weight[:, :, r + pad - stride * d].T
    result = node.output[0]
    names = {key: f"{result}/shuffle_{key}" for key in ("kernel", "bias", "split", "join", "low", "rows", "columns")}
    bias = np.zeros(num_out, np.float32) if bias is None else bias
    tensors = [
        initializer(names["kernel"], kernel.reshape(num_out * stride, num_in, len(shifts))),
        initializer(names["bias"], np.repeat(bias, stride)),
        initializer(names["split"], np.array([1, num_out, stride, -1], np.int64)),
        initializer(names["join"], np.array([1, num_out, -1], np.int64)),
    ]
    pads = [-shifts[0], shifts[-1]]
    return [
        helper.make_node("Conv", [node.input[0], names["kernel"], names["bias"]], [names["low"]], pads=pads),
        helper.make_node("Reshape", [names["low"], names["split"]], [names["rows"]]),
        helper.make_node("Transpose", [names["rows"]], [names["columns"]], perm=[0, 1, 3, 2]),
        helper.make_node("Reshape", [names["columns"], names["join"]], [result]),
    ], tensors


@dataclass(frozen=True, slots=True)
class Norm:
    """One instance norm of the generator.

    Attributes:
        tensor: What it normalises.
        offset: Of its first channel in the row of all norms' channels.
        scale: Learned factor, shape (num_channels,).
        bias: Learned offset, shape (num_channels,).
        epsilon: Added to the variance.
    """

    tensor: str
    offset: int
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    epsilon: float

    @property
    def num_channels(self) -> int:
        """Channels that it normalises, each for itself."""
        return len(self.scale)


def find_norms(graph: Graph) -> list[Norm]:
    """Every instance norm, in the graph's order. Raises AnchorError for one whose parameters are not fixed."""
    norms: list[Norm] = []
    offset = 0
    for node in graph.of_type("InstanceNormalization"):
        scale, bias = graph.constant(node.input[1]), graph.constant(node.input[2])
        if scale is None or bias is None:
            raise AnchorError(f"the parameters of the instance norm {node.name} are not fixed")
        norms.append(Norm(node.input[0], offset, scale, bias, float(attribute(node, "epsilon", 1e-5))))
        offset += len(scale)
    if not norms:
        raise AnchorError("the generator has no instance norms")
    return norms


def rewrite_norms(model: onnx.ModelProto) -> int:
    """Each instance norm as a factor and an offset that are given: the new input `affine` [1, channels, 2]; how many.

    (x - mean) / deviation * scale + bias = x * factor + offset, so a window needs no look at its own mean, and no pass
    over its data for it.
    """
    graph = Graph(model)
    norms = iter(find_norms(graph))
    nodes: list[onnx.NodeProto] = []
    added = [initializer("affine_split", np.array([1, 1], np.int64))]
    total = 0
    for node in graph.nodes:
        if node.op_type != "InstanceNormalization":
            nodes.append(node)
            continue
        norm = next(norms)
        total = norm.offset + norm.num_channels
        more_nodes, tensors = _affine(node.output[0], norm)
        nodes += more_nodes
        added += tensors
    replace_nodes(model, nodes, added)
    model.graph.input.append(helper.make_tensor_value_info("affine", onnx.TensorProto.FLOAT, [1, total, 2]))
    return total


def _affine(result: str, norm: Norm) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    names = {key: f"{result}/affine_{key}" for key in ("begin", "end", "axis", "own", "factor", "offset", "scaled")}
    tensors = [
        initializer(names["begin"], np.array([norm.offset], np.int64)),
        initializer(names["end"], np.array([norm.offset + norm.num_channels], np.int64)),
        initializer(names["axis"], np.array([1], np.int64)),
    ]
    return [
        helper.make_node("Slice", ["affine", names["begin"], names["end"], names["axis"]], [names["own"]]),
        helper.make_node("Split", [names["own"], "affine_split"], [names["factor"], names["offset"]], axis=2),
        helper.make_node("Mul", [norm.tensor, names["factor"]], [names["scaled"]]),
        helper.make_node("Add", [names["scaled"], names["offset"]], [result]),
    ], tensors


def add_statistics(model: onnx.ModelProto) -> int:
    """The new output `statistics` [1, channels, 2]: mean and variance of what each norm normalises; how many norms."""
    graph = Graph(model)
    norms = find_norms(graph)
    nodes = list(graph.nodes)
    for norm in norms:
        nodes += _statistics(norm)
    nodes.append(helper.make_node("Concat", [_name(norm, "both") for norm in norms], ["statistics"], axis=1))
    replace_nodes(model, nodes, [])
    total = norms[-1].offset + norms[-1].num_channels
    model.graph.output.append(helper.make_tensor_value_info("statistics", onnx.TensorProto.FLOAT, [1, total, 2]))
    return len(norms)


def _statistics(norm: Norm) -> Iterator[onnx.NodeProto]:
    mean, centred, square, variance = (_name(norm, key) for key in ("mean", "centred", "square", "variance"))
    # The mean over time: ReduceMean takes its axes in another way from opset 18 on, this one never changed.
    yield helper.make_node("GlobalAveragePool", [norm.tensor], [mean])
    yield helper.make_node("Sub", [norm.tensor, mean], [centred])
    yield helper.make_node("Mul", [centred, centred], [square])
    yield helper.make_node("GlobalAveragePool", [square], [variance])
    yield helper.make_node("Concat", [mean, variance], [_name(norm, "both")], axis=2)


def _name(norm: Norm, key: str) -> str:
    return f"{norm.tensor}/norm_{norm.offset}_{key}"


def give_randomness(model: onnx.ModelProto) -> dict[str, str]:
    """Random nodes as inputs `noise_0`, ...; distribution ("normal" or "uniform") by input name.

    So that the same request gives the same audio, and windows that overlap hear the same noise.
    """
    graph = Graph(model)
    kinds = {"RandomNormalLike": "normal", "RandomUniformLike": "uniform"}
    given: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for node in graph.of_type(*kinds):
        name = f"noise_{len(given)}"
        given[name], outputs[node.output[0]] = kinds[node.op_type], name
    nodes = [_reading(node, outputs) for node in graph.nodes if node.op_type not in kinds]
    replace_nodes(model, nodes, [])
    for name in given:
        model.graph.input.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return given


def _reading(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    node.input[:] = [names.get(name, name) for name in node.input]
    return node
