"""The last minutes, kept in memory as they happen: what a page can show that is looked at now."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from firstaudio.slo import is_met
from firstaudio.stats.sample import MIN_SAMPLES, QUANTILES, quantile, wilson
from firstaudio.telemetry.measurement import Measurement

WINDOW_S = 600
SLOT_S = 10
BINS_PER_DECADE = 20
MAX_ANSWERS = 10_000
NUM_RECENT = 20


class Answer(NamedTuple):
    """First audio of one request.

    Attributes:
        at: When the request ended, in seconds of the window's clock.
        origin: Who asked.
        is_cached: Whether all that its first audio needed was kept from earlier.
        ttfa_ms: Accept to first audio.
    """

    at: float
    origin: str
    is_cached: bool
    ttfa_ms: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Requests whose TTFA lay in [low_ms, high_ms)."""

    low_ms: float
    high_ms: float
    n: int


@dataclass(frozen=True, slots=True)
class Percentile:
    """One quantile; None where `n` is less than `needs`."""

    name: str
    value_ms: float | None
    needs: int


@dataclass(frozen=True, slots=True)
class Group:
    """First audio of the requests of one origin; cached answers are a group of their own.

    Attributes:
        origin: Who asked.
        is_cached: Whether all that their first audio needed was kept from earlier.
        n: How many.
        num_met: How many of them met the target.
        met_low: Lower end of the 95 % interval of that share.
        met_high: Upper end.
        percentiles: Of TTFA.
        bins: Of TTFA, equally wide on a logarithmic axis; without the empty ones.
    """

    origin: str
    is_cached: bool
    n: int
    num_met: int
    met_low: float
    met_high: float
    percentiles: Sequence[Percentile]
    bins: Sequence[Bin]


@dataclass(slots=True)
class Slot:
    """Requests that ended within some seconds.

    Attributes:
        outcomes: How many of clients' ended how.
        audio_s: Audio that was made for them.
        other_outcomes: The same of benchmarks and the tuner.
        other_audio_s: Likewise.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    audio_s: float = 0.0
    other_outcomes: Counter[str] = field(default_factory=Counter)
    other_audio_s: float = 0.0

    def add(self, measurement: Measurement) -> None:
        """Count a request where it belongs."""
        if measurement.origin == "client":
            self.outcomes[measurement.outcome] += 1
            self.audio_s += measurement.audio_s
        else:
            self.other_outcomes[measurement.outcome] += 1
            self.other_audio_s += measurement.audio_s


@dataclass(frozen=True, slots=True)
class SlotFigures:
    """One slot as it is shown.

    Attributes:
        ago_s: Its end before now, in seconds; 0 for the one that is running.
        seconds: How much of it has been seen.
        audio_s: Audio of clients' requests that ended in it.
        outcomes: How many of them ended how.
        other_audio_s: Audio of benchmarks' and the tuner's.
        other_outcomes: How many of those ended how.
    """

    ago_s: float
    seconds: float
    audio_s: float
    outcomes: dict[str, int]
    other_audio_s: float
    other_outcomes: dict[str, int]


class Window:
    """Measurements of the last `WINDOW_S` seconds; `add` costs the same however many there are.

    The warm-up is no traffic and is left out. Lives on the event loop; what `answers` gives may go to a thread.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._answers: deque[Answer] = deque(maxlen=MAX_ANSWERS)
        self._slots: dict[int, Slot] = {}
        self._recent: deque[Measurement] = deque(maxlen=NUM_RECENT)

    def add(self, measurement: Measurement) -> None:
        """A request has ended."""
        if measurement.origin == "warmup":
            return
        now = self._clock()
        self._slots.setdefault(int(now // SLOT_S), Slot()).add(measurement)
        self._recent.appendleft(measurement)
        if measurement.ttfa_ms is not None:
            is_cached = measurement.warmth == "cached"
            self._answers.append(Answer(now, measurement.origin, is_cached, measurement.ttfa_ms))
        self._forget(now)

    def recent(self) -> list[Measurement]:
        """The last `NUM_RECENT`, the newest first, however old."""
        return list(self._recent)

    def answers(self) -> list[Answer]:
        """First audio of the last minutes, the newest last; at most `MAX_ANSWERS`."""
        self._forget(self._clock())
        return list(self._answers)

    def reach_s(self) -> float:
        """How far back `answers` go, in seconds: as long as there has been a window, less where it held too many."""
        now = self._clock()
        self._forget(now)
        since = self._answers[0].at if len(self._answers) == MAX_ANSWERS else self._since
        return min(float(WINDOW_S), now - since)

    def slots(self) -> list[SlotFigures]:
        """The last minutes in pieces of `SLOT_S`, the oldest first, from when the window was made."""
        now = self._clock()
        self._forget(now)
        last = int(now // SLOT_S)
        first = max(int(self._since // SLOT_S), last - WINDOW_S // SLOT_S)
        return [self._figures(index, now) for index in range(first, last + 1)]

    def _figures(self, index: int, now: float) -> SlotFigures:
        begin, end = max(index * SLOT_S, self._since), min((index + 1) * SLOT_S, now)
        slot = self._slots.get(index, Slot())
        others = slot.other_audio_s, dict(slot.other_outcomes)
        return SlotFigures(now - end, end - begin, slot.audio_s, dict(slot.outcomes), *others)

    def _forget(self, now: float) -> None:
        while self._answers and self._answers[0].at < now - WINDOW_S:
            self._answers.popleft()
        oldest = int(now // SLOT_S) - WINDOW_S // SLOT_S
        for index in [index for index in self._slots if index < oldest]:
            del self._slots[index]


def groups(answers: Sequence[Answer], target_ms: float) -> list[Group]:
    """First audio by who asked, clients first; pure, for a thread.

    Args:
        answers: Of any origin.
        target_ms: What a request should meet.
    """
    kinds: dict[tuple[str, bool], list[float]] = {}
    for answer in answers:
        kinds.setdefault((answer.origin, answer.is_cached), []).append(answer.ttfa_ms)
    order = sorted(kinds, key=lambda kind: (kind[0] != "client", kind))
    return [_group(*kind, sorted(kinds[kind]), target_ms) for kind in order]


def _group(origin: str, is_cached: bool, samples: list[float], target_ms: float) -> Group:
    num_met = sum(is_met(sample, target_ms) for sample in samples)
    low, high = wilson(num_met, len(samples))
    return Group(origin, is_cached, len(samples), num_met, low, high, list(_percentiles(samples)), list(_bins(samples)))


def _percentiles(samples: list[float]) -> Iterator[Percentile]:
    for name, q in QUANTILES.items():
        needs = MIN_SAMPLES[name]
        yield Percentile(name, quantile(samples, q) if len(samples) >= needs else None, needs)


def _bins(samples: list[float]) -> Iterator[Bin]:
    counts = Counter(math.floor(math.log10(max(sample, 1e-3)) * BINS_PER_DECADE) for sample in samples)
    for place, n in sorted(counts.items()):
        yield Bin(10 ** (place / BINS_PER_DECADE), 10 ** ((place + 1) / BINS_PER_DECADE), n)
