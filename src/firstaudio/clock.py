"""The one clock: monotonic nanoseconds. Wall-clock time is metadata and never enters arithmetic."""

import time
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """A source of monotonic nanoseconds; tests pass one that they move by hand."""

    def __call__(self) -> int:
        """Now, in nanoseconds since an arbitrary origin."""
        ...


now_ns: Clock = time.perf_counter_ns
