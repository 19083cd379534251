"""Every report of a session, written beside it. A file is either the old one or the whole new one, never half."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firstaudio.bench.record import RequestRecord
from firstaudio.bench.report import plots
from firstaudio.bench.report.csv import cells_csv
from firstaudio.bench.report.figures import by_target
from firstaudio.bench.report.html import html
from firstaudio.bench.report.markdown import markdown
from firstaudio.bench.report.series import by_length
from firstaudio.bench.report.tables import of_single_clients
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import RECORDS

Made = tuple[str, str | bytes | None]  # the name of a file, and what is in it; None: there is nothing to show
Draw = Callable[[Sequence[CellResult], str], bytes | None]
UNNAMED = "target"
MAX_NAME = 80


def write_reports(session: Session, folder: Path, records: Sequence[RequestRecord] = ()) -> list[Path]:
    """Write CSV, JSON of the aggregates, plots, Markdown and HTML.

    Args:
        session: What to show.
        folder: Of the session; made if it is missing.
        records: Its rows; without them the reports lack what aggregates do not hold.

    Returns:
        The files that were written; a plot without a single point is not, nor is anything but Markdown and HTML of a
        target that never spoke. `saved_files` names those that were there before, too.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _replaced(folder / name, content) for name, content in _files(session, folder, records) if content is not None
    ]


def saved_files(session: Session, folder: Path) -> list[str]:
    """All that there is of a session, the session itself first: names relative to its folder, with those of clips."""
    reports = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    clips = [clip.file for clip in session.clips if (folder / clip.file).is_file()]
    whole = f"{session.name}.json"
    first = [name for name in (whole, RECORDS) if name in reports]
    return [*first, *(name for name in reports if name not in first), *clips]


def file_name(name: str) -> str:
    """A name that is safe as a part of a file name: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._-")[:MAX_NAME] or UNNAMED


def results(session: Session, cells: Sequence[CellResult]) -> dict[str, Any]:
    """The aggregates alone, as JSON: no configuration, no checks that hold, no raw rows."""
    verdict = {"verdict": "VALID" if session.valid else "INVALID", "reasons": session.reasons}
    about = ("name", "mode", "created", "workload_hash", "schema_version")
    return {**{name: getattr(session, name) for name in about}, **verdict, "cells": [_aggregates(c) for c in cells]}


def _aggregates(cell: CellResult) -> dict[str, Any]:
    counts = ("name", "label", "window_s", "issued", "ok", "failed", "cancelled", "completed", "valid")
    return {
        **{name: getattr(cell, name) for name in counts},
        "axes": dict(cell.axes),
        "failures": dict(cell.failures),
        "totals": dict(cell.totals),
        "distributions": {name: asdict(spread) for name, spread in cell.distributions.items()},
    }


def _files(session: Session, folder: Path, records: Sequence[RequestRecord]) -> Iterator[Made]:
    if session.cells or "preflight" not in session.findings:  # a target that never spoke has nothing to plot
        yield from _of_figures(session, records)
    yield "report.md", markdown(session)
    yield "report.html", html(session, records, folder)


def _of_figures(session: Session, records: Sequence[RequestRecord]) -> Iterator[Made]:
    base = file_name(session.name)
    for target, cells in _targets(session):
        yield from _of_target(session, f"{base}_{target}", cells)
    if session.mode == "voices":
        yield f"{base}_comparison.csv", cells_csv(session.cells)
        yield f"{base}_comparison.png", plots.comparison_png(session.cells, f"{session.name}: voices")
    curves, fit = session.findings.get("preroll_curve") or {}, session.findings.get("fit")
    yield f"{base}_preroll.png", plots.preroll_png(curves, f"{session.name}: buffer that playback needs")
    scatter = by_length(of_single_clients(session.cells), records)
    yield f"{base}_length.png", plots.length_png(scatter, fit, f"{session.name}: TTFA by length of text")


def _targets(session: Session) -> Iterator[tuple[str, list[CellResult]]]:
    """File names of the targets with their cells; one without a cell too, so that its CSV says that it has none."""
    groups: dict[str, list[CellResult]] = {}
    for name in session.targets:
        groups.setdefault(file_name(name), [])
    for name, cells in by_target(session.cells).items():
        known = name or next(iter(session.targets), UNNAMED)
        groups.setdefault(file_name(known), []).extend(cells)
    yield from groups.items()


def _of_target(session: Session, base: str, cells: Sequence[CellResult]) -> Iterator[Made]:
    yield f"{base}.csv", cells_csv(cells)
    yield f"{base}_results.json", _json(results(session, cells))
    yield f"{base}_throughput.png", _plot(plots.throughput_png, cells, f"{base}: throughput")
    yield f"{base}_latency.png", _plot(plots.latency_png, cells, f"{base}: time to first audio")


def _plot(draw: Draw, cells: Sequence[CellResult], heading: str) -> bytes | None:
    return draw(cells, heading) if cells else None


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _replaced(path: Path, content: str | bytes) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
