"""What a load process hands over: first how its run went and when it sent what, then its requests in bunches.

The requests carry all their audio. Neither side holds much of it: the load process keeps on disk what is too much, and
who collects passes it on to a sink.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from firstaudio.bench.load.book import MAX_KEPT_BYTES, Sink
from firstaudio.bench.load.spool import Spool
from firstaudio.bench.load.taken import LoadRun, Taken
from firstaudio.bench.load.watch import worst
from firstaudio.bench.result import ClientSide

BUNCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """When a request began and ended."""

    dispatched_ns: int
    end_ns: int
    is_measured: bool


@dataclass(frozen=True, slots=True)
class Handed:
    """One process' run.

    Attributes:
        run: Without its requests.
        marks: Of its requests, in the order in which they follow.
    """

    run: LoadRun
    marks: Sequence[Mark]


class MarkedSpool(Spool):
    """A spool that knows when its requests were sent without reading them again."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[Mark] = []

    def __call__(self, taken: Taken) -> None:
        """Keep one request."""
        super().__call__(taken)
        self.marks.append(mark(taken))


class Collected:
    """Requests of several processes.

    Args:
        sink: Takes those that would be too much to keep; None: all are kept.
        max_kept_bytes: Of all bodies together.

    Attributes:
        taken: What was kept.
    """

    def __init__(self, sink: Sink | None = None, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self.taken: list[Taken] = []
        self._sink, self._left = sink, max_kept_bytes

    def add(self, taken: Taken) -> None:
        """Keep it, or pass it on."""
        size = _size(taken)
        if self._sink is not None and size > self._left:
            self._sink(taken)
            return
        self._left -= size
        self.taken.append(taken)


def mark(taken: Taken) -> Mark:
    """Of one request that has ended."""
    exchange = taken.exchange
    end_ns = exchange.last_byte_ns or max((exchange.dispatched_ns, *exchange.arrivals_ns))
    return Mark(exchange.dispatched_ns, end_ns, taken.phase == "measured")


def hand_over(send: Callable[[object], None], run: LoadRun, spool: MarkedSpool) -> None:
    """Send a `Handed`, then bunches of requests, the last of which is empty."""
    send(Handed(replace(run, taken=[]), [*spool.marks, *map(mark, run.taken)]))
    for bunch in bunches(chain(spool, run.taken)):
        send(bunch)
    send([])


def bunches(finished: Iterable[Taken], max_bytes: int = BUNCH_BYTES) -> Iterator[list[Taken]]:
    """Requests in order, so many at once that their bodies have about `max_bytes`."""
    bunch: list[Taken] = []
    size = 0
    for taken in finished:
        bunch.append(taken)
        size += _size(taken)
        if size >= max_bytes:
            yield bunch
            bunch, size = [], 0
    if bunch:
        yield bunch


def places(handed: Sequence[Handed]) -> list[list[int]]:
    """For each process the places of its requests in the order of sending of all."""
    sent = sorted((m.dispatched_ns, which, at) for which, one in enumerate(handed) for at, m in enumerate(one.marks))
    found = [[0] * len(one.marks) for one in handed]
    for place, (_, which, at) in enumerate(sent):
        found[which][at] = place
    return found


def merge(handed: Sequence[Handed], taken: Iterable[Taken] = ()) -> LoadRun:
    """One run out of those of several processes: requests in order of sending, the worst of each client figure."""
    runs = [one.run for one in handed]
    return LoadRun(
        sorted(taken, key=lambda one: one.index),
        _merge_clients(handed),
        all(run.completed for run in runs),
        runs[0].schedule_hash,
        list(dict.fromkeys(warning for run in runs for warning in run.warnings)),
    )


def _merge_clients(handed: Sequence[Handed]) -> ClientSide:
    # Each mean is over the window of its process: weighted, they are one over the common window.
    window_ns = _window_ns([mark for one in handed for mark in one.marks])
    in_flight = sum(one.run.client.mean_in_flight * _window_ns(one.marks) for one in handed)
    merged = worst([one.run.client for one in handed], in_flight / window_ns if window_ns else 0.0)
    return replace(merged, workers=len(handed))


def _window_ns(marks: Sequence[Mark]) -> int:
    """From the first measured dispatch to the last stamp of a measured request."""
    counted = [mark for mark in marks if mark.is_measured]
    if not counted:
        return 0
    return max(mark.end_ns for mark in counted) - min(mark.dispatched_ns for mark in counted)


def _size(taken: Taken) -> int:
    return sum(map(len, taken.exchange.pieces))
