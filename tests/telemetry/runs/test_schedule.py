"""When the next run is due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.telemetry.runs.schedule import BACK_OFF_LIMIT_S, PERIODS_S, next_run

MOMENTS = st.floats(0, 4e9)
EVERY = st.sampled_from(["hourly", "daily", "weekly", "monthly"]) | st.floats(60, 4e7)
MONTH_S = 31 * 86_400.0


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def longest(every: str | float) -> float:
    return every if isinstance(every, float) else PERIODS_S.get(every, MONTH_S)


@pytest.mark.parametrize(
    ("every", "last", "due"),
    [
        ("hourly", "2026-03-29T00:30:00", "2026-03-29T01:30:00"),
        ("daily", "2026-03-28T12:00:00", "2026-03-29T12:00:00"),
        ("weekly", "2026-02-26T12:00:00", "2026-03-05T12:00:00"),
        ("monthly", "2026-01-31T06:00:00", "2026-02-28T06:00:00"),
        ("monthly", "2028-01-31T06:00:00", "2028-02-29T06:00:00"),
        ("monthly", "2026-12-15T06:00:00", "2027-01-15T06:00:00"),
        (900.0, "2026-01-01T00:00:00", "2026-01-01T00:15:00"),
    ],
)
def test_a_run_is_due_one_period_after_the_last(every: str | float, last: str, due: str):
    assert seconds(due) == next_run(seconds(last), seconds(last), every)


@given(MOMENTS, EVERY)
def test_the_first_run_is_due_at_once(now: float, every: str | float):
    assert now == next_run(None, now, every)


@given(MOMENTS, MOMENTS, EVERY, st.integers(0, 40))
def test_it_is_due_after_the_last_one_and_never_later_than_a_clock_that_was_set_back_allows(
    last: float, now: float, every: str | float, num_failures: int
):
    due = next_run(last, now, every, num_failures)

    assert due > min(last, now)
    assert due <= now + max(longest(every), BACK_OFF_LIMIT_S) + 1e-5  # a calendar counts microseconds


@given(MOMENTS, EVERY, st.integers(0, 40))
def test_failures_never_bring_it_forward(last: float, every: str | float, num_failures: int):
    pauses = [next_run(last, last, every, number) - last for number in (num_failures, num_failures + 1)]

    assert pauses == sorted(pauses)
    assert pauses[0] >= next_run(last, last, every) - last


def test_failures_double_the_pause_up_to_a_week():
    pauses = [next_run(0.0, 0.0, "daily", number) / 86_400 for number in range(5)]

    assert pauses == [1, 2, 4, 7, 7]


def test_a_month_is_not_shortened_by_failures():
    assert next_run(0.0, 0.0, "monthly") == next_run(0.0, 0.0, "monthly", 3)


def test_what_was_missed_is_not_made_up_for():
    last, now = 0.0, 30.5 * 3600
    due = next_run(last, now, "hourly")
    assert due <= now

    assert next_run(now, now, "hourly") == now + 3600
