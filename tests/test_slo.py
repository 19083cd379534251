"""The one category function and the one table of targets."""

from __future__ import annotations

import pytest

from firstaudio.slo import category, investigation_category, is_met, limits


@pytest.mark.parametrize(
    ("ttfa_ms", "name"),
    [
        (0.0, "excellent"),
        (399.9, "excellent"),
        (400.0, "good"),
        (799.9, "good"),
        (800.0, "acceptable"),
        (1200.0, "poor"),
        (2000.0, "critical"),
        (1e9, "critical"),
    ],
)
def test_categories_begin_where_the_one_before_ends(ttfa_ms: float, name: str):
    assert category(ttfa_ms) == name


def test_the_last_category_has_no_upper_limit():
    assert limits("critical") == "2000 ms or more"


def test_a_category_that_does_not_exist_has_no_limits():
    with pytest.raises(ValueError, match="no category 'fine'"):
        limits("fine")


def test_exactly_the_target_meets_it():
    assert is_met(800.0)
    assert not is_met(800.1)


@pytest.mark.parametrize(
    ("mean_ms", "miss_rate", "name"),
    [
        (None, 0.0, "no_data"),
        (800.0, 0.10, "EXCELLENT"),
        (800.0, 0.11, "GOOD"),
        (1000.0, 0.20, "GOOD"),
        (1500.0, 0.40, "NEEDS_IMPROVEMENT"),
        (100.0, 0.41, "CRITICAL"),
        (1500.1, 0.0, "CRITICAL"),
    ],
)
def test_an_investigation_takes_the_mean_and_the_misses(mean_ms: float | None, miss_rate: float, name: str):
    assert investigation_category(mean_ms, miss_rate) == name
