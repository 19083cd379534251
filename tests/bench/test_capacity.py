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

    assert tried == [1, 2, 4, 8, 16, 12, 10, 11, 11, 11]


def test_few_levels_are_tried():
    _, tried = explore(capacity=100, start=1, limit=1000)

    assert len(tried) <= 8 + 6 + CONFIRMATIONS


def test_a_level_that_passed_by_luck_gives_way_to_the_one_below():
    steps = search(4, 4)
    assert next(steps) == 4
    assert steps.send(True) == 4
    assert steps.send(False) == 3
    assert steps.send(True) == 3
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert end.value.value == 3


def test_nothing_at_all_may_pass():
    assert explore(capacity=0, start=1, limit=8) == (0, [1])
