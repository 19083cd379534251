"""What a mode found beyond its cells, as blocks that every report can show: sentences and a small table.

Findings are JSON that another version may have written: what is known is laid out, what is unknown is shown as it is,
what is missing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from firstaudio.bench.report.figures import NOT_AVAILABLE, number
from firstaudio.bench.sessions.session import Session

Row = tuple[str, ...]
ANSWERS = frozenset({"discovery", "truth", "capacity", "ab"})
NO_CRITICAL_ISSUE = "Critical Issues: None detected"
MAX_NAMED = 12
CURVE_POINTS_MS = (0, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a report.

    Attributes:
        sentences: Above the table.
        numbered: Whether the sentences are steps 1 to n.
        header: Of the table; empty if there is none.
        rows: Of the table.
        closing: Below the table.
        answers: Whether it is what the mode was run for, and so belongs to the top.
    """

    title: str
    sentences: tuple[str, ...] = ()
    header: Row = ()
    rows: tuple[Row, ...] = ()
    numbered: bool = False
    closing: tuple[str, ...] = ()
    answers: bool = False


def blocks(session: Session, without: Sequence[str] = ()) -> list[Block]:
    """The findings of a session, known kinds first; without those that a report shows in another way."""
    kinds = [kind for kind in _KNOWN if kind in session.findings]
    kinds += [kind for kind in session.findings if kind not in _KNOWN]
    found = [_block(kind, session) for kind in kinds if kind not in without]
    return [*found, *_server(session)]


def critical_issues(session: Session, advice: Sequence[Mapping[str, Any]]) -> list[str]:
    """What makes the session worthless or its target unfit: reasons, and critical advice; failures if none is rated."""
    if any("critical" in item for item in advice):
        return [*session.reasons, *(_advice(item) for item in advice if item.get("critical"))]
    failing = [f"{c.name}: {c.failed} of {c.issued - c.cancelled} requests failed" for c in session.cells if c.failed]
    return [*session.reasons, *failing]


def all_warnings(session: Session) -> list[str]:
    """The session's own, and the checks that failed without making a cell invalid."""
    doubts = (
        f"{cell.name}: {c.detail}" for cell in session.cells for c in cell.checks if c.ok is False and not c.voids
    )
    return [*session.warnings, *doubts]


def is_figure(text: str) -> bool:
    """Whether a text of a table belongs to the right."""
    return not text or text[0] in "0123456789+-" or text.startswith(("n/a", "inf"))


def scalar(value: Any) -> str:
    """A JSON scalar for people."""
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def pairs(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Any JSON value as dotted names and texts, in order."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from pairs(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(inner, Mapping | list | tuple) for inner in value):
        for place, inner in enumerate(value, 1):
            yield from pairs(inner, f"{prefix}.{place}" if prefix else str(place))
    elif isinstance(value, list | tuple | Mapping):
        yield prefix, ", ".join(scalar(inner) for inner in value) or "none"
    else:
        yield prefix, scalar(value)


def _block(kind: str, session: Session) -> Block:
    finding = session.findings[kind]
    lay_out = _KNOWN.get(kind)
    try:
        if lay_out is not None:
            return replace(lay_out(finding, session), answers=kind in ANSWERS)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):  # of another shape than this version's
        pass
    return Block(kind.replace("_", " ").capitalize(), (), ("what", "value"), tuple(pairs(finding)))


def _truth(finding: Sequence[Mapping[str, Any]], _: Session) -> Block:
    rows = tuple(
        (
            str(row["figure"]),
            number(row.get("stated"), row.get("unit") or ""),
            number(row.get("measured"), row.get("unit") or ""),
            span(row),
            {True: "ok", False: "WRONG", None: "not judged"}[row.get("ok")],
        )
        for row in finding
    )
    wrong = sum(row[-1] == "WRONG" for row in rows)
    sentence = f"Wrong: {wrong} of {len(rows)} figures." if wrong else f"All {len(rows)} figures agree."
    return Block("Stated and measured", (sentence,), ("figure", "stated", "measured", "accepted", ""), rows)


