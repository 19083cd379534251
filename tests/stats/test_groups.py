"""Differences of groups agree with known implementations and hold what their intervals promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from firstaudio.stats.groups import MIN_GROUP, difference_of_means, difference_of_shares
from firstaudio.stats.groups import _student_t as student_t

values = st.lists(st.floats(0, 1000), min_size=MIN_GROUP, max_size=50)


@pytest.mark.parametrize("freedom", [5, 7.5, 10, 30, 1000])
def test_students_t_is_that_of_scipy(freedom: float):
    assert student_t(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=2e-3)


@given(values, values)
def test_means_differ_as_scipy_says(first: list[float], second: list[float]):
    ours = difference_of_means(first, second)
    assert ours is not None
    if np.var(first) + np.var(second) < 1e-6:
        return
    theirs = ttest_ind(first, second, equal_var=False).confidence_interval()
    half = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=5e-3 * half + 1e-9)
    assert ours.high == pytest.approx(theirs.high, abs=5e-3 * half + 1e-9)


def test_values_that_are_all_alike_differ_by_exactly_so_much():
    assert difference_of_means([3.0] * 6, [1.0] * 6) == difference_of_means([3.0] * 9, [1.0] * 7)
    assert difference_of_means([3.0] * 6, [1.0] * 6).is_more
    assert not difference_of_means([1.0] * 6, [1.0] * 6).is_more


def test_too_few_values_have_no_difference():
    assert difference_of_means([1.0] * (MIN_GROUP - 1), [1.0] * 100) is None
    assert difference_of_shares((0, 0), (1, 2)) is None


def test_shares_differ_as_newcombe_published():
    """His table II, method 10: 56/70 against 48/80, and 9/10 against 3/10."""
    for first, second, low, high in (((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090)):
        found = difference_of_shares(first, second)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20))
def test_more_comparisons_never_make_an_interval_shorter(k1: int, k2: int, num_comparisons: int):
    one, many = (difference_of_shares((k1, 50), (k2, 50), m) for m in (1, num_comparisons))
    assert many.low <= one.low <= one.value <= one.high <= many.high
    assert -1 - 1e-9 <= many.low <= many.high <= 1 + 1e-9


def test_equal_shares_are_seldom_told_apart():
    rng = np.random.default_rng(1)
    draws = rng.binomial(60, 0.3, size=(2000, 2))
    wrong = sum(
        not found.low <= 0 <= found.high for found in (difference_of_shares((a, 60), (b, 60)) for a, b in draws)
    )
    assert wrong / len(draws) < 0.06
