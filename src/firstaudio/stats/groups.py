"""Differences between two groups that were not paired: of their means, and of shares in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

from firstaudio.stats.sample import CONFIDENCE, Z, wilson

MIN_GROUP = 6  # of values: below, the interval of a mean says more about the assumption of a normal distribution


@dataclass(frozen=True, slots=True)
class Difference:
    """The first group's figure less the second's, with its two-sided interval.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def is_more(self) -> bool:
        """Whether the first is certainly more than the second."""
        return self.low > 0


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Welch's 95 % interval; None where a group has fewer than `MIN_GROUP` values.

    Source: B. L. Welch, Biometrika 34 (1947).
    """
    if min(len(first), len(second)) < MIN_GROUP:
        return None
    value = fmean(first) - fmean(second)
    parts = [variance(group) / len(group) for group in (first, second)]
    total = sum(parts)
    if not total:
        return Difference(value, value, value)
    shares = [part / total for part in parts]  # squared, tiny variances would vanish
    freedom = 1 / sum(share**2 / (len(group) - 1) for share, group in zip(shares, (first, second), strict=True))
    half = _student_t(freedom) * math.sqrt(sum(parts))
    return Difference(value, value - half, value + half)


def difference_of_shares(
    first: tuple[int, int], second: tuple[int, int], num_comparisons: int = 1
) -> Difference | None:
    """Newcombe's interval from the two Wilson intervals; None where a group is empty.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998), method 10; several comparisons by Bonferroni.

    Args:
        first: How many of how many.
        second: The same of the other group.
        num_comparisons: How many are looked at together: all their intervals hold with 95 %.
    """
    (k1, n1), (k2, n2) = first, second
    if not n1 or not n2:
        return None
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / num_comparisons)
    share1, share2 = k1 / n1, k2 / n2
    (low1, high1), (low2, high2) = wilson(k1, n1, z), wilson(k2, n2, z)
    value = share1 - share2
    return Difference(
        value, value - math.hypot(share1 - low1, high2 - share2), value + math.hypot(high1 - share1, share2 - low2)
    )


def _student_t(freedom: float) -> float:
    """Student's t at 97.5 %, from the normal quantile; within 0.2 % from 5 degrees of freedom on.

    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions (1964), 26.7.5.
    """
    z = Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