def span(row: Mapping[str, Any]) -> str:
    """`low–high` of a JSON object; `n/a` where an end is missing."""
    low, high = row.get("low"), row.get("high")
    if low is None and high is None:
        return NOT_AVAILABLE
    return f"{number(low)}–{number(high)}"


def _fit(finding: Mapping[str, Any], _: Session) -> Block:
    if finding.get("a_ms") is None or finding.get("b_ms_per_char") is None:
        return Block("TTFA against text length", _said(finding))
    line = f"TTFA = {number(finding['a_ms'])} ms + {number(finding['b_ms_per_char'])} ms per character"
    ends = span({"low": finding.get("b_low"), "high": finding.get("b_high")})
    interval = f" (slope 95 % interval {ends})" if ends != NOT_AVAILABLE else ""
    return Block("TTFA against text length", (f"{line}{interval}.", *_said(finding)))


def _said(finding: Mapping[str, Any]) -> tuple[str, ...]:
    sentence = finding.get("sentence") or finding.get("verdict")
    return (str(sentence),) if sentence else ()


def _capacity(finding: Mapping[str, Any], _: Session) -> Block:
    rows = tuple(
        (
            str(step["concurrency"]),
            str(step.get("n", NOT_AVAILABLE)),
            str(step.get("good", NOT_AVAILABLE)),
            _percent(step.get("share")),
            _percent(step.get("low")),
            "passed" if step["passed"] else "failed",
        )
        for step in finding.get("steps", ())
    )
    criterion = (f"Criterion: {finding['criterion']}",) if isinstance(finding.get("criterion"), str) else ()
    listeners = () if _said(finding) else (f"{scalar(finding.get('listeners'))} gapless listeners.",)
    header = ("listeners", "requests", "good", "share", "at least", "")
    return Block("Capacity", (*_said(finding), *listeners, *criterion), header if rows else (), rows)


def _percent(share: float | None) -> str:
    return NOT_AVAILABLE if share is None else f"{100 * share:.2f} %"


def _ab(finding: Mapping[str, Any], _: Session) -> Block:
    rows = tuple(
        (
            str(row["metric"]),
            number(row.get("median_a")),
            number(row.get("median_b")),
            change(row.get("ratio")),
            f"{change(row.get('low'))} to {change(row.get('high'))}",
            number(row.get("p")),
            str(row.get("verdict", NOT_AVAILABLE)),
        )
        for row in finding.get("metrics", ())
    )
    voided = tuple(f"Voided by: {reason}" for reason in finding.get("voided_by") or ())
    heading = f"{finding.get('b', 'B')} against {finding.get('a', 'A')}"
    rounds = (f"{finding['rounds']} interleaved rounds.",) if finding.get("rounds") is not None else ()
    header = (
        "metric",
        f"median {finding.get('a', 'A')}",
        f"median {finding.get('b', 'B')}",
        "difference",
        "95 % interval",
        "p",
        "verdict",
    )
    return Block(heading, (*_said(finding), *voided, *rounds), header if rows else (), rows)


def change(ratio: float | None) -> str:
    """A ratio as a relative difference: 1.1 is `+10.0 %`."""
    return NOT_AVAILABLE if ratio is None else f"{100 * (ratio - 1):+.1f} %"


def _leak(finding: Mapping[str, Any], _: Session) -> Block:
    slope = finding.get("slope_mb_per_1000")
    if slope is None:
        return Block("Memory growth", _said(finding))
    measured = f"{number(slope)} MB per 1000 requests (95 % interval {span(finding)})"
    least = finding.get("detectable")
    seen = f"; growth of {number(least)} MB or more would have been seen" if least is not None else ""
    return Block("Memory growth", (*_said(finding), f"{measured}{seen}."))


def _preroll_curve(finding: Mapping[str, Sequence[Sequence[float]]], _: Session) -> Block:
    needy = {cell: curve for cell, curve in finding.items() if _share_at(curve, CURVE_POINTS_MS[0]) != 1.0}
    title = "Share without a gap, by buffer"
    others = len(finding) - len(needy)
    calm = (f"{others} of {len(finding)} cells play without a gap and without a buffer.",) if others else ()
    if not needy:
        return Block(title, calm)
    rows = tuple(
        (cell, *(_percent(_share_at(curve, buffer_ms)) for buffer_ms in CURVE_POINTS_MS))
        for cell, curve in needy.items()
    )
    return Block(title, calm, ("", *(f"{ms} ms" for ms in CURVE_POINTS_MS)), rows)


