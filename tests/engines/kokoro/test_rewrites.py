"""Rewrites against what onnxruntime makes of the graph as it was."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from firstaudio.engines.kokoro.surgery.graph import AnchorError, Graph
from firstaudio.engines.kokoro.surgery.rewrites import (
    add_statistics,
    find_norms,
    give_randomness,
    rewrite_norms,
    rewrite_snake,
    rewrite_upsampling,
    snake_coefficients,
)

TWO = np.float32(2.0)
U = np.linspace(-40, 40, 20_001, dtype=np.float32)


def types(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


# Snake.


def squared(kind: str) -> list[onnx.NodeProto]:
    sine = helper.make_node("Sin", ["u"], ["s"])
    squares = {
        "pow": helper.make_node("Pow", ["s", "two"], ["y"]),
        "mul": helper.make_node("Mul", ["s", "s"], ["y"]),
    }
    return [sine, squares[kind]]


@given(st.floats(0, 0.25))
def test_the_polynomial_is_the_square_of_the_sine(z: float):
    value = z * np.polynomial.Polynomial(snake_coefficients().astype(float))(z)
    assert value == pytest.approx(math.sin(math.pi * math.sqrt(z)) ** 2, abs=1.6e-6)


@pytest.mark.parametrize("kind", ["pow", "mul"])
def test_a_squared_sine_becomes_a_chain_of_multiply_and_add(tools: SimpleNamespace, kind: str):
    model = tools.model_of(squared(kind), {"u": ["n"]}, ["y"], {"two": TWO})
    assert rewrite_snake(model) == 1
    assert set(types(model)) == {"Mul", "Add", "Floor", "Sub"}
    error = tools.run_model(model, u=U)["y"] - np.sin(U.astype(float)) ** 2
    assert np.abs(error).max() < 1e-5  # the polynomial's own error, and that of u / pi in f32


def test_every_squared_sine_of_a_graph_is_found(tools: SimpleNamespace):
    nodes = []
    for index, kind in enumerate(("pow", "mul", "pow")):
        for node in squared(kind):
            node.input[:] = [f"{name}{index}" if name == "s" else name for name in node.input]
            node.output[:] = [f"{name}{index}" for name in node.output]
            nodes.append(node)
    nodes.append(helper.make_node("Sum", ["y0", "y1", "y2"], ["y"]))
    model = tools.model_of(nodes, {"u": ["n"]}, ["y"], {"two": TWO})
    assert rewrite_snake(model) == 3
    np.testing.assert_allclose(tools.run_model(model, u=U)["y"], 3 * np.sin(U.astype(float)) ** 2, atol=3e-5)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([("Sin", "u", "s"), ("Mul", "s s", "q"), ("Add", "q s", "y")], ["y"]),  # used twice
        ([("Sin", "u", "s"), ("Mul", "s s", "y")], ["y", "s"]),  # wanted by somebody outside
        ([("Sin", "u", "s"), ("Mul", "s u", "y")], ["y"]),  # no square
        ([("Sin", "u", "s"), ("Pow", "s three", "y")], ["y"]),  # another power
        ([("Sin", "u", "s"), ("Pow", "two s", "y")], ["y"]),  # a power of two
        ([("Abs", "u", "a"), ("Sin", "u", "s"), ("Pow", "s a", "y")], ["y"]),  # a power that nobody knows
        ([("Sin", "u", "s"), ("Neg", "s", "y")], ["y"]),  # a sine alone
        ([("Sin", "u", "y")], ["y"]),
        ([("Cos", "u", "s"), ("Mul", "s s", "y")], ["y"]),  # no sine
    ],
)
def test_any_other_sine_is_left_alone(tools: SimpleNamespace, nodes: list[tuple[str, str, str]], outputs: list[str]):
    made = [helper.make_node(kind, given.split(), [result]) for kind, given, result in nodes]
    model = tools.model_of(made, {"u": ["n"]}, outputs, {"two": TWO, "three": np.float32(3.0)})
    before = [node.SerializeToString() for node in model.graph.node]
    assert rewrite_snake(model) == 0
    assert before == [node.SerializeToString() for node in model.graph.node]
    tools.run_model(model, u=U)  # nothing that it needs is gone


# Upsampling.


def upsampling(
    tools: SimpleNamespace, kernel: int, *, num_in: int = 3, num_out: int = 2, bias: bool = True, **attributes: Any
) -> onnx.ModelProto:
    random = np.random.default_rng(kernel)
    group = attributes.get("group", 1)
    weights = {
        "w": random.standard_normal((num_in, num_out // group, kernel), dtype=np.float32),
        "b": random.standard_normal(num_out, dtype=np.float32),
    }
    node = helper.make_node("ConvTranspose", ["x", "w", "b"] if bias else ["x", "w"], ["y"], **attributes)
    return tools.model_of([node], {"x": [1, num_in, "n"]}, ["y"], weights)


@pytest.mark.parametrize("length", [1, 2, 17])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "extra"),
    [(20, 10, 5, 0), (12, 6, 3, 0), (4, 4, 0, 0), (3, 2, 1, 1), (5, 2, 2, 1), (2, 4, 0, 2), (9, 3, 3, 0)],
)
def test_upsampling_by_a_shuffle_is_exact(
    tools: SimpleNamespace, length: int, bias: bool, kernel: int, stride: int, pad: int, extra: int
):
    model = upsampling(tools, kernel, bias=bias, strides=[stride], pads=[pad, pad], output_padding=[extra])
    x = np.random.default_rng(length).standard_normal((1, 3, length), dtype=np.float32)
    before = tools.run_model(model, x=x)["y"]
    assert before.shape == (1, 2, length * stride)
    assert rewrite_upsampling(model) == 1
    assert "ConvTranspose" not in types(model)
    np.testing.assert_allclose(tools.run_model(model, x=x)["y"], before, atol=2e-6)


@pytest.mark.parametrize(
    ("kernel", "more", "attributes"),
    [
        (20, {}, {"strides": [10], "pads": [4, 6]}),  # not the same at both sides
        (20, {}, {"strides": [10], "pads": [4, 4]}),  # longer than ten times
        (20, {}, {"strides": [10]}),
        (3, {}, {"strides": [1], "pads": [1, 1]}),  # no upsampling
        (12, {"num_in": 4, "num_out": 4}, {"strides": [6], "pads": [3, 3], "group": 4}),
        (12, {"num_out": 1}, {"strides": [6], "pads": [3, 3]}),  # one channel, as in an inverse STFT
        (3, {}, {"strides": [2], "pads": [1, 1], "dilations": [2], "output_padding": [1]}),
        (4, {}, {"strides": [4], "output_shape": [21]}),
        (4, {}, {"strides": [4], "auto_pad": "SAME_UPPER"}),
    ],
)
def test_any_other_transposed_convolution_is_left_alone(
    tools: SimpleNamespace, kernel: int, more: dict[str, Any], attributes: dict[str, Any]
):
    model = upsampling(tools, kernel, **more, **attributes)
    assert rewrite_upsampling(model) == 0
    assert types(model) == ["ConvTranspose"]
    tools.run_model(model, x=np.ones((1, more.get("num_in", 3), 5), np.float32))


def test_a_transposed_convolution_of_two_dimensions_or_of_unknown_weights_is_left_alone(tools: SimpleNamespace):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], kernel_shape=[2, 2])
    plane = tools.model_of([node], {"x": [1, 3, 4, 4]}, ["y"], {"w": np.ones((3, 2, 2, 2), np.float32)})
    unknown = tools.model_of([node], {"x": [1, 3, 4, 4], "w": [3, 2, 2, 2]}, ["y"])
    assert rewrite_upsampling(plane) == rewrite_upsampling(unknown) == 0


# Norms.

SCALES = np.float32([1.0, 2.0, -0.5])
BIASES = np.float32([0.0, 0.1, 3.0])


def normed(tools: SimpleNamespace, opset: int = 17) -> onnx.ModelProto:
    """Two norms with a convolution between them."""
    nodes = [
        helper.make_node("InstanceNormalization", ["x", "s", "b"], ["n"], epsilon=1e-5),
        helper.make_node("Conv", ["n", "w"], ["c"]),
        helper.make_node("InstanceNormalization", ["c", "s2", "b2"], ["y"], epsilon=1e-3),
    ]
    weights = {
        "s": SCALES,
        "b": BIASES,
        "s2": SCALES[:2],
        "b2": BIASES[:2],
        "w": np.random.default_rng(0).standard_normal((2, 3, 1), dtype=np.float32),
    }
    return tools.model_of(nodes, {"x": [1, 3, "n"]}, ["y"], weights, opset)


def wave(length: int = 1000) -> Any:
    return np.random.default_rng(1).normal(0.4, 2.0, (1, 3, length)).astype(np.float32)


def affine_of(norms: list[Any], statistics: Any) -> Any:
    scale = np.concatenate([norm.scale for norm in norms])
    bias = np.concatenate([norm.bias for norm in norms])
    epsilon = np.concatenate([np.full(norm.num_channels, norm.epsilon) for norm in norms])
    factor = scale / np.sqrt(statistics[:, 1] + epsilon)
    return np.stack([factor, bias - statistics[:, 0] * factor], axis=1)[None].astype(np.float32)


def test_norms_are_found_in_order_with_their_parameters(tools: SimpleNamespace):
    first, second = find_norms(Graph(normed(tools)))
    assert (first.tensor, first.offset, first.num_channels) == ("x", 0, 3)
    assert (second.tensor, second.offset, second.num_channels) == ("c", 3, 2)
    assert (first.epsilon, second.epsilon) == (pytest.approx(1e-5), pytest.approx(1e-3))
    assert SCALES.tolist() == first.scale.tolist()


@pytest.mark.parametrize("opset", [17, 20])
def test_statistics_are_mean_and_variance_of_what_each_norm_normalises(tools: SimpleNamespace, opset: int):
    """From opset 18 on, some operators take their axes in another way."""
    model = normed(tools, opset)
    before = tools.run_model(model, x=wave())["y"]
    assert add_statistics(model) == 2
    made = tools.run_model(model, x=wave())
    np.testing.assert_array_equal(made["y"], before)
    assert made["statistics"].shape == (1, 5, 2)
    np.testing.assert_allclose(made["statistics"][0, :3, 0], wave()[0].mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(made["statistics"][0, :3, 1], wave()[0].var(axis=1), rtol=1e-5)


@pytest.mark.parametrize("opset", [17, 20])
def test_norms_with_their_own_statistics_given_are_as_they_were(tools: SimpleNamespace, opset: int):
    model, measured = normed(tools, opset), normed(tools, opset)
    before = tools.run_model(model, x=wave())["y"]
    norms = find_norms(Graph(model))
    add_statistics(measured)
    affine = affine_of(norms, tools.run_model(measured, x=wave())["statistics"][0])
    assert rewrite_norms(model) == 5
    assert "InstanceNormalization" not in types(model)
    np.testing.assert_allclose(tools.run_model(model, x=wave(), affine=affine)["y"], before, atol=2e-5)


def test_with_statistics_given_a_part_is_as_in_the_whole(tools: SimpleNamespace):
    model = normed(tools)
    affine = np.random.default_rng(2).standard_normal((1, 5, 2), dtype=np.float32)
    rewrite_norms(model)
    whole = tools.run_model(model, x=wave(), affine=affine)["y"]
    part = tools.run_model(model, x=wave()[:, :, 100:200], affine=affine)["y"]
    np.testing.assert_allclose(part, whole[:, :, 100:200], atol=1e-6)


def test_norms_that_are_missing_or_not_fixed_are_said(tools: SimpleNamespace):
    relu = tools.model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [1]}, ["y"])
    with pytest.raises(AnchorError, match="no instance norms"):
        find_norms(Graph(relu))
    node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], name="loose")
    loose = tools.model_of([node], {"x": [1, 3, "n"], "s": [3], "b": [3]}, ["y"])
    with pytest.raises(AnchorError, match="parameters of the instance norm loose are not fixed"):
        rewrite_norms(loose)


# Random numbers.


def test_random_numbers_become_inputs_of_their_distribution(tools: SimpleNamespace):
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["a"]),
        helper.make_node("RandomUniformLike", ["x"], ["b"]),
        helper.make_node("Sub", ["a", "b"], ["d"]),
        helper.make_node("Add", ["d", "a"], ["y"]),
    ]
    model = tools.model_of(nodes, {"x": ["n"]}, ["y"])
    assert give_randomness(model) == {"noise_0": "normal", "noise_1": "uniform"}
    given = {"noise_0": np.float32([5.0]), "noise_1": np.float32([2.0])}
    assert tools.run_model(model, x=np.zeros(1, np.float32), **given)["y"].tolist() == [8.0]


def test_a_graph_without_random_numbers_is_as_it_was(tools: SimpleNamespace):
    model = tools.model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [1]}, ["y"])
    assert give_randomness(model) == {}
    assert [port.name for port in model.graph.input] == ["x"]
