"""Whole, in windows, and the noise and the source that both share."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.decoder import NoiseTape, Source
from firstaudio.engines.kokoro.windows import SAMPLES_PER_FRAME, plan_windows

HARMONICS = 9


def tape(distribution: str, fixed: list[int], growth: list[int], seed: tuple[int, ...] = (1, 2)) -> NoiseTape:
    return NoiseTape({"distribution": distribution, "fixed": fixed, "per_half_frame": growth}, seed)


class Counting:
    """A session that notes the lengths of what it is given."""

    def __init__(self, session: Any) -> None:
        self.session, self.lengths = session, []
        self.inputs, self.outputs = session.inputs, session.outputs

    def run(self, inputs: Any) -> Any:
        self.lengths.append(inputs["f0"].shape[1])
        return self.session.run(inputs)


def source(kokoro: Any, features: Any, session: Any = None) -> Source:
    return Source(session or kokoro.sessions["source"], kokoro.pieces.noise, features.f0, (7, 0))


def windowed(kokoro: Any, features: Any, seed: tuple[int, ...]) -> list[Any]:
    affine = kokoro.pieces.norms.affine(kokoro.statistics(features, seed))
    return [pcm for pcm, _ in kokoro.decoder.windows(features, affine, seed)]


@given(st.sampled_from(["normal", "uniform"]), st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_a_longer_tape_begins_as_the_shorter_one(distribution: str, one: int, other: int, fixed: int):
    """What overlaps hears the same noise."""
    made = tape(distribution, [1, fixed, HARMONICS], [0, 30, 0])
    short, long = sorted((made.beginning(one), made.beginning(other)), key=lambda numbers: numbers.shape[1])
    np.testing.assert_array_equal(long[:, : short.shape[1]], short)


def test_tapes_have_the_stated_size_type_and_distribution():
    normal = tape("normal", [1, 0, HARMONICS], [0, 300, 0]).beginning(100)
    uniform = tape("uniform", [1, HARMONICS], [0, 300]).beginning(100)
    assert normal.shape == (1, 30_000, HARMONICS)
    assert uniform.shape == (1, HARMONICS + 30_000)
    assert normal.dtype == uniform.dtype == np.float32
    assert (float(normal.mean()), float(normal.std())) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))
    assert (float(uniform.mean()), float(uniform.min()) >= 0) == (pytest.approx(0.5, abs=0.01), True)
    assert float(uniform.max()) < 1


def test_tapes_of_other_seeds_differ_and_of_the_same_do_not():
    first, again, other = (tape("normal", [4], [0], seed).beginning(1) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_the_first_window_hears_the_same_source_as_the_whole_for_a_fraction_of_the_work(kokoro: Any):
    features = kokoro.features(100)
    counting = Counting(kokoro.sessions["source"])
    whole = source(kokoro, features).har(0, features.num_frames)
    parts = source(kokoro, features, counting)
    np.testing.assert_array_equal(parts.har(0, 16), whole[:, :, : 16 * 120 + 1])
    assert counting.lengths == [34]
    np.testing.assert_array_equal(parts.har(8, 40), whole[:, :, 8 * 120 : 40 * 120 + 1])
    parts.har(32, 88)
    assert counting.lengths == [34, features.f0.shape[1]]  # the rest once


def test_a_short_run_makes_its_source_at_once(kokoro: Any):
    features = kokoro.features(5)
    counting = Counting(kokoro.sessions["source"])
    parts = source(kokoro, features, counting)
    parts.har(0, features.num_frames - 1)
    parts.har(4, features.num_frames)
    assert counting.lengths == [features.f0.shape[1]]


@pytest.mark.parametrize("num_tokens", [1, 4, 6, 7, 8, 9, 10, 20, 120])
def test_windows_with_their_own_statistics_are_the_whole(kokoro: Any, tools: SimpleNamespace, num_tokens: int):
    """Runs of 25 to 31 frames are among them: shorter than the second length of a window."""
    features = kokoro.features(num_tokens)
    whole = kokoro.decoder.whole(features, tools.SEED)
    parts = windowed(kokoro, features, tools.SEED)
    expected = [window.num_kept * SAMPLES_PER_FRAME for window in plan_windows(features.num_frames)]
    assert [len(part) for part in parts] == expected
    assert len(whole) == features.num_frames * SAMPLES_PER_FRAME
    assert tools.snr_db(whole, np.concatenate(parts)) > 90


def test_the_runs_above_cover_every_shape_of_a_ramp(kokoro: Any):
    lengths = {kokoro.features(num_tokens).num_frames for num_tokens in (1, 4, 6, 7, 8, 9, 10, 20, 120)}
    assert any(length < 16 for length in lengths)
    assert any(25 <= length < 32 for length in lengths)
    assert any(length > 200 for length in lengths)


def test_windows_are_sharp_enough_a_test_to_notice_a_frame_too_little(kokoro: Any, tools: SimpleNamespace):
    """Another run's statistics are far from exact."""
    features, other = kokoro.features(60), kokoro.features(61)
    affine = kokoro.pieces.norms.affine(kokoro.statistics(other))
    parts = [pcm for pcm, _ in kokoro.decoder.windows(features, affine, tools.SEED)]
    assert 10 < tools.snr_db(kokoro.decoder.whole(features, tools.SEED), np.concatenate(parts)) < 60


