"""Quantiles of a benchmark say what they need."""

from __future__ import annotations

import math

import pytest

from firstaudio.bench.figures.stats import quantile_estimate
from firstaudio.bench.result import Estimate
from firstaudio.stats.sample import MIN_SAMPLES, QUANTILES

INF = math.inf


@pytest.mark.parametrize("name", ["p90", "p95", "p99"])
def test_too_few_samples_give_no_percentile_but_the_number_needed(name: str):
    samples = [1.0] * (MIN_SAMPLES[name] - 1)

    assert Estimate(None, needs=MIN_SAMPLES[name]) == quantile_estimate(samples, QUANTILES[name])
    assert Estimate(1.0, 1.0, 1.0) == quantile_estimate([*samples, 1.0], QUANTILES[name])


def test_a_median_of_few_has_no_interval_and_one_of_nothing_no_value():
    assert Estimate(2.0) == quantile_estimate([1.0, 2.0, 3.0], 0.5)
    assert Estimate(None, needs=1) == quantile_estimate([], 0.5)


def test_an_infinite_quantile_says_so_and_keeps_a_finite_lower_end():
    assert Estimate(None, 1.0, None, infinite=True) == quantile_estimate([1.0] * 5 + [INF] * 6, 0.5)
    assert Estimate(None, None, None, infinite=True) == quantile_estimate([INF] * 10, 0.5)
