"""What a step will take is learned from what steps took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.runtimes.cost import Cost


def test_nothing_known_predicts_nothing():
    assert (Cost().predict_ns(10), Cost().line()) == (0.0, None)


def test_one_size_predicts_in_proportion():
    assert Cost.seeded(10, 15.0).predict_ns(20) == 30.0


def test_a_step_of_no_size_has_a_fixed_cost():
    assert Cost.seeded(0, 7.0).predict_ns(5) == 7.0


@given(fixed=st.floats(0, 1000), slope=st.floats(0.1, 100), sizes=st.sets(st.integers(1, 500), min_size=2, max_size=20))
def test_a_line_is_learned_exactly(fixed, slope, sizes):
    cost = Cost()
    for size in sizes:
        cost.learn(size, fixed + slope * size)

    assert cost.predict_ns(77) == pytest.approx(fixed + slope * 77, rel=1e-3)


@given(steps=st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1e9)), max_size=30), size=st.integers(0, 1000))
def test_no_prediction_is_negative(steps, size):
    cost = Cost()
    for taken, took_ns in steps:
        cost.learn(taken, took_ns)

    assert cost.predict_ns(size) >= -1e-3


def test_a_machine_that_became_slower_is_noticed():
    cost = Cost()
    for _ in range(100):
        cost.learn(10, 100.0)
    for _ in range(60):
        cost.learn(10, 200.0)

    assert cost.predict_ns(10) == pytest.approx(200.0, rel=0.05)
