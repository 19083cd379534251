"""What a mode found beyond its cells, as blocks that every report can show: sentences and a small table.

Findings are JSON that another version may have written: what is known is laid out, what is unknown is shown as it is,
what is missing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from firstaudio.bench.compare.rounds import ABSOLUTE_FLOORS, RELATIVE_FLOOR, RELIABILITY
from firstaudio.bench.report.figures import NOT_AVAILABLE, estimate, number, quantile, title, unit
from firstaudio.bench.sessions.session import Session

Row = tuple[str, ...]
ANSWERS = frozenset({"discovery", "truth", "capacity", "ab", "scenarios", "streaming"})
NO_CRITICAL_ISSUE = "Critical Issues: None detected"
MAX_NAMED = 12
NUMBER = re.compile(r"\d+(?:\.\d+)?")
CHUNKS = ("chunk_interval_p50_ms", "chunk_interval_p95_ms", "chunk_audio_ms")
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
    told = {"preflight", *without}  # it is the reason beside the verdict
    if not session.findings.get("first_request"):
        told.add("first_request")
    found = [_block(kind, session) for kind in kinds if kind not in told]
    return [*found, *_server(session)]


def critical_issues(session: Session, advice: Sequence[Mapping[str, Any]]) -> list[str]:
    """What makes the target unfit: critical advice; failures if none is rated."""
    if any("critical" in item for item in advice):
        return [_advice(item) for item in advice if item.get("critical")]
    return [f"{c.name}: {c.failed} of {c.issued - c.cancelled} requests failed" for c in session.cells if c.failed]


def all_reasons(session: Session) -> list[str]:
    """Why the session is INVALID; what is said of several cells, once."""
    return _grouped(session.reasons, session)


def all_warnings(session: Session) -> list[str]:
    """The session's own, and the checks that failed without making a cell invalid; once what several cells share."""
    doubts = (
        f"{cell.name}: {c.detail}" for cell in session.cells for c in cell.checks if c.ok is False and not c.voids
    )
    return _grouped([*session.warnings, *doubts], session)


def _grouped(sentences: Sequence[str], session: Session) -> list[str]:
    """Sentences about cells that differ only in their numbers, as one with their spans and the names of the cells."""
    names = sorted((cell.name for cell in session.cells), key=len, reverse=True)
    groups: dict[str, list[tuple[str, str]]] = {}
    for sentence in dict.fromkeys(sentences):
        name = next((name for name in names if sentence.startswith(f"{name}: ")), "")
        text = sentence.removeprefix(f"{name}: ") if name else sentence
        groups.setdefault(NUMBER.sub("#", text) if name else text, []).append((name, text))
    return [_together(group, len(names)) for group in groups.values()]


def _together(group: Sequence[tuple[str, str]], num_cells: int) -> str:
    names = list(dict.fromkeys(name for name, _ in group))
    if len(names) == 1:
        name, text = group[0][0], _spanned([text for _, text in group])
        return f"{name}: {text}" if name else text
    everywhere = "both cells" if num_cells == 2 else f"all {num_cells} cells"
    where = everywhere if len(names) == num_cells else _some(names)
    return f"{_spanned([text for _, text in group])}: {where}"


def _spanned(texts: Sequence[str]) -> str:
    """Texts that differ only in their numbers as one: each number that differs as lowest to highest."""
    columns = zip(*(NUMBER.findall(text) for text in texts), strict=True)
    spans = iter([_number_span(sorted(set(column), key=float)) for column in columns])
    return NUMBER.sub(lambda _: next(spans), texts[0])


