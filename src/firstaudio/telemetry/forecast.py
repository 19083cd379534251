"""`Forecast`: from when on a target is missed, if all goes on as it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from firstaudio.stats.forecast import crossing
from firstaudio.stats.sample import quantile

FLOOR_SHARE, FLOOR_MS = 0.05, 5.0  # what counts as a change: the floors of the harness


@dataclass(frozen=True, slots=True)
class Forecast:
    """From when on a typical time to first audio misses its target, along a line that is certain to rise.

    Attributes:
        target_ms: The target.
        missed_from: When, in seconds since 1970.
        low: The earliest, of an interval of 95 % at least; it may lie before now.
        high: The latest; None where that is beyond as far ahead as was looked back.
        n: Measurements or runs that it is made of.
    """

    target_ms: float
    missed_from: float
    low: float
    high: float | None
    n: int

    @property
    def sentence(self) -> str:
        """For people."""
        latest = "an end that cannot be told" if self.high is None else _date(self.high)
        return (
            f"at this slope {self.target_ms:g} ms are missed from about {_date(self.missed_from)} on "
            f"({_date(self.low)} to {latest}, n {self.n})"
        )


def forecast(
    times: Sequence[float], ttfa_ms: Sequence[float], target_ms: float, n: int | None = None
) -> Forecast | None:
    """The forecast; None where none is honest (`stats.forecast`).

    Args:
        times: Seconds since 1970.
        ttfa_ms: The time to first audio at each of them.
        target_ms: What it should not exceed.
        n: Of how many measurements the points are made; None: each is one.
    """
    if not times:
        return None
    begin = times[0]  # of seconds since 1970 the digits that matter are the last ones
    floor = max(FLOOR_MS, FLOOR_SHARE * quantile(ttfa_ms, 0.5))
    found = crossing([time - begin for time in times], ttfa_ms, target_ms, floor)
    if found is None:
        return None
    high = None if found.high is None else begin + found.high
    return Forecast(target_ms, begin + found.at, begin + found.low, high, found.n if n is None else n)


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="minutes")
