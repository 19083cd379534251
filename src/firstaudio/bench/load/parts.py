"""What the closed and the open loop of one load process are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from firstaudio.bench.load.book import Book
from firstaudio.bench.load.client import Client
from firstaudio.bench.load.share import Share
from firstaudio.bench.load.stock import Stock
from firstaudio.bench.load.watch import Watch


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a loop.

    Attributes:
        clients: Of this process: the most requests that it can have in flight.
        stock: Texts.
        book: For every request.
        watch: Begins with the measurement.
        share: Which process this is.
        finished: Set when the last measured request of all processes has ended, or the target is given up.
        stop: Set when someone asks to end early.
    """

    clients: Sequence[Client]
    stock: Stock
    book: Book
    watch: Watch
    share: Share
    finished: asyncio.Event
    stop: asyncio.Event

    @property
    def is_over(self) -> bool:
        """Whether nobody should begin another request."""
        return self.finished.is_set() or self.stop.is_set()