def _number_span(ascending: Sequence[str]) -> str:
    return ascending[0] if len(ascending) == 1 else f"{ascending[0]} to {ascending[-1]}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def chunks(session: Session) -> list[Block]:
    """How the audio of each cell came in, for a session that was run to know it."""
    rows = tuple(
        (cell.name, *(estimate(quantile(cell, name, "p50"), "ms") for name in CHUNKS))
        for cell in session.cells
        if cell.ok and CHUNKS[-1] in cell.distributions
    )
    if session.mode != "streaming" or not rows:
        return []
    header = ("cell", "interval p50", "interval p95", "audio per chunk")
    return [Block("Chunks (median over answers)", (), header, rows, answers=True)]


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
    """Its sentence holds the line; the line alone where there is none."""
    if _said(finding) or finding.get("a_ms") is None or finding.get("b_ms_per_char") is None:
        return Block("TTFA against text length", _said(finding))
    per_1000 = 1000 * finding["b_ms_per_char"]
    line = f"TTFA = {number(finding['a_ms'], 'ms')} + {number(per_1000, 'ms')} per 1000 characters."
    return Block("TTFA against text length", (line,))


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


def _ab(finding: Mapping[str, Any], session: Session) -> Block:
    a, b = str(finding.get("a", "A")), str(finding.get("b", "B"))
    rates = {cell.name: cell.totals.get("success_rate") for cell in session.cells}
    rows = tuple(_gate(row, rates) for row in finding.get("metrics", ()))
    voided = tuple(f"Voided by: {reason}" for reason in finding.get("voided_by") or ())
    rounds = (f"{finding['rounds']} interleaved rounds.",) if finding.get("rounds") is not None else ()
    header = ("gate", a, b, "difference", "95 % interval", "p", "counts only beyond", "verdict")
    sentences = (*_said(finding), *_deciding(finding), *voided, *rounds)
    return Block(f"{b} against {a}", sentences, header if rows else (), rows)


def _gate(row: Mapping[str, Any], rates: Mapping[str, float | None]) -> Row:
    """One row: medians of both, or the rates of success."""
    metric = str(row["metric"])
    both = (rates.get("A"), rates.get("B")) if metric == RELIABILITY else (row.get("median_a"), row.get("median_b"))
    floor = ABSOLUTE_FLOORS.get(metric)
    beyond = f"{100 * RELATIVE_FLOOR:g} % and {floor:g} {unit(metric)}".rstrip() if floor is not None else ""
    return (
        title(metric),
        *(number(each, unit(metric)) for each in both),
        change(row.get("ratio")),
        NOT_AVAILABLE if row.get("low") is None else f"{change(row.get('low'))} to {change(row.get('high'))}",
        number(row.get("p")),
        beyond,
        str(row.get("verdict", NOT_AVAILABLE)),
    )


def _deciding(finding: Mapping[str, Any]) -> tuple[str, ...]:
    """The gates that made the verdict."""
    said, gates = finding.get("verdict"), finding.get("metrics", ())
    names = [title(str(row["metric"])) for row in gates if row.get("verdict") == said]
    if not names:
        return ()
    all_of_them = f"all {len(names)} gates" if len(names) == len(gates) > 1 else ", ".join(names)
    return (f"Decided by: {all_of_them} ({said}).",)


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


def _streaming(finding: Mapping[str, Any], _: Session) -> Block:
    share, limit = number(finding["efficiency_percent"], "%"), number(finding["first_chunk_ms"], "ms")
    rows = tuple(
        (
            name,
            str(cell["n"]),
            number(cell["efficiency_percent"], "%"),
            _met(cell["efficiency_met"], cell),
            number(cell["first_chunk_ms"], "ms"),
            number(cell["first_chunk_rate_percent"], "%"),
            _met(cell["first_chunk_met"], cell),
        )
        for name, cell in finding["cells"].items()
    )
    sentence = (
        f"Streaming efficiency is that of a player that starts {finding['buffer_ms']:g} ms after the first audio, the "
        "mean over all requests; the first chunk is the median TTFA."
    )
    header = ("cell", "n", "efficiency", f"above {share}", "first chunk", f"share below {limit}", "median below it")
    return Block("Streaming against its targets", (sentence,), header, rows)


def _scenarios(finding: Mapping[str, Any], _: Session) -> Block:
    rows = tuple(
        (
            name,
            number(cell["target_ms"], "ms"),
            str(cell["n"]),
            number(cell["median_ms"], "ms"),
            number(cell["attainment_percent"], "%"),
            _met(cell["met"], cell),
        )
        for name, cell in finding.items()
    )
    header = ("scenario", "target", "n", "median TTFA", "within the target", "median within it")
    return Block("Scenarios against their targets", (), header, rows)