def test_the_first_window_costs_the_same_however_long_the_run_is(kokoro: Any, tools: SimpleNamespace):
    lengths: list[int] = []

    def window(inputs: Any, length: int) -> tuple[Any, str]:
        lengths.append(length)
        assert inputs["hidden"].shape == (1, 16, 2 * length)
        assert inputs["har"].shape == (1, 22, 120 * length + 1)
        return kokoro.sessions["window"].run(inputs)["x"], "one"

    features = kokoro.features(300)
    affine = kokoro.pieces.norms.affine(kokoro.statistics(features))
    steps = kokoro.decoder_with(window).windows(features, affine, tools.SEED)
    pcm, name = next(steps)
    steps.close()
    assert (len(pcm), name, lengths) == (12 * SAMPLES_PER_FRAME, "one", [16])


def test_a_run_shorter_than_any_window_is_decoded_whole(kokoro: Any, tools: SimpleNamespace):
    features = kokoro.features(1)
    assert features.num_frames < 16

    def window(*_: Any) -> Any:
        raise AssertionError("no window of that length was compiled")

    affine = np.zeros((1, len(kokoro.pieces.norms.scale), 2), np.float32)
    [(pcm, name)] = kokoro.decoder_with(window).windows(features, affine, tools.SEED)
    np.testing.assert_array_equal(pcm, kokoro.decoder.whole(features, tools.SEED))
    assert name == "whole"


def test_windows_may_begin_at_a_greater_length(kokoro: Any, tools: SimpleNamespace):
    one, two = kokoro.features(8), kokoro.features(20)
    affine = np.zeros((1, len(kokoro.pieces.norms.scale), 2), np.float32)
    session = kokoro.sessions["window"]
    decoder = kokoro.decoder_with(lambda inputs, _length: (session.run(inputs)["x"], "w"), one.num_frames + 1)
    assert 16 < one.num_frames < two.num_frames
    assert [decoder.can_window(each) for each in (one, two)] == [False, True]
    assert [name for _, name in decoder.windows(one, affine, tools.SEED)] == ["whole"]
    assert {name for _, name in decoder.windows(two, affine, tools.SEED)} == {"w"}


def test_the_same_seed_gives_the_same_speech_and_another_one_other_noise(kokoro: Any, tools: SimpleNamespace):
    features = kokoro.features(20)
    first, again, other = (kokoro.decoder.whole(features, seed) for seed in ((1, 0), (1, 0), (2, 0)))
    np.testing.assert_array_equal(first, again)
    assert math.isfinite(tools.snr_db(first, other))


@pytest.mark.parametrize("num_tokens", [1, 510])
def test_the_shortest_and_the_longest_run_speak(kokoro: Any, num_tokens: int, tools: SimpleNamespace):
    features = kokoro.features(num_tokens)
    assert features.durations.shape == (num_tokens + 2,)
    assert np.isfinite(kokoro.decoder.whole(features, tools.SEED)).all()
