"""`Trend`: where the time to first audio went while the time passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from firstaudio.slo import TTFA_TARGET_MS
from firstaudio.stats.sample import quantile, theil_sen
from firstaudio.telemetry.forecast import Forecast, forecast
from firstaudio.telemetry.measurement import Measurement

Direction = Literal["improving", "degrading", "stable", "unknown"]

MIN_TREND = 20  # measurements
TREND_SHARE, TREND_FLOOR_MS = 0.05, 5.0  # what counts as a change: the floors of the harness
S_PER_HOUR = 3600.0
MIN_FORECAST, NUM_BLOCKS = 200, 20
"""Neighbours in time are slow together. Medians of 20 blocks of ten or more are nearly independent: of noise with a
correlation of 0.9 from one request to the next a line through 200 requests forecasts in 15 of 100 cases, one through
blocks of them in 2."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Where TTFA went while the time passed: a Theil-Sen line through the measurements.

    Attributes:
        direction: "improving" or "degrading": the interval leaves out zero, and the change over the time observed is
            more than 5 % and 5 ms; "stable": it is certainly less; "unknown": too few, or neither can be said.
        n: Measurements.
        span_s: Between the first and the last one.
        change_ms: Over the span; None where there is no line.
        low_ms: Lower end of its 95 % interval.
        high_ms: Upper end.
        forecast: From when on the target is missed; None unless the line certainly leads there, before as much time has
            passed again, and is made of `MIN_FORECAST` measurements.
    """

    direction: Direction
    n: int
    span_s: float
    change_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    forecast: Forecast | None = None


def trend_of(measurements: Sequence[Measurement], target_ms: float = TTFA_TARGET_MS) -> Trend:
    """The line through `measurements`, which come in order of time, and when it will be at the target."""
    points = [(each.timestamp, each.ttfa_ms) for each in measurements if each.ttfa_ms is not None]
    span_s = points[-1][0] - points[0][0] if points else 0.0
    hours, values = [(at - points[0][0]) / S_PER_HOUR for at, _ in points], [value for _, value in points]
    line = theil_sen(hours, values) if len(points) >= MIN_TREND else None
    if line is None:
        return Trend("unknown", len(points), span_s)
    change, low, high = (each * span_s / S_PER_HOUR for each in (line.value, line.low, line.high))
    floor = max(TREND_FLOOR_MS, TREND_SHARE * quantile(values, 0.5))
    direction = _direction(change, low, high, floor)
    ahead = _forecast(points, target_ms) if direction == "degrading" else None
    return Trend(direction, len(points), span_s, change, low, high, ahead)


def _forecast(points: Sequence[tuple[float, float]], target_ms: float) -> Forecast | None:
    """Of the medians of blocks."""
    if len(points) < MIN_FORECAST:
        return None
    blocks = np.array_split(np.array(points), NUM_BLOCKS)
    times, values = zip(*(np.median(block, axis=0).tolist() for block in blocks), strict=True)
    return forecast(times, values, target_ms, len(points))


def _direction(change: float, low: float, high: float, floor: float) -> Direction:
    if low > 0 and change > floor:
        return "degrading"
    if high < 0 and change < -floor:
        return "improving"
    certain = low > 0 or high < 0 or (low >= -floor and high <= floor)
    return "stable" if certain else "unknown"
