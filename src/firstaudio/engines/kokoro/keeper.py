"""`Keeper`: something heavy in memory, loaded when it is needed, let go when nobody has needed it for a while.

Whoever uses it while it is not there waits until it is; who has better to do meanwhile asks `awaken` first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from firstaudio.clock import NS_PER_S, now_ns
from firstaudio.engines.base import Waiting
from firstaudio.engines.kokoro.memory import trim

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Keeper(Generic[T]):
    """Thread-safe.

    Args:
        load: Makes it; may take seconds. What it raises is raised to whoever needs it.
        unload_after_s: Unused for so long, it is let go; 0: never.

    Attributes:
        load_s: How long it took to load the last time, in seconds; 0: it never was.
    """

    def __init__(self, load: Callable[[], T], unload_after_s: float = 0.0) -> None:
        self._load, self._unload_after_s = load, unload_after_s
        self._lock = threading.Lock()
        self._held: T | None = None
        self._num_users = 0
        self._timer: threading.Timer | None = None
        self._closed = False
        self._guard = threading.Lock()  # of the two below; never held while loading
        self._waiting: list[Callable[[], object]] = []
        self._loader: threading.Thread | None = None
        self.load_s = 0.0

    @contextmanager
    def use(self) -> Iterator[T]:
        """It, loaded; not let go inside."""
        with self._lock:
            if self._held is None:
                begin_ns = now_ns()
                self._held = self._load()
                self.load_s = (now_ns() - begin_ns) / NS_PER_S
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

    def awaken(self) -> Waiting | None:
        """None: it is there. Else it is being loaded on a thread of its own, and what is given takes whom to tell then.

        Never blocks. An error of loading is not told here: whoever uses it gets it.
        """
        with self._guard:
            if self._held is not None or self._closed:
                return None
            if self._loader is None:
                self._loader = threading.Thread(target=self._load_for_others, name="loading", daemon=True)
                self._loader.start()
            return self._when_loaded

    def _when_loaded(self, done: Callable[[], object]) -> None:
        with self._guard:
            if self._loader is not None:
                self._waiting.append(done)
                return
        done()

    def _load_for_others(self) -> None:
        try:
            with self.use():
                pass
        except Exception:  # the boundary of this thread
            logger.warning("what was unloaded could not be loaded again", exc_info=True)
        finally:
            with self._guard:
                waiting, self._waiting, self._loader = self._waiting, [], None
            for done in waiting:
                done()

    def close(self) -> None:
        """Let it go, and load it no more on anybody's timer; what is being loaded is waited for."""
        with self._guard:
            loader = self._loader
        if loader is not None:
            loader.join()
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
