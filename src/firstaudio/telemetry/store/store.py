"""`MeasurementStore`: the last measurements, in a file where that can be had, and in memory where not.

One thread does everything that touches the disk, one thing after the other: it writes, and it answers questions. What
is not written yet waits in memory; where the disk refuses, it goes on waiting there, up to `MAX_WAITING` rows, and the
disk is asked again. Nothing here ever fails a request.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from firstaudio.clock import Clock, now_ns
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store.file import FileTroubleError, MeasurementFile, connect
from firstaudio.telemetry.store.question import Question, Wanted
from firstaudio.telemetry.store.rows import from_row

logger = logging.getLogger(__name__)

T = TypeVar("T")

WRITE_AFTER_S = 0.5
BATCH = 200
MAX_WAITING = 5_000  # rows of some 2 kB
RETRY_S = 5.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class VoiceCount:
    """How often clients heard a voice."""

    engine: str
    voice: str
    language: str
    num_requests: int


class MeasurementStore:
    """The last measurements of one server, also from before its last start.

    Lives on the event loop, works in a thread of its own.

    Args:
        path: Where the file lies or will lie.
        max_rows: Rows in the file at most.
        max_age_days: Rows are deleted when servers have lived so much longer on this file.
        wall_clock: Seconds since 1970.
        clock: Nanoseconds, never backwards.
        connect: Opens the file.

    Attributes:
        num_lost: Measurements that are nowhere any more although they should be.
    """

    def __init__(
        self,
        path: Path,
        max_rows: int,
        max_age_days: float,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Clock = now_ns,
        connect: Callable[[Path], sqlite3.Connection] = connect,
    ) -> None:
        self.num_lost = 0
        self._file = MeasurementFile(path, max_rows, max_age_days * DAY_S, wall_clock, clock, connect)
        self._waiting: deque[Measurement] = deque()
        self._trouble = ""
        self._thread: ThreadPoolExecutor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def problem(self) -> str:
        """Why rows are not written, or what became of rows or of the file, with the next step; empty: all is well."""
        lost = f"{self.num_lost} measurements were lost while they waited for the disk" if self.num_lost else ""
        return "; ".join(filter(None, (self._trouble, lost, self._file.moved_aside)))

    @property
    def is_memory_only(self) -> bool:
        """Whether rows cannot be written at the moment; `problem` says why."""
        return bool(self._trouble)

    @property
    def num_waiting(self) -> int:
        """Measurements that are in memory alone."""
        return len(self._waiting)

    def status(self) -> dict[str, Any]:
        """It as `GET /status` tells of it."""
        return {
            "path": str(self.path),
            "is_memory_only": self.is_memory_only,
            "problem": self.problem or None,
            "num_waiting": self.num_waiting,
            "num_lost": self.num_lost,
        }

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
            self._write_later()

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
        question = Question.of(limit, since, voice=voice, origin=origin, engine=engine, outcome=outcome)
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
        await self._do(thread, self._end)
        await asyncio.to_thread(thread.shutdown)
        if self._waiting:
            logger.warning("%d measurements were never written: %s", len(self._waiting), self.problem)

    # On the event loop.

    async def _do(self, thread: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, job)

    def _write_later(self) -> None:
        delay_s = RETRY_S if self._trouble else WRITE_AFTER_S
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
            self._write_later()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # In both.

    def _bound(self) -> None:
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.num_lost += 1

    def _find_waiting(self, question: Question) -> list[Measurement]:
        found = [measurement for measurement in reversed(self._waiting.copy()) if question.matches(measurement)]
        return found[: question.limit]

    # In the thread.

    def _write(self) -> None:
        """Write everything that waits, or leave it waiting and say why."""
        batch: list[Measurement] = []
        try:
            self._file.open()
            while batch := self._take():
                self._file.write(batch)
        except FileTroubleError as trouble:
            self._waiting.extendleft(reversed(batch))
            self._refused(str(trouble))
        except BaseException:  # a mistake of our own: these rows must not stand before all others for ever
            self.num_lost += len(batch)
            raise
        else:
            self._recovered()

    def _take(self) -> list[Measurement]:
        batch: list[Measurement] = []
        while self._waiting and len(batch) < BATCH:
            batch.append(self._waiting.popleft())
        return batch

    def _find(self, question: Question) -> list[Measurement]:
        self._write()
        found = self._find_waiting(question)
        if len(found) < question.limit:
            sql, values = question.sql()
            found += map(from_row, self._ask(sql, values)[: question.limit - len(found)])
        return found

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

    def _ask(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """The rows of the file; none where it cannot be read, and `problem` says why."""
        try:
            return self._file.ask(sql, values)
        except FileTroubleError as trouble:
            self._refused(str(trouble))
            return []

    def _end(self) -> None:
        self._write()
        self._file.close()

    def _recovered(self) -> None:
        if self._trouble:
            logger.info("measurements are written to %s again", self.path)
            self._trouble = ""

    def _refused(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning("measurements are kept in memory alone: %s", trouble)
        self._trouble = trouble
