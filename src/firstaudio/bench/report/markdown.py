"""The whole report as Markdown, for a repository or a ticket."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from firstaudio.bench.report.figures import (
    AXIS_TITLES,
    NOTHING_MEASURED,
    QUANTILES,
    axis_value,
    best_figures,
    estimate,
    number,
    title,
    unit,
    varying_axes,
)
from firstaudio.bench.report.findings import Block, all_warnings, blocks, pairs
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Session

TOTALS = ("asps", "rtf_mean", "rps", "cps", "success_rate", "target_attainment", "goodput")
SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "})


def markdown(session: Session) -> str:
    """A document of headings, tables and lists."""
    return "\n\n".join(part for part in _parts(session) if part) + "\n"


def escaped(text: str) -> str:
    """A text that comes from a target, as itself: neither markup nor the end of a table's cell."""
    return text.translate(SPECIAL)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its texts are escaped."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    lines = [[escaped(text) for text in row] for row in (header, *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def _parts(session: Session) -> Iterator[str]:
    yield f"# {escaped(session.name)}"
    yield f"{escaped(session.mode)}, {escaped(session.created)}"
    yield from _verdict(session)
    if session.cells:
        yield from _figures(session.cells)
    for block in blocks(session):
        yield from _block(block)
    yield from _failures(session.cells)
    yield from _circumstances(session)


def _verdict(session: Session) -> Iterator[str]:
    yield f"**{'VALID' if session.valid else 'INVALID'}**"
    yield _list(session.reasons)
    yield _list([f"Warning: {warning}" for warning in all_warnings(session)])


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(text)}" for text in texts)


def _figures(cells: Sequence[CellResult]) -> Iterator[str]:
    yield _list([str(best) for best in best_figures(cells)] or [NOTHING_MEASURED])
    axes = varying_axes(cells)
    header = [*(AXIS_TITLES.get(axis, axis.replace("_", " ").capitalize()) for axis in axes), *map(title, TOTALS)]
    rows = [
        [*(axis_value(cell, axis) for axis in axes), *(number(cell.totals.get(name), unit(name)) for name in TOTALS)]
        for cell in cells
    ]
    verdicts = ["yes" if cell.valid else "no" for cell in cells]
    yield "## Throughput"
    yield table([*header, "Valid"], [[*row, valid] for row, valid in zip(rows, verdicts, strict=True)])
    yield "## Percentiles"
    yield "Each with its 95 % interval."
    for metric in dict.fromkeys(name for cell in cells for name in cell.distributions):
        yield f"### {title(metric)}{f', {unit(metric)}' if unit(metric) else ''}"
        yield table(["Cell", "n", *QUANTILES], [_percentiles(c, metric) for c in cells if metric in c.distributions])


def _percentiles(cell: CellResult, metric: str) -> list[str]:
    spread = cell.distributions[metric]
    figures = [estimate(spread.quantiles.get(name), interval=True) for name in QUANTILES]
    return [cell.name, str(spread.n), *figures]


def _block(block: Block) -> Iterator[str]:
    yield f"## {escaped(block.title)}"
    if block.numbered:
        yield "\n".join(f"{place}. {escaped(sentence)}" for place, sentence in enumerate(block.sentences, 1))
    else:
        yield "\n\n".join(map(escaped, block.sentences))
    if block.rows:
        yield table(block.header, block.rows)
    yield "\n\n".join(line if line.startswith("- ") else escaped(line) for line in block.closing)


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
    yield "## Definitions"
    yield table(("what", "definition"), list(pairs(dict(session.definitions))))
