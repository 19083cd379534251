"""When a warm-up is over: when the time to the first byte has stopped changing, or when it has taken too long."""

from __future__ import annotations

from statistics import median

from firstaudio.clock import NS_PER_MS, NS_PER_S, Clock, now_ns

MIN_WINDOW = 4
TOLERANCE = 0.10  # of the earlier median
TOLERANCE_NS = 2 * NS_PER_MS  # below this a difference says more about the machine than about the target
MAX_WARMUP_S = 30.0


class Warmup:
    """Follows the unmeasured requests that go before the measured ones.

    Medians of successive windows of `max(MIN_WINDOW, concurrency)` successes are compared; the warm-up is stable when
    two of them differ by at most `TOLERANCE` or `TOLERANCE_NS`. With fewer requests than two windows nothing is judged.

    Args:
        max_requests: To be sent at most; 0 for no warm-up.
        concurrency: Clients: each of them sends at least one warm-up request.
        max_s: From the first request on.
    """

    def __init__(
        self, max_requests: int, concurrency: int, *, max_s: float = MAX_WARMUP_S, clock: Clock = now_ns
    ) -> None:
        self._max_requests = max(max_requests, concurrency) if max_requests > 0 else 0
        self._max_ns = round(max_s * NS_PER_S)
        self._window = max(MIN_WINDOW, concurrency)
        self._clock = clock
        self._latencies: list[int] = []
        self._sent = 0
        self._began_ns: int | None = None
        self.stable = False

    def sent(self) -> None:
        """One more request has been dispatched."""
        self._sent += 1
        self._began_ns = self._clock() if self._began_ns is None else self._began_ns

    def answered(self, latency_ns: int) -> None:
        """One of them has succeeded, its first byte `latency_ns` after it was sent."""
        self._latencies.append(latency_ns)
        if len(self._latencies) % self._window == 0:
            self.stable = self.stable or self._is_stable()

    @property
    def over(self) -> bool:
        """Whether the next request should be a measured one."""
        late = self._began_ns is not None and self._clock() - self._began_ns >= self._max_ns
        return self.stable or self._sent >= self._max_requests or late

    @property
    def warning(self) -> str | None:
        """What a person should know about a warm-up that is over."""
        medians = self._medians()
        if self.stable or len(medians) < 2:
            return None
        before, after = (value / NS_PER_MS for value in medians[-2:])
        return (
            f"the warm-up of {self._sent} requests did not become stable: the median time to the first byte was still "
            f"going from {before:.1f} to {after:.1f} ms; allow more warm-up requests"
        )

    def _medians(self) -> list[float]:
        full = len(self._latencies) // self._window * self._window
        return [median(self._latencies[at : at + self._window]) for at in range(0, full, self._window)]

    def _is_stable(self) -> bool:
        medians = self._medians()
        if len(medians) < 2:
            return False
        before, after = medians[-2:]
        return abs(after - before) <= max(TOLERANCE * before, TOLERANCE_NS)
