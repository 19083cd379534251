"""`Passes`: one pass after the other, at an interval, at once where something is due, and later after failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

MAX_BACK_OFF = 64  # times the interval, after failures


class Passes:
    """Makes passes on the event loop. A failed one makes the next ones slower, and never stops them.

    Args:
        make: One pass.
        interval_s: Between two.
        name: Of what makes them, for the log.

    Attributes:
        failure: What went wrong last time; empty: nothing.
    """

    def __init__(self, make: Callable[[], Awaitable[object]], interval_s: float, name: str) -> None:
        self._make, self._interval_s, self._name = make, interval_s, name
        self._due = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failure = ""

    def hurry(self) -> None:
        """Make the next pass at once, unless the last one failed. From any thread."""
        if self._loop is None:
            self._due.set()  # nobody waits for it yet
        else:
            self._loop.call_soon_threadsafe(self._due.set)

    async def run(self) -> None:
        """Until it is cancelled."""
        self._loop, failures = asyncio.get_running_loop(), 0
        try:
            while True:
                await self._pause(self._interval_s * min(MAX_BACK_OFF, 2**failures), wakes=not failures)
                failures = 0 if await self._succeeds() else failures + 1
        finally:
            self._loop = None

    async def _succeeds(self) -> bool:
        try:
            await self._make()
        except Exception as error:  # the boundary of this task
            self.failure = repr(error)
            logger.warning("%s failed, it goes on later", self._name, exc_info=True)
            return False
        return True

    async def _pause(self, seconds: float, *, wakes: bool) -> None:
        """Wait until it is time, or, where that `wakes`, until something is due."""
        if not wakes:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # 3.11's wait_for may lose a cancellation
                await self._due.wait()
        self._due.clear()
