"""`Execution`: one benchmark run from its beginning to its record, whoever started it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from firstaudio.errors import ConfigError, FirstaudioError, MissingExtraError
from firstaudio.server.benchmarks.command import EXTRA_MODULES, PROGRAM, bench_command, bench_environment
from firstaudio.server.benchmarks.program import GRACE_S, Ending, run_program
from firstaudio.server.benchmarks.progress import Listener, Pace
from firstaudio.server.benchmarks.witness import Watch, Witness
from firstaudio.slo import TTFA_TARGET_MS
from firstaudio.telemetry.runs.book import REPORTS, Claim, RunBook
from firstaudio.telemetry.runs.records import RunRecord, RunRequest, RunSummary, Trigger
from firstaudio.telemetry.runs.summary import summarise_session
from firstaudio.telemetry.runs.trend import changes, judge, settings_changed

logger = logging.getLogger(__name__)

DEADLINE_S = 3600.0
TEXT_FILE = "text.txt"
MEASURED = (0, 2, 99)
"""Exit codes of the harness after which there are figures: fine, an INVALID session, a target missed."""
KEEP = 100
STATE = "<state>/benchmarks"
"""What clients are told instead of where on this machine it lies."""
NOT_KEPT = "nothing was kept on disk: save_results is false"


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how runs are made.

    Attributes:
        url: Of the server that is measured.
        token: Its API key; None where it asks for none.
        server_pid: Its process; None lets the harness find it.
        voices: To compare.
        engine: Name of its default engine; None where it is not known.
        keep: Runs that are kept.
        program: Without arguments.
        deadline_s: How long a run may take, in seconds.
        grace_s: How long a run that is told to end may take to, in seconds.
        wall_clock: Seconds since 1970.
        target_ms: What TTFA is held to.
        conditions: The settings that figures hang on, as they stand at the moment.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    server_pid: int | None = None
    voices: tuple[str, ...] = ()
    engine: str | None = None
    keep: int = KEEP
    program: Sequence[str] = PROGRAM
    deadline_s: float = DEADLINE_S
    grace_s: float = GRACE_S
    wall_clock: Callable[[], float] = time.time
    target_ms: float = TTFA_TARGET_MS
    conditions: Callable[[], Mapping[str, str]] = dict


@dataclass(frozen=True, slots=True)
class Unsaved:
    """The results of a run of which nothing was to be kept."""

    record: RunRecord
    session: dict[str, Any]
    reports: dict[str, str]


def require_harness(program: Sequence[str] = PROGRAM) -> None:
    """Raise MissingExtraError where the harness cannot run. Looks for files: blocks."""
    if program is PROGRAM and not all(find_spec(module) for module in EXTRA_MODULES):
        raise MissingExtraError("a benchmark", "bench")


class Execution:
    """One run. `begin` makes it.

    Attributes:
        record: As it is now.
        listener: What the program says.
        unsaved: The results, where nothing was kept; None until the end, and for every other run.
    """

    def __init__(self, book: RunBook, place: Place, record: RunRecord, claim: Claim) -> None:
        self.record = record
        self.listener = Listener()
        self.unsaved: Unsaved | None = None
        self._book, self._place, self._claim = book, place, claim
        self._pace = Pace()
        self._stop = asyncio.Event()
        self._stop_reason = ""

    @classmethod
    async def begin(cls, book: RunBook, place: Place, request: RunRequest, trigger: Trigger) -> Execution:
        """Claim the right to run and write the first record.

        Raises:
            ConflictError: Another one runs.
            ConfigError: The state folder cannot be written.
            MissingExtraError: The harness is not installed.
        """
        record, claim = await asyncio.to_thread(_first_record, book, place, request, trigger)
        return cls(book, place, record, claim)

    @property
    def remaining_s(self) -> float | None:
        """How long it will still take at the pace so far, in seconds; None while that cannot be told."""
        return self._pace.remaining_s(self.listener.progress.share)

    def stop(self, reason: str) -> None:
        """Ask it to end; `run` then returns soon. The first reason stands."""
        self._stop_reason = self._stop_reason or reason
        self._stop.set()

    async def run(self, witness: Witness | None = None) -> RunRecord:
        """Run it to its end, however it ends; the record says how. Cancelling kills the program.

        Args:
            witness: Where the server is this process: what else is spoken meanwhile.
        """
        try:
            with witness.watch(self.record.id) if witness else nullcontext() as watch:
                ending = await self._run_program()
            await asyncio.shield(asyncio.to_thread(self._conclude, ending, watch))
        finally:
            await asyncio.shield(asyncio.to_thread(self._claim.release))
        return self.record

    async def _run_program(self) -> Ending | str:
        """How the program ended, or why it could not be started."""
        try:
            command = await asyncio.to_thread(self._command)
            return await run_program(
                command,
                bench_environment(self._place.token),
                self._hear,
                self._stop,
                deadline_s=self._place.deadline_s,
                grace_s=self._place.grace_s,
            )
        except OSError as error:
            return f"the benchmark could not be started: {error.strerror or error}"
        finally:
            self.listener.end()

    def _hear(self, data: bytes) -> None:
        self.listener.feed(data)
        self._pace.note(self.listener.progress.share)

    def _command(self) -> list[str]:
        folder, request = self._book.run_folder(self.record.id), self.record.request
        text_file = None
        if request.custom_text is not None:
            text_file = folder / TEXT_FILE
            text_file.write_text(" ".join(request.custom_text.split()), encoding="utf-8")
        return bench_command(
            request,
            run_id=self.record.id,
            url=self._place.url,
            output_dir=folder,
            server_pid=self._place.server_pid,
            voices=self._place.voices,
            text_file=text_file,
            program=self._place.program,
        )

    # In a thread.

    def _conclude(self, ending: Ending | str, watch: Watch | None) -> None:
        """Make the last record and keep it; a disk that is full loses the record on disk, not this one."""
        session = self._book.session(self.record.id)
        self.record = self._judged(self._ended(ending, watch, _summary(session)))
        if not self.record.request.save_results:
            self._take_away(session or {})
            return
        try:
            self._book.write(self.record)
            self._book.prune(self._place.keep, spare=self.record.id)
        except ConfigError as error:
            logger.warning("the result of %s is not kept: %s", self.record.id, error.message)

    def _ended(self, ending: Ending | str, watch: Watch | None, summary: RunSummary | None) -> RunRecord:
        record = replace(
            self.record,
            ended_at=self._place.wall_clock(),
            exit_code=None if isinstance(ending, str) else ending.exit_code,
            stderr=self._told(self.listener.tail),
            num_own_streams=None if watch is None else watch.num_own,
            num_other_streams=None if watch is None else watch.num_other,
            summary=summary,
            ways=None if watch is None else watch.tally.ways,
            mixed=self._mixed(watch),
        )
        if record.ways is not None and record.ways.engines:
            record = replace(record, engine=",".join(record.ways.engines))
        if self._stop_reason:
            return replace(record, status="cancelled", error=self._stop_reason)
        error = self._failure(ending, record)
        return replace(record, status="failed" if error else "succeeded", error=error or None)

    def _mixed(self, watch: Watch | None) -> tuple[str, ...]:
        """Why the figures are of more than one thing."""
        turned = settings_changed(self.record.settings, self._place.conditions())
        return (*(watch.tally.mixed if watch else ()), *(f"a setting was turned meanwhile: {one}" for one in turned))

    def _failure(self, ending: Ending | str, record: RunRecord) -> str:
        """Why a run that nobody stopped has no results; empty where it has."""
        if isinstance(ending, str):
            return ending
        if ending.timed_out:
            return f"it was ended because it took longer than {self._place.deadline_s:g} s"
        said = f": {self._told(self.listener.last_line)}" if self.listener.last_line else ""
        if ending.exit_code not in MEASURED or record.summary is None:
            return f"the benchmark program {_how(ending.exit_code)} and left no results{said}"
        if not record.summary.num_ok:
            return f"no request succeeded{said}"
        if not record.summary.completed:
            return f"the benchmark program {_how(ending.exit_code)} before the end of its measurements{said}"
        if record.num_own_streams == 0:
            return f"none of its requests reached this server: something else answers at {record.url}"
        return ""

    def _told(self, text: str) -> str:
        """What the program said, for clients: not where the state lies, nor what would lie in it if it were kept."""
        text = text.replace(str(self._book.folder), STATE)
        if self.record.request.save_results:
            return text
        gone = f"{STATE}/{self.record.id}"
        return "".join(NOT_KEPT + "\n" if gone in line else line for line in text.splitlines(keepends=True))

    def _judged(self, record: RunRecord) -> RunRecord:
        if record.summary is None:
            return record
        earlier = self._book.runs().records
        try:
            trends = judge(record, earlier, self._place.target_ms)
            return replace(record, trends=trends, changes=changes(record, earlier))
        except FirstaudioError as error:
            logger.warning("the trend of %s is not judged: %s", record.id, error.message)
            return record

    def _take_away(self, session: dict[str, Any]) -> None:
        found = {form: self._book.report(self.record.id, form) for form in REPORTS}
        reports = {form: text for form, text in found.items() if text is not None}
        self.unsaved = Unsaved(self.record, session, reports)
        self._book.remove(self.record.id)


def _first_record(book: RunBook, place: Place, request: RunRequest, trigger: Trigger) -> tuple[RunRecord, Claim]:
    require_harness(place.program)
    claim = book.claim()
    try:
        now = place.wall_clock()
        record = RunRecord(book.new_id(now), request, trigger, "running", now, url=place.url, engine=place.engine)
        record = replace(record, pid=os.getpid(), settings=dict(place.conditions()))
        book.write(record)
    except BaseException:
        claim.release()
        raise
    return record, claim


def _summary(session: dict[str, Any] | None) -> RunSummary | None:
    try:
        return None if session is None else summarise_session(session)
    except ValueError as error:
        logger.warning("%s", error)
        return None


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"
