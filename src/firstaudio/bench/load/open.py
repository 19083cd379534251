"""The open loop: requests are sent at their times, whether or not earlier ones have been answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain

from firstaudio.bench.load.client import Client
from firstaudio.bench.load.parts import Parts
from firstaudio.bench.load.schedule import Schedule
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.record import Phase
from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns

LEAD_NS = 20 * NS_PER_MS  # between the agreed start and the first arrival
SPIN_NS = 3 * NS_PER_MS // 2  # event loops round timers to 1 ms: the rest of a wait is spent looking at the clock
MIN_GAP_TO_SPIN_NS = 5 * NS_PER_MS  # with denser arrivals the client would do nothing else


async def wait_until(due_ns: int, spin: bool = True) -> None:
    """Return at a time of the clock, not before it; with `spin` a few microseconds after it unless the loop is busy."""
    early_ns = SPIN_NS if spin else 0
    if (left_ns := due_ns - now_ns() - early_ns) > 0:
        await asyncio.sleep(left_ns / NS_PER_S)
    while (left_ns := due_ns - now_ns()) > 0:  # noqa: ASYNC110 - it waits for a time, which is no event
        await asyncio.sleep(0 if spin else left_ns / NS_PER_S)


class OpenLoop:
    """An open loop in one load process.

    A request whose time has come while all clients are busy waits for one of them; its waiting counts, because it is
    still scheduled for its time.

    Args:
        schedule: The whole cell's.
        parts: Of which it is made.
    """

    def __init__(self, schedule: Schedule, parts: Parts) -> None:
        self._parts, self._schedule = parts, schedule.share(parts.share.index, parts.share.count)
        self._zero_ns = LEAD_NS - (schedule.before_ns[0] if schedule.before_ns else 0)
        self._clients, self._stock, self._book, self._watch = parts.clients, parts.stock, parts.book, parts.watch
        self._share, self._finished = parts.share, parts.finished
        self._free: asyncio.LifoQueue[Client] = asyncio.LifoQueue()  # the last used connection is the warmest
        self._requests: set[asyncio.Task[None]] = set()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._num_waited = 0
        self._has_finished = False
        span_ns = self._schedule.offsets_ns[-1] if self._schedule.offsets_ns else 0
        self._spin = span_ns >= MIN_GAP_TO_SPIN_NS * len(self._schedule.offsets_ns)

    async def prepare(self) -> None:
        """Open all channels."""
        await asyncio.gather(*(client.prepare() for client in self._clients))
        for client in reversed(self._clients):
            self._free.put_nowait(client)

    def tasks(self, start_ns: int) -> list[asyncio.Future[None]]:
        """The dispatcher and the requests that it has sent; they go on until they are cancelled."""
        return [asyncio.create_task(self._dispatch(start_ns + self._zero_ns), name="dispatcher"), self._broken]

    async def _dispatch(self, zero_ns: int) -> None:
        try:
            for phase, offset_ns in self._arrivals():
                await wait_until(zero_ns + offset_ns, self._spin)
                if self._parts.is_over:
                    break
                await self._send(phase, zero_ns + offset_ns)
            await self._wait_for_nothing()
        finally:
            await self._cancel_requests()

    def _arrivals(self) -> Iterator[tuple[Phase, int]]:
        before = (("warmup", at) for at in self._schedule.before_ns)
        measured = (("measured", at) for at in self._schedule.offsets_ns)
        after = (("warmup", at) for at in self._schedule.after_ns())
        yield from chain(before, measured, after)

    async def _send(self, phase: Phase, scheduled_ns: int) -> None:
        if phase == "measured":
            self._watch.begin()
            self._num_waited += self._free.empty()
        client = await self._free.get()
        if self._parts.is_over:  # meanwhile
            self._free.put_nowait(client)
            return
        taken = self._book.begin(self._stock.next(phase), phase, client.number, scheduled_ns)
        task = asyncio.create_task(self._request(client, taken))
        self._requests.add(task)
        task.add_done_callback(self._ended)

    async def _request(self, client: Client, taken: Taken) -> None:
        try:
            await client.request(taken.utterance, taken.exchange)
        finally:
            if taken.phase == "measured":
                self._watch.dispatched(taken.exchange.dispatched_ns - taken.exchange.scheduled_ns)
            self._book.end(taken)
            self._free.put_nowait(client)
            self._check_finished()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task has ended; its error, which is one of the harness and not of the target, ends the run."""
        self._requests.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)

    def _check_finished(self) -> None:
        if self._book.num_measured < len(self._schedule.offsets_ns) or self._book.in_flight.count:
            return
        if not self._has_finished:
            self._has_finished = True
            self._warn_of_waiting()
        self._share.finish.arrive()
        if self._share.finish.is_open():
            self._finished.set()

    def _warn_of_waiting(self) -> None:
        if self._num_waited:
            self._book.warn(
                f"{self._num_waited} of {self._book.num_measured} requests found all {len(self._clients)} clients busy "
                "and waited for one: allow more requests in flight, or read it as a target that cannot keep up"
            )

    async def _wait_for_nothing(self) -> None:
        """Until cancelled: meanwhile look whether the other processes have finished."""
        while True:
            await asyncio.sleep(0.005)
            self._check_finished()

    async def _cancel_requests(self) -> None:
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests, timeout=1.0)
