"""Measurements as rows: every field, both directions, and files of other versions."""

import sqlite3
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store.rows import (
    COLUMNS,
    INSERT,
    JSON_COLUMNS,
    MIGRATIONS,
    SELECT,
    VERSION,
    NewerFileError,
    from_row,
    migrate,
    to_row,
)
from firstaudio.trace import STAGES

TIMES = st.none() | st.floats(0, 1e6)


@pytest.fixture
def connection() -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def test_every_field_of_a_measurement_has_a_column_at_its_place():
    assert [field.name for field in fields(Measurement)] == list(COLUMNS)
    assert list(COLUMNS)[-len(JSON_COLUMNS) :] == list(JSON_COLUMNS)


def test_every_version_has_a_step():
    assert len(MIGRATIONS) == VERSION


@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    error=st.none() | st.text(max_size=5),
    ttfa_ms=TIMES,
    predicted_ttfa_ms=TIMES,
    stages_ms=st.dictionaries(st.sampled_from(STAGES), st.floats(0, 1e6)),
)
def test_a_row_is_the_measurement_that_it_was(
    measurement: Callable[..., Measurement], text: str, error: str | None, **changes: Any
):
    error = error and error.encode("utf-8", "replace").decode()
    before = measurement(voice=text, error=error, **changes)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    connection.execute(INSERT, (0.0, *to_row(before)))

    assert from_row(connection.execute(SELECT).fetchone()) == before
    connection.close()


def test_half_a_surrogate_pair_does_no_harm(measurement: Callable[..., Measurement], connection: sqlite3.Connection):
    connection.execute(INSERT, (0.0, *to_row(measurement(voice="a\ud800b"))))

    assert from_row(connection.execute(SELECT).fetchone()).voice == "a?b"


def test_a_file_of_a_later_version_is_left_as_it_is(connection: sqlite3.Connection):
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")

    with pytest.raises(NewerFileError, match="later"):
        migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == VERSION + 1


def test_a_file_of_this_version_is_not_changed(connection: sqlite3.Connection):
    before = connection.total_changes
    migrate(connection)

    assert connection.total_changes == before


def test_a_step_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("firstaudio.telemetry.store.rows.MIGRATIONS", ("CREATE TABLE a (b); nonsense",))
    connection = sqlite3.connect(":memory:", isolation_level=None)

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    connection.close()
