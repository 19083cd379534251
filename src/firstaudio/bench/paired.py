"""Statistics of paired differences: what two targets that said the same texts, round by round, differ by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_RESAMPLES = 2000
MIN_RESAMPLES = 400
WEIGHINGS = 200_000_000  # pairs of values times resamples: some seconds of arithmetic


def hodges_lehmann(differences: Sequence[float]) -> float:
    """The median of all pairwise means: the shift between paired samples, robust to a quarter of outliers.

    Source: J. L. Hodges and E. L. Lehmann, Annals of Mathematical Statistics 34 (1963).

    Raises:
        ValueError: There are no differences.
    """
    if not differences:
        raise ValueError("an estimate needs at least one difference")
    means, _, _ = _walsh(np.asarray(differences, dtype=np.float64))
    return float(np.median(means))


def bootstrap_rounds(rounds: Sequence[Sequence[float]], *, seed: int, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the Hodges-Lehmann estimate when whole rounds are drawn with replacement.

    Rounds, not requests, are what repeats independently: what disturbs a machine disturbs the requests of a minute
    alike. The pairwise means are made and sorted once; a resample only weighs them by how often their rounds were
    drawn. A round that was drawn w times holds each of its values w times, so a value's mean with itself counts
    w (w + 1) / 2 times.

    Raises:
        ValueError: There are no differences.
    """
    filled = [values for values in rounds if values]
    values = np.array([value for each in filled for value in each], dtype=np.float64)
    if not len(values):
        raise ValueError("an interval needs at least one difference")
    owner = np.repeat(np.arange(len(filled)), [len(each) for each in filled])
    means, first, second = _walsh(values)
    order = np.argsort(means, kind="stable")
    means, first, second = means[order], first[order], second[order]
    left, right, same = owner[first], owner[second], first == second
    generator = np.random.default_rng(seed)
    num_resamples = int(np.clip(WEIGHINGS // len(means), MIN_RESAMPLES, MAX_RESAMPLES))
    estimates = []
    for _ in range(num_resamples):
        drawn = np.bincount(generator.integers(len(filled), size=len(filled)), minlength=len(filled))
        weights = np.where(same, drawn[left] * (drawn[left] + 1) // 2, drawn[left] * drawn[right])
        estimates.append(_weighted_median(means, weights))
    tail = (1 - confidence) / 2
    low, high = np.quantile(estimates, [tail, 1 - tail])
    return float(low), float(high)


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; 1.0 when nothing differs.

    Source: F. Wilcoxon, Biometrics Bulletin 1 (1945).
    """
    from scipy.stats import wilcoxon

    nonzero = [difference for difference in differences if difference]
    return float(wilcoxon(nonzero).pvalue) if nonzero else 1.0


def sign_p(worse: int, better: int) -> float:
    """Two-sided p of the sign test over pairs in which exactly one side has something (McNemar's exact test)."""
    from scipy.stats import binomtest

    return float(binomtest(worse, worse + better).pvalue) if worse + better else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values, adjusted for having been looked at together, in the order given.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _walsh(values: Floats) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Means of all pairs, each value with itself too, and which two values they are of."""
    first, second = np.triu_indices(len(values))
    return (values[first] + values[second]) / 2, first, second


def _weighted_median(ordered: Floats, weights: NDArray[np.intp]) -> float:
    """The median of values of which each stands `weights` times."""
    total = np.cumsum(weights)
    low = np.searchsorted(total, math.floor((total[-1] - 1) / 2), side="right")
    high = np.searchsorted(total, math.floor(total[-1] / 2), side="right")
    return float((ordered[low] + ordered[high]) / 2)
