"""The whole report as Markdown, for a repository or a ticket."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from firstaudio.bench.report import tables
from firstaudio.bench.report.figures import NOTHING_MEASURED, QUANTILES, best_figures, estimate
from firstaudio.bench.report.findings import Block, all_warnings, blocks, is_figure, pairs
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Session

# What would be markup where it stands: an underscore inside a word, or a "<" before a space, is none.
MARKUP = re.compile(r"[`|*\[\]]|\\(?=[^\w\s]|_)|<(?=[A-Za-z/!?])|(?<![^\W_])_|_(?![^\W_])|^[#>]|&(?=#?\w+;)")


def markdown(session: Session) -> str:
    """A document of headings, tables and lists."""
    return "\n\n".join(part for part in _parts(session) if part) + "\n"


def escaped(text: str) -> str:
    """A text that comes from a target, as itself: neither markup nor the end of a table's cell."""
    return MARKUP.sub(lambda found: "\\" + found[0], re.sub(r"[\r\n]", " ", text))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its texts are escaped."""
    first = rows[0] if rows else header
    rule = ["---", *("---:" if is_figure(text) else "---" for text in first[1:])]
    lines = [[escaped(text) for text in row] for row in (header, *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def _parts(session: Session) -> Iterator[str]:
    yield f"# {escaped(session.name)}"
    yield f"{escaped(session.mode)}, {escaped(session.created)}"
    yield from _verdict(session)
    if session.cells:
        yield from _overview(session.cells)
        yield from _percentiles(session.cells)
    for block in _blocks(session):
        yield from _block(tables.said_once(block, session.reasons))
    yield from _failures(session.cells)
    yield from _circumstances(session)


def _verdict(session: Session) -> Iterator[str]:
    yield f"**{'VALID' if session.valid else 'INVALID'}**"
    yield _list(tables.grouped(session.reasons, session.cells))
    yield _list([f"Warning: {warning}" for warning in tables.grouped(all_warnings(session), session.cells)])


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(text)}" for text in texts)


def _overview(cells: Sequence[CellResult]) -> Iterator[str]:
    yield _list([str(best) for best in best_figures(cells)] or ([NOTHING_MEASURED] if not _any_fit(cells) else []))
    yield "## Figures"
    axes, all_axes = tables.placed_by(cells)
    yield _cells_table(tables.FIRST, cells, axes, with_verdict=True)
    yield "\n".join(f"- {name}: {meaning}" for name, meaning in tables.legend(cells))
    if any(column.known(cells) for column in tables.SECOND):
        yield "## Rates and goals"
        yield _cells_table(tables.SECOND, cells, all_axes)


def _any_fit(cells: Sequence[CellResult]) -> bool:
    return any(cell.ok and cell.valid and cell.completed for cell in cells)


def _cells_table(
    columns: Sequence[tables.Column], cells: Sequence[CellResult], axes: Sequence[str], with_verdict: bool = False
) -> str:
    shown = tables.known_columns(columns, cells)
    header = [*map(tables.axis_title, axes), *(column.heading for column in shown)]
    rows = [[*(tables.axis_text(c, axis) for axis in axes), *(column.text(c) for column in shown)] for c in cells]
    if with_verdict:
        header.append("Valid")
        rows = [[*row, "yes" if cell.valid else "INVALID"] for row, cell in zip(rows, cells, strict=True)]
    return table(header, rows)


def _percentiles(cells: Sequence[CellResult]) -> Iterator[str]:
    metrics = tables.metrics_shown(cells)
    if metrics:
        yield "## Percentiles"
        yield "Each with its 95 % interval."
    for metric in metrics:
        yield f"### {escaped(tables.heading(metric))}"
        rows = [_row(cell, metric) for cell in tables.cells_with(metric, cells)]
        yield table(["Cell", "n", *QUANTILES], rows)


def _row(cell: CellResult, metric: str) -> list[str]:
    spread = tables.in_units(cell.distributions[metric], metric)
    figures = [estimate(spread.quantiles.get(name), interval=True) for name in QUANTILES]
    return [cell.name, str(spread.n), *figures]


def _blocks(session: Session) -> list[Block]:
    found = blocks(session, without=("preflight",))
    chunks = tables.chunk_block(session.cells) if session.mode == "streaming" else None
    return [chunks, *found] if chunks else found


def _block(block: Block) -> Iterator[str]:
    yield f"## {escaped(block.title)}"
    if block.numbered:
        yield "\n".join(f"{place}. {escaped(sentence)}" for place, sentence in enumerate(block.sentences, 1))
    else:
        yield "\n\n".join(map(escaped, block.sentences))
    if block.rows:
        yield table(block.header, block.rows)
    yield "\n\n".join(map(escaped, block.closing)).replace("\n\n- ", "\n- ").replace("\n- ", "\n\n- ", 1)


def _failures(cells: Sequence[CellResult]) -> Iterator[str]:
    rows = [(cell.name, kind, str(count)) for cell in cells for kind, count in cell.failures.items()]
    if rows:
        yield "## Failures"
        yield table(("Cell", "kind", "count"), rows)


def _circumstances(session: Session) -> Iterator[str]:
    yield "## Repeat it"
    yield f"```sh\n{shlex.join(session.command)}\n```"
    yield f"Workload `{session.workload_hash}`."
    yield "## Environment"
    yield table(("what", "value"), list(pairs(dict(session.environment))))
    if session.cells:
        yield "## Definitions"
        totals = [column.metric for column in (*tables.FIRST, *tables.SECOND) if not column.quantile]
        shown = [name for name in totals if any(cell.totals.get(name) is not None for cell in session.cells)]
        said = dict(tables.legend(session.cells))
        lines = tables.formulas([*tables.metrics_shown(session.cells), *shown])
        yield "Those under the first table, and these:"
        yield "\n".join(f"- {name}: {formula}" for name, formula in lines if name not in said)
        yield "The events in them, every other metric and the statistics are in docs/metrics.md of firstaudio."
