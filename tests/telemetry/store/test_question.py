"""A question finds the same measurements in the file as among those that wait."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store.question import Question
from firstaudio.telemetry.store.rows import INSERT, from_row, migrate, to_row

ENGINES, VOICES = ("espeak", "kokoro"), ("alloy", "echo", "o'brien")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.integers(0, 20).map(float),
            "engine": st.sampled_from(ENGINES),
            "voice": st.sampled_from(VOICES),
        }
    ),
    max_size=30,
)
WANTED = st.none() | st.sampled_from(VOICES) | st.lists(st.sampled_from(VOICES), max_size=2)


@given(ROWS.map(lambda rows: sorted(rows, key=lambda row: row["timestamp"])), st.none() | st.integers(0, 20), WANTED)
def test_the_file_and_memory_find_the_same(
    measurement: Callable[..., Measurement], rows: Any, since: float | None, voice: Any
):
    found = [measurement(request_id=str(i), **row) for i, row in enumerate(rows)]
    question = Question.of(100, since, voice=voice, engine=None)
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection)
        connection.executemany(INSERT, [(0.0, *to_row(each)) for each in found])
        answers = [from_row(row) for row in connection.execute(*question.sql())]

    assert answers == [each for each in reversed(found) if question.matches(each)]


def test_no_more_are_found_than_asked_for(measurement: Callable[..., Measurement]):
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection)
        connection.executemany(INSERT, [(0.0, *to_row(measurement(request_id=str(i)))) for i in range(5)])
        answers = [from_row(row).request_id for row in connection.execute(*Question.of(2, None).sql())]

    assert answers == ["4", "3"]


def test_of_no_name_at_all_there_is_nothing(measurement: Callable[..., Measurement]):
    assert not Question.of(9, None, voice=[]).matches(measurement())
    assert Question.of(9, None, voice=None).matches(measurement())
