"""`Figures` of a sample and the `Share` of a count: each says how many there were."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from firstaudio.stats.sample import MIN_SAMPLES, QUANTILES, quantile, quantile_interval, wilson


@dataclass(frozen=True, slots=True)
class Figures:
    """A sample of times, or of other numbers of which less is better.

    Attributes:
        n: Its size, failures included.
        num_failed: Failures: infinite.
        mean: Of the finite ones; None where there are none.
        min: The same.
        max: The same.
        percentiles: By name (p50 to p99); None where the sample is too small (`stats.sample.MIN_SAMPLES`) or where
            the percentile is a failure.
        intervals: Of 95 %, by the percentiles that have a value; None where it has no finite end.
    """

    n: int
    num_failed: int
    mean: float | None
    min: float | None
    max: float | None
    percentiles: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float] | None]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many.

    Attributes:
        num: Those that did.
        n: All of them.
    """

    num: int
    n: int

    @property
    def value(self) -> float | None:
        """0..1; None of nothing."""
        return self.num / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of 95 %, by Wilson; None of nothing."""
        return wilson(self.num, self.n) if self.n else None


def figures(values: Iterable[float | None]) -> Figures:
    """The figures of a sample; None is no part of it, infinite is a failure."""
    sample = sorted(value for value in values if value is not None)
    finite = [value for value in sample if value != math.inf]
    percentiles = {name: _percentile(sample, name) for name in QUANTILES}
    return Figures(
        n=len(sample),
        num_failed=len(sample) - len(finite),
        mean=math.fsum(finite) / len(finite) if finite else None,
        min=finite[0] if finite else None,
        max=finite[-1] if finite else None,
        percentiles=percentiles,
        intervals={name: _interval(sample, name) for name, value in percentiles.items() if value is not None},
    )


def _percentile(sample: Sequence[float], name: str) -> float | None:
    if len(sample) < MIN_SAMPLES[name]:
        return None
    value = quantile(sample, QUANTILES[name])
    return value if math.isfinite(value) else None


def _interval(sample: Sequence[float], name: str) -> tuple[float, float] | None:
    interval = quantile_interval(sample, QUANTILES[name])
    return interval if interval is not None and math.isfinite(interval[1]) else None
