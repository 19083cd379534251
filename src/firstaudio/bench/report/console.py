"""A session on a terminal: the table, the best lines, the verdict, and what was found."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from firstaudio.bench.report.columns import Column, columns, fitting, legend
from firstaudio.bench.report.figures import NOTHING_MEASURED, best_figures, number, varying_axes
from firstaudio.bench.report.findings import Block, all_reasons, all_warnings, blocks, chunks, is_figure
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from firstaudio.bench.compare.sessions import CellComparison, Comparison, Difference

RULE_WIDTH = 80
GAP = 2


def print_session(session: Session, console: Console) -> None:
    """The whole session, as wide as the console allows; nothing is cut off."""
    _say(console, "=" * RULE_WIDTH)
    _say(console, f"{session.name} ({session.mode}, {session.created})", "bold")
    _say(console, "=" * RULE_WIDTH)
    if session.cells or "discovery" not in session.findings:
        _print_cells(session, console)
    _print_best(session.cells, console)
    if session.cells or not session.valid:
        _print_verdict(session, console)
    for block in [*chunks(session), *blocks(session)]:
        _print_block(block, console)
    _say(console, f"\nRepeat with: {shlex.join(session.command)}")


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Two sessions: the verdict first, every figure of both, then the gates."""
    _say(console, comparison.sentence, "bold")
    for reason in comparison.reasons:
        _say(console, f"  - {reason}")
    found = [(cell, each) for cell in comparison.cells for each in cell.differences]
    rows = [_difference_row(cell, each) for cell, each in found if each.finding == "suspect" or _is_missing(each)]
    if calm := len(found) - len(rows):
        _say(console, f"{calm} of {len(found)} figures show no difference that counts (--format json has them all).")
    if rows:
        _say(console, "")
        lines = table(("cell", "figure", comparison.a, comparison.b, "change", ""), rows)
        _say(console, lines[0], "bold")
        for line, row in zip(lines[1:], rows, strict=True):
            _say(console, line, "yellow" if row[-1].startswith("suspect") else "")
    for sentence in comparison.unmatched:
        _say(console, f"Not compared: {sentence}", "yellow")
    for gate in comparison.gates:
        word, style = {True: ("passed", "green"), False: ("FAILED", "red"), None: ("not judged", "yellow")}[gate.ok]
        _say(console, f"{word}: {gate.sentence}", style)


def _is_missing(each: Difference) -> bool:
    return each.a is None or each.b is None


def _difference_row(cell: CellComparison, each: Difference) -> tuple[str, ...]:
    worse = {True: " (worse)", False: " (better)", None: ""}[each.is_worse]
    change = "n/a" if each.change is None else f"{100 * each.change:+.1f} %"
    return (cell.name, each.figure, number(each.a), number(each.b), change, each.finding + worse)


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text("".join(map(_harmless, line)), style), soft_wrap=True)


def _harmless(letter: str) -> str:
    """Names and messages come from targets: none of them may steer the terminal."""
    return letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}"


def _print_cells(session: Session, console: Console) -> None:
    cells = session.cells
    if not cells:
        _say(console, "No cell was measured.")
        return
    shown = fitting(columns(cells, session.mode), lambda left: max(map(len, _lines(left, cells))) <= console.width)
    lines = _lines(shown, cells)
    _say(console, lines[0], "bold")
    _say(console, "-" * RULE_WIDTH)
    for line, cell in zip(lines[1:], cells, strict=True):
        _say(console, line, "" if cell.ok and cell.valid else "red")
    _say(console, "-" * RULE_WIDTH)
    for line in textwrap.wrap(legend([column.title for column in shown]), max(console.width, RULE_WIDTH)):
        _say(console, line, "dim")


def _lines(shown: Sequence[Column], cells: Sequence[CellResult]) -> list[str]:
    return table([column.title for column in shown], [[column.value(cell) for column in shown] for cell in cells])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, header first: figures to the right, the first column and texts to the left."""
    columns = list(zip(header, *rows, strict=True))
    padded = []
    for place, column in enumerate(columns):
        width = max(map(len, column))
        right = place > 0 and all(map(is_figure, column[1:]))
        padded.append([text.rjust(width) if right else text.ljust(width) for text in column])
    return [(" " * GAP).join(row).rstrip() for row in zip(*padded, strict=True)]


def _print_best(cells: Sequence[CellResult], console: Console) -> None:
    found = best_figures(cells)
    for best in found:
        _say(console, str(best))
    if cells and not found and len(varying_axes(cells)) == 1:
        _say(console, NOTHING_MEASURED, "yellow")


def _print_verdict(session: Session, console: Console) -> None:
    _say(console, "")
    _say(console, "VALID" if session.valid else "INVALID", "bold green" if session.valid else "bold red")
    for reason in all_reasons(session):
        _say(console, f"  - {reason}")
    for warning in all_warnings(session):
        _say(console, f"Warning: {warning}", "yellow")


def _print_block(block: Block, console: Console) -> None:
    _say(console, f"\n{block.title}", "bold")
    for place, sentence in enumerate(block.sentences, 1):
        _say(console, f"{place}. {sentence}" if block.numbered else sentence)
    if block.rows:
        for line in table(block.header, block.rows):
            _say(console, f"  {line}")
    for sentence in block.closing:
        _say(console, sentence)
