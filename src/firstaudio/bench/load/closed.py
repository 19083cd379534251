"""The closed loop: so many clients, each of which sends its next request when its last one has ended.

The clients warm up, go over to measured requests without a pause, and when those are all sent keep the load up with
unmeasured ones until the last measured answer is complete: every measured request meets the same load.
"""

from __future__ import annotations

import asyncio
import random

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.load.client import Client, backoff_s
from firstaudio.bench.load.parts import Parts
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.load.warmup import Warmup
from firstaudio.bench.record import Phase
from firstaudio.bench.workload import Load
from firstaudio.clock import NS_PER_S, now_ns


class ClosedLoop:
    """A closed loop in one load process.

    Args:
        load: Of the cell.
        quota: Measured requests of this process; None: `load.duration_s` decides.
        parts: Of which it is made.
    """

    def __init__(self, load: Load, quota: int | None, parts: Parts) -> None:
        self._load, self._left, self._parts = load, quota, parts
        self._clients, self._stock, self._book, self._watch = parts.clients, parts.stock, parts.book, parts.watch
        self._share, self._finished = parts.share, parts.finished
        num_clients = len(parts.clients)
        self._warmup = Warmup(num_clients and -(-load.warmup_requests // parts.share.count), num_clients)
        self._rng = random.Random(f"{load.seed} {parts.share.index}")
        self._ends_ns: int | None = None
        self._is_measuring = False

    async def prepare(self) -> None:
        """Nothing: each client connects when its turn to start has come."""

    def tasks(self, start_ns: int) -> list[asyncio.Future[None]]:
        """The running clients; they go on until the run has finished or they are cancelled."""
        return [
            asyncio.create_task(self._run(client, start_ns), name=f"client {client.number}") for client in self._clients
        ]

    async def _run(self, client: Client, start_ns: int) -> None:
        stagger_ns = self._load.stagger_s * NS_PER_S * client.number / self._load.concurrency
        await asyncio.sleep(max(0.0, (start_ns + stagger_ns - now_ns()) / NS_PER_S))
        await client.prepare()
        while not self._parts.is_over:
            taken = self._begin(client)
            try:
                await client.request(taken.utterance, taken.exchange)
            finally:
                self._end(taken)
            # 0 lets others run, should a target never wait.
            await asyncio.sleep(backoff_s(taken.exchange) + self._load.think_s * self._rng.uniform(0.5, 1.5))

    def _begin(self, client: Client) -> Taken:
        phase = self._phase()
        if phase == "measured" and self._left is not None:
            self._left -= 1
        elif not self._is_measuring:
            self._warmup.sent()
        return self._book.begin(self._stock.next(phase), phase, client.number)

    def _phase(self) -> Phase:
        """Of the next request."""
        if not self._is_measuring and self._warmup.over:
            self._hand_over()
        if not self._is_measuring:
            return "warmup"
        return "warmup" if self._has_sent_all() else "measured"

    def _hand_over(self) -> None:
        """From warm-up to measurement, when all processes are ready for it."""
        self._share.measure.arrive()
        if self._share.measure.is_open():
            self._is_measuring = True
            self._watch.begin()
            if self._warmup.warning:
                self._book.warn(self._warmup.warning)
            if self._left is None:
                self._ends_ns = now_ns() + round((self._load.duration_s or 0.0) * NS_PER_S)

    def _has_sent_all(self) -> bool:
        return self._left == 0 if self._left is not None else self._ends_ns is not None and now_ns() >= self._ends_ns

    def _end(self, taken: Taken) -> None:
        self._book.end(taken)
        if not self._is_measuring:
            self._note_latency(taken.exchange)
        elif self._has_sent_all() and not self._book.in_flight.count:
            self._finish()

    def _note_latency(self, exchange: Exchange) -> None:
        if exchange.failure is None and exchange.arrivals_ns and exchange.sent_ns is not None:
            self._warmup.answered(exchange.arrivals_ns[0] - exchange.sent_ns)

    def _finish(self) -> None:
        self._share.finish.arrive()
        if self._share.finish.is_open():
            self._finished.set()
