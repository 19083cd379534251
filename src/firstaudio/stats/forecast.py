"""Where a line through points will reach a level: a forecast, and when none is honest.

A line is a forecast only if it is one: its slope is certain, it leads to the level, what has changed so far matters,
and the level is reached before as much time has passed again as was looked at. Everything else is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstaudio.stats.sample import quantile_interval, theil_sen

MIN_POINTS = 10


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a rising line reaches a level.

    Attributes:
        at: Place on the x axis.
        low: The earliest place: the steepest line of the 95 % interval, from the highest middle of its own.
        high: The latest: the flattest, from the lowest; None where that is beyond as far ahead as was looked back.
        n: Points of the line.
    """

    at: float
    low: float
    high: float | None
    n: int


def crossing(x: Sequence[float], y: Sequence[float], level: float, least_change: float) -> Crossing | None:
    """Where the Theil-Sen line through points reaches `level` from below.

    None with fewer than `MIN_POINTS`, where the interval of the slope does not lie above 0, where the line rose by no
    more than `least_change` over all points, where it is at the level already, and where it gets there only beyond as
    far ahead as the points reach back.

    Source: the intervals of `theil_sen` and, for the middle, of the median. The ends are those of both together, so the
    interval covers more than 95 of 100 cases.

    Args:
        x: Places, in any order.
        y: Values.
        level: What should not be reached.
        least_change: Smallest change that counts, in units of y.
    """
    line = theil_sen(x, y) if len(x) >= MIN_POINTS else None
    if line is None or line.low <= 0:
        return None
    first, last = min(x), max(x)
    at, horizon = (level - line.intercept) / line.value, 2 * last - first
    if line.value * (last - first) <= least_change or not last < at <= horizon:
        return None
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    earliest, latest = _reached(xs, ys, level, line.high)[0], _reached(xs, ys, level, line.low)[1]
    return Crossing(at, min(at, earliest), max(at, latest) if latest <= horizon else None, len(x))


def _reached(x: NDArray[np.float64], y: NDArray[np.float64], level: float, slope: float) -> tuple[float, float]:
    """Between which places a line of this slope reaches the level, by the interval of its middle."""
    centre = float(np.median(x))
    middle = quantile_interval([float(rest) for rest in y - slope * (x - centre)], 0.5)
    assert middle is not None, "ten points are enough"
    low, high = middle
    return centre + (level - high) / slope, centre + (level - low) / slope
