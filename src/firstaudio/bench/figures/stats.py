"""How the figures of a benchmark are estimated: the methods by name, and quantiles that say what they need."""

from __future__ import annotations

import math
from collections.abc import Sequence

from firstaudio.bench.result import Estimate
from firstaudio.stats.sample import CONFIDENCE, MIN_SAMPLES, QUANTILES, quantile, quantile_interval

METHODS = {
    "rates": "over answers that ended between the first and the last measured dispatch, when the load was steady; over "
    "the whole window where fewer than two per client did",
    "quantile": "type 7 of Hyndman and Fan (numpy: linear); failures are infinite samples",
    "quantile interval": "two-sided 95 %, binomial order statistics, each tail at most 2.5 %",
    "minimum sample": ", ".join(f"{name} {needed}" for name, needed in MIN_SAMPLES.items()),
    "share": "Wilson score interval, two-sided 95 %",
    "slope": "Theil-Sen, two-sided 95 %; above 1000 points medians of consecutive groups stand for them",
    "paired difference": "Hodges-Lehmann estimate of the log ratio",
    "interval of a paired difference": "percentile bootstrap over rounds, two-sided 95 %, seeded",
    "p of a paired difference": "Wilcoxon signed-rank, Holm over the gated metrics",
}


def quantile_estimate(samples: Sequence[float], q: float) -> Estimate:
    """A quantile with its interval. The median is stated for any sample, its interval from 6 on."""
    needed = _needed(q)
    interval = quantile_interval(samples, q)
    if not samples or (interval is None and q != QUANTILES["p50"]):
        return Estimate(None, needs=needed if samples or q != QUANTILES["p50"] else 1)
    low, high = interval or (None, None)
    value = quantile(samples, q)
    return Estimate(_finite(value), _finite(low), _finite(high), infinite=math.isinf(value))


def _needed(q: float) -> int:
    """The smallest sample whose extremes enclose the quantile with at most 2.5 % in each tail."""
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(max(q, 1 - q)))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
