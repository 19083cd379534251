"""What a reference server says: a hummed tone that begins at sample 0, never clicks, and ends in silence."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PEAK = 0.45
LOWEST_HZ = 120
NUM_PITCHES = 51
STEP_HZ = 2
SYLLABLES_PER_S = 4
FADE_S = 0.060
REST_S = 0.020  # of silence, at the very end

Kind = Literal["speech", "silence", "noise"]


class Sound:
    """Audio of one voice as s16le bytes, any part of it at once.

    It repeats after a second (every frequency in it is a whole number of Hz), so parts are copies of a loop. It
    begins at the top of its first wave, so that its onset is at sample 0; the envelope keeps it above silence.

    Args:
        sample_rate: In Hz.
        voice: Decides the pitch.
        kind: "noise" is clipped most of the time.
    """

    def __init__(self, sample_rate: int, voice: str = "", kind: Kind = "speech") -> None:
        self._rate = sample_rate
        self._ends = kind == "speech"
        second = _second(sample_rate, zlib.crc32(voice.encode()) % NUM_PITCHES, kind)
        self._loop = second.tobytes() * 2

    def part(self, begin: int, end: int, num_samples: int) -> bytes:
        """Samples `begin` to `end` of an utterance of `num_samples`."""
        tail = max(0, num_samples - round((FADE_S + REST_S) * self._rate)) if self._ends else end
        if end <= tail:
            return self._repeated(begin, end)
        split = max(begin, tail)
        samples = np.frombuffer(self._repeated(split, end), "<i2")
        faded = samples * self._fade(np.arange(split, end), num_samples)
        return self._repeated(begin, split) + np.rint(faded).astype("<i2").tobytes()

    def _repeated(self, begin: int, end: int) -> bytes:
        first = begin % self._rate * 2
        size = (end - begin) * 2
        if first + size <= len(self._loop):
            return self._loop[first : first + size]
        return (self._loop * (1 + (first + size) // len(self._loop)))[first : first + size]

    def _fade(self, positions: NDArray[np.intp], num_samples: int) -> NDArray[np.float64]:
        """Factors that go from 1 to 0 as a raised cosine, and stay there for the rest."""
        length = min(FADE_S, num_samples / self._rate / 2)
        rest = min(REST_S, num_samples / self._rate / 8)
        to_go = (num_samples - positions) / self._rate - rest
        phase = np.clip(to_go / length, 0.0, 1.0)
        faded: NDArray[np.float64] = 0.5 - 0.5 * np.cos(np.pi * phase)
        return faded


@lru_cache(maxsize=64)
def _second(sample_rate: int, pitch: int, kind: Kind) -> NDArray[np.int16]:
    time_s = np.arange(sample_rate) / sample_rate
    if kind == "silence":
        wave = np.zeros(sample_rate)
    elif kind == "noise":
        wave = np.random.default_rng(1).normal(0.0, 4.0, sample_rate)
    else:
        turn = 2 * np.pi * (LOWEST_HZ + STEP_HZ * pitch) * time_s
        envelope = 0.6 + 0.4 * np.cos(2 * np.pi * SYLLABLES_PER_S * time_s)
        wave = PEAK * envelope * (0.7 * np.cos(turn) + 0.3 * np.cos(2 * turn))
    scaled: NDArray[np.int16] = np.clip(np.rint(wave * 32767), -32768, 32767).astype("<i2")
    return scaled


@lru_cache(maxsize=256)
def sound(sample_rate: int, voice: str = "", kind: Kind = "speech") -> Sound:
    """A shared one."""
    return Sound(sample_rate, voice, kind)
