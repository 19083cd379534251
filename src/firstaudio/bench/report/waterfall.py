"""Where the time of the slowest requests went: each life as a bar from `scheduled` to `last_byte`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.report.figures import number
from firstaudio.bench.report.series import ttfa_ms
from firstaudio.clock import NS_PER_MS

NUM_SLOWEST = 8
# The events of a life in their usual order, and what the time before each was spent on.
STAGES = {
    "dispatched": "waiting for a client",
    "connected": "connecting",
    "sent": "sending",
    "headers": "waiting for headers",
    "first_byte": "waiting for the first byte",
    "first_sample": "waiting for the first sample",
    "audible": "silence before the first sound",
    "last_byte": "receiving",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a bar; `left` and `width` in % of the longest life."""

    stage: str
    left: float
    width: float
    tip: str


@dataclass(frozen=True, slots=True)
class Life:
    """One request.

    Attributes:
        ttfa_left: Where its TTFA begins, in % like a span: `sent`.
        ttfa_width: Up to the first sample.
    """

    cell: str
    index: int
    text: str
    ttfa: str
    total: str
    spans: tuple[Span, ...]
    ttfa_left: float
    ttfa_width: float


def slowest(records: Sequence[RequestRecord]) -> list[Life]:
    """The measured, successful requests whose first audio took longest, the slowest first."""
    timed = [(ms, record) for record in measured(records) if (ms := ttfa_ms(record)) is not None]
    chosen = [record for _, record in sorted(timed, key=lambda pair: -pair[0])[:NUM_SLOWEST]]
    longest = max((_end(record) - record.scheduled_ns for record in chosen), default=0) or 1
    return [_life(record, longest) for record in chosen]


def stages_shown(lives: Sequence[Life]) -> dict[str, str]:
    """The legend: stages that took any time, with what they are."""
    seen = {span.stage for life in lives for span in life.spans}
    return {stage: label for stage, label in STAGES.items() if stage in seen}


def _end(record: RequestRecord) -> int:
    return max(at for _, at in _events(record))


def _events(record: RequestRecord) -> list[tuple[str, int]]:
    """In order of time; of two at once, the one that usually comes first."""
    known = [(stage, getattr(record, f"{stage}_ns")) for stage in STAGES]
    return sorted(((stage, at) for stage, at in known if at is not None), key=lambda event: event[1])


def _life(record: RequestRecord, longest_ns: int) -> Life:
    spans, begin = [], record.scheduled_ns
    for stage, at in _events(record):
        if at > begin:
            tip = f"{STAGES[stage]}: {_ms(at - begin)} (until {_ms(at - record.scheduled_ns)})"
            left, width = (100 * ns / longest_ns for ns in (begin - record.scheduled_ns, at - begin))
            spans.append(Span(stage, round(left, 3), round(width, 3), tip))
            begin = at
    total = _ms(_end(record) - record.scheduled_ns)
    ttfa = number(ttfa_ms(record), "ms")
    return Life(record.cell, record.index, record.text, ttfa, total, tuple(spans), *_bracket(record, longest_ns))


def _bracket(record: RequestRecord, longest_ns: int) -> tuple[float, float]:
    """Of the TTFA, from sent to the first sample: the rest of the bar is not in that figure."""
    assert record.sent_ns is not None
    assert record.first_sample_ns is not None
    spans = (record.sent_ns - record.scheduled_ns, record.first_sample_ns - record.sent_ns)
    left, width = (round(100 * span / longest_ns, 3) for span in spans)
    return left, width


def _ms(duration_ns: int) -> str:
    return number(duration_ns / NS_PER_MS, "ms")
