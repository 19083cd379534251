"""Wilcoxon's signed-rank test by its normal limit, for samples of ten and more.

`stats.paired` has the exact test for the harness, by scipy. A server does not load that: it takes most of a second and
tens of MB.

Source: F. Wilcoxon, Biometrics Bulletin 1 (1945); variance with ties by W. H. Kruskal, JASA 52 (1957).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p; 1.0 when nothing differs. Differences of 0 say nothing."""
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    n = len(values)
    if not n:
        return 1.0
    _, group, sizes = np.unique(np.abs(values), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    positive = float(ranks[values > 0].sum())
    variance = n * (n + 1) * (2 * n + 1) / 24 - float(np.sum(sizes**3 - sizes)) / 48
    distance = max(0.0, abs(positive - n * (n + 1) / 4) - 0.5)  # half a rank: the statistic is a whole number
    return math.erfc(distance / math.sqrt(2 * variance))
