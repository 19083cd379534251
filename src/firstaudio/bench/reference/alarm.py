"""Calls at exact nanoseconds.

Event loops keep time in whole milliseconds (libuv's timers, epoll's timeout), which is too coarse for a server whose
figures are the truth. So a kernel timer (Linux `timerfd`) wakes the loop shortly before each call is due, and the loop
spins for the rest: `SPIN_NS` per call and no more, however many calls are waiting. Elsewhere the loop's own timer wakes
it `COARSE_NS` before.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import sys
from collections.abc import Callable
from typing import Protocol

from firstaudio.clock import NS_PER_S, now_ns

SPIN_NS = 150_000  # a virtual machine's wake-up from idle takes 50 to 100 us
COARSE_NS = 2_000_000  # a libuv timer may be a whole millisecond late, and is set to a rounded one

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK, _TFD_CLOEXEC = os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)


class Waker(Protocol):
    """Calls back at about a stated time; setting it again forgets the earlier time."""

    lead_ns: int

    def set(self, due_ns: int) -> None:
        """Call at `due_ns` less `lead_ns`, more or less."""
        ...

    def close(self) -> None:
        """Never call again."""
        ...


class Alarm:
    """A queue of calls on one running loop. Not thread-safe.

    Args:
        loop: The running loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: list[Call] = []
        self._spinning = False
        self._waker = _waker(loop, self._wake)

    def at(self, due_ns: int, function: Callable[[], None]) -> Call:
        """Call `function` from the loop as soon as it is `due_ns`, never before and never from within this call."""
        call = Call(due_ns, function)
        heapq.heappush(self._calls, call)
        if not self._spinning and self._calls[0] is call:
            self._arm()
        return call

    def close(self) -> None:
        """Forget all calls."""
        self._calls.clear()
        self._waker.close()

    def _arm(self) -> None:
        while self._calls and self._calls[0].function is None:
            heapq.heappop(self._calls)
        if not self._calls:
            return
        if self._calls[0].due_ns - now_ns() > self._waker.lead_ns:
            self._waker.set(self._calls[0].due_ns)
        else:
            self._spinning = True
            self._loop.call_soon(self._spin)

    def _wake(self) -> None:
        if not self._spinning:
            self._arm()

    def _spin(self) -> None:
        """Everything that is due by now; what falls due meanwhile waits for a turn of the loop, which also reads."""
        now = now_ns()
        while self._calls and self._calls[0].due_ns <= now:
            function = heapq.heappop(self._calls).function
            if function is not None:
                function()
        self._spinning = False
        self._arm()


class Call:
    """One call to come."""

    __slots__ = ("due_ns", "function")

    def __init__(self, due_ns: int, function: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.function: Callable[[], None] | None = function

    def __lt__(self, other: Call) -> bool:
        return self.due_ns < other.due_ns

    def cancel(self) -> None:
        """Do not call; harmless when it has been called."""
        self.function = None


def _waker(loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> Waker:
    if sys.platform == "linux":
        try:
            return _KernelTimer(loop, wake)
        except (OSError, AttributeError):  # a sandbox or a C library without it
            pass
    return _LoopTimer(loop, wake)


class _KernelTimer:
    """A `timerfd` that the loop reads. Python has it since 3.13 as `os.timerfd_*`; ctypes serves all versions."""

    lead_ns = SPIN_NS

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop, self._wake = loop, wake
        self._absolute = (ctypes.c_long * 4)()  # struct itimerspec: interval s, ns; value s, ns
        loop.add_reader(self._fd, self._read)

    def set(self, due_ns: int) -> None:
        self._absolute[2], self._absolute[3] = divmod(due_ns - self.lead_ns, NS_PER_S)
        self._libc.timerfd_settime(self._fd, 1, self._absolute, None)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set again since it was found readable
            return
        self._wake()


class _LoopTimer:
    lead_ns = COARSE_NS

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop, self._wake = loop, wake
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due_ns: int) -> None:
        self.close()
        self._handle = self._loop.call_later((due_ns - self.lead_ns - now_ns()) / NS_PER_S, self._wake)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
