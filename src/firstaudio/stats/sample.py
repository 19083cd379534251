"""Quantiles with intervals, shares, slopes.

Samples are exact, quantiles are of type 7, and an infinite sample is a failed request. What a sample is too small for
is not stated: neither a maximum under the name of a p99, nor an interval that its size cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
MIN_SAMPLES = {"p50": 6, "p90": 36, "p95": 72, "p99": 368}
"""Smallest samples in which the two-sided 95 % interval of a quantile lies between two order statistics: with fewer,
all of them lie below the quantile with more than 2.5 % probability (q ** n > 0.025)."""
CONFIDENCE = 0.95
Z = 1.959963984540054  # of the standard normal distribution at 97.5 %
MAX_SLOPE_POINTS = 1000  # Theil-Sen looks at every pair: half a million here


def quantile(samples: Sequence[float], q: float) -> float:
    """Type 7; infinite samples are allowed, and between a finite and an infinite one the quantile is infinite.

    Raises:
        ValueError: There are no samples, or one is not a number.
    """
    ordered = sorted(samples)
    if not ordered or any(math.isnan(sample) for sample in ordered):
        raise ValueError("a quantile needs samples that are numbers")
    place = round(q * (len(ordered) - 1), 9)  # 0.95 * 60 must not reach beyond the 57th sample: it may be infinite
    below = math.floor(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    share = place - below
    if share == 0 or low == high:
        return low
    return low + share * (high - low)


def quantile_interval(samples: Sequence[float], q: float) -> tuple[float, float] | None:
    """The two samples between which the quantile lies with 95 % confidence; None when there are too few."""
    ordered = sorted(samples)
    if not ordered:
        return None
    tail = (1 - CONFIDENCE) / 2
    below = _binomial_cdf(len(ordered), q)
    low, high = int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1 - tail)) + 1
    return (ordered[low - 1], ordered[high - 1]) if low >= 1 and high <= len(ordered) else None


def _binomial_cdf(n: int, q: float) -> NDArray[np.float64]:
    """How probable it is that at most 0, 1, ... n of `n` samples lie below their quantile `q`, which is within (0, 1).

    No scipy: a server asks for this, and loading that takes it most of a second and tens of MB.
    """
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    successes = np.arange(n + 1)
    log_ways = log_factorial[n] - log_factorial - log_factorial[::-1]
    return np.cumsum(np.exp(log_ways + successes * math.log(q) + (n - successes) * math.log1p(-q)))


def wilson(successes: int, n: int, z: float = Z) -> tuple[float, float]:
    """Two-sided interval of a share, of 95 % for the default `z`; (0, 1) when nothing was tried.

    Source: E. B. Wilson, JASA 22 (1927). It is honest near 0 and 1, where a promise of 99 % lies.
    """
    if n == 0:
        return 0.0, 1.0
    share, spread = successes / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def requests_for_share(share: float, num_bad: int = 0) -> int:
    """How many requests, all of them good but `num_bad`, bring the lower Wilson limit up to `share`.

    Raises:
        ValueError: No number does, or any does.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share that requests can prove lies between 0 and 1, not at {share}")
    needed = math.floor(Z * Z * share / (1 - share))
    needed = max(needed, num_bad)
    while wilson(needed - num_bad, needed)[0] < share:
        needed += 1
    return needed


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through points, robust to outliers.

    Attributes:
        value: Units of y per unit of x.
        low: Lower end of the 95 % interval.
        high: Upper end.
        intercept: y at x = 0.
    """

    value: float
    low: float
    high: float
    intercept: float

    @property
    def detectable(self) -> float:
        """The smallest slope that would have been told from none: half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def is_certain(self) -> bool:
        """The interval leaves out 0."""
        return self.low > 0 or self.high < 0


def theil_sen(x: Sequence[float], y: Sequence[float]) -> Slope | None:
    """The median slope over all pairs of points; None with fewer than three places on the x axis.

    Source: P. K. Sen, JASA 63 (1968).
    """
    if len(set(x)) < 3:
        return None
    xs, ys = _thinned(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    first, second = np.triu_indices(len(xs), 1)
    run, rise = xs[second] - xs[first], ys[second] - ys[first]
    slopes = np.sort(rise[run != 0] / run[run != 0])
    value = float(np.median(slopes))
    low, high = _slope_interval(slopes, xs, ys)
    return Slope(value, low, high, float(np.median(ys) - value * np.median(xs)))


def _slope_interval(slopes: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """The two of the ordered slopes between which the true one lies, by the normal limit of Kendall's statistic.

    Source: as for `theil_sen`, equation 2.6; the variance is less where values are equal.
    """
    variance = (_kendall(np.array([len(y)])) - _kendall(_repeats(x)) - _kendall(_repeats(y))) / 18
    spread = Z * math.sqrt(max(0.0, variance))
    low = max(round((len(slopes) - spread) / 2) - 1, 0)
    high = min(round((len(slopes) + spread) / 2), len(slopes) - 1)
    return float(slopes[low]), float(slopes[high])


def _kendall(sizes: NDArray[np.int64]) -> float:
    """18 times what groups of so many values contribute to the variance."""
    return float(np.sum(sizes * (sizes - 1) * (2 * sizes + 5)))


def _repeats(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.unique(values, return_counts=True)[1].astype(np.int64)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `MAX_SLOPE_POINTS` points: medians of groups that are neighbours on the x axis."""
    if len(x) <= MAX_SLOPE_POINTS:
        return x, y
    groups = np.array_split(np.argsort(x, kind="stable"), MAX_SLOPE_POINTS)
    return np.array([np.median(x[g]) for g in groups]), np.array([np.median(y[g]) for g in groups])
