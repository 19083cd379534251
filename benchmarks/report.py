"""What the benchmarks share: options, repetition while others use the machine, tables for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from firstaudio.bench.load.watch import Neighbours

BUSY_SHARE = 0.06  # of the machine, used by other processes: the run is repeated
MAX_REPEATS = 5


def quiet(run: Callable[[], Any]) -> tuple[Any, str]:
    """Run until other processes stayed below `BUSY_SHARE`; the result and a sentence about it."""
    repeats = -1
    share = 1.0
    while share > BUSY_SHARE and repeats < MAX_REPEATS:
        repeats += 1
        neighbours = Neighbours()
        result = run()
        share = _known(neighbours.share())
    verdict = "" if share <= BUSY_SHARE else " -- NOT QUIET, do not quote"
    return result, f"other processes used {share:.1%} of the machine, {repeats} repeats{verdict}"


def _known(share: float | None) -> float:
    if share is None:
        raise SystemExit("nobody knows how busy the machine was: pip install psutil")
    return share


def arguments(doc: str | None, **defaults: int | str) -> argparse.Namespace:
    """Options of a benchmark: `--json FILE` and one option per default, of its type."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"default {value or 'none'}")
    return parser.parse_args()


class Report:
    """Prints a benchmark's figures under a headline that says where they were measured."""

    def __init__(self, title: str, others: str) -> None:
        self._console = Console(width=110)
        self._console.rule(title)
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
        self._console.print(f"{machine}; {others}")
        self._others = others

    def figures(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._console.print(f"{name:<34} {value:10.3f}" if isinstance(value, float) else f"{name:<34} {value:>10}")

    def rows(self, rows: Iterable[dict[str, Any]]) -> None:
        rows = list(rows)
        table = Table(*rows[0])
        for row in rows:
            table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
        self._console.print(table)

    def save(self, path: Path | None, result: Any) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"machine": platform.platform(), "others": self._others, **result}, indent=2))
