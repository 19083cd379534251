"""When the next scheduled benchmark is due: pure arithmetic on seconds since 1970, calendar months in UTC."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime

PERIODS_S = {"hourly": 3600.0, "daily": 86_400.0, "weekly": 7 * 86_400.0}
MAX_DOUBLINGS = 16
BACK_OFF_LIMIT_S = PERIODS_S["weekly"]
"""Failures make the next attempt no later than this, or than the period where that is longer."""


def next_run(last: float | None, now: float, every: str | float, num_failures: int = 0) -> float:
    """When the next run is due, in seconds since 1970: now or before for one that is overdue.

    Runs that were missed while nobody ran are not made up for: one is due, not several.

    Args:
        last: When the last one began, whatever became of it; None: there was none.
        now: A `last` after now tells that the clock was set back; it counts as now.
        every: A word ("hourly", "daily", "weekly", "monthly") or seconds.
        num_failures: Runs that failed in a row; each doubles the pause, up to `BACK_OFF_LIMIT_S`.
    """
    if last is None:
        return now
    begin = min(last, now)
    due = _after(begin, every)
    if not num_failures:
        return due
    backed_off = begin + (due - begin) * 2.0 ** min(num_failures, MAX_DOUBLINGS)
    return min(backed_off, max(due, begin + BACK_OFF_LIMIT_S))


def _after(begin: float, every: str | float) -> float:
    if isinstance(every, str):
        return begin + PERIODS_S[every] if every in PERIODS_S else _next_month(begin)
    return begin + every


def _next_month(begin: float) -> float:
    """The same day and time in the next month, its last day where it is shorter."""
    moment = datetime.fromtimestamp(begin, UTC)
    years, month = divmod(moment.month, 12)
    year, month = moment.year + years, month + 1
    day = min(moment.day, monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day).timestamp()
