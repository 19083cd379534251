"""The report as one HTML file that needs nothing else: no script, no request, light and dark, wide and narrow."""

from __future__ import annotations

import base64
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.report import charts, figures, findings, tables, waterfall
from firstaudio.bench.report.series import by_length
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Clip, Session
from firstaudio.errors import MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_EMBEDDED = 24 << 20  # bytes of audio in one page: browsers stay quick, mail servers take it
MAX_FAILURES = 40
ELSEWHERE = ("preroll_curve", "preflight")  # findings that are a chart, or a reason beside the verdict


def html(session: Session, records: Sequence[RequestRecord], folder: Path) -> str:
    """The whole page.

    Args:
        session: What to show.
        records: Its rows; without them the page has no waterfall, no TTFA by length and no messages of failures.
        folder: Of the session: clips are read from it.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    return _environment().get_template("report.html.j2").render(_context(session, records, folder))


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("an HTML report", "bench") from error
    environment = Environment(
        loader=PackageLoader("firstaudio.bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=figures.number, estimate=figures.estimate, scalar=findings.scalar)
    environment.filters.update(heading=tables.heading, in_units=tables.in_units, cells_with=tables.cells_with)
    environment.filters.update(axis_title=tables.axis_title, axis_text=tables.axis_text)
    environment.filters.update(is_plain=_is_plain, is_figure=findings.is_figure)
    return environment


def _is_plain(value: object) -> bool:
    """Whether a JSON value fits on one line."""
    return not isinstance(value, Mapping) and not (
        isinstance(value, list | tuple) and any(isinstance(inner, Mapping | list | tuple) for inner in value)
    )


def _context(session: Session, records: Sequence[RequestRecord], folder: Path) -> dict[str, Any]:
    lives = waterfall.slowest(records)
    found = _blocks(session)
    scatter = by_length(tables.of_single_clients(session.cells), records)
    return {
        "session": session,
        "command": shlex.join(session.command),
        "reasons": tables.grouped(session.reasons, session.cells),
        "warnings": tables.grouped(findings.all_warnings(session), session.cells),
        "best": figures.best_figures(session.cells),
        "nothing_measured": _nothing_measured(session.cells),
        "counts": _counts(session.cells),
        "axes": tables.placed_by(session.cells),
        "first": tables.known_columns(tables.FIRST, session.cells),
        "second": tables.known_columns(tables.SECOND, session.cells),
        "legend": tables.legend(session.cells),
        "quantiles": figures.QUANTILES,
        "metrics": tables.metrics_shown(session.cells),
        "ttfa_charts": charts.ttfa_charts(session.cells),
        "length_chart": charts.length_chart(scatter, session.findings.get("fit")),
        "scatter": scatter,
        "preroll_chart": charts.preroll_chart(session.findings.get("preroll_curve") or {}),
        "lives": lives,
        "stages": waterfall.stages_shown(lives),
        "answers": [block for block in found if block.answers],
        "blocks": [block for block in found if not block.answers],
        "stage_names": _columns([cell.stages_ms for cell in session.cells]),
        "quality": _columns([cell.quality for cell in session.cells]),
        "clips": _clips(session, records, folder),
        "failures": _failures(session.cells, records),
        "max_failures": MAX_FAILURES,
    }


def _blocks(session: Session) -> list[findings.Block]:
    """The findings as they are shown here: nothing that stands elsewhere on the page."""
    found = [tables.said_once(block, session.reasons) for block in findings.blocks(session, without=ELSEWHERE)]
    chunks = tables.chunk_block(session.cells) if session.mode == "streaming" else None
    return [chunks, *found] if chunks else found


def _nothing_measured(cells: Sequence[CellResult]) -> str:
    """A sentence where nothing can be best; empty otherwise."""
    fit = any(cell.ok and cell.valid and cell.completed for cell in cells)
    return figures.NOTHING_MEASURED if cells and not fit else ""


def _counts(cells: Sequence[CellResult]) -> dict[str, int]:
    names = ("issued", "ok", "failed", "cancelled")
    return {name: sum(getattr(cell, name) for cell in cells) for name in names}


def _columns(rows: Sequence[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


@dataclass(frozen=True, slots=True)
class FailureRow:
    """Failures that are alike."""

    cell: str
    kind: str
    message: str
    count: int


def _failures(cells: Sequence[CellResult], records: Sequence[RequestRecord]) -> list[FailureRow]:
    """Grouped, the most frequent first; without records, without messages."""
    if not records:
        return [FailureRow(cell.name, kind, "", n) for cell in cells for kind, n in cell.failures.items()]
    alike = Counter((r.cell, r.outcome, r.message) for r in measured(records) if not r.ok)
    return [FailureRow(*key, count) for key, count in alike.most_common()]


@dataclass(frozen=True, slots=True)
class Playable:
    """A clip with its sound.

    Attributes:
        source: A `data:` address; empty if the file is not embedded.
        reason: Why it is not.
    """

    clip: Clip
    text: str
    source: str
    reason: str = ""


def _clips(session: Session, records: Sequence[RequestRecord], folder: Path) -> list[Playable]:
    texts = {(record.cell, record.index): record.text for record in measured(records)}
    room, found = MAX_EMBEDDED, []
    for clip in session.clips:
        text = texts.get((clip.cell, clip.index), "")
        source, reason, size = _embedded(folder, clip.file, room)
        room -= size
        found.append(Playable(clip, text, source, reason))
    return found


def _embedded(folder: Path, file: str, room: int) -> tuple[str, str, int]:
    """A file as a `data:` address, or why not; and how many bytes it took. Only files of the session are read."""
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return "", "the file is not in the session's folder", 0
    size = path.stat().st_size
    if size > room:
        return "", "not embedded: the page would become too large", 0
    return f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}", "", size
