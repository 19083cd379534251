"""`Background`: coroutines that run beside whoever asks for them, whether a loop is there or not."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, object]]


class Background:
    """Runs work on the running loop as a task, and without one in a daemon thread with a loop of its own.

    Tasks and threads are referenced until they end; a loop that was made is closed. An error is a warning in the log:
    nobody waits for this work, so nobody could catch it.

    Args:
        name: Of tasks and threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads: set[threading.Thread] = set()

    def schedule(self, work: Work) -> bool:
        """Begin; returns at once, and never raises. False where it could not begin."""
        try:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self._begin_thread(work)
            else:
                self._begin_task(loop, work)
        except Exception as error:  # noqa: BLE001 -- whoever asked must not fail for this
            logger.warning("%s could not be scheduled: %r", self._name, error)
            return False
        return True

    async def close(self) -> None:
        """Cancel tasks, wait for them and for threads."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for thread in list(self._threads):
            await asyncio.to_thread(thread.join)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for threads; for those who have no loop."""
        for thread in list(self._threads):
            thread.join(timeout_s)

    def _begin_task(self, loop: asyncio.AbstractEventLoop, work: Work) -> None:
        task = loop.create_task(self._guarded(work), name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin_thread(self, work: Work) -> None:
        thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            self._threads.discard(thread)
            raise

    def _run(self, work: Work) -> None:
        try:
            asyncio.run(self._guarded(work))  # closes the loop, its generators and its executor
        except Exception as error:  # noqa: BLE001 -- the end of a thread: nobody else would hear of it
            logger.warning("%s had no loop to run on: %r", self._name, error)
        finally:
            self._threads.discard(threading.current_thread())

    async def _guarded(self, work: Work) -> None:
        try:
            await work()
        except Exception:  # the task's boundary
            logger.warning("%s failed", self._name, exc_info=True)
