"""Questions that surgery asks of a graph."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from firstaudio.engines.kokoro.surgery.graph import AnchorError, Graph, Plug, attribute, element_type, replace_nodes


@pytest.fixture
def small(tools: SimpleNamespace) -> onnx.ModelProto:
    """y = relu(x * w) + c; z = relu(x * w) if x's branch says so."""
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float32([2.0]), "c")),
        helper.make_node("Identity", ["c"], ["same"]),
        helper.make_node("Add", ["r", "same"], ["y"]),
    ]
    return tools.model_of(nodes, {"x": [1], "unused": [1]}, ["y"], {"w": np.float32([3.0]), "idle": np.float32([0.0])})


def branching(tools: SimpleNamespace) -> onnx.ModelProto:
    """A branch that reads `r` and `w` from outside itself."""
    out = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, None)
    then = helper.make_graph([helper.make_node("Mul", ["r", "w"], ["inner"])], "then", [], [out])
    other = helper.make_graph([helper.make_node("Identity", ["r"], ["inner"])], "else", [], [out])
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("v", onnx.TensorProto.BOOL, [], [True])),
        helper.make_node("If", ["yes"], ["y"], then_branch=then, else_branch=other),
    ]
    return tools.model_of(nodes, {"x": [1]}, ["y"], {"w": np.float32([3.0])})


def test_constants_are_seen_through_initializers_constant_nodes_and_identities(small: onnx.ModelProto):
    graph = Graph(small)
    assert graph.constant("w").tolist() == [3.0]
    assert [2.0] == graph.constant("c").tolist() == graph.constant("same").tolist()
    assert graph.constant("x") is None
    assert graph.constant("r") is None
    assert graph.constant("nowhere") is None


def test_dependence_follows_the_nodes_backwards(small: onnx.ModelProto):
    graph = Graph(small)
    assert graph.depends_on("y", "x")
    assert graph.depends_on("y", "m")
    assert not graph.depends_on("m", "y")
    assert not graph.depends_on("y", "unused")


def test_ancestors_stop_at_what_is_given(small: onnx.ModelProto):
    nodes, inputs = Graph(small).ancestors(["y"], ["r"])
    assert [node.op_type for node in nodes] == ["Constant", "Identity", "Add"]
    assert inputs == set()


def test_a_piece_computes_what_the_graph_does_under_its_own_names(small: onnx.ModelProto, tools: SimpleNamespace):
    piece = Graph(small).extract("end", [Plug("m", "given", (1,))], [Plug("y", "made", (1,))])
    assert tools.run_model(piece, given=np.float32([3.0]))["made"].tolist() == [5.0]
    assert tools.run_model(piece, given=np.float32([-3.0]))["made"].tolist() == [2.0]
    assert [item.name for item in piece.graph.initializer] == []
    assert small.graph.node[1].input == ["m"]  # the source is as it was


def test_a_piece_that_needs_more_than_it_is_given_is_refused_by_name(small: onnx.ModelProto):
    with pytest.raises(AnchorError, match="the piece 'all' would also need x"):
        Graph(small).extract("all", [], [Plug("y", "y", (1,))])


def test_what_a_branch_reads_from_outside_belongs_to_the_piece(tools: SimpleNamespace):
    graph = Graph(branching(tools))
    assert {"If"} == {node.op_type for node in graph.consumers("r")}
    assert graph.depends_on("y", "x")
    piece = graph.extract("end", [Plug("r", "given", (1,))], [Plug("y", "made", (1,))])
    assert tools.run_model(piece, given=np.float32([2.0]))["made"].tolist() == [6.0]


def test_weights_that_nobody_reads_any_more_are_dropped(small: onnx.ModelProto):
    replace_nodes(small, [node for node in small.graph.node if node.op_type != "Mul"], [])
    assert [item.name for item in small.graph.initializer] == []


def test_attributes_and_element_types_have_their_values(small: onnx.ModelProto):
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2])
    assert attribute(node, "strides") == [2]
    assert attribute(node, "group", 1) == 1
    assert element_type(Graph(small), "x") == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("content", [b"", b"this is a text\n" * 100, b"\x00" * 1000])
def test_a_file_that_is_no_model_says_so(tmp_path: Path, content: bytes):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(AnchorError, match=f"{path} is no ONNX model"):
        Graph.load(path)


def test_a_truncated_model_says_so(tmp_path: Path, tools: SimpleNamespace):
    path = tmp_path / "model.onnx"
    path.write_bytes(tools.MODEL.read_bytes()[:500_000])
    with pytest.raises(AnchorError, match="is no ONNX model"):
        Graph.load(path)
