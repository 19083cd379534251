"""What a session's records say beyond its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from firstaudio.bench.advice import MIN_LEAK_REQUESTS, advise, as_finding
from firstaudio.bench.figures.fit import fit_ttfa
from firstaudio.bench.figures.metrics import preroll_curve
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.workload import Goals

CURVE_MS = (0, 10, 20, 50, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000)
MIN_FIT_REQUESTS = 20
MIN_FIT_SPREAD = 100  # characters between the shortest and the longest text

CATEGORISED = frozenset({"ttfa", "full"})
SEARCHING = frozenset({"capacity", "ab"})  # they load a target beyond what it bears, or have a verdict of their own

# The one category function's table: upper ends in ms, exclusive.
CATEGORIES = ((400.0, "excellent"), (800.0, "good"), (1200.0, "acceptable"), (2000.0, "poor"))


def category(ttfa_ms: float) -> str:
    """What a time to first audio is called, by `CATEGORIES`; "critical" from 2000 ms on."""
    return next((name for limit, name in CATEGORIES if ttfa_ms < limit), "critical")


def conclude(session: Session, records: Sequence[RequestRecord], goals: Goals) -> None:
    """Note every finding that the records support in `session.findings`."""
    findings = session.findings
    if curves := _curves(session, records):
        findings["preroll_curve"] = curves
    if session.mode not in SEARCHING and len(session.targets) == 1 and (fit := _fit(records)):
        findings["fit"] = fit
    if session.mode in CATEGORISED and (categories := _categories(session)):
        findings["categories"] = categories
    if leak := _leak(session):
        findings["leak"] = leak
    if session.cells and session.mode not in SEARCHING:
        findings["recommendations"] = as_finding(advise(session.cells, findings, goals))


def _curves(session: Session, records: Sequence[RequestRecord]) -> dict[str, list[list[float]]]:
    """Share of requests that play gapless after each buffer, per cell."""
    by_cell: dict[str, list[RequestRecord]] = {}
    for record in measured(records):
        by_cell.setdefault(record.cell, []).append(record)
    served = {cell.name for cell in session.cells if cell.ok}
    return {
        name: [list(point) for point in preroll_curve(rows, CURVE_MS)]
        for name, rows in by_cell.items()
        if name in served
    }


def _fit(records: Sequence[RequestRecord]) -> dict[str, Any] | None:
    """TTFA against characters, from requests that had the target to themselves and one way of delivery."""
    alone = [r for r in measured(records) if r.ok and r.label != "cached" and r.cell in _lone_cells(records)]
    lengths = [len(r.text) for r in alone]
    if len(alone) < MIN_FIT_REQUESTS or max(lengths) - min(lengths) < MIN_FIT_SPREAD:
        return None
    return asdict(fit_ttfa(alone))


def _lone_cells(records: Sequence[RequestRecord]) -> set[str]:
    """Cells with one client, streamed, at normal speed."""
    clients: dict[str, set[int]] = {}
    for record in records:
        clients.setdefault(record.cell, set()).add(record.client)
    odd = ("delivery=whole", "speed=", "listeners=")
    return {cell for cell, seen in clients.items() if len(seen) == 1 and not cell.startswith(odd)}


def _categories(session: Session) -> dict[str, str]:
    medians = {cell.name: cell.distributions["ttfa_ms"].median.value for cell in session.cells if cell.ok}
    return {name: category(median) for name, median in medians.items() if median is not None}


def _leak(session: Session) -> dict[str, Any] | None:
    """The slope of the longest cell whose server was watched."""
    watched = [cell for cell in session.cells if cell.server and cell.server.get("uss_slope_mb_per_1000") is not None]
    if not watched:
        return None
    longest = max(watched, key=lambda cell: cell.issued)
    server = longest.server or {}
    slope, low, high = (server.get(f"uss_slope{end}_mb_per_1000") for end in ("", "_low", "_high"))
    detectable = server.get("uss_slope_detectable_mb_per_1000")
    requests = longest.issued
    sentence = f"the server's own memory over {requests} requests"
    if requests < MIN_LEAK_REQUESTS:
        sentence += f"; fewer than {MIN_LEAK_REQUESTS} cannot tell a leak from a cache that fills: run a soak"
    figures = {"slope_mb_per_1000": slope, "low": low, "high": high, "detectable": detectable}
    return {**figures, "requests": requests, "sentence": sentence}
