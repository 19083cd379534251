"""Where to cut, and what is said of a graph that has no such place."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from firstaudio.engines.kokoro.surgery.anchors import find_anchors
from firstaudio.engines.kokoro.surgery.graph import AnchorError, Graph, attribute

Change = Callable[[onnx.ModelProto], None]
DIALECTS = ("tokens", "input_ids", "int_speed", "long_speed")


def without(op_type: str, where: Callable[[Graph, onnx.NodeProto], bool] = lambda _graph, _node: True) -> Change:
    """Nodes of a type become something that no anchor is."""

    def change(model: onnx.ModelProto) -> None:
        graph = Graph(model)
        for node in graph.of_type(op_type):
            if where(graph, node):
                node.op_type = "Foreign"

    return change


def of_shape(*shape: int | None) -> Callable[[Graph, onnx.NodeProto], bool]:
    def fits(graph: Graph, node: onnx.NodeProto) -> bool:
        found = graph.weight_shape(node)
        return len(found) == len(shape) and all(a in (None, b) for a, b in zip(shape, found, strict=True))

    return fits


def another(op_type: str) -> Change:
    """One node of a type more."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(op_type, ["style"], [f"more_{op_type}"]))

    return change


def drop_input(name: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.remove(next(port for port in model.graph.input if port.name == name))

    return change


def add_input(name: str, shape: list[int | str]) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))

    return change


def speed_of_integers(model: onnx.ModelProto) -> None:
    port = next(port for port in model.graph.input if port.name == "speed")
    port.type.tensor_type.elem_type = onnx.TensorProto.INT64
    for node in Graph(model).consumers("speed"):
        node.ClearField("attribute")


def exp_of_the_style(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Exp").input[0] = "style"


def no_weight_before_exp(model: onnx.ModelProto) -> None:
    x = find_anchors(Graph(model)).x
    Graph(model).producers[x].input[1] = "style"


def curves_from_an_input(model: onnx.ModelProto) -> None:
    graph = Graph(model)
    for node in graph.of_type("Conv"):
        if graph.weight_shape(node) == (1, 1, 3) and attribute(node, "strides") == [2]:
            node.input[0] = "style"


def audio_from_elsewhere(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = find_anchors(Graph(model)).f0


def two_audios(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info(find_anchors(Graph(model)).x, 1, None))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_the_same_anchors_under_its_own_names(
    export: onnx.ModelProto, tools: SimpleNamespace, dialect: str
):
    found = find_anchors(Graph(tools.dialects[dialect](export)))
    assert (found.width, found.bins2) == (16, 22)
    names = {
        "tokens": ("tokens", "audio", "speed"),
        "input_ids": ("input_ids", "waveform", "speed"),
        "int_speed": ("input_ids", "waveform", "speed_as_float"),
        "long_speed": ("tokens", "output", "speed_as_float"),
    }
    assert names[dialect] == (found.tokens, found.audio, found.speed)
    assert found.style == "style"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("Exp"), r"expected one Exp \(the spectrum's magnitude\), found 0"),
        (another("Exp"), r"expected one Exp .*, found 2"),
        (exp_of_the_style, "no convolution before the Exp"),
        (no_weight_before_exp, "the convolution before the Exp of the spectrum is not fixed"),
        (without("Conv", of_shape(None, 22, None)), "expected two convolutions of one spectrum of 22 rows, found 0"),
        (without("ConvTranspose"), "expected one 10-fold ConvTranspose .*, found 0"),
        (without("Conv", of_shape(1, 1, 3)), "expected one F0 curve that feeds the source, found 0"),
        (curves_from_an_input, "expected one F0 curve that feeds the source, found 2"),
        (without("Round"), r"expected one Round \(durations\), found 0"),
        (without("Clip"), "durations are not rounded, clipped and cast"),
        (drop_input("tokens"), r"expected one input of tokens \[1, N\], found 0"),
        (drop_input("style"), r"expected one input of a style \[1, 256\], found 0"),
        (drop_input("speed"), r"expected one input of a speed \[1\], found 0"),
        (add_input("emotion", [1]), r"expected one input of a speed \[1\], found 2"),
        (speed_of_integers, "expected one Cast of the speed to float32, found 0"),
        (audio_from_elsewhere, "expected one output of audio, found 0"),
        (two_audios, "expected one output of audio, found 2"),
    ],
)
def test_a_graph_without_an_anchor_says_which(
    export: onnx.ModelProto, tools: SimpleNamespace, change: Change, said: str
):
    model = tools.copy_of(export)
    change(model)
    with pytest.raises(AnchorError, match=said):
        find_anchors(Graph(model))


def test_a_model_of_another_kind_has_no_anchors(tools: SimpleNamespace):
    weight = np.zeros((4, 3, 1, 1), np.float32)
    conv = helper.make_node("Conv", ["x", "w"], ["y"])
    with pytest.raises(AnchorError, match="expected one Exp"):
        find_anchors(Graph(tools.model_of([conv], {"x": [1, 3, 8, 8]}, ["y"], {"w": weight})))


def test_an_input_that_has_a_default_value_is_no_input(export: onnx.ModelProto, tools: SimpleNamespace):
    """Old exports list weights among the inputs."""
    model = tools.copy_of(export)
    model.graph.input.append(helper.make_tensor_value_info("weight", onnx.TensorProto.FLOAT, [1, 256]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 256), np.float32), "weight"))
    assert find_anchors(Graph(model)) == find_anchors(Graph(export))
