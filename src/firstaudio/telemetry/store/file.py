"""`MeasurementFile`: the SQLite file of measurements, for one thread: bounded, and begun anew where it is corrupt.

**Age.** The wall clock may jump, so no row is deleted because of it. Every row carries how long servers had lived on
this file when it came: seconds of the monotonic clock, plus the pauses between two servers as far as the wall clock
says something believable about them (`MAX_PAUSE_S`). A row is old when they have lived so much longer.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from firstaudio.clock import NS_PER_S, Clock
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.state import make_folder
from firstaudio.telemetry.store.rows import INSERT, NewerFileError, migrate, to_row

logger = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_S = 2.0  # how long another process may hold the file
BUSY_PAUSE_S = 0.01  # between two tries, where SQLite does not wait by itself
MAX_PAUSE_S = 7 * 86_400.0  # a longer one between two servers may as well be a clock that was set
MAX_MOVED = 3  # a disk that corrupts what is written would fill itself with corrupt files
PRIVATE = 0o600

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class FileTroubleError(Exception):
    """The file cannot be read or written now; the message says why and what to do."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made where it is not there. Raises sqlite3.Error, OSError."""
    path.touch(mode=PRIVATE)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        _begin_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, whole after any crash
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite's own timeout does not wait for a process that writes the new file now."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
        time.sleep(BUSY_PAUSE_S)


class MeasurementFile:
    """See the module. Opened when it is first needed, and again after trouble.

    Args:
        path: The file.
        max_rows: Rows at most.
        max_age_s: Rows are deleted when servers have lived so much longer on this file.
        wall_clock: Seconds since 1970.
        clock: Nanoseconds, never backwards.
        connect: Opens the file.

    Attributes:
        path: The file.
        moved_aside: What became of a corrupt one; empty where there was none, and when it was deleted.
    """

    def __init__(
        self,
        path: Path,
        max_rows: int,
        max_age_s: float,
        wall_clock: Callable[[], float],
        clock: Clock,
        connect: Callable[[Path], sqlite3.Connection] = connect,
    ) -> None:
        self.path, self.moved_aside = path, ""
        self._max_rows, self._max_age_s = max_rows, max_age_s
        self._wall_clock, self._clock, self._connect = wall_clock, clock, connect
        self._connection: sqlite3.Connection | None = None
        self._opened_as: int | None = None
        self._lived_at_open_s, self._opened_ns = 0.0, 0
        self._num_moved = 0
        self._aside: Path | None = None

    def open(self) -> None:
        """Make sure that it is open, and the file that lies there. Raises FileTroubleError."""
        self._do(lambda _: None)

    def write(self, batch: Sequence[Measurement]) -> None:
        """Add rows, all of them or none, and delete the ones that are too many or too old. Raises FileTroubleError."""
        self._do(lambda connection: self._insert(connection, batch))

    def ask(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows that a query finds. Raises FileTroubleError."""
        return self._do(lambda connection: connection.execute(sql, values).fetchall())

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # the time that was lived without a row is only worth a try
                self._tick(self._connection)
        self._let_go()

    def _do(self, job: Callable[[sqlite3.Connection], T]) -> T:
        while True:
            try:
                found = job(self._opened())
                self._look_aside()
                return found
            except sqlite3.Error as error:
                if _code(error) not in _CORRUPT:
                    raise self._trouble(error) from error
                self._move_aside(error)
            except OSError as error:
                raise FileTroubleError(f"{self.path} cannot be opened ({error.strerror})") from error

    def _opened(self) -> sqlite3.Connection:
        if _inode(self.path) != self._opened_as:
            self._let_go()  # somebody has deleted it, or moved it aside
        if self._connection is None:
            if problem := make_folder(self.path.parent):
                raise FileTroubleError(problem)
            self._opened_as = _inode(self.path)
            self._connection = self._connect(self.path)
            self._opened_as = _inode(self.path)
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
            if connection.in_transaction:  # SQLite has rolled back a full disk by itself
                connection.execute("ROLLBACK")
            raise

    def _prune(self, connection: sqlite3.Connection, lived_s: float) -> None:
        too_many = "id <= (SELECT max(id) FROM measurements) - ?"
        too_old = "id < (SELECT id FROM measurements WHERE lived_s >= ? ORDER BY id LIMIT 1)"
        connection.execute(f"DELETE FROM measurements WHERE {too_many}", (self._max_rows,))
        connection.execute(f"DELETE FROM measurements WHERE {too_old}", (lived_s - self._max_age_s,))

    def _tick(self, connection: sqlite3.Connection) -> float:
        """How long servers have lived on this file until now, in seconds; several at a time count once."""
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
        pause_s = self._wall_clock() - wall_s
        return float(lived_s + pause_s if 0 < pause_s <= MAX_PAUSE_S else lived_s)

    def _trouble(self, error: sqlite3.Error) -> FileTroubleError:
        if _code(error) != sqlite3.SQLITE_BUSY:
            self._let_go()  # the file, or its folder, may be another one the next time
        if isinstance(error, NewerFileError):
            reason = f"{self.path} was written by a later firstaudio; set telemetry.state_folder to another folder"
        else:
            reason = f"{self.path} cannot be used ({error}); mend that, or set telemetry.state_folder to another folder"
        return FileTroubleError(reason)

    def _move_aside(self, error: sqlite3.Error) -> None:
        """Make place for a new file. Raises FileTroubleError."""
        self._let_go()
        if _inode(self.path) != self._opened_as:
            return  # another process has done it
        if self._num_moved == MAX_MOVED:
            raise FileTroubleError(f"{self.path} becomes corrupt again and again ({error}); check the disk")
        aside = _free(self.path.with_name(f"{self.path.name}.corrupt-{int(self._wall_clock())}"))
        try:
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(aside.with_name(aside.name + suffix))
        except OSError as refusal:
            reason = f"{self.path} is corrupt ({error}) and cannot be moved aside ({refusal.strerror}); delete it"
            raise FileTroubleError(reason) from refusal
        self._num_moved, self._aside = self._num_moved + 1, aside
        self.moved_aside = f"{self.path} was corrupt ({error}) and was moved to {aside.name}; delete that"
        logger.warning("%s", self.moved_aside)

    def _look_aside(self) -> None:
        """Say nothing more of a corrupt file that was deleted."""
        if self._aside is not None and _inode(self._aside) is None:
            self._aside, self.moved_aside = None, ""

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's code without its second half; None where the error is not SQLite's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _free(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
