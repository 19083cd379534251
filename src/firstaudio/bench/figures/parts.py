"""A cell that was measured in several parts, with other cells between them: one result of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firstaudio.bench.load.watch import largest, worst
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.result import Check, ClientSide

Resources = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Part:
    """What one run of a cell gave.

    Attributes:
        records: All of them.
        client: How the harness fared.
        server: Resources of the server's process tree.
        checks: That only the run could judge.
        warnings: For people.
        completed: Whether it ran to its end.
    """

    records: Sequence[RequestRecord]
    client: ClientSide
    server: Resources | None
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    completed: bool = True


def merged_client(parts: Sequence[Part]) -> ClientSide:
    """The worst of each; requests in flight as the mean over the time of all parts."""
    sides = [part.client for part in parts]
    spans = [_busy_span(part) for part in parts]
    in_flight = sum(side.mean_in_flight * span for side, span in zip(sides, spans, strict=True))
    return worst(sides, in_flight / sum(spans) if sum(spans) else sides[0].mean_in_flight)


def merged_server(parts: Sequence[Part]) -> Resources | None:
    """CPU of all parts together, memory at its highest; the slope of the longest part."""
    seen = [(part, part.server) for part in parts if part.server]
    if not seen:
        return None
    longest = max(seen, key=lambda pair: len(pair[0].records))[1]
    cpu_s = sum(server["cpu_s"] or 0.0 for _, server in seen)
    audio_s = sum(record.audio_s or 0.0 for part, _ in seen for record in part.records)
    peaks = {name: largest(server[name] for _, server in seen) for name in ("rss_peak_mb", "uss_peak_mb")}
    return {**longest, **peaks, "cpu_s": cpu_s, "cpu_s_per_audio_s": cpu_s / audio_s if audio_s else None}


def merged_checks(parts: Sequence[Part]) -> tuple[Check, ...]:
    """By name, the first that failed, else the first."""
    by_name: dict[str, list[Check]] = defaultdict(list)
    for part in parts:
        for check in part.checks:
            by_name[check.name].append(check)
    return tuple(next((c for c in checks if c.ok is False), checks[0]) for checks in by_name.values())


def _busy_span(part: Part) -> int:
    counted = list(measured(part.records))
    if not counted:
        return 0
    return max(r.last_byte_ns or r.dispatched_ns for r in counted) - min(r.dispatched_ns for r in counted)
