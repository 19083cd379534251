"""Measures of distance, the bound, and the verdict."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.fidelity import (
    MAX_MEAN_DB,
    MAX_SEAM_DB,
    MAX_WORST_DB,
    VERDICT_FILE,
    Comparison,
    Distance,
    Verdict,
    distance,
    log_spectral_distance_db,
    read_verdict,
    seam_excess_db,
    signal_to_noise_db,
)
from firstaudio.engines.kokoro.windows import LENGTHS

SAMPLE_RATE = 24_000
JOINS = (7200, 14_400)


def tone(hz: float = 220.0, level: float = 0.3) -> Any:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE)
    return (level * (np.sin(2 * np.pi * hz * time) + noise)).astype(np.float32)


def comparison(*lsd_db: float, name: str = "windowed", seam_db: float | None = None) -> Comparison:
    return Comparison(name, tuple(Distance(each, 30.0, seam_db) for each in lsd_db))


def verdict(windowed: Comparison, bf16: Comparison | None = None) -> Verdict:
    seeds = comparison(0.7, name="seeds")
    styles = {"af_heart": "a", "af_sky": "c"}
    return Verdict(windowed, bf16, seeds, ("af_heart",), "2026-01-02T03:04:05+00:00", styles, {"openvino": "1.0"})


def test_a_signal_is_at_no_distance_from_itself():
    assert distance(tone(), tone(), JOINS) == Distance(0.0, None, 0.0)
    assert distance(tone(), tone()).seam_db is None


@pytest.mark.parametrize("factor_db", [-6.0, 1.0, 3.0])
def test_a_louder_signal_is_as_far_as_it_is_louder(factor_db: float):
    """Flat spectra: nothing lies below the floor."""
    noise = np.random.default_rng(1).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    louder = (noise * 10 ** (factor_db / 20)).astype(np.float32)
    assert log_spectral_distance_db(noise, louder) == pytest.approx(abs(factor_db), abs=0.02)


def test_what_lies_far_below_the_loudest_bin_is_not_compared():
    quiet = tone() + np.random.default_rng(2).normal(0, 1e-6, SAMPLE_RATE).astype(np.float32)
    assert log_spectral_distance_db(tone(), quiet) < 0.01


def test_another_sound_is_beyond_any_bound():
    assert distance(tone(220), tone(440)).lsd_db > MAX_WORST_DB


@given(st.floats(-60, 60))
def test_the_ratio_of_signal_to_noise_is_that_of_their_powers(snr_db: float):
    signal = np.tile(np.float32([1.0, -1.0]), 500)
    noise = np.tile(np.float32([1.0, 1.0, -1.0, -1.0]), 250) * 10 ** (-snr_db / 20)
    assert signal_to_noise_db(signal, signal + noise) == pytest.approx(snr_db, abs=0.01)


def test_there_is_no_ratio_without_a_difference():
    assert signal_to_noise_db(tone(), tone()) is None


def test_a_click_at_a_join_is_rough_and_one_elsewhere_is_not_counted():
    step = np.zeros(SAMPLE_RATE, np.float32)
    step[JOINS[0] :] = 0.2
    assert seam_excess_db(tone(), tone() + step, JOINS) > 2 * MAX_SEAM_DB
    assert seam_excess_db(tone(), tone() + step, [3000]) == pytest.approx(0, abs=0.01)


def test_joins_at_the_ends_are_measured_as_far_as_there_is_sound():
    assert seam_excess_db(tone(), tone(), [0, SAMPLE_RATE]) == 0.0


@pytest.mark.parametrize("length", [1, 100, 511, 512, 513])
def test_signals_of_any_length_are_compared(length: int):
    assert log_spectral_distance_db(tone()[:length], tone()[:length]) == 0.0


def test_renderings_of_different_lengths_are_a_mistake():
    with pytest.raises(AssertionError, match="renderings of"):
        distance(tone(), tone()[:-1])


@pytest.mark.parametrize(
    ("found", "passes"),
    [
        (comparison(MAX_MEAN_DB, MAX_MEAN_DB), True),
        (comparison(MAX_MEAN_DB + 1e-6), False),
        (comparison(0.0, 0.0, MAX_WORST_DB), True),
        (comparison(0.0, 0.0, MAX_WORST_DB + 1e-6), False),
        (comparison(0.1, seam_db=MAX_SEAM_DB), True),
        (comparison(0.1, seam_db=MAX_SEAM_DB + 1e-6), False),
        (comparison(math.nan), False),
        (comparison(0.1, math.nan), False),
        (comparison(0.1, seam_db=math.nan), False),
    ],
)
def test_the_bound_is_inside_the_bound_and_no_number_is_not(found: Comparison, passes: bool):
    assert found.passes is passes
    assert found.passes is not bool(found.failures)


def test_failures_say_what_was_measured_and_what_is_allowed():
    mean, worst, joins = comparison(1.5, 2.5, seam_db=4.0).failures
    assert mean == "mean distance 2.00 dB, at most 1 is allowed"
    assert worst == "worst distance 2.50 dB, at most 2 is allowed"
    assert joins == "joins 4.0 dB rougher than whole, at most 3 is allowed"


def test_summaries_are_of_all_sentences():
    found = Comparison("windowed", (Distance(0.2, None, 1.0), Distance(0.4, 20.0, None), Distance(0.6, 40.0, 2.0)))
    assert found.mean_db == pytest.approx(0.4)
    assert (found.worst_db, found.snr_db, found.seam_db) == (0.6, 30.0, 1.5)
    nothing = Comparison("seeds", (Distance(0.0, None),))
    assert (nothing.snr_db, nothing.seam_db) == (None, None)


@pytest.mark.parametrize("bf16", [None, comparison(0.1, name="bf16"), comparison(3.0, name="bf16")])
def test_a_verdict_is_read_as_it_was_written(tmp_path: Path, bf16: Comparison | None):
    written = verdict(comparison(0.3, 0.4, seam_db=0.5), bf16)
    written.save(tmp_path)
    found = read_verdict(tmp_path)
    assert found == written
    assert found.allows_windows
    assert found.allows_bf16 is (bf16 is not None and bf16.passes)
    told = json.loads((tmp_path / VERDICT_FILE).read_text())
    assert told["bound"] == {"mean_db": 1.0, "worst_db": 2.0, "seam_db": 3.0}
    assert told["comparisons"]["windowed"]["passes"] is True


@pytest.mark.parametrize(
    ("there", "changed"),
    [
        ({"af_heart": "a", "af_sky": "c", "more": "m"}, []),
        ({"af_heart": "a"}, []),
        ({"af_heart": "b", "af_sky": "c"}, ["af_heart"]),
        ({"af_heart": "b"}, ["af_heart"]),
        ({"mine": "a"}, ["af_heart", "af_sky"]),
        ({}, ["af_heart", "af_sky"]),
    ],
)
def test_a_verdict_holds_for_the_voices_that_it_was_found_with(there: dict[str, str], changed: list[str]):
    assert verdict(comparison(0.3)).changed_voices(there) == changed


def short_texts(*texts: tuple[int, float]) -> Comparison:
    return Comparison("short", tuple(Distance(lsd_db, 30.0, 0.1, num_frames) for num_frames, lsd_db in texts))


@pytest.mark.parametrize(
    ("short", "min_frames"),
    [
        (None, LENGTHS[0]),
        (short_texts((17, 0.9), (30, 0.5)), LENGTHS[0]),
        (short_texts((17, 1.26), (30, 0.98), (60, 0.5)), LENGTHS[0]),  # the bound is one of the mean
        (short_texts((17, 1.9), (30, 0.98), (60, 0.5)), 18),
        (short_texts((60, 0.5), (17, 1.9), (30, 0.9)), 18),
        (short_texts((17, 1.9), (30, 1.6), (60, 1.2)), 61),
        (short_texts((17, 1.9), (17, 1.1), (60, 0.5)), 18),  # texts of one length go together
        (short_texts((17, 0.2), (30, 2.1), (60, 0.5)), 31),  # beyond the worst that is allowed
        (short_texts((17, 3.0), (60, 3.0)), 61),
        (short_texts((17, math.nan), (60, 0.5)), 18),
    ],
)
def test_what_is_shorter_than_the_shortest_text_that_is_faithful_is_decoded_whole(
    tmp_path: Path, short: Comparison | None, min_frames: int
):
    found = replace(verdict(comparison(0.3)), short=short)
    assert found.min_frames == min_frames
    assert found.allows_windows
    found.save(tmp_path)
    read = read_verdict(tmp_path)
    assert read is not None
    assert read.min_frames == min_frames
    assert json.loads((tmp_path / VERDICT_FILE).read_text())["min_frames"] == min_frames


@given(st.lists(st.tuples(st.integers(LENGTHS[0], 90), st.floats(0, 3)), max_size=20))
def test_texts_that_are_not_decoded_whole_are_within_the_bound(texts: list[tuple[int, float]]):
    found = replace(verdict(comparison(0.3)), short=short_texts(*texts))
    rest = [lsd_db for num_frames, lsd_db in texts if num_frames >= found.min_frames]
    assert not rest or (np.mean(rest) <= MAX_MEAN_DB + 1e-9 and max(rest) <= MAX_WORST_DB)


def test_a_verdict_of_no_number_allows_nothing_after_it_was_read(tmp_path: Path):
    verdict(comparison(math.nan)).save(tmp_path)
    found = read_verdict(tmp_path)
    assert found is not None
    assert not found.allows_windows


def changed(tmp_path: Path, **more: Any) -> None:
    verdict(comparison(0.3)).save(tmp_path)
    row = json.loads((tmp_path / VERDICT_FILE).read_text())
    (tmp_path / VERDICT_FILE).write_text(json.dumps(row | more))


@pytest.mark.parametrize(
    "more",
    [
        {"version": 0},
        {"comparisons": {}},
        {"comparisons": []},
        {"comparisons": {"windowed": {"distances": []}, "seeds": {"distances": []}}},
        {"comparisons": {"windowed": {"distances": [{"db": 1}]}, "seeds": {"distances": [{"db": 1}]}}},
        {"voices": None},
        {"styles": None},
        {"facts": None},
    ],
)
def test_a_verdict_of_another_kind_is_none(tmp_path: Path, more: dict[str, Any]):
    changed(tmp_path, **more)
    assert read_verdict(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_verdict_that_cannot_be_read_is_none(tmp_path: Path, content: bytes):
    (tmp_path / VERDICT_FILE).write_bytes(content)
    assert read_verdict(tmp_path) is None


def test_without_a_verdict_there_is_none(tmp_path: Path):
    assert read_verdict(tmp_path) is None
