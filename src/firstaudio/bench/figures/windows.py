"""Over which time a cell's figures are: the whole of its measured requests, and the part of it with a steady load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from firstaudio.bench.figures.formulas import Window, last_stamp_ns
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.workload import Cell

Span = tuple[int, int]
MIN_STEADY_PER_CLIENT = 2  # answers; with fewer, a steady load was never there


def window_of(cell: Cell, counted: Sequence[RequestRecord]) -> Window:
    """From the first measured dispatch (open loop: when it was scheduled) to the last stamp of a measured request."""
    return _joined((min(_begins(cell, part)), max(map(last_stamp_ns, part))) for part in _parts(counted))


def steady(
    cell: Cell, records: Iterable[RequestRecord], counted: Sequence[RequestRecord]
) -> tuple[list[RequestRecord], Window]:
    """The answers that ended while the load was what the cell states, and how long that was.

    From the first measured dispatch to the last one every client is busy; before it the load grows, after it clients
    run out of work, and both would be told as a lower throughput. Answers to warm-up requests that end within are
    part of what the target achieved in that time.

    Returns:
        Records of any phase and their window; all measured ones and theirs where so few answers ended within that
        there was no steady load.
    """
    spans = {part[0].part: (min(b := _begins(cell, part)), max(b)) for part in _parts(counted)}
    ended = [r for r in records if r.part in spans and not r.cancelled and _within(r, spans[r.part])]
    if len(ended) < MIN_STEADY_PER_CLIENT * cell.load.concurrency:
        return list(counted), window_of(cell, counted)
    return ended, _joined(spans.values())


def _within(record: RequestRecord, span: Span) -> bool:
    return span[0] < last_stamp_ns(record) <= span[1]


def _begins(cell: Cell, records: Sequence[RequestRecord]) -> list[int]:
    is_closed = cell.load.arrival == "closed"
    return [record.dispatched_ns if is_closed else record.scheduled_ns for record in records]


def _parts(records: Iterable[RequestRecord]) -> list[list[RequestRecord]]:
    parts: dict[int, list[RequestRecord]] = defaultdict(list)
    for record in records:
        parts[record.part].append(record)
    return list(parts.values())


def _joined(spans: Iterable[Span]) -> Window:
    spans = list(spans)
    if not spans:
        return Window(0, 0)
    begin, end = min(begin for begin, _ in spans), max(end for _, end in spans)
    return Window(begin, end, paused_ns=end - begin - sum(end - begin for begin, end in spans))
