"""`run_load`: one cell's load, from the first connection to the last measured answer, in this process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence

from firstaudio.bench.load.book import MAX_KEPT_BYTES, Book, Sink
from firstaudio.bench.load.client import Client
from firstaudio.bench.load.closed import ClosedLoop
from firstaudio.bench.load.open import OpenLoop
from firstaudio.bench.load.parts import Parts
from firstaudio.bench.load.schedule import Schedule, make_schedule
from firstaudio.bench.load.share import ALONE, Share
from firstaudio.bench.load.stock import Stock
from firstaudio.bench.load.taken import LoadRun
from firstaudio.bench.load.warmup import MAX_WARMUP_S
from firstaudio.bench.load.watch import Neighbours, Watch, quiet_collector
from firstaudio.bench.progress import Progress, Silent
from firstaudio.bench.targets.base import Target
from firstaudio.bench.texts import TextSource
from firstaudio.bench.workload import Cell, Load
from firstaudio.clock import NS_PER_S
from firstaudio.errors import BenchError

CANCEL_TIMEOUT_S = 5.0
LONG_S = 300.0  # windows that may be longer than this, or have more requests,
MANY = 5000  # keep the garbage collector
MARGIN_S = 10.0


async def run_load(
    target: Target,
    cell: Cell,
    texts: TextSource,
    *,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    sink: Sink | None = None,
    ours: Collection[int] = (),
    share: Share = ALONE,
) -> LoadRun:
    """Put a cell's load on a target and take what comes.

    While the measured window is open nothing is decoded, garbage collection is off, and the event loop is watched.
    Cancelling it ends every request and closes every channel.

    Args:
        target: Whom to ask; stays open.
        cell: The condition.
        texts: Their source.
        progress: Told of measured requests; a cell begins and ends with the call.
        stop: Ends the run early, with what there is.
        sink: Takes finished requests once more than `book.MAX_KEPT_BYTES` are kept in all load processes, so that long
            runs fit into memory; they are missing from the result. It is called inside the window: what it does costs
            the client CPU time, and shows as such.
        ours: Ids of processes that belong to the measurement, as a local server: their CPU time is not the
            neighbours'.
        share: Which of several load processes this is.

    Raises:
        BenchError: The load cannot be planned, or the texts are used up.
    """
    if cell.load.concurrency < 1:
        raise BenchError(f"{cell.name}: a load needs at least 1 client, not {cell.load.concurrency}")
    run = _Run(target, cell, texts, progress or Silent(), sink, share, stop or asyncio.Event())
    neighbours = Neighbours(ours)
    run.progress.begin(cell.name, run.quota)
    try:
        completed = await run.go()
    finally:
        await run.close()
        run.progress.end()
    return LoadRun(
        run.book.taken(),
        run.watch.report(run.book.in_flight.mean, neighbours.share()),
        completed,
        run.schedule.hash if run.schedule else None,
        run.book.warnings,
    )


class _Run:
    """The parts of one run, put together."""

    def __init__(
        self,
        target: Target,
        cell: Cell,
        texts: TextSource,
        progress: Progress,
        sink: Sink | None,
        share: Share,
        stop: asyncio.Event,
    ) -> None:
        load = cell.load
        self.progress, self._share, self._stop = progress, share, stop
        self.schedule = None if load.arrival == "closed" else make_schedule(load, MAX_WARMUP_S)
        self.quota = self._quota(load)
        self._deadline_s = deadline_s(load, cell.target.timeout_s, self.schedule)
        self.clients = [
            Client(target, number, timeout_s=cell.target.timeout_s, cold=cell.target.connections == "cold")
            for number in share.clients(load.concurrency)
        ]
        self.watch = Watch()
        self._finished = asyncio.Event()
        self.book = Book(self._finished.set, progress, len(self.clients), sink, MAX_KEPT_BYTES // share.count)
        stock = Stock(texts, self.quota, load.warmup_requests + len(self.clients))
        parts = Parts(self.clients, stock, self.book, self.watch, share, self._finished, stop)
        self._loop = OpenLoop(self.schedule, parts) if self.schedule else ClosedLoop(load, self.quota, parts)

    def _quota(self, load: Load) -> int | None:
        """Measured requests of this process; None when time decides."""
        if self.schedule is not None:
            return len(self.schedule.share(self._share.index, self._share.count).offsets_ns)
        if load.quota is None and load.duration_s is None:
            raise BenchError("a closed loop needs a number of requests or a duration")
        return None if load.quota is None else self._share.quota(load.quota, load.concurrency)

    @property
    def _is_short(self) -> bool:
        return self._deadline_s <= LONG_S if self.quota is None else self.quota <= MANY

    async def go(self) -> bool:
        """Run to the end; whether it was not cut short."""
        await self._loop.prepare()
        start_ns = await self._share.start()
        with quiet_collector(off=self._is_short):
            tasks = self._loop.tasks(start_ns)
            try:
                return await self._until_over(tasks)
            finally:
                await self.watch.end()
                await _cancel(tasks)
                self._share.measure.arrive()  # nobody waits for a process that has given up
                self._share.finish.arrive()

    async def _until_over(self, tasks: list[asyncio.Future[None]]) -> bool:
        ends = [asyncio.create_task(_happens(event)) for event in (self._finished, self._stop)]
        try:
            done, _ = await asyncio.wait([*ends, *tasks], timeout=self._deadline_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # raises what broke a client: no fault of the target
        finally:
            await _cancel(ends)
        if not self._finished.is_set():
            self._warn_of_end()
        return self._finished.is_set()

    def _warn_of_end(self) -> None:
        why = "it was interrupted" if self._stop.is_set() else f"its deadline of {self._deadline_s:g} s had come"
        self.book.warn(f"the load ended early because {why}: what was measured until then is kept")

    async def close(self) -> None:
        """Close every channel."""
        await asyncio.gather(*(client.close() for client in self.clients))


async def _happens(event: asyncio.Event) -> None:
    await event.wait()


async def _cancel(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel and wait; a task that does not end is left behind after `CANCEL_TIMEOUT_S`."""
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT_S)
    for task in done:
        task.cancelled() or task.exception()  # looked at: one error is raised already, the others say the same


def deadline_s(load: Load, timeout_s: float, schedule: Schedule | None = None) -> float:
    """When a cell is given up, in seconds: `load.deadline_s`, or longer than its requests can take by their timeout."""
    if load.deadline_s is not None:
        return load.deadline_s
    number = len(schedule.offsets_ns) if schedule else (load.quota or 0)
    rounds = math.ceil(number / load.concurrency) + 2
    if schedule:
        span_ns = schedule.offsets_ns[-1] - (schedule.before_ns[0] if schedule.before_ns else 0)
        return span_ns / NS_PER_S + rounds * timeout_s + MARGIN_S
    warmup_s = MAX_WARMUP_S + timeout_s if load.warmup_requests else 0.0
    return load.stagger_s + warmup_s + (load.duration_s or 0.0) + rounds * (timeout_s + 1.0) + MARGIN_S
