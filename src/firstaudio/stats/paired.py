"""Statistics of paired differences: what two targets that said the same texts, round by round, differ by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

MAX_RESAMPLES = 2000
MIN_RESAMPLES = 400
WEIGHINGS = 200_000_000  # pairs of values times resamples: some seconds of arithmetic
BLOCK = 1_000_000  # of them at a time: some 10 MB


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
    num_resamples = int(np.clip(WEIGHINGS // len(means), MIN_RESAMPLES, MAX_RESAMPLES))
    drawn = _draw(len(filled), num_resamples, seed)[:, owner]
    blocks = np.array_split(drawn, -(-num_resamples * len(means) // BLOCK))
    estimates = np.concatenate(
        [_weighted_medians(means[order], _weights(b, first[order], second[order])) for b in blocks]
    )
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


def _draw(num_rounds: int, num_resamples: int, seed: int) -> Counts:
    """How often each round was drawn, shape (num_resamples, num_rounds)."""
    picks = np.random.default_rng(seed).integers(num_rounds, size=(num_resamples, num_rounds))
    drawn: Counts = (picks[:, :, None] == np.arange(num_rounds)).sum(axis=1, dtype=np.int32)
    return drawn


def _weights(drawn: Counts, first: NDArray[np.intp], second: NDArray[np.intp]) -> Counts:
    """How often each pair of values is there, when each value is there as often as it was drawn."""
    weights = drawn[:, first] * drawn[:, second]
    alone = np.flatnonzero(first == second)
    count = drawn[:, first[alone]]
    weights[:, alone] = count * (count + 1) // 2
    return weights


def _weighted_medians(ordered: Floats, weights: Counts) -> Floats:
    """For each row of weights the median of the values, each of which stands as often as its weight says."""
    total = np.cumsum(weights, axis=1, dtype=np.int32)
    low, high = (np.count_nonzero(total <= (total[:, -1:] - less) // 2, axis=1) for less in (1, 0))
    medians: Floats = (ordered[low] + ordered[high]) / 2
    return medians
