from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st

from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann, holm, sign_p, signed_rank_p
from firstaudio.stats.sample import (
    MIN_SAMPLES,
    QUANTILES,
    quantile,
    quantile_interval,
    requests_for_share,
    theil_sen,
    wilson,
)

FINITE = st.floats(-1e6, 1e6)
INF = math.inf


@given(st.lists(FINITE, min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_that_of_numpy(samples: list[float], q: float):
    assert quantile(samples, q) == pytest.approx(float(np.quantile(samples, q)), rel=1e-6, abs=1e-3)


def test_a_quantile_between_two_samples_is_interpolated():
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert pytest.approx(quantile([1.0, 2.0, 3.0, 4.0], 0.9)) == 3.7


@pytest.mark.parametrize(
    ("samples", "q", "expected"),
    [
        ([1.0, 2.0, INF], 0.5, 2.0),
        ([1.0, 2.0, 3.0, INF], 0.5, 2.5),
        ([1.0, 2.0, INF, INF], 0.5, INF),
        ([1.0, INF, INF, INF], 0.5, INF),
        ([INF, INF], 0.25, INF),
        ([*map(float, range(58)), INF, INF, INF], 0.95, 57.0),
    ],
)
def test_failures_are_infinite_samples(samples: list[float], q: float, expected: float):
    assert expected == quantile(samples, q)


@pytest.mark.parametrize("samples", [[], [1.0, math.nan]])
def test_a_quantile_of_nothing_is_refused(samples: list[float]):
    with pytest.raises(ValueError, match="samples"):
        quantile(samples, 0.5)


@pytest.mark.parametrize("name", QUANTILES)
def test_the_minimum_sample_is_the_smallest_that_holds_an_interval(name: str):
    def holds(n: int) -> bool:
        return quantile_interval([float(i) for i in range(n)], QUANTILES[name]) is not None

    assert MIN_SAMPLES[name] == next(n for n in range(1, 500) if holds(n))


def test_the_minimum_samples_are_those_of_the_method():
    assert MIN_SAMPLES == {"p50": 6, "p90": 36, "p95": 72, "p99": 368}


def test_the_interval_of_a_median_of_ten_lies_between_the_second_and_the_ninth():
    """P(fewer than 2 of 10 below the median) = 11/1024 = 1.1 %; fewer than 3: 5.5 %, too many."""
    assert quantile_interval([float(i) for i in range(1, 11)], 0.5) == (2.0, 9.0)


@given(st.lists(FINITE, min_size=6, max_size=60))
def test_an_interval_encloses_its_quantile(samples: list[float]):
    low, high = quantile_interval(samples, 0.5) or (INF, -INF)

    assert low <= quantile(samples, 0.5) <= high


def test_a_share_has_the_interval_of_wilson():
    assert wilson(8, 10) == pytest.approx((0.4901, 0.9433), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[0] == 0.0


@pytest.mark.parametrize(("share", "expected"), [(0.5, 4), (0.9, 35), (0.99, 381), (0.999, 3838)])
def test_so_many_good_requests_prove_a_share(share: float, expected: int):
    assert expected == requests_for_share(share)
    assert wilson(expected, expected)[0] >= share > wilson(expected - 1, expected - 1)[0]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_number_of_requests_proves_certainty(share: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        requests_for_share(share)


def test_a_slope_is_not_moved_by_an_outlier():
    slope = theil_sen([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 5.0, 7.0, 9.0, 1000.0])

    assert slope is not None
    assert slope.value == 2.0
    assert slope.is_certain


def test_the_detectable_slope_is_half_the_interval():
    slope = theil_sen([float(i) for i in range(20)], list(np.random.default_rng(1).normal(size=20)))

    assert slope is not None
    assert not slope.is_certain
    assert slope.detectable == (slope.high - slope.low) / 2 > 0


def test_many_points_are_thinned_without_moving_the_slope():
    slope = theil_sen([float(i) for i in range(5000)], [3.0 * i for i in range(5000)])

    assert slope is not None
    assert pytest.approx(slope.value) == 3.0


def test_two_places_are_no_line():
    assert theil_sen([1.0, 1.0, 2.0], [1.0, 2.0, 3.0]) is None


def test_hodges_lehmann_is_the_median_of_pairwise_means():
    """Of 1, 2, 9: means 1, 1.5, 2, 5, 5.5, 9."""
    assert hodges_lehmann([1.0, 2.0, 9.0]) == 3.5
    assert hodges_lehmann([2.0]) == 2.0


def test_the_bootstrap_agrees_with_drawing_rounds_for_real():
    generator = np.random.default_rng(3)
    rounds = [list(map(float, generator.normal(r % 3, 1, size=3))) for r in range(6)]
    drawn = np.random.default_rng(7)
    estimates = []
    for _ in range(2000):
        picked = drawn.integers(6, size=6)
        estimates.append(hodges_lehmann([value for r in picked for value in rounds[r]]))

    assert bootstrap_rounds(rounds, seed=7) == pytest.approx(tuple(np.quantile(estimates, [0.025, 0.975])))


def test_the_bootstrap_repeats_itself_with_its_seed():
    rounds = [[1.0, 2.0], [3.0], [], [2.5, 0.5]]

    assert bootstrap_rounds(rounds, seed=1) == bootstrap_rounds(rounds, seed=1)


def test_six_differences_to_one_side_have_the_exact_p_of_their_ranks():
    """2 / 2 ** 6."""
    assert signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == 0.03125
    assert signed_rank_p([0.0, 0.0]) == 1.0


def test_the_sign_test_is_exact():
    assert pytest.approx(sign_p(5, 0)) == 0.0625
    assert sign_p(0, 0) == 1.0
    assert sign_p(3, 3) == 1.0


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert pytest.approx(holm([0.02, 0.06, 0.01])) == [0.04, 0.06, 0.03]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.integers(1, 2000), st.sampled_from([0.05, 0.5, 0.9, 0.95, 0.99]))
def test_the_interval_of_a_quantile_is_where_scipy_finds_it(n: int, q: float):
    low, high = (int(scipy.stats.binom.ppf(tail, n, q)) for tail in (0.025, 0.975))
    expected = (float(low), float(high + 1)) if low >= 1 and high + 1 <= n else None

    assert expected == quantile_interval([float(i) for i in range(1, n + 1)], q)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-20, 20)), min_size=3, max_size=60))
@example([(0, 0), (0, 0), (1, 0), (2, 0)])
def test_a_slope_and_its_interval_are_those_of_scipy(points: list[tuple[int, int]]):
    x, y = ([float(point[axis]) for point in points] for axis in (0, 1))
    slope = theil_sen(x, y)
    if slope is None:
        assert len(set(x)) < 3
        return
    with np.errstate(invalid="ignore"):
        value, intercept, low, high = scipy.stats.theilslopes(y, x, alpha=0.95)

    assert pytest.approx((value, intercept)) == (slope.value, slope.intercept)
    if math.isnan(low):  # where so many values are equal that the variance is below zero, scipy has no interval
        assert slope.low <= slope.value <= slope.high
    else:
        assert pytest.approx((low, high)) == (slope.low, slope.high)
