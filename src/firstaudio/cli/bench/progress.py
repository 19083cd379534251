"""How far a benchmark has come, on stderr: a bar on a terminal, a line per cell elsewhere, or JSON for a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from firstaudio.bench.progress import Progress
from firstaudio.cli.bench.lines import JsonLines

REFRESH_PER_S = 2  # while requests are timed, the bar must cost next to nothing


@contextmanager
def shown(how: str = "auto") -> Iterator[Progress]:
    """A progress for the length of the block; `how` is "auto" or "json"."""
    if how == "json":
        yield JsonLines()
        return
    if not sys.stderr.isatty():
        yield Lines()
        return
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with RichProgress(*columns, console=Console(stderr=True), refresh_per_second=REFRESH_PER_S, transient=True) as bar:
        yield Bar(bar)


class Lines:
    """One line when a cell has ended."""

    def __init__(self) -> None:
        self._name, self._done, self._failed = "", 0, 0

    def begin(self, name: str, total: int | None) -> None:  # noqa: ARG002 (lines do not say how much is to come)
        """Remember it."""
        self._name, self._done, self._failed = name, 0, 0

    def advance(self, ok: bool) -> None:
        """Count."""
        self._done += 1
        self._failed += not ok

    def end(self) -> None:
        """Say what came."""
        failed = f", {self._failed} failed" if self._failed else ""
        self.note(f"{self._name}: {self._done} requests{failed}")

    def note(self, message: str) -> None:
        """Say it."""
        print(message, file=sys.stderr)


class Bar:
    """A bar per cell.

    Args:
        bar: Already shown.
    """

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def begin(self, name: str, total: int | None) -> None:
        """A fresh bar."""
        self.end()
        self._task = self._bar.add_task(name, total=total)

    def advance(self, ok: bool) -> None:  # noqa: ARG002 (a bar counts what has ended)
        """One step."""
        if self._task is not None:
            self._bar.advance(self._task)

    def end(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    def note(self, message: str) -> None:
        """Above the bar."""
        self._bar.console.print(message, markup=False, highlight=False)
