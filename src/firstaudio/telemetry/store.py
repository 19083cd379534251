"""`MeasurementStore`: the last measurements, in an SQLite file where that can be had, and in memory where not.

One thread does everything that touches the disk, one thing after the other: it writes, and it answers questions. What
is not written yet waits in memory; where the disk refuses, it goes on waiting there, up to `MAX_WAITING` rows, and the
disk is asked again. Nothing here ever fails a request.

**Age.** The wall clock may jump, so no row is deleted because of it. Every row carries how long servers had lived on
this file when it came: seconds of the monotonic clock, plus the times between two servers as far as the wall clock
says something believable about them (`MAX_GAP_S`). A row is old when they have lived `max_age_days` longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.rows import INSERT, SELECT, NewerFileError, from_row, migrate, to_row
from firstaudio.telemetry.state import make_folder

logger = logging.getLogger(__name__)

T = TypeVar("T")
Wanted = str | Collection[str] | None

FILE_NAME = "measurements.db"
WRITE_AFTER_S = 0.5
BATCH = 200
MAX_WAITING = 5_000  # rows of some 2 kB
RETRY_S = 5.0
BUSY_S = 2.0  # how long another process may hold the file
MAX_GAP_S = 7 * 86_400.0  # a longer pause between two servers may as well be a clock that was set
DAY_S = 86_400.0
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@dataclass(frozen=True, slots=True)
class VoiceCount:
    """How often a voice was asked for."""

    engine: str
    voice: str
    language: str
    num_requests: int


@dataclass(frozen=True, slots=True)
class _Question:
    """Which measurements are asked for; a field that is None does not matter."""

    limit: int
    since: float | None
    names: Mapping[str, frozenset[str]]

    def sql(self) -> tuple[str, list[Any]]:
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
        if self.since is not None and measurement.timestamp < self.since:
            return False
        return all(getattr(measurement, column) in names for column, names in self.names.items())


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made where it is not there. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "PRAGMA synchronous = NORMAL"
        )  # whole after any crash of ours; after one of the machine, too
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


class MeasurementStore:
    """The last measurements of all servers that use one folder. Lives on the event loop, works in a thread of its own.

    Args:
        folder: Where the file lies or will lie.
        max_rows: Rows in the file at most.
        max_age_days: Rows are deleted when servers have lived so much longer on this file.
        wall_clock: Seconds since 1970.
        clock: Nanoseconds, never backwards.
        connect: Opens the file.

    Attributes:
        path: The file.
        problem: Why rows are not written, or what was wrong with the file, with the next step; empty when all is well.
        num_lost: Measurements that are nowhere any more although they should be.
    """

    def __init__(
        self,
        folder: Path,
        max_rows: int,
        max_age_days: float,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Clock = now_ns,
        connect: Callable[[Path], sqlite3.Connection] = connect,
    ) -> None:
        self.path = folder / FILE_NAME
        self.num_lost = 0
        self._max_rows, self._max_age_s = max_rows, max_age_days * DAY_S
        self._wall_clock, self._clock, self._connect = wall_clock, clock, connect
        self._waiting: deque[Measurement] = deque()
        self._trouble, self._moved_aside = "", ""
        self._thread: ThreadPoolExecutor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        # What follows is the thread's.
        self._connection: sqlite3.Connection | None = None
        self._lived_at_open_s, self._opened_ns = 0.0, 0

    @property
    def problem(self) -> str:
        """See the class."""
        return "; ".join(filter(None, (self._trouble, self._moved_aside)))

    def status(self) -> dict[str, Any]:
        """It as `GET /status` tells of it."""
        return {
            "path": str(self.path),
            "is_memory_only": self.is_memory_only,
            "problem": self.problem or None,
            "num_waiting": self.num_waiting,
            "num_lost": self.num_lost,
        }

    @property
    def is_memory_only(self) -> bool:
        """Whether rows cannot be written at the moment; `problem` says why."""
        return bool(self._trouble)

    @property
    def num_waiting(self) -> int:
        """Measurements that are in memory alone."""
        return len(self._waiting)

    def open(self) -> None:
        """Begin to write, in the background. Idempotent; without it, rows only wait."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="measurements")
            self._begin_write()

    def add(self, measurement: Measurement) -> None:
        """Keep a measurement; returns at once. Only on the event loop."""
        self._waiting.append(measurement)
        self._bound()
        if self._thread is None or self._writing is not None:
            return
        if len(self._waiting) >= BATCH and not self._trouble:
            self._begin_write()
        elif self._timer is None:
            self._write_later(RETRY_S if self._trouble else WRITE_AFTER_S)

    async def flush(self) -> None:
        """Write what waits now; where that cannot be done, `problem` says why and the rows go on waiting."""
        if self._thread is not None:
            await self._do(self._thread, self._write)

    async def recent(
        self,
        limit: int,
        since: float | None = None,
        voice: Wanted = None,
        origin: Wanted = None,
        engine: Wanted = None,
        outcome: Wanted = None,
    ) -> list[Measurement]:
        """The newest measurements, newest first, those that were added just now included.

        Args:
            limit: How many at most.
            since: Not those that were accepted before, in seconds since 1970.
            voice: Of this canonical id alone, or of one of these.
            origin: The same, for who asked.
            engine: The same, for who spoke.
            outcome: The same, for how it ended.
        """
        asked = {"voice": voice, "origin": origin, "engine": engine, "outcome": outcome}
        names = {column: _names(wanted) for column, wanted in asked.items() if wanted is not None}
        question = _Question(limit, since, names)
        if self._thread is None:
            return self._find_waiting(question)
        return await self._do(self._thread, lambda: self._find(question))

    async def voices(self, limit: int, since: float | None = None) -> list[VoiceCount]:
        """The voices that clients have heard most often, by engine and language; the most wanted first."""
        return [] if self._thread is None else await self._do(self._thread, lambda: self._count_voices(limit, since))

    async def count(self) -> int:
        """Measurements that are kept."""
        return len(self._waiting) if self._thread is None else await self._do(self._thread, self._count)

    async def close(self) -> None:
        """Write what waits and let the file go; what cannot be written any more is lost, and logged. Idempotent."""
        thread, self._thread = self._thread, None
        self._stop_timer()
        if thread is None:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(thread, self._end)
        await asyncio.to_thread(thread.shutdown)
        if self._waiting:
            logger.warning("%d measurements were never written: %s", len(self._waiting), self.problem)

    # On the event loop.

    async def _do(self, thread: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, job)

    def _write_later(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._begin_write)

    def _begin_write(self) -> None:
        self._stop_timer()
        if self._thread is not None and self._writing is None:
            self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write)
            self._writing.add_done_callback(self._wrote)

    def _wrote(self, writing: asyncio.Future[None]) -> None:
        self._writing = None
        if not writing.cancelled() and (error := writing.exception()):
            logger.error("measurements could not be written", exc_info=error)
        if self._waiting and self._thread is not None and self._timer is None:
            self._write_later(RETRY_S if self._trouble else WRITE_AFTER_S)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # In the thread, but for `_bound`, which may be called in both.

    def _bound(self) -> None:
        while len(self._waiting) > MAX_WAITING:
            with contextlib.suppress(IndexError):
                self._waiting.popleft()
                self.num_lost += 1

    def _write(self) -> None:
        """Write everything that waits, or leave it waiting and say why."""
        batch: list[Measurement] = []
        try:
            connection = self._opened()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                self._insert(connection, batch)
                batch = []
        except (sqlite3.Error, OSError) as error:
            self._waiting.extendleft(reversed(batch))
            self._bound()
            self._refused(error)
        else:
            self._recovered()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            if problem := make_folder(self.path.parent):
                raise OSError(problem)
            self._connection = self._connect(self.path)
            self._lived_at_open_s, self._opened_ns = self._lived_until_now(self._connection), self._clock()
        return self._connection

    def _insert(self, connection: sqlite3.Connection, batch: Sequence[Measurement]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            lived_s = self._tick(connection)
            connection.executemany(INSERT, [(lived_s, *to_row(measurement)) for measurement in batch])
            self._prune(connection, lived_s)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled back by itself
                connection.execute("ROLLBACK")
            raise

    def _prune(self, connection: sqlite3.Connection, lived_s: float) -> None:
        too_many = "id <= (SELECT max(id) FROM measurements) - ?"
        too_old = "id < (SELECT id FROM measurements WHERE lived_s >= ? ORDER BY id LIMIT 1)"
        connection.execute(f"DELETE FROM measurements WHERE {too_many}", (self._max_rows,))
        connection.execute(f"DELETE FROM measurements WHERE {too_old}", (lived_s - self._max_age_s,))

    def _tick(self, connection: sqlite3.Connection) -> float:
        """How long servers have lived on this file until now, in seconds; never less than before."""
        lived_s = self._lived_at_open_s + (self._clock() - self._opened_ns) / NS_PER_S
        known = connection.execute("SELECT lived_s FROM clock").fetchone()
        lived_s = max(lived_s, known[0]) if known else lived_s
        connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", (lived_s, self._wall_clock()))
        return lived_s

    def _lived_until_now(self, connection: sqlite3.Connection) -> float:
        known = connection.execute("SELECT lived_s, wall_s FROM clock").fetchone()
        if known is None:
            return 0.0
        lived_s, wall_s = known
        gap_s = self._wall_clock() - wall_s
        return float(lived_s + gap_s if 0 < gap_s <= MAX_GAP_S else lived_s)

    def _find(self, question: _Question) -> list[Measurement]:
        self._write()
        found = self._find_waiting(question)
        if len(found) < question.limit:
            sql, values = question.sql()
            found += map(from_row, self._ask(sql, values)[: question.limit - len(found)])
        return found

    def _find_waiting(self, question: _Question) -> list[Measurement]:
        found = [measurement for measurement in reversed(self._waiting) if question.matches(measurement)]
        return found[: question.limit]

    def _count_voices(self, limit: int, since: float | None) -> list[VoiceCount]:
        self._write()
        sql = (
            "SELECT engine, voice, language, count(*) FROM measurements WHERE origin = 'client' AND ttfa_ms IS NOT NULL"
            " AND timestamp >= ? GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT ?"
        )
        return [VoiceCount(*row) for row in self._ask(sql, [since or 0.0, limit])]

    def _count(self) -> int:
        self._write()
        num_written: int = sum(row[0] for row in self._ask("SELECT count(*) FROM measurements", []))
        return len(self._waiting) + num_written

    def _ask(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of the file; none where it cannot be read, and `problem` says why."""
        if self._connection is None:
            return []
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._refused(error)
            return []

    def _end(self) -> None:
        self._write()
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error):  # the time without a row is only worth a try
            self._tick(self._connection)
        self._let_go()

    # When the disk refuses.

    def _recovered(self) -> None:
        if self._trouble:
            logger.info("measurements are written to %s again", self.path)
            self._trouble = ""

    def _refused(self, error: sqlite3.Error | OSError) -> None:
        if isinstance(error, sqlite3.Error) and _primary(error) in _CORRUPT:
            self._move_aside(error)
            return
        trouble = self._reason(error)
        if trouble != self._trouble:
            logger.warning("measurements are kept in memory alone: %s", trouble)
        self._trouble = trouble
        if not isinstance(error, sqlite3.OperationalError) or _primary(error) != sqlite3.SQLITE_BUSY:
            self._let_go()  # the file, or the folder, may be another one the next time

    def _reason(self, error: sqlite3.Error | OSError) -> str:
        if isinstance(error, NewerFileError):
            return f"{self.path} was written by a later firstaudio; set telemetry.state_folder to another folder"
        if isinstance(error, sqlite3.Error):
            return (
                f"{self.path} cannot be written ({error}); mend that, or set telemetry.state_folder to another folder"
            )
        return str(error)

    def _move_aside(self, error: sqlite3.Error) -> None:
        """Begin anew beside a file that cannot be read any more."""
        self._let_go()
        aside = self.path.with_name(f"{self.path.name}.corrupt-{int(self._wall_clock())}")
        try:
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(aside.with_name(aside.name + suffix))
        except OSError as refusal:
            self._trouble = (
                f"{self.path} is corrupt ({error}) and cannot be moved aside ({refusal.strerror}); delete it"
            )
            logger.warning("measurements are kept in memory alone: %s", self._trouble)
            return
        self._moved_aside = f"{self.path} was corrupt ({error}) and lies in {aside.name} now; delete that"
        logger.warning("%s", self._moved_aside)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _names(wanted: str | Collection[str]) -> frozenset[str]:
    return frozenset([wanted] if isinstance(wanted, str) else wanted)


def _primary(error: sqlite3.Error) -> int | None:
    """SQLite's code without what it says more closely; None where the error is Python's."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
