"""Rows on stdout: a table for people, lines for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], *, names_columns: bool = True) -> None:
    """Print rows, where there are any: as a table on a terminal, tab-separated elsewhere.

    Args:
        columns: What they are called.
        rows: A text for each column.
        names_columns: Whether the first of the tab-separated lines names the columns.
    """
    if not rows:
        return
    if sys.stdout is not None and sys.stdout.isatty():
        _print_table(columns, rows)
        return
    for row in (columns, *rows) if names_columns else rows:
        print(*row, sep="\t")


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*(column.replace("_", " ") for column in columns), box=None)
    for row in rows:
        table.add_row(*map(Text, row))  # a name is no markup
    Console().print(table)
