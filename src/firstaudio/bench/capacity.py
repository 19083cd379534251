"""Capacity: the largest concurrency at which listeners are served without a gap, found by doubling and bisection.

A level passes when the lower end of the 95 % Wilson interval of "good" requests reaches the wanted share. A request is
good when its audio is valid, audible in time, and plays without a stall after the stated buffer.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from firstaudio.bench.figures.metrics import value
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.workload import Goals
from firstaudio.stats.sample import wilson

CONFIRMATIONS = 2


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a listener must get.

    Attributes:
        ttfa_ms: Audible within.
        buffer_ms: Pre-roll that the player may take.
        share: Of the requests that must get both, 0..1, at its lower confidence limit.
    """

    ttfa_ms: float
    buffer_ms: float
    share: float

    def good(self, record: RequestRecord) -> bool:
        """Whether one request was served as promised."""
        if not record.ok:
            return False
        goals = Goals(ttfa_ms=self.ttfa_ms, buffer_ms=self.buffer_ms)
        audible, preroll = value("audible_ttfa_ms", record, goals), value("preroll_ms", record, goals)
        return audible is not None and preroll is not None and audible <= self.ttfa_ms and preroll <= self.buffer_ms

    def sentence(self) -> str:
        """For people."""
        return (
            f"valid audio, audible within {self.ttfa_ms:g} ms, no stall after a buffer of {self.buffer_ms:g} ms, "
            f"for at least {self.share:.1%} of the requests (lower 95 % limit)"
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What one level gave so far.

    Attributes:
        concurrency: The level.
        n: Requests.
        good: Of them.
        low: Lower end of the Wilson interval of their share.
        high: Upper end.
        wanted: Share that `low` must reach.
    """

    concurrency: int
    n: int
    good: int
    low: float
    high: float
    wanted: float

    @property
    def passed(self) -> bool:
        """The promise is kept."""
        return self.low >= self.wanted

    @property
    def hopeless(self) -> bool:
        """More requests would not help."""
        return self.high < self.wanted


def judge(concurrency: int, records: Iterable[RequestRecord], criterion: Criterion) -> Step:
    """One level's records against the criterion."""
    goods = [criterion.good(record) for record in measured(records)]
    low, high = wilson(sum(goods), len(goods))
    return Step(concurrency, len(goods), sum(goods), low, high, criterion.share)


def search(start: int, limit: int) -> Generator[int, bool, int]:
    """Yields the level to try next, is sent whether it passed, returns the capacity (0: not even one listener).

    Doubles from `start` to the first failure, bisects, then confirms the answer twice; a level that does not confirm
    makes room for the one below it.

    Args:
        start: First level, at least 1.
        limit: Never tried above; returned when it passes.
    """
    passed, failed, level = 0, limit + 1, min(start, limit)
    while level < failed:
        if (yield level):
            passed = level
            level = min(level * 2, limit) if level < limit else failed
        else:
            failed = level
    while failed - passed > 1:
        middle = (passed + failed) // 2
        if (yield middle):
            passed = middle
        else:
            failed = middle
    return (yield from _confirm(passed))


def _confirm(level: int) -> Generator[int, bool, int]:
    while level > 0:
        for _ in range(CONFIRMATIONS):
            if not (yield level):
                break
        else:
            return level
        level -= 1
    return 0
