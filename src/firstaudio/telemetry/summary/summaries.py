"""`Summaries`: what the stored measurements of clients say about the last hours, computed once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store.store import DAY_S, MeasurementStore
from firstaudio.telemetry.summary.summary import Summary, summarise

MAX_ROWS = 10_000  # a quarter of a second of a thread
FRESH_S = 1.0
FRESH_COSTS = 20.0  # a summary stays good for so many times what it cost: at most 5 % of a core go into it
MAX_KEPT = 8  # windows


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """A summary and what it is of.

    Attributes:
        summary: Of clients' requests.
        window_s: How far it looks back.
        is_complete: Whether it has every request of that time; else the newest `MAX_ROWS` of them.
    """

    summary: Summary
    window_s: float
    is_complete: bool

    def as_dict(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {"window_s": self.window_s, "is_complete": self.is_complete, **self.summary.as_dict()}


class Summaries:
    """Summaries of the last hours of a store; lives on the event loop and computes in threads.

    Args:
        store: Whose rows are looked at.
        target_ms: What TTFA is held to.
        wall_clock: Seconds since 1970.
        clock: Nanoseconds, never backwards.

    Attributes:
        last: The one that was asked for last, whatever its window; None before the first.
    """

    def __init__(
        self, store: MeasurementStore, target_ms: float, wall_clock: Callable[[], float], clock: Clock = now_ns
    ) -> None:
        self._store, self._target_ms, self._wall_clock, self._clock = store, target_ms, wall_clock, clock
        self._kept: dict[float, tuple[int, WindowSummary]] = {}  # with the moment until which they are good
        self._computing = asyncio.Lock()
        self.last: WindowSummary | None = None

    async def of_window(self, window_s: float = DAY_S) -> WindowSummary:
        """What clients got in the last `window_s` seconds; the answer may be a moment old, by `FRESH_S`."""
        async with self._computing:  # who comes meanwhile finds it computed
            good_until_ns, kept = self._kept.get(window_s, (0, None))
            if kept is None or self._clock() > good_until_ns:
                kept = await self._compute(window_s)
            self.last = kept
            return kept

    async def _compute(self, window_s: float) -> WindowSummary:
        begin_ns = self._clock()
        rows = await self._store.recent(MAX_ROWS + 1, since=self._wall_clock() - window_s, origin="client")
        summary = await asyncio.to_thread(_window_summary, rows, window_s, self._target_ms)
        self._keep(summary, cost_ns=self._clock() - begin_ns)
        return summary

    def _keep(self, summary: WindowSummary, cost_ns: int) -> None:
        self._kept.pop(summary.window_s, None)
        good_for_ns = max(FRESH_S * NS_PER_S, FRESH_COSTS * cost_ns)
        self._kept[summary.window_s] = (self._clock() + round(good_for_ns), summary)
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]


def _window_summary(rows: Sequence[Measurement], window_s: float, target_ms: float) -> WindowSummary:
    return WindowSummary(summarise(rows[:MAX_ROWS], target_ms), window_s, len(rows) <= MAX_ROWS)
