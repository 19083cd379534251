"""Figures of a sample, held against arithmetic done another way."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.stats.sample import MIN_SAMPLES
from firstaudio.telemetry.summary.figures import figures


@pytest.mark.parametrize("name", MIN_SAMPLES)
def test_a_percentile_of_too_few_is_not_said(name: str):
    enough = MIN_SAMPLES[name]

    assert figures([1.0] * (enough - 1)).percentiles[name] is None
    assert figures([1.0] * enough).percentiles[name] == 1.0


def test_a_share_of_failures_hides_the_percentiles_that_it_reaches():
    found = figures([1.0] * 970 + [math.inf] * 30)

    assert found.percentiles == {"p50": 1.0, "p90": 1.0, "p95": 1.0, "p99": None}
    assert set(found.intervals) == {"p50", "p90", "p95"}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=500))
def test_figures_are_those_of_numpy_and_statistics(values: list[float]):
    found = figures([*values, None])

    assert (found.n, found.num_failed, found.min, found.max) == (len(values), 0, min(values), max(values))
    assert found.mean == pytest.approx(statistics.fmean(values))
    for name, value in found.percentiles.items():
        if value is not None:
            assert value == pytest.approx(float(np.percentile(values, float(name[1:]))))
    for name, interval in found.intervals.items():
        assert interval is not None
        assert interval[0] <= (found.percentiles[name] or 0.0) <= interval[1]
