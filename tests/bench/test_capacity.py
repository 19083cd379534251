from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.capacity import CONFIRMATIONS, search


def explore(capacity: int, start: int, limit: int) -> tuple[int, list[int]]:
    """The search against something that serves exactly `capacity` listeners."""
    steps, tried = search(start, limit), []
    level = next(steps)
    while True:
        tried.append(level)
        try:
            level = steps.send(level <= capacity)
        except StopIteration as end:
            return end.value, tried


@given(st.integers(0, 300), st.integers(1, 64), st.integers(1, 256))
def test_the_search_finds_every_capacity_within_its_limit(capacity: int, start: int, limit: int):
    found, tried = explore(capacity, start, limit)

    assert min(capacity, limit) == found
    assert all(1 <= level <= limit for level in tried)


def test_it_doubles_then_bisects_then_confirms():
    _, tried = explore(capacity=11, start=1, limit=1000)

    assert [1, 2, 4, 8, 16, 12, 10, 11, 11, 11] == tried


def test_few_levels_are_tried():
    _, tried = explore(capacity=100, start=1, limit=1000)

    assert len(tried) <= 8 + 6 + CONFIRMATIONS


def test_a_level_that_passed_by_luck_gives_way_to_the_one_below():
    steps = search(4, 4)
    assert 4 == next(steps)
    assert 4 == steps.send(True)
    assert 3 == steps.send(False)
    assert 3 == steps.send(True)
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert 3 == end.value.value


def test_nothing_at_all_may_pass():
    assert (0, [1]) == explore(capacity=0, start=1, limit=8)
