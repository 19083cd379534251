"""The choice: paired, checked, with a reason, and open to every side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.runtimes.figures import (
    EQUAL_DB,
    Figures,
    choose,
    output_problem,
    signal_to_noise_db,
    speedup,
)

TIMES = st.lists(st.floats(1.0, 1000.0), min_size=9, max_size=9)


def figures(name, times_ms, snr_db=120.0, problem=""):
    return Figures(name, 5.0, tuple(times_ms), snr_db, problem)


def steady(name, ms, **rest):
    """Nine rounds with a little noise that is the same in every round."""
    return figures(name, [ms * (1 + 0.01 * (n % 3)) for n in range(9)], **rest)


@pytest.mark.parametrize(
    ("times_ms", "winner"),
    [
        ((97.0, 31.0), "openvino-cpu-bf16"),
        ((31.0, 97.0), "onnxruntime-cpu"),
        ((97.0, 95.0), "onnxruntime-cpu"),  # 2 % are not worth a change
        ((97.0, 93.0), "openvino-cpu-bf16"),
    ],
)
def test_either_side_can_win(times_ms, winner):
    both = [steady("onnxruntime-cpu", times_ms[0]), steady("openvino-cpu-bf16", times_ms[1], snr_db=46.0)]

    assert winner == choose(both).winner


def test_a_gain_in_doubt_changes_nothing():
    """Twice as fast in six rounds of nine, half as fast in three: the interval holds 1."""
    first = figures("onnxruntime-cpu", [10.0] * 9)
    second = figures("openvino-cpu", [5.0, 20.0, 5.0, 5.0, 20.0, 5.0, 20.0, 5.0, 5.0])
    choice = choose([first, second])

    assert choice.winner == "onnxruntime-cpu"
    assert "not faster beyond doubt" in choice.reasons["openvino-cpu"]


def test_rounds_are_paired():
    """The machine was ten times slower in some rounds; one of them is a tenth faster in every round."""
    weather = [1, 10, 1, 10, 5, 1, 10, 1, 1]
    choice = choose([figures("a-cpu", [10.0 * w for w in weather]), figures("b-cpu", [9.0 * w for w in weather])])

    assert choice.winner == "b-cpu"


def test_the_reason_tells_figures_interval_and_fidelity():
    choice = choose(
        [
            figures("onnxruntime-cpu", [97.0] * 9, snr_db=EQUAL_DB),
            figures("openvino-cpu", [90.0] * 9, snr_db=118.4),
            figures("openvino-cpu-bf16", [31.0] * 9, snr_db=46.2),
            figures("onnxruntime-coreml", [582.0] * 9, snr_db=60.0),
            figures("onnxruntime-cuda", (), None, "its audio is silent"),
        ],
        "a window of 0.4 s",
    )

    assert choice.reason == (
        "openvino-cpu-bf16: 31 ms for a window of 0.4 s against 90 ms of openvino-cpu "
        "(2.90x, 95 % interval 2.90 to 2.90), output 46 dB from the reference: used"
    )
    assert choice.reasons["onnxruntime-cpu"].endswith("output equal to the reference: not used, it is slower")
    assert "582 ms for a window of 0.4 s against 31 ms of openvino-cpu-bf16" in choice.reasons["onnxruntime-coreml"]
    assert choice.reasons["onnxruntime-cuda"] == "onnxruntime-cuda: not used: its audio is silent"


def test_a_winner_says_what_it_has_beaten_though_nothing_of_its_kind_was_faster():
    choice = choose([figures("onnxruntime-cpu", [97.0] * 9), figures("openvino-cpu", [90.0] * 9, snr_db=118.4)])

    assert choice.reason == (
        "openvino-cpu: 90 ms for a step against 97 ms of onnxruntime-cpu (1.08x, 95 % interval 1.08 to 1.08), "
        "output 118 dB from the reference: used"
    )


def test_the_first_in_rank_has_nothing_to_beat():
    choice = choose([figures("onnxruntime-cpu", [90.0] * 9), figures("openvino-cpu", [97.0] * 9)])

    assert choice.reason == "onnxruntime-cpu: 90 ms for a step, output 120 dB from the reference: used"


def test_what_failed_a_check_cannot_win_however_fast():
    choice = choose([steady("onnxruntime-cpu", 97.0), steady("onnxruntime-coreml", 1.0, problem="its audio is silent")])

    assert choice.winner == "onnxruntime-cpu"


def test_without_anything_sound_there_is_no_choice():
    assert choose([figures("a", (), None, "it fell over")]) is None


@given(one=TIMES, other=TIMES)
def test_a_speedup_and_its_inverse_agree(one, other):
    forth, back = speedup(figures("a", one), figures("b", other)), speedup(figures("b", other), figures("a", one))

    assert forth.value == pytest.approx(1 / back.value)
    assert (forth.low, forth.high) == (pytest.approx(1 / back.high), pytest.approx(1 / back.low))
    assert forth.low <= forth.value <= forth.high
    assert not (forth.is_gain and back.is_gain)


def test_the_interval_holds_the_true_ratio_as_often_as_it_says():
    """Rounds that differ by chance alone: 95 % of the intervals hold 1, give or take what 1000 trials tell."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        one, other = (figures(name, random.lognormal(0, 0.2, 9)) for name in "ab")
        ratio = speedup(one, other)
        held += ratio.low <= 1 <= ratio.high

    assert 0.95 <= held / 1000 <= 0.99  # 9 rounds: 96.1 %, order statistics being discrete


@pytest.mark.parametrize("rounds", [(5, 5), (9, 8)])
def test_too_few_rounds_or_other_rounds_are_no_comparison(rounds):
    with pytest.raises(ValueError, match="at least 6 rounds of both"):
        speedup(figures("a", [1.0] * rounds[0]), figures("b", [1.0] * rounds[1]))


WAVE = np.sin(np.arange(1000) * 0.1).astype(np.float32)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ({"audio": WAVE}, ""),
        ({"audio": WAVE + np.float32(1e-3)}, ""),
        ({"audio": np.where(WAVE > 0.99, np.nan, WAVE)}, "its audio holds values that are not finite"),
        ({"audio": WAVE * np.float32(0)}, "its audio is silent"),
        ({"audio": WAVE * np.float32(1e-4)}, "its audio is silent"),
        ({"audio": -WAVE}, "its audio is -6 dB from the reference, at least 25 dB are wanted"),
        ({"audio": WAVE[:-1]}, "its audio has the shape [999] instead of [1000]"),
        ({"waveform": WAVE}, "it gives no audio"),
    ],
)
def test_an_output_is_finite_not_silent_and_close(output, problem):
    assert problem == output_problem(output, {"audio": WAVE}, 25.0)


def test_silence_is_right_where_the_reference_is_silent():
    silence = np.zeros(10, np.float32)

    assert output_problem({"audio": silence}, {"audio": silence}, 25.0) == ""
    assert output_problem({"audio": silence + 1}, {"audio": silence}, 25.0)


def test_decibels_are_those_of_the_textbook():
    assert pytest.approx(signal_to_noise_db(WAVE * 1.01, WAVE), abs=0.01) == 40.0
    assert signal_to_noise_db(WAVE, WAVE) == EQUAL_DB