def _share_at(curve: Sequence[Sequence[float]], buffer_ms: float) -> float | None:
    """The curve is a step function; None before its first point."""
    return next((share for buffer, share in sorted(map(tuple, curve), reverse=True) if buffer <= buffer_ms), None)


def _recommendations(finding: Sequence[Mapping[str, Any]], session: Session) -> Block:
    sentences = tuple(_advice(item) for item in finding) or ("Nothing to recommend.",)
    issues = critical_issues(session, finding)
    closing = ("Critical Issues:", *(f"- {issue}" for issue in issues)) if issues else (NO_CRITICAL_ISSUE,)
    return Block("Recommendations", sentences, numbered=bool(finding), closing=closing)


def _advice(item: Mapping[str, Any]) -> str:
    parts = [str(item["action"]).rstrip("."), item.get("evidence"), item.get("gain") and f"Gain: {item['gain']}"]
    return ". ".join(str(part).rstrip(".") for part in parts if part) + "."


def _server(session: Session) -> Iterator[Block]:
    """What the server's process tree used, where it could be watched."""
    rows = tuple(
        (
            cell.name,
            number(cell.server.get("cpu_s_per_audio_s")),
            number(cell.server.get("cpu_cores_mean")),
            number(cell.server.get("rss_peak_mb"), "MB"),
            number(cell.server.get("uss_peak_mb"), "MB"),
        )
        for cell in session.cells
        if cell.server
    )
    if rows:
        header = ("cell", "CPU s per audio s", "cores busy", "RSS, peak", "USS, peak")
        yield Block("The server's processes", (), header, rows)


def _first_request(finding: Mapping[str, Mapping[str, Any]], _: Session) -> Block:
    """The coldest request of the session, which no figure counts."""
    rows = tuple(
        (
            target,
            number(first.get("connect_ms"), "ms"),
            number(first.get("ttfa_ms"), "ms"),
            number(first.get("latency_ms"), "ms"),
            f"{first.get('container')}, {first.get('sample_rate')} Hz",
        )
        for target, first in finding.items()
    )
    return Block("First request (in no other figure)", (), ("target", "connecting", "TTFA", "latency", "audio"), rows)


def _categories(finding: Mapping[str, str], _: Session) -> Block:
    return Block("TTFA by category", (), ("", "median TTFA is"), tuple(finding.items()))


def _discovery(finding: Mapping[str, Any], _: Session) -> Block:
    said = [f"{finding['url']}: {finding.get('server') or 'a server'}, engine {finding.get('engine') or 'not told'}."]
    for name in ("voices", "models"):
        if known := finding.get(name) or ():
            more = f" and {len(known) - MAX_NAMED} more" if len(known) > MAX_NAMED else ""
            said.append(f"{len(known)} {name}: {', '.join(known[:MAX_NAMED])}{more}.")
    endpoints = finding.get("endpoints", ())
    rows = tuple(
        (
            f"{each.get('method') or each['spec']['method']} {each.get('path') or each['spec']['path']}",
            "works" if each["works"] else f"fails: {each.get('message') or each.get('why') or ''}",
            scalar(each.get("streams")),
            scalar(each.get("sse")),
            ", ".join(each.get("formats") or ()) or NOT_AVAILABLE,
        )
        for each in endpoints
    )
    commands = tuple(f"Measure it: {each['command']}" for each in endpoints if each["works"] and each.get("command"))
    notes = tuple(map(str, finding.get("notes") or ()))
    header = ("endpoint", "", "streams", "events", "formats")
    return Block("Found", tuple(said), header if rows else (), rows, closing=(*commands, *notes))


_KNOWN: Mapping[str, Callable[[Any, Session], Block]] = {
    "discovery": _discovery,
    "truth": _truth,
    "capacity": _capacity,
    "ab": _ab,
    "fit": _fit,
    "categories": _categories,
    "preroll_curve": _preroll_curve,
    "leak": _leak,
    "first_request": _first_request,
    "recommendations": _recommendations,
}
