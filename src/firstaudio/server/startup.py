"""What the parts of the start take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped, unused-ignore] # ships no types

from firstaudio.clock import NS_PER_MS, Clock, now_ns

PROCESS = "process"
PARTS = (PROCESS, "telemetry", "encoders", "engines", "warm_up", "total")


class StartupTimings:
    """Milliseconds of each part; None while it has not ended.

    "process" is what was before: the interpreter, its imports, the configuration, from the birth of the process on.

    Args:
        born_at: When the process began, in seconds since 1970.
        wall_clock: Seconds since 1970.
        clock: Monotonic ns.
    """

    def __init__(self, born_at: float, wall_clock: Callable[[], float] = time.time, clock: Clock = now_ns) -> None:
        self._clock = clock
        self._ms: dict[str, float | None] = dict.fromkeys(PARTS)
        self._ms[PROCESS] = max(0.0, wall_clock() - born_at) * 1000

    @property
    def ms(self) -> Mapping[str, float | None]:
        """By name of the part."""
        return dict(self._ms)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block as part `name`, also when it raises."""
        assert name in self._ms, f"no part {name!r}"
        begin_ns = self._clock()
        try:
            yield
        finally:
            self._ms[name] = (self._clock() - begin_ns) / NS_PER_MS


def born_at() -> float:
    """When this process began, in seconds since 1970, as exactly as the system knows."""
    return float(psutil.Process().create_time())
