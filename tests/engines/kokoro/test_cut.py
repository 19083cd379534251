"""The pieces, chained, are the whole file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from firstaudio.engines.kokoro.decoder import SAMPLE_RATE, Source
from firstaudio.engines.kokoro.surgery.anchors import find_anchors
from firstaudio.engines.kokoro.surgery.cut import Noise, cut
from firstaudio.engines.kokoro.surgery.graph import AnchorError, Graph


def cut_of(model: onnx.ModelProto) -> Any:
    graph = Graph(model)
    return cut(graph, find_anchors(graph))


def test_the_pieces_take_and_give_what_the_decoder_expects(kokoro: Any):
    ports = {
        name: ({port.name for port in session.inputs}, {port.name for port in session.outputs})
        for name, session in kokoro.sessions.items()
    }
    assert ports == {
        "front": ({"tokens", "style", "speed"}, {"hidden", "f0", "durations"}),
        "source": ({"f0", "noise_0", "noise_1"}, {"har"}),
        "generator": ({"hidden", "har", "style"}, {"x"}),
        "window": ({"hidden", "har", "style", "affine"}, {"x"}),
        "tail": ({"x"}, {"audio"}),
    }


def test_the_pieces_are_sound_graphs_and_the_source_graph_is_as_it_was(export: onnx.ModelProto, tools: SimpleNamespace):
    model = tools.copy_of(export)
    pieces = cut_of(model).pieces
    assert model.SerializeToString() == export.SerializeToString()
    for piece in pieces.values():
        onnx.checker.check_model(piece)


@pytest.mark.parametrize("num_tokens", [1, 2, 20, 510])
def test_the_pieces_chained_are_the_whole_file(
    kokoro: Any, given_noise: onnx.ModelProto, tools: SimpleNamespace, num_tokens: int
):
    features = kokoro.features(num_tokens)
    tokens = np.array([[0, *tools.ids(num_tokens), 0]])
    style = kokoro.style(num_tokens)
    whole = tools.speak_file(
        given_noise, kokoro.pieces, features, tokens=tokens, style=style, speed=np.ones(1, np.float32)
    )
    chained = kokoro.decoder.whole(features, tools.SEED)
    assert len(chained) == len(whole["audio"]) == features.num_frames * SAMPLE_RATE // 40
    assert tools.snr_db(whole["audio"], chained) > 120


@pytest.mark.parametrize("dialect", ["input_ids", "int_speed", "long_speed"])
def test_every_dialect_gives_the_same_pieces(
    export: onnx.ModelProto, tools: SimpleNamespace, kokoro: Any, dialect: str
):
    made = cut_of(tools.dialects[dialect](export))
    front = made.pieces["front"]
    given = {
        "tokens": np.array([[0, *tools.ids(20), 0]]),
        "style": kokoro.style(),
        "speed": np.float32([1.3]),  # of integers or not, the cut model speaks at any speed
    }
    features = kokoro.features(20, speed=1.3)
    outputs = tools.run_model(front, **given)
    np.testing.assert_array_equal(outputs["durations"].reshape(-1), features.durations)
    np.testing.assert_array_equal(outputs["hidden"], features.hidden)
    for name in ("source", "generator", "window", "tail"):
        assert made.pieces[name].ByteSize() == kokoro.pieces.path(name).stat().st_size


def test_a_higher_speed_is_shorter(kokoro: Any):
    slow, natural, fast = (kokoro.features(40, speed).num_frames for speed in (0.5, 1.0, 2.0))
    assert slow > 1.5 * natural > 2 * fast


def test_durations_sum_to_the_frames_and_none_is_empty(kokoro: Any):
    features = kokoro.features(30)
    assert features.durations.shape == (32,)
    assert features.durations.min() >= 1
    assert features.durations.sum() == features.num_frames


def test_the_shape_of_noise_grows_with_the_half_frames():
    noise = Noise("normal", (1, 5, 9), (0, 300, 0))
    assert noise.shape(0) == (1, 5, 9)
    assert noise.shape(4) == (1, 1205, 9)


def test_the_source_wants_noise_of_both_kinds_and_gives_the_same_for_the_same(kokoro: Any, tools: SimpleNamespace):
    assert {"uniform", "normal"} == {want["distribution"] for want in kokoro.pieces.noise.values()}
    f0 = kokoro.features(10).f0

    def har(seed: tuple[int, ...]) -> Any:
        source = Source(kokoro.sessions["source"], kokoro.pieces.noise, f0, seed)
        return source.har(0, f0.shape[1] // 2)

    np.testing.assert_array_equal(har((1,)), har((1,)))
    assert np.abs(har((1,)) - har((2,))).max() > 0


def test_statistics_are_measured_where_the_generator_normalises(kokoro: Any, tools: SimpleNamespace):
    """With its own statistics given, the window piece over a whole run is the generator."""
    features = kokoro.features(20)
    inputs = kokoro.decoder.generator_inputs(features, tools.SEED)
    whole = kokoro.sessions["generator"].run(inputs)["x"]
    affine = kokoro.pieces.norms.affine(kokoro.statistics(features))
    assert tools.snr_db(whole, kokoro.sessions["window"].run({**inputs, "affine": affine})["x"]) > 100


def test_a_generator_without_anything_to_rewrite_is_refused(export: onnx.ModelProto, tools: SimpleNamespace):
    model = tools.copy_of(export)
    graph = Graph(model)
    anchors = find_anchors(graph)
    for node in graph.of_type("Sin"):
        if graph.depends_on(anchors.x, node.output[0]) and not graph.depends_on(anchors.har, node.output[0]):
            node.op_type = "Cos"
    with pytest.raises(AnchorError, match=r"no sin\^2"):
        cut(graph, anchors)


def test_a_generator_that_needs_more_than_a_piece_is_given_is_refused(export: onnx.ModelProto, tools: SimpleNamespace):
    model = tools.copy_of(export)
    anchors = find_anchors(Graph(model))
    conv = Graph(model).producers[anchors.x]
    speed = onnx.helper.make_node("Add", [conv.input[0], "speed"], ["more"])
    conv.input[0] = "more"
    model.graph.node.append(speed)
    with pytest.raises(AnchorError, match="the piece 'generator' would also need speed"):
        cut(Graph(model), anchors)
