"""`Keeper`: something heavy in memory, loaded when it is needed, let go when nobody has needed it for a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from firstaudio.engines.kokoro.memory import trim

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Keeper(Generic[T]):
    """Thread-safe.

    Args:
        load: Makes it; may take seconds. What it raises is raised to whoever needs it.
        unload_after_s: Unused for so long, it is let go; 0: never.
    """

    def __init__(self, load: Callable[[], T], unload_after_s: float = 0.0) -> None:
        self._load, self._unload_after_s = load, unload_after_s
        self._lock = threading.Lock()
        self._held: T | None = None
        self._num_users = 0
        self._timer: threading.Timer | None = None
        self._closed = False

    @contextmanager
    def use(self) -> Iterator[T]:
        """It, loaded; not let go inside."""
        with self._lock:
            if self._held is None:
                self._held = self._load()
            held = self._held
            self._num_users += 1
            self._stop_timer()
        try:
            yield held
        finally:
            with self._lock:
                self._num_users -= 1
                self._start_timer()

    def peek(self) -> T | None:
        """It, if it is in memory now."""
        return self._held

    def close(self) -> None:
        """Let it go, and load it no more on anybody's timer."""
        with self._lock:
            self._closed = True
            self._stop_timer()
            self._held = None

    def _start_timer(self) -> None:
        if self._num_users or self._closed or not self._unload_after_s:
            return
        self._timer = threading.Timer(self._unload_after_s, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        with self._lock:
            if not self._num_users:
                logger.info("unloaded after %g s without use", self._unload_after_s)
                self._held = None
        trim()
