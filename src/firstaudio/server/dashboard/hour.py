"""`Hour`: what the last hour's measurements say and recommend, worked out now and then while somebody looks."""

from __future__ import annotations

import asyncio
from typing import Any

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.telemetry.advice.advise import advise
from firstaudio.telemetry.hub import Telemetry
from firstaudio.telemetry.summary.summary import Summary
from firstaudio.telemetry.tuner import telling

WINDOW_S = 3600.0
FRESH_S = 15.0
TOLD = ("num_requests", "ttfa", "attainment", "success", "trend", "category", "bottleneck", "num_stalled")


class Hour:
    """Figures and recommendations from stored measurements and from the tuner's experiments; on the event loop.

    Args:
        telemetry: Has both.
        clock: Monotonic ns.
    """

    def __init__(self, telemetry: Telemetry, clock: Clock = now_ns) -> None:
        self._telemetry, self._clock = telemetry, clock
        self._made_ns: int | None = None
        self._kept: dict[str, Any] = {}

    async def current(self) -> dict[str, Any]:
        """JSON, at most `FRESH_S` old."""
        now = self._clock()
        if self._made_ns is None or now - self._made_ns > FRESH_S * NS_PER_S:
            self._kept = await self._make()
            self._made_ns = now
        return self._kept

    async def _make(self) -> dict[str, Any]:
        summary = (await self._telemetry.summaries.of_window(WINDOW_S)).summary
        context = await self._telemetry.context()
        found = await asyncio.to_thread(advise, summary, context)
        tried = telling.recommendations(self._telemetry.tuner.status())
        recommendations = [each.as_dict() for each in (*found, *tried)]
        return {"window_s": WINDOW_S, **_told(summary), "recommendations": recommendations}


def _told(summary: Summary) -> dict[str, Any]:
    figures = summary.as_dict()
    return {name: figures[name] for name in TOLD}
