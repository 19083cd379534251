"""When each piece of an answer leaves: the stated figures as arithmetic, and what a listener must then measure."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from firstaudio.audio.playback import preroll_needed_ns, stalls, time_to_gapless_play_ns
from firstaudio.bench.reference.figures import Figures
from firstaudio.clock import NS_PER_MS, NS_PER_S

MIN_AUDIO_S = 0.1
ENDLESS_S = 24 * 3600.0
_SLOW_VOICE = re.compile(r"slow(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request wants, whatever the protocol.

    Attributes:
        voice: "slow10" makes everything 10 % slower, "fault-..." does harm; others are different pitches.
        streams: False: the whole answer at once, when all of it is synthesised.
    """

    text: str
    voice: str = ""
    speed: float = 1.0
    streams: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """The chunks of one answer: chunk k is `bounds(k)` of its samples and leaves `offset_ns(k)` after the start."""

    figures: Figures
    num_samples: int
    factor: float = 1.0
    whole: bool = False

    @property
    def chunk_samples(self) -> int:
        """Of every chunk but the last."""
        return self.num_samples if self.whole else max(1, round(self.figures.chunk_ms * self.figures.sample_rate / 1e3))

    @property
    def num_chunks(self) -> int:
        """At least 1."""
        return -(-self.num_samples // self.chunk_samples)

    @property
    def audio_s(self) -> float:
        """Playing time of the whole answer."""
        return self.num_samples / self.figures.sample_rate

    def bounds(self, index: int) -> tuple[int, int]:
        """First sample of a chunk, and one past its last."""
        begin = index * self.chunk_samples
        return begin, min(begin + self.chunk_samples, self.num_samples)

    def offset_ns(self, index: int) -> int:
        """When a chunk leaves after the start of synthesis, without jitter."""
        begin_s = self.bounds(index)[0] / self.figures.sample_rate
        done_s = self.audio_s if self.whole else begin_s
        pauses_ms = [ms for after, ms in self.figures.stalls if done_s > 0 and done_s >= after]
        work_ns = self.factor * (self.figures.ttfa_ms * NS_PER_MS + done_s * self.figures.rtf * NS_PER_S)
        return round(work_ns + sum(pauses_ms) * NS_PER_MS)


def make_plan(figures: Figures, ask: Ask, audio_s: float | None = None) -> Plan:
    """The plan of an answer; `audio_s` overrides what follows from the text's length."""
    stated_s = max(MIN_AUDIO_S, len(ask.text) * figures.char_s / ask.speed)
    num_samples = max(1, round((stated_s if audio_s is None else audio_s) * figures.sample_rate))
    return Plan(figures, num_samples, slow_factor(ask.voice), whole=not (figures.streams and ask.streams))


def slow_factor(voice: str) -> float:
    """1.1 for "slow10", 1 for a voice without a number."""
    slow = _SLOW_VOICE.fullmatch(voice)
    return 1 + int(slow[1]) / 100 if slow else 1.0


def jitter_ns(figures: Figures, rng: random.Random) -> int:
    """How late one chunk is: half of them are not late at all."""
    return max(0, round(rng.gauss(0.0, figures.jitter_ms) * NS_PER_MS)) if figures.jitter_ms else 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What a perfect client measures of one answer of an idle server, without jitter and without a buffer."""

    ttfa_ms: float
    ttgp_ms: float
    latency_ms: float
    rtf: float
    preroll_ms: float
    num_stalls: int
    stall_ms: float
    audio_s: float


def expected(figures: Figures, ask: Ask) -> Expected:
    """The right answer to a measurement of `ask`."""
    plan = make_plan(figures, ask)
    bounds = [plan.bounds(index) for index in range(plan.num_chunks)]
    durations = [(end - begin) * NS_PER_S // figures.sample_rate for begin, end in bounds]
    arrivals = [plan.offset_ns(index) for index in range(plan.num_chunks)]
    found = stalls(arrivals, durations)
    ttgp_ns = time_to_gapless_play_ns(arrivals, durations, 0)
    assert ttgp_ns is not None, "a plan has audio"
    return Expected(
        ttfa_ms=arrivals[0] / NS_PER_MS,
        ttgp_ms=ttgp_ns / NS_PER_MS,
        latency_ms=arrivals[-1] / NS_PER_MS,
        rtf=arrivals[-1] / NS_PER_S / plan.audio_s,
        preroll_ms=preroll_needed_ns(arrivals, durations) / NS_PER_MS,
        num_stalls=len(found),
        stall_ms=sum(stall.duration_ns for stall in found) / NS_PER_MS,
        audio_s=plan.audio_s,
    )
