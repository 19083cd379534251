"""What one load process needs to know of the others: its part of the work, and how they begin and end together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from firstaudio.clock import now_ns


class Gate(Protocol):
    """Opens when every load process has arrived; must never block."""

    def arrive(self) -> None:
        """This process is ready. Idempotent."""
        ...

    def is_open(self) -> bool:
        """Whether all are."""
        ...


class AloneGate:
    """There is nobody to wait for."""

    def arrive(self) -> None:
        """Nobody counts."""

    def is_open(self) -> bool:
        """Always."""
        return True


_ALONE_GATE = AloneGate()


async def start_now() -> int:
    """Start at once."""
    return now_ns()


@dataclass(frozen=True, slots=True)
class Share:
    """One of `count` load processes.

    Attributes:
        index: Which.
        count: Of how many.
        measure: Opens when the warm-up of all is over.
        finish: Opens when all measured requests have ended; until then each process keeps its load up.
        start: Called when everything is prepared; returns the common time of the start (`clock.now_ns`).
    """

    index: int = 0
    count: int = 1
    measure: Gate = _ALONE_GATE
    finish: Gate = _ALONE_GATE
    start: Callable[[], Awaitable[int]] = start_now

    def clients(self, concurrency: int) -> range:
        """Numbers of the clients that belong to this process."""
        return range(self.index, concurrency, self.count)

    def quota(self, total: int, concurrency: int) -> int:
        """How many of `total` requests this process sends, in proportion to its clients; all of them add up."""
        before = sum(len(range(index, concurrency, self.count)) for index in range(self.index))
        return total * (before + len(self.clients(concurrency))) // concurrency - total * before // concurrency


ALONE = Share()
