"""When the requests of an open loop are sent: absolute times, decided before the first of them, made by a seed.

Nothing here looks at a clock or at an answer: that is what keeps an open loop free of coordinated omission.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

from firstaudio.bench.workload import Load
from firstaudio.clock import NS_PER_S
from firstaudio.errors import BenchError

Offsets = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Arrivals of one cell, in ns from the start of its measurement.

    Attributes:
        offsets_ns: Of the measured requests, ascending.
        before_ns: Of the warm-up, ascending and negative: the same kind of arrivals at the rate of the beginning.
        rate_after: Arrivals per second that keep the load up until the last measured answer is complete.
    """

    offsets_ns: tuple[int, ...]
    before_ns: tuple[int, ...] = ()
    rate_after: float = 0.0

    @property
    def hash(self) -> str:
        """Equal for equal arrivals of measured requests."""
        return hashlib.sha256(np.array(self.offsets_ns, "<i8").tobytes()).hexdigest()[:16]

    def share(self, index: int, count: int) -> Schedule:
        """What one of `count` load processes sends: every count-th request."""
        return Schedule(self.offsets_ns[index::count], self.before_ns[index::count], self.rate_after / count)

    def after_ns(self) -> Iterator[int]:
        """Endless evenly spaced arrivals after the last measured one; none when there is no rate."""
        if self.rate_after > 0 and self.offsets_ns:
            yield from (self.offsets_ns[-1] + round(k / self.rate_after * NS_PER_S) for k in count(1))


def make_schedule(load: Load, max_warmup_s: float = 30.0) -> Schedule:
    """The arrivals of an open loop.

    Args:
        load: Of the cell; not closed.
        max_warmup_s: The warm-up begins at most so long before the measurement.

    Raises:
        BenchError: The load lacks what its kind of arrivals needs.
    """
    if load.arrival == "trace":
        return _trace(load)
    offsets = _ARRIVALS[load.arrival](load)
    if not len(offsets):
        raise BenchError("no request falls into the time of the measurement: raise the rate or the duration")
    first, last = (load.start_rate_per_s or 0.0, _rate(load)) if load.arrival == "ramp" else (_rate(load), _rate(load))
    return Schedule(_as_ns(offsets), _warmup(load, first, max_warmup_s), last)


def _rate(load: Load) -> float:
    if load.rate_per_s is None or not 0 < load.rate_per_s < math.inf:
        raise BenchError(f"{load.arrival} arrivals need a rate above 0 per second, not {load.rate_per_s}")
    return load.rate_per_s


def _as_ns(offsets_s: Offsets) -> tuple[int, ...]:
    return tuple(int(ns) for ns in np.rint(offsets_s * NS_PER_S))


def _constant(load: Load) -> Offsets:
    """Evenly spaced, the first one at once."""
    if load.duration_s is not None:
        return np.arange(math.ceil(round(load.duration_s * _rate(load), 6))) / _rate(load)
    return np.arange(_num_requests(load)) / _rate(load)


def _poisson(load: Load) -> Offsets:
    """Exponential gaps: arrivals that know nothing of each other."""
    rng = np.random.default_rng(load.seed)
    if load.duration_s is None:
        return np.cumsum(rng.exponential(1 / _rate(load), _num_requests(load)))
    expected = load.duration_s * _rate(load)
    gaps = rng.exponential(1 / _rate(load), math.ceil(expected + 10 * math.sqrt(expected) + 20))
    offsets = np.cumsum(gaps)
    return offsets[offsets < load.duration_s]


def _ramp(load: Load) -> Offsets:
    """Evenly spaced at a rate that changes linearly: arrival k comes when the integral of the rate has reached k."""
    start, end = load.start_rate_per_s or 0.0, _rate(load)
    if start < 0:
        raise BenchError(f"a ramp cannot start at {start} requests per second: start at 0 or above")
    mean = (start + end) / 2
    duration = load.duration_s if load.duration_s is not None else _num_requests(load) / mean
    arrived = np.arange(math.ceil(round(duration * mean, 6)), dtype=np.float64)
    slope = (end - start) / duration
    # The root of slope/2 t^2 + start t = k in the form that stays exact when the slope is small.
    root = np.sqrt(np.maximum(start * start + 2 * slope * arrived, 0.0))
    return np.divide(2 * arrived, start + root, out=np.zeros_like(arrived), where=start + root > 0)


def _num_requests(load: Load) -> int:
    if load.num_requests is None or load.num_requests < 1:
        raise BenchError(f"{load.arrival} arrivals need a number of requests or a duration")
    return load.num_requests


def _trace(load: Load) -> Schedule:
    offsets = load.offsets_s
    if not offsets or offsets[0] < 0 or any(b < a for a, b in pairwise(offsets)):
        raise BenchError("a trace needs ascending offsets in seconds, the first one 0 or above")
    return Schedule(_as_ns(np.array(offsets)))


def _warmup(load: Load, rate: float, max_warmup_s: float) -> tuple[int, ...]:
    """Arrivals before the measurement, as long as the load wants but no longer than the limit."""
    number = min(load.warmup_requests, int(max_warmup_s * rate))
    if load.arrival != "poisson":
        return _as_ns(-np.arange(number, 0, -1) / rate) if number else ()
    gaps = np.random.default_rng([load.seed, 1]).exponential(1 / rate, number)
    return _as_ns(-np.cumsum(gaps)[::-1])


_ARRIVALS: dict[str, Callable[[Load], Offsets]] = {"poisson": _poisson, "constant": _constant, "ramp": _ramp}