def _met(met: bool | None, cell: Mapping[str, Any]) -> str:
    """Whether a target was."""
    if met is None:
        return "not judged" if cell.get("streamed", True) else "not streamed"
    return "met" if met else "MISSED"


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
    none = NO_CRITICAL_ISSUE if session.valid else "Critical Issues: the session is INVALID, for the reasons above"
    closing = ("Critical Issues:", *(f"- {issue}" for issue in issues)) if issues else (none,)
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
    times = {"connecting": "connect_ms", "TTFA": "ttfa_ms", "latency": "latency_ms"}
    if all(first.get("connect_ms") is None for first in finding.values()):
        del times["connecting"]
    rows = tuple(
        (
            target,
            *(number(first.get(name), "ms") for name in times.values()),
            f"{first.get('container')}, {first.get('sample_rate')} Hz",
        )
        for target, first in finding.items()
    )
    return Block("First request (in no other figure)", (), ("target", *times, "audio"), rows)


def _categories(finding: Mapping[str, str | Mapping[str, Any]], _: Session) -> Block:
    """Either the word alone, or with the median and the limits that it follows from."""
    rows = tuple(
        (cell, NOT_AVAILABLE, said, "")
        if isinstance(said, str)
        else (cell, number(said["median_ms"], "ms"), said["category"], said["limits"])
        for cell, said in finding.items()
    )
    return Block("TTFA by category", (), ("", "median TTFA", "", "limits"), rows)


def _discovery(finding: Mapping[str, Any], _: Session) -> Block:
    said = [f"{finding['url']}: {finding.get('server') or 'a server'}, engine {finding.get('engine') or 'not told'}."]
    named = ((name, finding.get(name) or ()) for name in ("voices", "models"))
    said += [f"{len(known)} {name}: {_some(known)}." for name, known in named if known]
    endpoints = finding.get("endpoints", ())
    notes = tuple(map(str, finding.get("notes") or ()))
    if not any(each["works"] for each in endpoints):
        nothing = f"No text-to-speech endpoint was found at {finding['url']}."
        return Block("Found", (nothing, *said[1:]), closing=(*_refusals(endpoints), *notes))
    rows = tuple(
        (
            _path(each),
            "works" if each["works"] else f"fails: {_why(each)}",
            scalar(each.get("streams")),
            scalar(each.get("sse")),
            ", ".join(each.get("formats") or ()) or NOT_AVAILABLE,
        )
        for each in endpoints
    )
    commands = tuple(f"Measure it: {each['command']}" for each in endpoints if each["works"] and each.get("command"))
    header = ("endpoint", "", "streams", "events", "formats")
    return Block("Found", tuple(said), header, rows, closing=(*commands, *notes))


def _path(endpoint: Mapping[str, Any]) -> str:
    return f"{endpoint.get('method') or endpoint['spec']['method']} {endpoint.get('path') or endpoint['spec']['path']}"


def _why(endpoint: Mapping[str, Any]) -> str:
    return str(endpoint.get("message") or endpoint.get("why") or "")


def _refusals(endpoints: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each reason once, with the endpoints that gave it."""
    groups: dict[str, list[str]] = {}
    for each in endpoints:
        groups.setdefault(_why(each) or str(each.get("outcome", "no reason was given")), []).append(_path(each))
    for why, paths in groups.items():
        yield f"- {why.rstrip('.')}: {_some(list(dict.fromkeys(paths)))}"


_KNOWN: Mapping[str, Callable[[Any, Session], Block]] = {
    "discovery": _discovery,
    "truth": _truth,
    "capacity": _capacity,
    "ab": _ab,
    "fit": _fit,
    "categories": _categories,
    "scenarios": _scenarios,
    "streaming": _streaming,
    "preroll_curve": _preroll_curve,
    "leak": _leak,
    "first_request": _first_request,
    "recommendations": _recommendations,
}
