"""An engine with stated figures: tones whose time to first audio, RTF, capacity and failures are configured.

What it says is what it does: it sleeps on the lane for the stated time, on an absolute schedule, so that a demo and a
test have a known right answer. The audio is a deterministic function of the text: one tone burst per character.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import Chunk, WordMark
from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns
from firstaudio.config import Config
from firstaudio.engines.base import EngineInfo, SpeakRequest, Voice
from firstaudio.errors import EngineError, UnknownLanguageError, UnknownVoiceError
from firstaudio.trace import Stage

AMPLITUDE = 0.3
LOWEST_HZ = 220.0
NUM_PITCHES = 48  # four octaves of semitones above LOWEST_HZ
RAMP_S = 0.004  # of each burst, so that bursts join without a click

_VOICES = ("default", "premium", "fast", "af_heart", "alloy")


@dataclass(frozen=True, slots=True)
class _Prepared:
    request: SpeakRequest
    samples_per_char: int
    fails: bool


class SyntheticEngine:
    """Tone bursts at a stated speed.

    Args:
        config: Section `synthetic` states the figures.
    """

    def __init__(self, config: Config) -> None:
        self._config = config.synthetic
        self._info = EngineInfo(
            name="synthetic",
            sample_rate=self._config.sample_rate,
            languages=("en-us",),
            num_lanes=self._config.capacity,
            incremental=True,
            word_timing=True,
            pitch_range=(0.5, 2.0),
            expected_rtf=self._config.rtf,
            description="tone bursts with stated TTFA, RTF, capacity and failures",
        )

    @property
    def info(self) -> EngineInfo:
        """What this engine can do."""
        return self._info

    def start(self) -> None:
        """Nothing to load."""

    def voices(self) -> Sequence[Voice]:
        """Names only: every voice makes the same tones."""
        return [Voice(id=name, name=name, language="en-us") for name in _VOICES]

    def resolve(self, voice: str, language: str | None) -> tuple[str, str]:
        """The voice as named; the only language is English. Raises Unknown...Error."""
        if voice not in _VOICES:
            raise UnknownVoiceError(
                f"the synthetic engine has no voice {voice!r}; use one of {', '.join(_VOICES)}", param="voice"
            )
        if language is not None and language.lower() not in ("en", "en-us"):
            raise UnknownLanguageError(f"the synthetic engine speaks only 'en-us', not {language!r}", param="language")
        return voice, "en-us"

    def prepare(self, request: SpeakRequest) -> _Prepared:
        """Fix the length of a burst and whether this segment fails; takes `slow_ms` where this is the slow stage."""
        _sleep_until(now_ns() + self._slow_ns("phonemize"))
        samples = max(1, round(self._config.char_s / request.speed * self._config.sample_rate))
        draw = random.Random(repr((self._config.seed, request.key))).random()
        return _Prepared(request, samples, fails=draw < self._config.failure_rate)

    def steps(self, prepared: _Prepared) -> Iterator[Chunk]:
        """The bursts of the segment in steps of `synthetic.step_ms`, each ready when the stated figures say so."""
        config = self._config
        pcm = tone_bursts(prepared, config.sample_rate)
        step = max(1, round(config.step_ms / 1000 * config.sample_rate))
        ready_ns = now_ns() + round(config.ttfa_ms * NS_PER_MS) + self._slow_ns("model_inference")
        marks = list(_word_marks(prepared))
        for index, begin in enumerate(range(0, len(pcm), step)):
            piece = pcm[begin : begin + step]
            if index:
                # Work begins when the step is asked for: a parked stream does not work ahead.
                ready_ns = now_ns() + round(len(piece) / config.sample_rate * config.rtf * NS_PER_S)
            _sleep_until(ready_ns)
            if prepared.fails and index == config.fail_at_step:
                raise EngineError("the synthetic engine fails here, as configured", retryable=True)
            words = tuple(mark for mark in marks if begin <= mark.start_sample < begin + len(piece))
            yield Chunk(piece, config.sample_rate, start_sample=begin, words=words)

    def close(self) -> None:
        """Nothing to release."""

    def _slow_ns(self, stage: Stage) -> int:
        """What a stage takes beyond the other figures."""
        return round(self._config.slow_ms * NS_PER_MS) if self._config.slow_stage == stage else 0


def tone_bursts(prepared: _Prepared, sample_rate: int) -> NDArray[np.int16]:
    """One burst per character, int16, shape (num_chars * samples_per_char,)."""
    n = prepared.samples_per_char
    time_s = np.arange(n) / sample_rate
    ramp = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / RAMP_S)
    bursts = {char: _burst(char, prepared.request.pitch, time_s, ramp) for char in set(prepared.request.text)}
    if not bursts:
        return np.zeros(0, np.int16)
    return np.concatenate([bursts[char] for char in prepared.request.text])


def _burst(char: str, pitch: float, time_s: NDArray[np.float64], ramp: NDArray[np.float64]) -> NDArray[np.int16]:
    frequency = LOWEST_HZ * pitch * 2 ** ((ord(char) % NUM_PITCHES) / 12)
    return np.rint(AMPLITUDE * 32767 * ramp * np.sin(2 * np.pi * frequency * time_s)).astype(np.int16)


def _word_marks(prepared: _Prepared) -> Iterator[WordMark]:
    position = 0
    for word in prepared.request.text.split():
        begin = prepared.request.text.index(word, position)
        position = begin + len(word)
        yield WordMark(begin, position, begin * prepared.samples_per_char)


def _sleep_until(at_ns: int) -> None:
    while (left := at_ns - now_ns()) > 0:
        time.sleep(left / NS_PER_S)
