"""Measurements as rows of an SQLite file: the schema, its versions, and both directions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from firstaudio.telemetry.measurement import Measurement

APPLICATION_ID = 0x66617564  # "faud": tells this file from any other database
VERSION = 1

# Of `Measurement`, in its order. A new field of it needs a new version and a step in `MIGRATIONS`.
COLUMNS: Mapping[str, str] = {
    "timestamp": "REAL NOT NULL",
    "request_id": "TEXT NOT NULL",
    "outcome": "TEXT NOT NULL",
    "origin": "TEXT NOT NULL",
    "run": "TEXT NOT NULL",
    "arm": "TEXT NOT NULL",
    "engine": "TEXT NOT NULL",
    "voice": "TEXT NOT NULL",
    "language": "TEXT NOT NULL",
    "runtime": "TEXT NOT NULL",
    "decode": "TEXT NOT NULL",
    "warmth": "TEXT NOT NULL",
    "format": "TEXT NOT NULL",
    "delivery": "TEXT NOT NULL",
    "text_class": "TEXT NOT NULL",
    "num_characters": "INTEGER NOT NULL",
    "speed": "REAL NOT NULL",
    "num_ahead": "INTEGER NOT NULL",
    "num_segments": "INTEGER NOT NULL",
    "num_retries": "INTEGER NOT NULL",
    "num_stalls": "INTEGER NOT NULL",
    "failover": "TEXT",
    "error": "TEXT",
    "ttfa_ms": "REAL",
    "ttgp_ms": "REAL",
    "duration_ms": "REAL NOT NULL",
    "audio_s": "REAL NOT NULL",
    "rtf": "REAL",
    "predicted_ttfa_ms": "REAL",
    "first_audio_ms": "TEXT NOT NULL",  # a JSON object
    "stages_ms": "TEXT NOT NULL",  # a JSON object
}
JSON_COLUMNS = ("first_audio_ms", "stages_ms")  # the last ones

# What brings a file of version n to version n + 1.
MIGRATIONS: tuple[str, ...] = (
    f"""
    CREATE TABLE measurements (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lived_s REAL NOT NULL,
        {", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())}
    );
    CREATE INDEX measurements_by_time ON measurements (timestamp);
    CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), lived_s REAL NOT NULL, wall_s REAL NOT NULL);
    """,
)

_PLAIN_COLUMNS = tuple(name for name in COLUMNS if name not in JSON_COLUMNS)
_NAMES = ", ".join(COLUMNS)
INSERT = f"INSERT INTO measurements (lived_s, {_NAMES}) VALUES (?, {', '.join('?' * len(COLUMNS))})"
SELECT = f"SELECT {_NAMES} FROM measurements"


class NewerFileError(sqlite3.DatabaseError):
    """The file was written by a later version of this program, and is left as it is."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file, also a new and empty one, to `VERSION`.

    Raises:
        NewerFileError: It is of a later version.
        sqlite3.Error: It cannot be read or written.
    """
    connection.execute("BEGIN IMMEDIATE")  # another process may be doing the same
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise NewerFileError(f"version {version} of the file is later than {VERSION}")
        for step in MIGRATIONS[version:]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
        if version < VERSION:
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def to_row(measurement: Measurement) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    plain = (_to_cell(getattr(measurement, name)) for name in _PLAIN_COLUMNS)
    return (*plain, *(json.dumps(getattr(measurement, name)) for name in JSON_COLUMNS))


def from_row(row: Sequence[Any]) -> Measurement:
    """What `SELECT` gave, as it was before."""
    num_plain = len(_PLAIN_COLUMNS)
    return Measurement(*row[:num_plain], *map(json.loads, row[num_plain:]))


def _to_cell(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half a surrogate pair is no text for SQLite
    return value
