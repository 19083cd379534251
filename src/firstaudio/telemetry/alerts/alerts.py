"""`Alerts`: looks at the rules every few seconds; what turns bad is logged, kept and posted, once."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.synthesis.roster import EngineStatus
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
CLEAR_AFTER_S = 60.0  # of good findings without a bad one
STALE_AFTER_S = 3600.0
MAX_SEEN = 2000
MAX_HISTORY = 100


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that cannot wait.

    Attributes:
        name: Of the rule, and of what it looked at.
        message: What is the matter and what to do next, as it was found last.
        evidence: The numbers behind it.
        raised_at: Seconds since 1970.
        cleared_at: Seconds since 1970; None while it lasts.
        cleared_because: Why it is over; empty while it lasts.
        severity: There is one.
    """

    name: str
    message: str
    evidence: dict[str, Any]
    raised_at: float
    cleared_at: float | None = None
    cleared_because: str = ""
    severity: str = "critical"

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class AlertBook:
    """Which alerts last, and which have been: raised at the first bad finding, cleared after a while of good ones."""

    def __init__(self) -> None:
        self._active: dict[str, Alert] = {}
        self._past: deque[Alert] = deque(maxlen=MAX_HISTORY)
        self._last_bad_s: dict[str, float] = {}
        self._good_since_s: dict[str, float] = {}

    @property
    def active(self) -> list[Alert]:
        """What lasts, the oldest first."""
        return list(self._active.values())

    @property
    def past(self) -> list[Alert]:
        """What is over, the newest first; the last `MAX_HISTORY`."""
        return list(reversed(self._past))

    def update(self, findings: Iterable[Finding], now_s: float, wall_s: float) -> list[Alert]:
        """Take findings in.

        Args:
            findings: At most one of each name.
            now_s: Monotonic.
            wall_s: Seconds since 1970.

        Returns:
            Alerts that were raised or cleared by them.
        """
        found = {finding.name: finding for finding in findings}
        raised = [self._raise(f, now_s, wall_s) for f in found.values() if f.verdict == "bad"]
        cleared = [self._settle(name, found.get(name), now_s, wall_s) for name in list(self._active)]
        return [alert for alert in (*raised, *cleared) if alert is not None]

    def _raise(self, finding: Finding, now_s: float, wall_s: float) -> Alert | None:
        """The alert if it is new; one that lasts is brought up to date."""
        self._last_bad_s[finding.name] = now_s
        self._good_since_s.pop(finding.name, None)
        known = self._active.get(finding.name)
        raised_at = wall_s if known is None else known.raised_at
        alert = Alert(finding.name, finding.message, dict(finding.evidence), raised_at)
        self._active[finding.name] = alert
        return alert if known is None else None

    def _settle(self, name: str, finding: Finding | None, now_s: float, wall_s: float) -> Alert | None:
        """The alert if it is over now."""
        if finding is not None and finding.verdict == "good":
            good_since_s = self._good_since_s.setdefault(name, now_s)
            if now_s - good_since_s >= CLEAR_AFTER_S:
                return self._clear(name, f"good for {CLEAR_AFTER_S:g} s", wall_s)
        elif now_s - self._last_bad_s[name] >= STALE_AFTER_S:
            return self._clear(name, f"nothing bad was seen for {STALE_AFTER_S:g} s, and nothing good", wall_s)
        return None

    def _clear(self, name: str, reason: str, wall_s: float) -> Alert:
        alert = replace(self._active.pop(name), cleared_at=wall_s, cleared_because=reason)
        self._last_bad_s.pop(name, None)
        self._good_since_s.pop(name, None)
        self._past.append(alert)
        return alert


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
