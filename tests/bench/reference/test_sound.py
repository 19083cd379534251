"""The reference server's voice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.onset import find_onset
from firstaudio.bench.reference.sound import PEAK, Sound

RATE = 16_000


def whole(sound: Sound, num_samples: int) -> np.ndarray:
    return np.frombuffer(sound.part(0, num_samples, num_samples), "<i2")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60_000), st.lists(st.integers(0, 60_000), max_size=6))
def test_parts_joined_are_the_whole(num_samples: int, cuts: list[int]):
    sound = Sound(RATE)
    edges = sorted({0, num_samples, *(cut for cut in cuts if cut < num_samples)})
    parts = [sound.part(begin, end, num_samples) for begin, end in pairwise(edges)]

    assert b"".join(parts) == sound.part(0, num_samples, num_samples)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("voice", ["", "alto", "slow10"])
def test_the_onset_is_the_first_sample(rate: int, voice: str):
    assert find_onset(whole(Sound(rate, voice), rate), rate) == 0


def test_it_is_loud_but_never_clipped():
    peak = np.abs(whole(Sound(RATE), RATE)).max() / 32768

    assert peak == pytest.approx(PEAK, abs=0.01)


def test_it_never_clicks_not_even_where_the_loop_begins_again():
    """Steps between samples stay those of its own highest tone, 2 x 220 Hz, within."""
    samples = whole(Sound(RATE), 3 * RATE).astype(float) / 32767
    steepest = 2 * np.pi * 440 / RATE * PEAK

    assert np.abs(np.diff(samples)).max() < steepest


def test_it_ends_in_silence():
    samples = whole(Sound(RATE), RATE)

    assert np.abs(samples[-int(0.02 * RATE) :]).max() <= 1
    assert np.abs(samples[: -int(0.09 * RATE)]).max() > 10_000


def test_voices_have_different_pitches():
    assert Sound(RATE, "alto").part(0, 100, RATE) != Sound(RATE, "tenor").part(0, 100, RATE)


def test_silence_is_silent_and_noise_is_clipped():
    noise = np.abs(whole(Sound(RATE, kind="noise"), RATE).astype(int))

    assert not whole(Sound(RATE, kind="silence"), RATE).any()
    assert (noise >= 32767).mean() > 0.5
