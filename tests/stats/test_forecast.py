"""Where a line reaches a level, on points whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.stats.forecast import MIN_POINTS, crossing


def test_a_straight_line_reaches_the_level_where_it_does():
    found = crossing(range(20), [100 + 2.0 * x for x in range(20)], 150, 5)

    assert found is not None
    assert (found.at, found.low, found.high, found.n) == (pytest.approx(25), pytest.approx(25), pytest.approx(25), 20)


@pytest.mark.parametrize("num", [MIN_POINTS, 30])
def test_the_true_place_is_in_the_interval_as_often_as_it_says(num: int):
    draw = np.random.default_rng(3)
    level, place = 126.0, 1.3 * num
    found = [crossing(range(num), _rise(draw, num), level, 5) for _ in range(300)]
    told = [each for each in found if each is not None]
    inside = [each.low <= place <= (np.inf if each.high is None else each.high) for each in told]

    assert len(told) > 270
    assert np.mean(inside) > 0.95


def _rise(draw: np.random.Generator, num: int) -> list[float]:
    """20 more over all points, with noise."""
    return [float(each) for each in 100 + 20 / num * np.arange(num) + draw.normal(0, 3, num)]


@pytest.mark.parametrize("num", [MIN_POINTS, 30])
def test_noise_is_hardly_ever_continued(num: int):
    draw = np.random.default_rng(4)
    found = [crossing(range(num), [float(each) for each in draw.normal(100, 10, num)], 110, 5) for _ in range(1000)]

    assert sum(each is not None for each in found) <= 35


@pytest.mark.parametrize(
    ("num", "slope", "level", "least_change", "reason"),
    [
        (MIN_POINTS - 1, 2.0, 120, 5, "too few points"),
        (20, 2.0, 130, 5, "there already"),
        (20, 2.0, 139, 5, "not quite there"),
        (20, 2.0, 177, 5, "farther ahead than the points reach back"),
        (20, 0.2, 105, 5, "too small a change"),
        (20, -2.0, 150, 5, "it falls"),
        (20, 0.0, 100, 0, "no slope"),
    ],
)
def test_else_nothing_is_said(num: int, slope: float, level: float, least_change: float, reason: str):
    found = crossing(range(num), [100 + slope * x for x in range(num)], level, least_change)

    assert (found is None) == (reason != "not quite there"), reason


def test_an_end_that_is_farther_ahead_than_was_looked_back_is_not_told():
    values = [100, 110, 103, 114, 107, 113, 112, 119, 113, 124, 114, 129]
    found = crossing(range(12), values, 130, 5)

    assert found is not None
    assert found.high is None
    assert found.low < found.at


@given(
    st.lists(st.floats(0, 1000), min_size=MIN_POINTS, max_size=25),
    st.floats(0, 2000),
    st.floats(-1e6, 1e6),
)
def test_what_is_said_lies_ahead_and_within_its_interval(values: list[float], level: float, shift: float):
    places = [shift + x for x in range(len(values))]
    found = crossing(places, values, level, 5)

    if found is not None:
        assert places[-1] < found.at <= 2 * places[-1] - places[0]
        assert found.low <= found.at
        assert found.high is None or found.at <= found.high
