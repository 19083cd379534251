"""`Graph`: an ONNX graph with the questions that surgery asks of it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


class AnchorError(Exception):
    """The graph is not shaped as a known export; the message says what was looked for and what was found."""


@dataclass(frozen=True, slots=True)
class Plug:
    """An input or output of a piece.

    Attributes:
        tensor: Its name in the source graph.
        name: Its name in the piece.
        shape: Sizes; a text names a size that varies.
        dtype: An ONNX element type.
    """

    tensor: str
    name: str
    shape: tuple[int | str, ...]
    dtype: int = FLOAT


class Graph:
    """A graph, its producers and consumers.

    Args:
        model: Not changed; pieces are copies.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = list(model.graph.node)
        self.initializers = {item.name: item for item in model.graph.initializer}
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.inputs = [item.name for item in model.graph.input if item.name not in self.initializers]
        self.outputs = [item.name for item in model.graph.output]
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in _reads(node):
                self._consumers.setdefault(name, []).append(node)

    @classmethod
    def load(cls, path: Path) -> Graph:
        """Read a file. Raises AnchorError when it is no ONNX model."""
        try:
            model = onnx.load(path)
        except Exception as error:  # protobuf's own error type has no public home
            raise AnchorError(f"{path} is no ONNX model: {error}") from error
        if not model.graph.node:
            raise AnchorError(f"{path} is no ONNX model: it holds no graph")
        return cls(model)

    def consumers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read `tensor`."""
        return self._consumers.get(tensor, [])

    def of_type(self, *types: str) -> list[onnx.NodeProto]:
        """Nodes of these types, in the graph's order."""
        return [node for node in self.nodes if node.op_type in types]

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """The value of a tensor that is fixed, else None."""
        if tensor in self.initializers:
            return numpy_helper.to_array(self.initializers[tensor])
        node = self.producers.get(tensor)
        if node is None:
            return None
        if node.op_type == "Constant":
            value = attribute(node, "value")
            return None if value is None else numpy_helper.to_array(value)
        return self.constant(node.input[0]) if node.op_type == "Identity" else None

    def weight_shape(self, node: onnx.NodeProto) -> tuple[int, ...]:
        """Shape of a convolution's weight; empty where it is not fixed."""
        weight = self.constant(node.input[1])
        return () if weight is None else weight.shape

    def ancestors(self, tensors: Iterable[str], stop: Iterable[str] = ()) -> tuple[list[onnx.NodeProto], set[str]]:
        """What is needed to compute `tensors`: nodes in order, and the graph inputs among it; `stop` is given."""
        stopped, seen, needed, inputs = set(stop), set[str](), set[int](), set[str]()
        open_ = list(tensors)
        while open_:
            tensor = open_.pop()
            if tensor in seen or tensor in stopped:
                continue
            seen.add(tensor)
            if tensor in self.producers:
                node = self.producers[tensor]
                needed.add(id(node))
                open_ += _reads(node)
            elif tensor in self.inputs:
                inputs.add(tensor)
        return [node for node in self.nodes if id(node) in needed], inputs

    def depends_on(self, tensor: str, source: str) -> bool:
        """Whether `source` is needed to compute `tensor`."""
        nodes, inputs = self.ancestors([tensor])
        return source in inputs or any(source in node.output for node in nodes)

    def extract(self, name: str, inputs: Sequence[Plug], outputs: Sequence[Plug]) -> onnx.ModelProto:
        """The piece of the graph from `inputs` to `outputs`, as a model of its own.

        Raises:
            AnchorError: More than `inputs` is needed.
        """
        nodes, missing = self.ancestors([plug.tensor for plug in outputs], [plug.tensor for plug in inputs])
        if missing:
            raise AnchorError(f"the piece {name!r} would also need {', '.join(sorted(missing))}")
        names = {plug.tensor: plug.name for plug in (*inputs, *outputs)}
        piece = helper.make_graph(
            [_renamed(node, names) for node in nodes],
            name,
            [helper.make_tensor_value_info(plug.name, plug.dtype, plug.shape) for plug in inputs],
            [helper.make_tensor_value_info(plug.name, plug.dtype, plug.shape) for plug in outputs],
        )
        used = {tensor for node in nodes for tensor in _reads(node)}
        piece.initializer.extend(item for item in self.model.graph.initializer if item.name in used)
        return helper.make_model(piece, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)


def element_type(graph: Graph, name: str) -> int:
    """The element type of a graph input."""
    return int(next(item.type.tensor_type.elem_type for item in graph.model.graph.input if item.name == name))


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute."""
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def initializer(name: str, value: Any) -> onnx.TensorProto:
    """A fixed tensor."""
    return numpy_helper.from_array(np.asarray(value), name)


def replace_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], added: Iterable[onnx.TensorProto]) -> None:
    """Give `model` other nodes, add fixed tensors, and drop those that nobody reads any more."""
    graph = model.graph
    nodes = list(nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {tensor for node in nodes for tensor in _reads(node)}
    kept = [item for item in (*graph.initializer, *added) if item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _reads(node: onnx.NodeProto) -> list[str]:
    """Tensors that a node reads, those of its branches and bodies included."""
    names = [name for name in node.input if name]
    for inner in _subgraphs(node):
        made = {name for item in inner.node for name in item.output}
        names += [name for item in inner.node for name in _reads(item) if name not in made]
        names += [item.name for item in inner.output if item.name not in made]
    return names


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for item in node.attribute:
        if item.type == onnx.AttributeProto.GRAPH:
            yield item.g


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    node = copy.deepcopy(node)
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for inner in _subgraphs(node):
        renamed = [_renamed(item, names) for item in inner.node]
        del inner.node[:]
        inner.node.extend(renamed)
        for item in inner.output:
            item.name = names.get(item.name, item.name)
    return node
