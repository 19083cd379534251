"""Several load processes for one cell, where one cannot keep up with its target.

Each process has its share of the clients or arrivals, of the texts, and an event loop of its own. They start at one
time of the common clock (`perf_counter_ns` is the same for all processes of a Linux machine), begin to measure when
the warm-up of all is over, and keep the load up until the last measured answer of all is complete.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from firstaudio.bench.load.book import Sink
from firstaudio.bench.load.handover import Collected, Handed, MarkedSpool, hand_over, merge, places
from firstaudio.bench.load.runner import deadline_s, run_load
from firstaudio.bench.load.schedule import make_schedule
from firstaudio.bench.load.share import Share
from firstaudio.bench.load.taken import LoadRun, Taken
from firstaudio.bench.progress import Progress, Silent
from firstaudio.bench.result import ClientSide
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.base import Target
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.texts import TextSource
from firstaudio.bench.workload import Cell
from firstaudio.clock import NS_PER_MS, now_ns
from firstaudio.errors import BenchError

POLL_S = 0.02
LEAD_NS = 50 * NS_PER_MS  # from the agreement on the start to the start
MARGIN_S = 60.0  # for processes to start, and to hand over what they have
JOIN_S = 2.0

MakeTarget = Callable[[TargetSpec], Target]
_T = TypeVar("_T")


class _Board:
    """Counters that all processes see."""

    def __init__(self, context: SpawnContext) -> None:
        self.measure = context.Value("i", 0)
        self.finish = context.Value("i", 0)
        self.succeeded = context.Value("q", 0)
        self.failed = context.Value("q", 0)
        self.stop = context.Event()


@dataclass(frozen=True, slots=True)
class _Job:
    """What one load process is to do."""

    cell: Cell
    index: int
    count: int
    salt: str
    make: MakeTarget
    ours: tuple[int, ...]
    board: _Board


async def run_load_in_processes(
    cell: Cell,
    num_workers: int,
    *,
    salt: str | None = None,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    sink: Sink | None = None,
    ours: Collection[int] = (),
    make: MakeTarget = make_target,
) -> LoadRun:
    """Like `run_load`, from several processes; never more than there are clients.

    Args:
        cell: The condition.
        num_workers: Load processes.
        salt: Of the texts; None: the name of the cell.
        progress: Told of measured requests, in bunches.
        stop: Ends the run early, with what there is.
        sink: Takes requests that are too much to keep, after the run; they are missing from the result.
        ours: Ids of processes that belong to the measurement, as a local server.
        make: Makes the target in each process; must be picklable.

    Raises:
        BenchError: A process died or did not answer; also what `run_load` raises.
    """
    heard = progress or Silent()
    count = max(1, min(num_workers, cell.load.concurrency))
    context = multiprocessing.get_context("spawn")
    board = _Board(context)
    jobs = [
        _Job(cell, i, count, cell.name if salt is None else salt, make, (*ours, os.getpid()), board)
        for i in range(count)
    ]
    crew = _Crew(context, jobs)
    heard.begin(cell.name, cell.load.quota)
    stop = stop or asyncio.Event()
    try:
        if not await crew.start(stop):
            return _never_started(count)
        handed = await crew.results(_limit_s(cell), heard, stop)
        return merge(handed, await crew.collect(handed, sink))
    finally:
        await asyncio.to_thread(crew.end)
        heard.end()


def _never_started(count: int) -> LoadRun:
    warning = "the load was interrupted before it had started: nothing was measured"
    return LoadRun([], ClientSide(0.0, 0.0, None, None, 0.0, None, count), False, warnings=[warning])


def _limit_s(cell: Cell) -> float:
    schedule = None if cell.load.arrival == "closed" else make_schedule(cell.load)
    return deadline_s(cell.load, cell.target.timeout_s, schedule) + MARGIN_S


class _Crew:
    """The load processes, seen from the one that started them."""

    def __init__(self, context: SpawnContext, jobs: Sequence[_Job]) -> None:
        self._board = jobs[0].board
        self._members: list[tuple[SpawnProcess, Connection]] = []
        for job in jobs:
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(job, there), daemon=True, name=f"load {job.index}")
            process.start()
            there.close()
            self._members.append((process, here))

    async def start(self, stop: asyncio.Event) -> bool:
        """Wait until all are prepared, then tell them when to start; False when someone asks to stop before that."""
        prepared = asyncio.ensure_future(asyncio.gather(*(self._receive(*member) for member in self._members)))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((prepared, stopped), timeout=MARGIN_S, return_when=asyncio.FIRST_COMPLETED)
            if prepared.done():
                prepared.result()  # raises what happened to a process
            elif stopped.done():
                return False
            else:
                raise _too_slow("was not ready", MARGIN_S)
        finally:
            prepared.cancel()
            stopped.cancel()
            await asyncio.gather(prepared, stopped, return_exceptions=True)
        start_ns = now_ns() + LEAD_NS
        for _, connection in self._members:
            connection.send(start_ns)
        return True

    async def results(self, limit_s: float, progress: Progress, stop: asyncio.Event) -> list[Handed]:
        """How the run of each of them went; meanwhile progress is passed on, and the wish to stop."""
        relay = asyncio.create_task(self._relay(progress, stop))
        try:
            handed = await _within(limit_s, asyncio.gather(*(self._receive(*member) for member in self._members)))
        finally:
            relay.cancel()
            await asyncio.wait([relay])
        self._tell(progress)
        for warning in dict.fromkeys(warning for one in handed for warning in one.run.warnings):
            progress.note(warning)
        return handed

    async def collect(self, handed: Sequence[Handed], sink: Sink | None) -> list[Taken]:
        """What each of them has taken, numbered in order of sending; too much of it goes to the sink."""
        collected = Collected(sink)
        for member, numbers in zip(self._members, map(iter, places(handed)), strict=True):
            while bunch := await _within(MARGIN_S, self._receive(*member)):
                for taken in bunch:
                    taken.index = next(numbers)
                    collected.add(taken)
        return collected.taken

    async def _receive(self, process: SpawnProcess, connection: Connection) -> Any:
        """The next message of a process. Raises BenchError when it failed or is gone."""
        while True:
            is_alive = process.is_alive()  # before looking for its last words
            if connection.poll():
                return _content(await asyncio.to_thread(_receive, connection), process)
            if not is_alive:
                raise _death(process)
            await asyncio.sleep(POLL_S)

    async def _relay(self, progress: Progress, stop: asyncio.Event) -> None:
        while True:
            self._tell(progress)
            if stop.is_set():
                self._board.stop.set()
            await asyncio.sleep(POLL_S)

    def _tell(self, progress: Progress) -> None:
        for counter, ok in ((self._board.succeeded, True), (self._board.failed, False)):
            with counter.get_lock():
                number, counter.value = counter.value, 0
            for _ in range(number):
                progress.advance(ok)

    def end(self) -> None:
        """End all processes, by force if need be."""
        for process, connection in self._members:
            connection.close()
            process.terminate()
        for process, _ in self._members:
            process.join(JOIN_S)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


async def _within(limit_s: float, work: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except TimeoutError:
        raise _too_slow("has not answered", limit_s) from None


def _too_slow(what: str, limit_s: float) -> BenchError:
    return BenchError(f"a load process {what} within {limit_s:g} s: try fewer load processes")


def _receive(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return None


def _content(message: Any, process: SpawnProcess) -> Any:
    if message is None:
        raise _death(process)
    if isinstance(message, BenchError):
        raise message
    return message


def _death(process: SpawnProcess) -> BenchError:
    process.join(JOIN_S)
    return BenchError(
        f"the {process.name} process died (exit code {process.exitcode}): what it measured is lost, run again"
    )


def _work(job: _Job, connection: Connection) -> None:
    """A load process, from its beginning to its end."""
    import uvloop

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides what an interrupt means
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, MarkedSpool() as spool:
            run = runner.run(_load(job, connection, spool))
            hand_over(connection.send, run, spool)
    except BenchError as error:
        connection.send(error)
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody is left to tell
    except Exception as error:  # noqa: BLE001 - reported to the process that started this one
        connection.send(BenchError(f"load process {job.index} failed with {type(error).__name__}: {error}"))


async def _load(job: _Job, connection: Connection, sink: Sink) -> LoadRun:
    target = job.make(job.cell.target)
    texts = TextSource.of(job.cell, job.salt, (job.index, job.count))
    stop = asyncio.Event()
    relay = asyncio.create_task(_relay_stop(job.board, stop, os.getppid()))
    gates = (_Gate(job.board.measure, job.count), _Gate(job.board.finish, job.count))
    share = Share(job.index, job.count, *gates, start=lambda: _agree(connection))
    try:
        return await run_load(
            target, job.cell, texts, progress=_Tally(job.board), stop=stop, sink=sink, ours=job.ours, share=share
        )
    finally:
        relay.cancel()
        await target.close()


async def _agree(connection: Connection) -> int:
    """Say that this process is prepared, and hear when to start."""
    connection.send("prepared")
    while not connection.poll():  # noqa: ASYNC110 - a pipe of multiprocessing has no event
        await asyncio.sleep(POLL_S / 10)
    return int(connection.recv())


async def _relay_stop(board: _Board, stop: asyncio.Event, parent: int) -> None:
    """Stop when told to, or when nobody is left to tell."""
    while not board.stop.is_set() and os.getppid() == parent:  # noqa: ASYNC110 - an event of other processes
        await asyncio.sleep(POLL_S)
    stop.set()


class _Gate:
    """Open when all processes have arrived."""

    def __init__(self, arrived: Any, count: int) -> None:
        self._arrived, self._count = arrived, count
        self._has_arrived = False

    def arrive(self) -> None:
        if not self._has_arrived:
            self._has_arrived = True
            with self._arrived.get_lock():
                self._arrived.value += 1

    def is_open(self) -> bool:
        return bool(self._arrived.value >= self._count)


class _Tally(Silent):
    """Counts for the process that shows the progress."""

    def __init__(self, board: _Board) -> None:
        self._board = board

    def advance(self, ok: bool) -> None:
        counter = self._board.succeeded if ok else self._board.failed
        with counter.get_lock():
            counter.value += 1
