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
from firstaudio.bench.report import charts, figures, findings, waterfall
from firstaudio.bench.report.series import by_length
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Clip, Session
from firstaudio.errors import MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_EMBEDDED = 24 << 20  # bytes of audio in one page: browsers stay quick, mail servers take it
MAX_FAILURES = 40
PERCENTILES = (
    "ttfa_ms",
    "audible_ttfa_ms",
    "scheduled_ttfa_ms",
    "ttfb_ms",
    "ttgp_ms",
    "preroll_ms",
    "stall_ms",
    "latency_ms",
    "rtf",
)
TOTALS = ("asps", "rtf_mean", "rtf_median", "rps", "cps", "success_rate", "target_attainment", "goodput")
DRAWN = ("preroll_curve",)  # findings that are shown as charts


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
    environment.filters.update(
        title_of=figures.title, unit_of=figures.unit, is_plain=_is_plain, is_figure=findings.is_figure
    )
    return environment


def _is_plain(value: object) -> bool:
    """Whether a JSON value fits on one line."""
    return not isinstance(value, Mapping) and not (
        isinstance(value, list | tuple) and any(isinstance(inner, Mapping | list | tuple) for inner in value)
    )


def _context(session: Session, records: Sequence[RequestRecord], folder: Path) -> dict[str, Any]:
    lives = waterfall.slowest(records)
    found = findings.blocks(session, without=DRAWN)
    scatter = by_length(session.cells, records)
    return {
        "session": session,
        "command": shlex.join(session.command),
        "warnings": findings.all_warnings(session),
        "best": figures.best_figures(session.cells),
        "nothing_measured": figures.NOTHING_MEASURED,
        "counts": _counts(session.cells),
        "axes": figures.varying_axes(session.cells),
        "axis_value": figures.axis_value,
        "axis_titles": figures.AXIS_TITLES,
        "totals": TOTALS,
        "quantiles": figures.QUANTILES,
        "metrics": [m for m in PERCENTILES if any(m in cell.distributions for cell in session.cells)],
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
