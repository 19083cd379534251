"""`Alerts`: looks at the rules every few seconds; what turns bad is logged, kept and posted, once."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.synthesis.roster import EngineStatus
from firstaudio.telemetry.alerts.book import Alert, AlertBook
from firstaudio.telemetry.alerts.rules import (
    Finding,
    Seen,
    judge,
    judge_disk,
    judge_engines,
    judge_store,
    see,
)
from firstaudio.telemetry.alerts.webhook import Webhook
from firstaudio.telemetry.measurement import Measurement

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0
MAX_SEEN = 2000


class Alerts:
    """Watches; lives on the event loop, computes in a thread.

    Args:
        engines: How the engines stand.
        store_problem: Why measurements are not kept; empty when they are.
        folder: Where state lies; None where nothing is kept.
        webhook: Where alerts are posted, closed with this; None: nowhere.
        clock: Monotonic ns.
        wall_clock: Seconds since 1970.
    """

    def __init__(
        self,
        engines: Callable[[], Sequence[EngineStatus]],
        store_problem: Callable[[], str] = lambda: "",
        folder: Path | None = None,
        webhook: Webhook | None = None,
        *,
        clock: Clock = now_ns,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._engines, self._store_problem, self._folder, self._webhook = engines, store_problem, folder, webhook
        self._clock, self._wall_clock = clock, wall_clock
        self._book = AlertBook()
        self._seen: deque[Seen] = deque(maxlen=MAX_SEEN)
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> list[Alert]:
        """What lasts, the oldest first."""
        return self._book.active

    def observe(self, measurement: Measurement) -> None:
        """A request has ended."""
        seen = see(measurement, self._clock() / NS_PER_S)
        if seen is not None:
            self._seen.append(seen)

    def status(self) -> dict[str, Any]:
        """What lasts, what is over, and what became of the posts; null where nothing is posted."""
        return {
            "active": [alert.as_dict() for alert in self._book.active],
            "history": [alert.as_dict() for alert in self._book.past],
            "webhook": None if self._webhook is None else asdict(self._webhook.statistics()),
        }

    async def start(self) -> None:
        """Begin to look."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="alerts")

    async def close(self) -> None:
        """Stop looking, and deliver what is to be posted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._webhook is not None:
            await asyncio.to_thread(self._webhook.close)

    async def check(self) -> list[Alert]:
        """Look once; returns what was raised or cleared."""
        engines, problem, seen = list(self._engines()), self._store_problem(), tuple(self._seen)
        now_s = self._clock() / NS_PER_S
        findings = await asyncio.to_thread(_look, seen, engines, problem, self._folder, now_s)
        changed = self._book.update(findings, now_s, self._wall_clock())
        for alert in changed:
            self._tell(alert)
        return changed

    async def _watch(self) -> None:
        while True:
            try:
                await self.check()
            except Exception:  # the boundary of this task: the next look may work
                logger.exception("alerts could not be looked for")
            await asyncio.sleep(CHECK_EVERY_S)

    def _tell(self, alert: Alert) -> None:
        is_over = alert.cleared_at is not None
        if is_over:
            logger.info("alert %s is over: %s", alert.name, alert.cleared_because)
        else:
            logger.error("alert %s: %s", alert.name, alert.message)
        if self._webhook is not None:
            self._webhook.send(_payload(alert, is_over=is_over))


def _look(
    seen: Sequence[Seen], engines: Sequence[EngineStatus], problem: str, folder: Path | None, now_s: float
) -> list[Finding]:
    findings = [*judge(seen, now_s), *judge_engines(engines), judge_store(problem)]
    free_bytes = None if folder is None else _free_bytes(folder)
    return findings if free_bytes is None else [*findings, judge_disk(free_bytes)]


def _free_bytes(folder: Path) -> int | None:
    """Room on the disk of a folder; None where that cannot be known, which the store tells already."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _payload(alert: Alert, *, is_over: bool) -> dict[str, Any]:
    """What is posted; `text` is what chat services show."""
    text = f"over: {alert.name}: {alert.cleared_because}" if is_over else f"{alert.name}: {alert.message}"
    return {
        "event": "alert.cleared" if is_over else "alert.raised",
        "service": "firstaudio",
        "text": f"firstaudio: {text}",
        "alert": alert.as_dict(),
    }
