"""How the harness itself fares while it measures: a client that is late or busy measures itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from array import array
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np

from firstaudio.bench.result import ClientSide
from firstaudio.clock import NS_PER_MS, NS_PER_S, Clock, now_ns

TICK_S = 0.005
LATE_NS = NS_PER_MS
K = TypeVar("K", bound=Hashable)


class InFlight:
    """Integral over time of the measured requests in flight, counted as they begin and end."""

    def __init__(self, clock: Clock = now_ns) -> None:
        self._clock = clock
        self._area = 0
        self._since_ns = 0
        self.count = 0
        self.began_ns: int | None = None
        self.ended_ns: int | None = None

    def enter(self) -> None:
        """One more."""
        self._account()
        self.count += 1

    def leave(self) -> None:
        """One fewer."""
        self._account()
        self.count -= 1
        self.ended_ns = self._since_ns

    def _account(self) -> None:
        now = self._clock()
        self.began_ns = now if self.began_ns is None else self.began_ns
        self._area += self.count * (now - self._since_ns)
        self._since_ns = now

    @property
    def window_s(self) -> float:
        """From the first beginning to the last end; 0 before."""
        if self.began_ns is None or self.ended_ns is None:
            return 0.0
        return (self.ended_ns - self.began_ns) / NS_PER_S

    @property
    def mean(self) -> float:
        """Over the window; 0 without one."""
        return self._area / NS_PER_S / self.window_s if self.window_s else 0.0


class Watch:
    """Event-loop lag, CPU time and dispatch lag of this process during the measured window."""

    def __init__(self) -> None:
        self._lags_ns = array("q")
        self._dispatch_lags_ns = array("q")
        self._ticker: asyncio.Task[None] | None = None
        self._wall_ns = self._cpu_ns = 0

    def begin(self) -> None:
        """The measured window begins. Idempotent."""
        if self._ticker is None:
            self._wall_ns, self._cpu_ns = -now_ns(), -time.process_time_ns()
            self._ticker = asyncio.get_running_loop().create_task(self._tick(), name="loop lag")

    async def end(self) -> None:
        """The measured window has ended. Idempotent."""
        if self._ticker is None or self._ticker.done():
            return
        self._wall_ns += now_ns()
        self._cpu_ns += time.process_time_ns()
        self._ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticker

    def dispatched(self, lag_ns: int) -> None:
        """A measured request of an open loop was sent so much after its time."""
        self._dispatch_lags_ns.append(lag_ns)

    async def _tick(self) -> None:
        while True:
            due = now_ns() + round(TICK_S * NS_PER_S)
            await asyncio.sleep(TICK_S)
            self._lags_ns.append(max(0, now_ns() - due))

    def report(self, mean_in_flight: float, others_cpu_share: float | None) -> ClientSide:
        """After the end."""
        dispatch = np.asarray(self._dispatch_lags_ns)
        return ClientSide(
            cpu_share=self._cpu_ns / self._wall_ns if self._wall_ns > 0 else 0.0,
            loop_lag_p99_ms=_p99_ms(np.asarray(self._lags_ns)) or 0.0,
            dispatch_lag_p99_ms=_p99_ms(dispatch),
            late_share=float(np.mean(dispatch > LATE_NS)) if len(dispatch) else None,
            mean_in_flight=mean_in_flight,
            others_cpu_share=others_cpu_share,
            workers=1,
        )


def worst(sides: Sequence[ClientSide], mean_in_flight: float) -> ClientSide:
    """The client of several runs as one: the worst of each figure, but for those that the caller states."""
    return replace(
        sides[0],
        cpu_share=max(side.cpu_share for side in sides),
        loop_lag_p99_ms=max(side.loop_lag_p99_ms for side in sides),
        dispatch_lag_p99_ms=largest(side.dispatch_lag_p99_ms for side in sides),
        late_share=largest(side.late_share for side in sides),
        others_cpu_share=largest(side.others_cpu_share for side in sides),
        mean_in_flight=mean_in_flight,
    )


def largest(figures: Iterable[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    return max((figure for figure in figures if figure is not None), default=None)


def _p99_ms(values_ns: np.ndarray) -> float | None:
    return float(np.percentile(values_ns, 99)) / NS_PER_MS if len(values_ns) else None


@contextlib.contextmanager
def quiet_collector(off: bool) -> Iterator[None]:
    """What exists already is never looked at for garbage inside; with `off`, nothing is.

    Long windows keep the collector on, or their garbage would pile up.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    if off:
        gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


class CpuTimes(NamedTuple):
    """CPU seconds of a process, and of those of its descendants that have ended and that it has waited for."""

    own_s: float
    reaped_s: float


class Neighbours:
    """CPU time of the processes on this machine that have nothing to do with the measurement.

    Args:
        ours: Process ids that, with their children, are part of it beside this process: a local target.
    """

    def __init__(self, ours: Collection[int] = ()) -> None:
        self._ours = {os.getpid(), *ours}
        self._began_ns = now_ns()
        self._before = self._cpu_s()

    def share(self) -> float | None:
        """Of the whole machine since construction, 0..1; None without psutil."""
        after = self._cpu_s()
        if self._before is None or after is None:
            return None
        wall_s = (now_ns() - self._began_ns) / NS_PER_S
        return used_s(self._before, after) / wall_s / (os.cpu_count() or 1)

    def _cpu_s(self) -> dict[tuple[int, float], CpuTimes] | None:
        """By process id and time of birth."""
        try:
            import psutil  # type: ignore[import-untyped, unused-ignore] # ships no types
        except ModuleNotFoundError:
            return None
        ours = set(self._ours)
        for pid in self._ours:
            with contextlib.suppress(psutil.Error):
                ours.update(child.pid for child in psutil.Process(pid).children(recursive=True))
        seconds = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid not in ours:
                    times = process.cpu_times()
                    used = CpuTimes(times.user + times.system, times.children_user + times.children_system)
                    seconds[process.pid, process.create_time()] = used
        return seconds


def used_s(before: Mapping[K, CpuTimes], after: Mapping[K, CpuTimes]) -> float:
    """CPU seconds between two readings, of processes that ended in between too, as far as their parents waited.

    A parent is told what its child used in its whole life: what it had used before the first reading is taken off.
    """
    idle = CpuTimes(0.0, 0.0)
    own_s = sum(max(0.0, now.own_s - before.get(key, idle).own_s) for key, now in after.items())
    reaped_s = sum(max(0.0, now.reaped_s - before.get(key, idle).reaped_s) for key, now in after.items())
    return own_s + max(0.0, reaped_s - sum(sum(then) for key, then in before.items() if key not in after))
