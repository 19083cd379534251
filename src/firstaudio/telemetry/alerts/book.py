"""`AlertBook`: what is bad now and what has been, from findings as they come; no clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from firstaudio.telemetry.alerts.rules import Finding

CLEAR_AFTER_S = 60.0  # of good findings without a bad one
STALE_AFTER_S = 3600.0
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
