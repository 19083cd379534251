"""Where to cut: places in a Kokoro graph, found by topology and not by the names or widths of one export.

tokens, style, speed -> ... -> Round (durations) -> ... -> F0 curve, hidden -> LeakyRelu -> ConvTranspose (x 10)
F0 curve -> CumSum -> Resize (x 300) -> Sin -> ... -> har -> two Convs that want 2 x bins channels
... -> Conv to 2 x bins channels (x) -> Exp, Sin -> inverse STFT -> audio
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import onnx

from firstaudio.engines.kokoro.surgery.graph import FLOAT, AnchorError, Graph, attribute, element_type

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Anchors:
    """Names of tensors, and sizes.

    Attributes:
        tokens: Input, int64 [1, N].
        style: Input, float32 [1, 256].
        speed: float32 [1]; the input, or what an input of integers is cast to, so that any speed can be asked for.
        durations: Frames of each token, int64.
        hidden: What enters the generator, [1, width, 2F].
        f0: The F0 curve, [1, 2F].
        har: The source's spectrum, [1, bins2, 120F + 1].
        x: What leaves the generator, [1, bins2, 120F + 1].
        audio: Output.
        width: Channels of `hidden`.
        bins2: Magnitudes and phases of a spectrum, together.
    """

    tokens: str
    style: str
    speed: str
    durations: str
    hidden: str
    f0: str
    har: str
    x: str
    audio: str
    width: int
    bins2: int


def find_anchors(graph: Graph) -> Anchors:
    """All of them. Raises AnchorError that names the one that is missing."""
    x = _generator_output(graph)
    bins2 = _num_rows(graph, x)
    har = _source_spectrum(graph, bins2)
    upsampler = _first_upsampler(graph)
    style, tokens, speed = _inputs(graph)
    return Anchors(
        tokens=tokens,
        style=style,
        speed=_as_float(graph, speed),
        durations=_durations(graph),
        hidden=_before_activation(graph, upsampler.input[0]),
        f0=_f0_curve(graph, har),
        har=har,
        x=x,
        audio=_audio(graph, x),
        width=graph.weight_shape(upsampler)[0],
        bins2=bins2,
    )


def _one(found: list[T], what: str) -> T:
    if len(found) != 1:
        raise AnchorError(f"expected one {what}, found {len(found)}")
    return found[0]


def _inputs(graph: Graph) -> tuple[str, str, str]:
    """Names of style, tokens and speed, by their element type and rank."""
    values = {item.name: item.type.tensor_type for item in graph.model.graph.input if item.name in graph.inputs}
    rank = {name: len(value.shape.dim) for name, value in values.items()}
    integers = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    tokens = _one([n for n, v in values.items() if rank[n] == 2 and v.elem_type in integers], "input of tokens [1, N]")
    style = _one([n for n in values if rank[n] == 2 and n != tokens], "input of a style [1, 256]")
    speed = _one([n for n in values if n not in (tokens, style)], "input of a speed [1]")
    return style, tokens, speed


def _as_float(graph: Graph, speed: str) -> str:
    if element_type(graph, speed) == FLOAT:
        return speed
    casts = [node for node in graph.consumers(speed) if attribute(node, "to") == FLOAT]
    return str(_one(casts, "Cast of the speed to float32").output[0])


def _generator_output(graph: Graph) -> str:
    """The convolution before the only Exp: it gives log magnitudes and phases."""
    tensor: str = _one(graph.of_type("Exp"), "Exp (the spectrum's magnitude)").input[0]
    while tensor in graph.producers and graph.producers[tensor].op_type != "Conv":
        tensor = graph.producers[tensor].input[0]
    if tensor not in graph.producers:
        raise AnchorError("no convolution before the Exp of the spectrum")
    return tensor


def _num_rows(graph: Graph, x: str) -> int:
    """Channels of what a convolution gives."""
    shape = graph.weight_shape(graph.producers[x])
    if not shape:
        raise AnchorError("the weight of the convolution before the Exp of the spectrum is not fixed")
    return shape[0]


def _source_spectrum(graph: Graph, bins2: int) -> str:
    """What the convolutions that want a spectrum read."""
    convolutions = [node for node in graph.of_type("Conv") if graph.weight_shape(node)[1:2] == (bins2,)]
    read: set[str] = {node.input[0] for node in convolutions}
    if len(convolutions) != 2 or len(read) != 1:
        raise AnchorError(f"expected two convolutions of one spectrum of {bins2} rows, found {len(convolutions)}")
    return read.pop()


def _first_upsampler(graph: Graph) -> onnx.NodeProto:
    """The first of the generator's two: 10-fold, not one for each channel, more than one channel wide."""
    found = [
        node
        for node in graph.of_type("ConvTranspose")
        if attribute(node, "group", 1) == 1
        and attribute(node, "strides") == [10]
        and graph.weight_shape(node)[1:2] > (1,)
    ]
    return _one(found, "10-fold ConvTranspose (the generator's first)")


def _before_activation(graph: Graph, tensor: str) -> str:
    node = graph.producers.get(tensor)
    return str(node.input[0]) if node is not None and node.op_type == "LeakyRelu" else tensor


def _f0_curve(graph: Graph, har: str) -> str:
    """Of the two curves that strided one-channel convolutions read, the one that makes the source."""
    curves: list[str] = []
    for node in graph.of_type("Conv"):
        if graph.weight_shape(node) == (1, 1, 3) and attribute(node, "strides") == [2]:
            tensor: str = node.input[0]
            while tensor in graph.producers and graph.producers[tensor].op_type in ("Unsqueeze", "Reshape"):
                tensor = graph.producers[tensor].input[0]
            curves.append(tensor)
    return _one([curve for curve in curves if graph.depends_on(har, curve)], "F0 curve that feeds the source")


def _durations(graph: Graph) -> str:
    """Rounded, at least 1, as integers."""
    tensor: str = _one(graph.of_type("Round"), "Round (durations)").output[0]
    for _ in range(4):
        after = [node for node in graph.consumers(tensor) if node.op_type in ("Clip", "Max", "Cast")]
        if len(after) != 1:
            break
        tensor = after[0].output[0]
        if after[0].op_type == "Cast":
            return tensor
    raise AnchorError("durations are not rounded, clipped and cast as expected")


def _audio(graph: Graph, x: str) -> str:
    """The output that is made from `x`."""
    outputs: list[str] = [name for name in graph.outputs if graph.depends_on(name, x)]
    return _one(outputs, "output of audio")
