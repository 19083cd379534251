"""`Benchmarks`: the runs of this server over HTTP and by its schedule; one at a time."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from firstaudio.config import Config
from firstaudio.errors import ConfigError, ConflictError, NotFoundError, NotReadyError
from firstaudio.server.benchmarks.command import PROGRAM
from firstaudio.server.benchmarks.conditions import conditions
from firstaudio.server.benchmarks.execution import DEADLINE_S, Execution, Place, Unsaved
from firstaudio.server.benchmarks.program import GRACE_S
from firstaudio.server.benchmarks.remarks import remarks, with_remarks
from firstaudio.server.benchmarks.witness import Witness
from firstaudio.synthesis.roster import EngineStatus
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.runs.book import RunBook, Runs
from firstaudio.telemetry.runs.records import BenchmarkType, RunRecord, RunRequest, Trigger
from firstaudio.telemetry.state import state_place

logger = logging.getLogger(__name__)

MAX_VOICES = 3  # as many as the harness itself takes of a server's list
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
SHUTDOWN = "the server was shut down"
CANCELLED = "it was cancelled by a request"
HOW_TO_START = "start one with POST /benchmarks/run"
ESTIMATES_S: dict[BenchmarkType, float] = {"ttfa": 30.0, "streaming": 45.0, "full": 120.0}
"""Until one of the kind has been run here."""


@dataclass(frozen=True, slots=True)
class Results:
    """What one run left.

    Attributes:
        record: Of the run.
        session: As the harness wrote it; None where it left none.
    """

    record: RunRecord
    session: dict[str, Any] | None


class Benchmarks:
    """Starts, watches and ends runs; lives on the event loop, touches the disk in threads.

    Args:
        config: The whole configuration.
        synthesizer: Of this server.
        url: Where it listens; None: where it is configured to.
        program: What is executed, without arguments.
        deadline_s: How long a run may take, in seconds.
        grace_s: How long a run that is told to end may take to, in seconds.

    Attributes:
        witness: What else is spoken.
        url: Where this server listens, for runs that nobody asked for over HTTP.
    """

    def __init__(
        self,
        config: Config,
        synthesizer: Synthesizer,
        *,
        url: str | None = None,
        program: Sequence[str] = PROGRAM,
        deadline_s: float = DEADLINE_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._config, self._synthesizer = config, synthesizer
        self.program, self.deadline_s, self.grace_s = program, deadline_s, grace_s
        self.witness = Witness(synthesizer)
        self.url = reachable(url or f"http://{_bracketed(config.server.host)}:{config.server.port}")
        self._book = RunBook(state_place(config))
        self._current: Execution | None = None
        self._task: asyncio.Task[RunRecord] | None = None
        self._beginning = asyncio.Lock()
        self._unsaved: Unsaved | None = None
        self._last: RunRecord | None = None
        self._is_closing = False

    async def open(self) -> None:
        """Note in the records what a server that died has left running."""
        try:
            await asyncio.to_thread(self._book.recover)
        except ConfigError as error:
            logger.warning("%s", error.message)
        self._last = await self.latest()

    async def start(self, request: RunRequest, trigger: Trigger = "request", url: str | None = None) -> RunRecord:
        """Begin a run.

        Args:
            request: What to run.
            trigger: Who asks.
            url: Where this server is reached; None takes `url`.

        Raises:
            NotReadyError: The default engine is still starting: another one would answer first, and it later.
            ConflictError: One is running, here or in another process with the same state folder.
            ConfigError: The state folder cannot be written.
            MissingExtraError: The harness is not installed.
        """
        async with self._beginning:
            if self._is_closing:
                raise ConflictError("the server is being shut down; start the benchmark when it is back")
            if self.waits_for_engine:
                raise NotReadyError(
                    f"the default engine is still starting ({self._default.message}), and a benchmark would measure "
                    "another one and then it; try again when GET /health says that it is ready"
                )
            if self._current is not None:
                name = self._current.record.id
                raise ConflictError(f"the benchmark {name} is running; wait for it or POST /benchmarks/cancel")
            execution = await Execution.begin(self._book, self._place(url), request, trigger)
            self._current = execution
            self._task = asyncio.create_task(self._run(execution), name=f"benchmark {execution.record.id}")
        return execution.record

    async def finished(self) -> RunRecord | None:
        """Wait for the end of the last run; its record, None where there was none. A failure is in the record."""
        return await asyncio.shield(self._task) if self._task else None

    async def cancel(self) -> RunRecord:
        """End the run that goes on, and wait for its end.

        Raises:
            NotFoundError: None runs.
            ConflictError: It is another process's.
        """
        if self._current is None or self._task is None:
            if other := await self.elsewhere():
                raise ConflictError(
                    f"the benchmark {other.id} belongs to {other.owner}, which alone can end it: POST "
                    "/benchmarks/cancel there"
                )
            raise NotFoundError(f"no benchmark is running; {HOW_TO_START}")
        self._current.stop(CANCELLED)
        return await asyncio.shield(self._task)

    async def close(self) -> None:
        """End the run that goes on, at once."""
        self._is_closing = True
        async with self._beginning:
            if self._current is not None and self._task is not None:
                self._current.stop(SHUTDOWN)
                await asyncio.wait([self._task])

    def status(self) -> dict[str, Any]:
        """For `GET /status`: what runs, and how the last one ended. Never blocks."""
        current, last = self._current, self._last
        return {
            "running": current.record.id if current else None,
            "progress": current.listener.progress.share if current else None,
            "current_test": current.listener.progress.current_test if current else None,
            "last": None if last is None else told(last),
        }

    @property
    def current(self) -> Execution | None:
        """The run of this process that goes on."""
        return self._current

    @property
    def waits_for_engine(self) -> bool:
        """Whether the default engine starts: it would take over in the middle of a run; one that failed never will."""
        return self._default.state == "starting"

    async def runs(self) -> Runs:
        """All runs that are kept, newest first."""
        return await asyncio.to_thread(self._book.runs)

    async def elsewhere(self) -> RunRecord | None:
        """A run of another process in the same state folder that, by its record, goes on; None where there is none."""
        async with self._beginning:  # else our own would be found before we know of it
            running = [run for run in (await self.runs()).records if run.status == "running"]
        own = self._current and self._current.record.id
        last = self._last and self._last.id  # on a disk that was full it still seems to be running
        return next((run for run in running if run.id not in (own, last)), None)

    async def results(self, run_id: str | None = None) -> Results:
        """What a run left; without an id the latest that has results.

        Raises:
            NotFoundError: There is no such run, or it has none, or not yet.
        """
        record = await self._record(run_id)
        if self._unsaved is not None and record.id == self._unsaved.record.id:
            return Results(record, self._unsaved.session)
        session = await asyncio.to_thread(self._book.session, record.id)
        return Results(record, session)

    async def report(self, run_id: str | None, form: str) -> tuple[RunRecord, str]:
        """The harness's own report, "markdown" or "html", with what the server adds to it under the title.

        Raises:
            NotFoundError: There is no such run, or it left no report.
        """
        record = await self._record(run_id)
        if self._unsaved is not None and record.id == self._unsaved.record.id:
            text = self._unsaved.reports.get(form)
        else:
            text = await asyncio.to_thread(self._book.report, record.id, form)
        if text is None:
            reason = f": {record.error}" if record.error else ""
            raise NotFoundError(f"the benchmark {record.id} left no {form} report{reason}; {HOW_TO_START}")
        return record, with_remarks(text, form, remarks(record))

    async def latest(self) -> RunRecord | None:
        """The newest run that has ended, None where there was none."""
        ended = [run for run in await self._all() if run.status != "running"]
        return ended[0] if ended else None

    async def latest_results(self) -> RunRecord | None:
        """The newest run that has results."""
        return next((run for run in await self._all() if run.status == "succeeded"), None)

    async def estimate_s(self, kind: BenchmarkType) -> float:
        """How long a run takes, in seconds: as long as the last one of its kind that succeeded here."""
        for run in await self._all():
            if run.status == "succeeded" and run.request.benchmark_type == kind and run.ended_at is not None:
                return max(1.0, round(run.ended_at - run.started_at))
        return ESTIMATES_S[kind]

    async def _all(self) -> list[RunRecord]:
        """Newest first, also the one of which nothing was kept."""
        runs = {run.id: run for run in (await self.runs()).records}
        if self._unsaved is not None:
            runs[self._unsaved.record.id] = self._unsaved.record
        if self._last is not None and self._last.id in runs:
            runs[self._last.id] = self._last  # on a disk that was full it still seems to be running
        return sorted(runs.values(), key=lambda run: run.started_at, reverse=True)

    async def _record(self, run_id: str | None) -> RunRecord:
        if run_id is None:
            found = await self.latest_results()
            if found is None:
                last = await self.latest()
                why = f" (the last run {last.status}: {last.error})" if last and last.error else ""
                raise NotFoundError(f"there are no benchmark results yet{why}; {HOW_TO_START}")
            return found
        if self._unsaved is not None and run_id == self._unsaved.record.id:
            return self._unsaved.record
        record = await asyncio.to_thread(self._book.read, run_id)
        if record.status == "running":
            raise NotFoundError(f"the benchmark {run_id} is running and has no results yet; GET /benchmarks/status")
        return record

    async def _run(self, execution: Execution) -> RunRecord:
        """The task of a run; its record says how it ended."""
        try:
            record = await execution.run(self.witness)
        except Exception as error:  # the boundary of this task
            logger.exception("the benchmark %s failed unexpectedly", execution.record.id)
            record = replace(execution.record, status="failed", error=f"unexpected: {error!r}")
        finally:
            self._current = None
        self._unsaved, self._last = execution.unsaved or self._unsaved, record
        logger.info("benchmark id=%s status=%s error=%s", record.id, record.status, record.error or "-")
        return record

    @property
    def _default(self) -> EngineStatus:
        return self._synthesizer.engine_statuses()[0]

    def _place(self, url: str | None) -> Place:
        keys = self._config.server.api_keys
        return Place(
            url=url or self.url,
            token=keys[0] if keys else None,
            server_pid=os.getpid(),
            voices=self._voices(),
            engine=next(iter(self._synthesizer.statistics()), None),
            keep=self._config.schedule.keep,
            program=self.program,
            deadline_s=self.deadline_s,
            grace_s=self.grace_s,
            target_ms=self._config.telemetry.ttfa_target_ms,
            conditions=lambda: conditions(self._config, self._synthesizer.streaming),
        )

    def _voices(self) -> tuple[str, ...]:
        """The default voice and the first others of its language and of the default engine, aliases left out."""
        known = self._synthesizer.voices()
        default = next((voice for _, voice in known if voice.id == self._config.engine.default_voice), None)
        if default is None:
            return ()
        others = [voice for engine, voice in known if engine == known[0][0] and voice.alias_of is None]
        alike = [voice.id for voice in others if _root(voice.language) == _root(default.language)]
        return tuple(dict.fromkeys([default.id, *alike]))[:MAX_VOICES]


def told(record: RunRecord) -> dict[str, Any]:
    """A run in a few words, as JSON: for the status and for whoever is posted its result."""
    summary = record.summary
    return {
        "id": record.id,
        "benchmark_type": record.request.benchmark_type,
        "status": record.status,
        "error": record.error,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "contended": record.contended,
        "engine": record.engine,
        "mixed": list(record.mixed),
        "verdict": summary and summary.verdict,
        "num_warnings": summary and summary.num_warnings,
        "first_warning": summary and summary.first_warning,
        "num_requests": summary and summary.num_requests,
        "num_ok": summary and summary.num_ok,
        "ttfa_ms": summary and summary.ttfa_ms,
        "rtf": summary and summary.rtf,
        "suspect": record.is_suspect,
        "trends": [trend.sentence for trend in record.trends],
        "changes": list(record.changes),
    }


def reachable(url: str) -> str:
    """Where a server that listens at `url` is reached from this machine: one that listens everywhere, on loopback."""
    scheme, _, place = url.partition("://")
    host, colon, port = place.rpartition(":")
    return f"{scheme}://{EVERYWHERE.get(host, host)}{colon}{port}"


def _root(language: str) -> str:
    return language.partition("-")[0].lower()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
