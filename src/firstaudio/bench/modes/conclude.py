"""What a session's records say beyond its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from firstaudio.bench.advice import MIN_LEAK_REQUESTS, advise, as_finding
from firstaudio.bench.figures.fit import fit_ttfa
from firstaudio.bench.figures.metrics import preroll_curve
from firstaudio.bench.modes.targets import scenario_targets, streaming_targets
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.workload import Goals
from firstaudio.slo import category, limits

CURVE_MS = (0, 10, 20, 50, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000)
MIN_FIT_REQUESTS = 20
MIN_FIT_SPREAD = 100  # characters between the shortest and the longest text

CATEGORISED = frozenset({"ttfa", "full"})
SEARCHING = frozenset({"capacity", "ab"})  # they load a target beyond what it bears, or have a verdict of their own


def conclude(session: Session, records: Sequence[RequestRecord], goals: Goals) -> None:
    """Note every finding that the records support in `session.findings`."""
    findings = session.findings
    if curves := _curves(session, records):
        findings["preroll_curve"] = curves
    if session.mode not in SEARCHING and len(session.targets) == 1 and (fit := _fit(session, records)):
        findings["fit"] = fit
    if session.mode in CATEGORISED and (categories := _categories(session)):
        findings["categories"] = categories
    if scenarios := scenario_targets(session.cells, goals):
        findings["scenarios"] = scenarios
    if session.cells and session.mode == "streaming":
        findings["streaming"] = streaming_targets(session.cells, goals)
    if session.cells:
        findings["leak"] = _leak(session)
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


def _fit(session: Session, records: Sequence[RequestRecord]) -> dict[str, Any] | None:
    """TTFA against characters, from requests that had the target to themselves, with one voice and one delivery."""
    lone = {cell.name for cell in session.cells if _is_lone(cell)}
    alone = [r for r in measured(records) if r.ok and r.cell in lone and r.label != "cached" and r.speed == 1.0]
    voices = Counter(record.voice for record in alone)
    alone = [record for record in alone if record.voice == max(voices, key=lambda voice: voices[voice])]
    lengths = [len(r.text) for r in alone]
    if len(alone) < MIN_FIT_REQUESTS or max(lengths) - min(lengths) < MIN_FIT_SPREAD:
        return None
    return asdict(fit_ttfa(alone))


def _is_lone(cell: CellResult) -> bool:
    """Whether a cell is streamed to one client after the other."""
    load, target = cell.cell.get("load", {}), cell.cell.get("target", {})
    one_client = load.get("concurrency") == 1 and load.get("arrival", "closed") == "closed"
    return bool(one_client and target.get("delivery", "stream") == "stream")


def _categories(session: Session) -> dict[str, dict[str, Any]]:
    """Of each cell that may be quoted: what its median is called, and why."""
    cells = [cell for cell in session.cells if cell.ok and cell.valid]
    medians = {cell.name: cell.distributions["ttfa_ms"].median.value for cell in cells}
    return {name: _called(median) for name, median in medians.items() if median is not None}


def _called(median_ms: float) -> dict[str, Any]:
    name = category(median_ms)
    return {"category": name, "median_ms": median_ms, "limits": limits(name)}


def _leak(session: Session) -> dict[str, Any]:
    """The slope of the longest cell whose server was watched, or why it tells nothing.

    Fewer requests cannot tell a leak from a cache that fills, and an interval of nothing is a counter that stood still.
    """
    watched = [cell for cell in session.cells if cell.server]
    longest = max(watched, key=lambda cell: cell.ok, default=None)
    if longest is None:
        return _unjudged("the server's processes were not watched", None)
    if longest.ok < MIN_LEAK_REQUESTS:
        why = f"needs {MIN_LEAK_REQUESTS} requests under one condition, the longest had {longest.ok}"
        return _unjudged(why, longest.ok)
    server = longest.server or {}
    slope, low, high = (server.get(f"uss_slope{end}_mb_per_1000") for end in ("", "_low", "_high"))
    if slope is None:
        return _unjudged("its own memory could not be read, or not often enough", longest.ok)
    if not low and not high:
        return _unjudged(f"the counter of its memory stood still over {longest.ok} requests", longest.ok)
    detectable = server.get("uss_slope_detectable_mb_per_1000")
    figures = {"slope_mb_per_1000": slope, "low": low, "high": high, "detectable": detectable}
    sentence = f"the server's own memory over {longest.ok} requests"
    return {"judged": True, **figures, "requests": longest.ok, "sentence": sentence}


def _unjudged(why: str, requests: int | None) -> dict[str, Any]:
    figures = dict.fromkeys(("slope_mb_per_1000", "low", "high", "detectable"))
    return {"judged": False, **figures, "requests": requests, "sentence": f"Leak: not judged ({why})."}
