"""Running one session: each cell is loaded, read, summarised and saved before the next one begins."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from firstaudio.bench.clips import ClipKeeper
from firstaudio.bench.figures.aggregate import summarise
from firstaudio.bench.figures.metrics import definitions
from firstaudio.bench.figures.parts import Part, merged_checks, merged_client, merged_server
from firstaudio.bench.load.floor import measure_floor
from firstaudio.bench.load.runner import run_load
from firstaudio.bench.load.spool import Spool
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.load.workers import run_load_in_processes
from firstaudio.bench.machine.environment import environment, throttled, throttling_check
from firstaudio.bench.machine.resources import ServerResources
from firstaudio.bench.progress import Progress, Silent
from firstaudio.bench.reading.intelligibility import NUM_TRANSCRIBED, Transcriber, understood
from firstaudio.bench.reading.quality import summarise as summarise_quality
from firstaudio.bench.reading.read import to_record
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.result import CellResult, Floor
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import SessionWriter
from firstaudio.bench.targets.base import Target
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.texts import TextSource
from firstaudio.bench.workload import Cell, Workload
from firstaudio.clock import now_ns

_T = TypeVar("_T")

FLOOR_LIMIT_MS = 5.0  # a client whose own p99 is above gets help from further processes


def safe_name(name: str) -> str:
    """A name that a session may have: what a voice or a function is called may hold anything."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:60] or "session"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a session is run, apart from what it measures.

    Attributes:
        output_dir: Where sessions are kept.
        name: Of the session; an existing one is never overwritten unless told so.
        overwrite: Replace a session of that name.
        workers: Load processes; 0 takes more than one only when the client floor says so.
        floor: Measure the client floor.
        server_pid: Root of the process tree whose CPU and memory are watched; None: none.
        num_clips: How many notable answers keep their audio.
        reports: Whether CSV, plots, Markdown and HTML are written beside the session.
        command: What reproduces the run.
        transcribe: A speech recogniser for a few answers of each cell; None: none.
    """

    output_dir: Path = Path("benchmark_sessions")
    name: str = "session"
    overwrite: bool = False
    workers: int = 0
    floor: bool = True
    server_pid: int | None = None
    num_clips: int = 6
    reports: bool = True
    command: tuple[str, ...] = ()
    transcribe: Transcriber | None = None


@dataclass(slots=True)
class _Kept:
    """What a run holds while it goes on."""

    floors: dict[tuple[Hashable, ...], tuple[Floor | None, int]] = field(default_factory=dict)
    texts: dict[tuple[Hashable, ...], TextSource] = field(default_factory=dict)
    records: list[RequestRecord] = field(default_factory=list)


class Runner:
    """Runs the cells of one session.

    Args:
        workload: What is known beforehand; modes that decide as they go state their first cells.
        options: How.
        progress: Who watches.
        targets: Ready ones, by the name of their specification, instead of made ones (Python functions).

    Attributes:
        session: What there is so far; saved after each cell.
        records: Of all cells, in order.
    """

    def __init__(
        self,
        workload: Workload,
        options: RunOptions,
        progress: Progress | None = None,
        targets: Mapping[str, Target] | None = None,
    ) -> None:
        self.workload, self.options = workload, options
        self.session = _new_session(workload, options)
        self._progress = progress or Silent()
        self._ready = dict(targets or {})
        self._made: dict[str, Target] = {}
        self._kept = _Kept()
        self._writer = SessionWriter(options.output_dir, self.session, overwrite=options.overwrite)
        self._clips = ClipKeeper(self.folder, options.num_clips)
        self._stop = asyncio.Event()

    @property
    def folder(self) -> Path:
        """Of the session."""
        return self.options.output_dir / self.options.name

    @property
    def _ours(self) -> tuple[int, ...]:
        return () if self.options.server_pid is None else (self.options.server_pid,)

    @property
    def records(self) -> Sequence[RequestRecord]:
        """All raw rows until now."""
        return self._kept.records

    @property
    def stopped(self) -> bool:
        """Whether someone asked to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End the running cell as soon as possible; what was measured is kept."""
        self._stop.set()

    async def until_stopped(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """What the work gives; None when someone asks to stop before it has, and then it is cancelled."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def run_all(self) -> None:
        """Every cell of the workload, in order."""
        for cell in self.workload.cells:
            if not self.stopped:
                await self.run(cell)

    async def run(self, cell: Cell) -> CellResult:
        """One cell, from its client floor to its saved result. Its name must be new in the session."""
        return self.keep(cell, [await self.measure(cell)])

    async def measure(self, cell: Cell, salt: str | None = None, number: int = 0) -> Part:
        """One part of a cell; its rows are saved at once, its result when `keep` is told all parts.

        Args:
            cell: The condition.
            salt: Texts are drawn by it; parts with the same one say the same. None: no target is sent a text twice in
                the same voice, and different voices say the same.
            number: Of the part, unique in its cell.
        """
        floor, workers = await self._floor(cell)
        target = self.target(cell)
        progress = _Counting(self._progress)
        before = throttled()
        how: dict[str, Any] = {"progress": progress, "stop": self._stop, "ours": self._ours}
        with Spool() as spool:
            with ServerResources(self.options.server_pid, lambda: progress.count) as server:
                if workers > 1:
                    load = await run_load_in_processes(cell, workers, salt=salt, sink=spool, **how)
                else:
                    texts = TextSource.of(cell, salt) if salt is not None else self._texts(cell)
                    load = await run_load(target, cell, texts, sink=spool, **how)
            records = await self._read(chain(load.taken, spool), cell, target, number)
        self._writer.append(records)
        self._kept.records += records
        return Part(
            records,
            replace(load.client, floor=floor),
            server.summary(sum(record.audio_s or 0.0 for record in records)),
            (throttling_check(before, throttled()),),
            tuple(load.warnings),
            load.completed,
        )

    def keep(self, cell: Cell, parts: Sequence[Part]) -> CellResult:
        """Summarise and save a cell."""
        records = [record for part in parts for record in part.records]
        result = summarise(
            cell,
            records,
            self.workload.goals,
            client=merged_client(parts),
            server=merged_server(parts),
            quality=summarise_quality(records),
            completed=all(part.completed for part in parts),
        )
        result = replace(result, checks=(*result.checks, *merged_checks(parts)))
        warnings = dict.fromkeys(f"{cell.name}: {warning}" for part in parts for warning in part.warnings)
        self.session.cells.append(result)
        self.session.warnings += warnings
        for warning in warnings:
            self._progress.note(warning)
        self._writer.save()
        return result

    def finish(self, completed: bool = True) -> Session:
        """Write the last state; a run that was stopped stays marked as partial."""
        self.session.clips = self._clips.write()
        self._writer.finish() if completed and not self.stopped else self._writer.save()
        return self.session

    def save(self) -> None:
        """Write what there is now (a mode has noted findings)."""
        self._writer.save()

    async def close(self) -> None:
        """Release the targets."""
        for target in (*self._ready.values(), *self._made.values()):
            await target.close()

    def target(self, cell: Cell) -> Target:
        """Who speaks in a cell; made once."""
        if cell.target.name in self._ready:
            return self._ready[cell.target.name]
        key = repr(cell.target)  # one server under one name may be asked in several ways
        if key not in self._made:
            self._made[key] = make_target(cell.target)
        return self._made[key]

    def _texts(self, cell: Cell) -> TextSource:
        key = (cell.texts, cell.voice, cell.speed, cell.target.name)
        if key not in self._kept.texts:
            self._kept.texts[key] = TextSource.of(cell)
        return self._kept.texts[key]

    async def _floor(self, cell: Cell) -> tuple[Floor | None, int]:
        """The client floor at the cell's concurrency, and how many load processes it takes to keep it low."""
        workers = max(1, self.options.workers)
        if not self.options.floor or cell.load.concurrency == 0:
            return None, workers
        load = cell.load
        rates = (load.arrival, load.rate_per_s, load.start_rate_per_s) if load.arrival != "closed" else ()
        key = (cell.target.kind, cell.target.delivery, cell.target.connections, load.concurrency, *rates)
        if key not in self._kept.floors:
            found = await self.until_stopped(self._measured_floor(cell, workers))
            self._kept.floors[key] = found or (None, workers)
        return self._kept.floors[key]

    async def _measured_floor(self, cell: Cell, workers: int) -> tuple[Floor | None, int]:
        floor = await measure_floor(cell, workers, warn=self._progress.note)
        limit = (os.cpu_count() or 1) if self.options.workers == 0 else workers
        while floor is not None and floor.p99_ms > FLOOR_LIMIT_MS and workers * 2 <= limit:
            more = await measure_floor(cell, workers * 2)
            if more is None or more.p99_ms >= floor.p99_ms:
                break
            floor, workers = more, workers * 2
        return floor, workers

    async def _read(self, finished: Iterable[Taken], cell: Cell, target: Target, part: int) -> list[RequestRecord]:
        """What arrived, understood, in order of sending; lets signals through between two answers."""
        records: list[RequestRecord] = []
        before = 1 + max((r.index for r in self._kept.records if r.cell == cell.name), default=-1)
        for taken in finished:
            await asyncio.sleep(0)
            record, heard = to_record(taken, cell, target.reading)
            taken.exchange.pieces.clear()  # read: let the bytes go
            record = replace(record, part=part, index=before + record.index)
            if self.options.transcribe and sum("word_error_rate" in r.quality for r in records) < NUM_TRANSCRIBED:
                record = understood(record, heard, self.options.transcribe)
            self._clips.offer(record, heard)
            records.append(record)
        return sorted(records, key=lambda record: record.index)


class _Counting:
    """A progress that knows how many requests have ended."""

    def __init__(self, inner: Progress) -> None:
        self.count = 0
        self.begin, self.end, self.note = inner.begin, inner.end, inner.note
        self._advance = inner.advance

    def advance(self, ok: bool) -> None:
        """Count, and pass on."""
        self.count += 1
        self._advance(ok)


def _new_session(workload: Workload, options: RunOptions) -> Session:
    return Session(
        name=options.name,
        mode=workload.mode,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        origin_ns=now_ns(),
        command=list(options.command),
        configuration=workload.public(),
        workload_hash=workload.hash,
        environment=environment(),
        definitions=definitions(),
        targets={cell.target.name: cell.target.public() for cell in workload.cells},
    )
