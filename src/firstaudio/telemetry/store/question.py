"""`Question`: which measurements are asked for, of the file and of those that wait in memory alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store.rows import SELECT

Wanted = str | Collection[str] | None  # a name, any of several, or whatever there is


@dataclass(frozen=True, slots=True)
class Question:
    """The newest measurements whose columns have one of the names.

    Attributes:
        limit: How many at most.
        since: Not those that were accepted before, in seconds since 1970.
        names: By column.
    """

    limit: int
    since: float | None
    names: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, limit: int, since: float | None, **wanted: Wanted) -> Question:
        """By what is wanted of columns."""
        return cls(limit, since, {column: _names(each) for column, each in wanted.items() if each is not None})

    def sql(self) -> tuple[str, list[Any]]:
        """The statement for the file, and its values."""
        conditions: list[str] = ["1"]
        values: list[Any] = []
        if self.since is not None:
            # The index finds the first row of the time; rows are walked by id, the order in which they came.
            conditions += ["id >= (SELECT min(id) FROM measurements WHERE timestamp >= ?)", "timestamp >= ?"]
            values += [self.since, self.since]
        for column, names in self.names.items():
            conditions.append(f"{column} IN ({', '.join('?' * len(names))})")
            values += names
        return f"{SELECT} WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?", [*values, self.limit]

    def matches(self, measurement: Measurement) -> bool:
        """The same of one that is in no file; the limit is not looked at."""
        if self.since is not None and measurement.timestamp < self.since:
            return False
        return all(getattr(measurement, column) in names for column, names in self.names.items())


def _names(wanted: str | Collection[str]) -> frozenset[str]:
    return frozenset([wanted] if isinstance(wanted, str) else wanted)
