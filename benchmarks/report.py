"""What the benchmarks share: options, repetition while others use the machine, tables for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

BUSY_SHARE = 0.06  # of the machine, used by other processes: the run is repeated
MAX_REPEATS = 5


class Others:
    """How much of the machine processes other than this one and its children use during a `with` block."""

    def __enter__(self) -> Others:
        self.share = 0.0
        self._own, self._begin_own = _own_cpu_s(), _total_busy_s()
        self._stop = threading.Event()
        self._gone_s = 0.0
        self._last: dict[int, float] = _children_cpu_s()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._clock = psutil.cpu_times()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        busy_s, own_s = _total_busy_s() - self._begin_own, _own_cpu_s() + self._children_s - self._own
        total_s = sum(psutil.cpu_times()[:8]) - sum(self._clock[:8])
        self.share = max(0.0, busy_s - own_s) / max(total_s, 1e-9)

    def _watch(self) -> None:
        """Children come and go: add up what each used, by its last reading."""
        used: dict[int, float] = {}
        while True:
            ended = self._stop.wait(0.1)
            used.update(_children_cpu_s())
            self._children_s = sum(s - self._last.get(pid, 0.0) for pid, s in used.items())
            if ended:
                return


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _total_busy_s() -> float:
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


def _children_cpu_s() -> dict[int, float]:
    found = {}
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        found[child.pid] = times.user + times.system
    return found


def quiet(run: Callable[[], Any]) -> tuple[Any, str]:
    """Run until other processes stayed below `BUSY_SHARE`; the result and a sentence about it."""
    repeats = 0
    while True:
        with Others() as others:
            result = run()
        if others.share <= BUSY_SHARE or repeats == MAX_REPEATS:
            break
        repeats += 1
    verdict = "" if others.share <= BUSY_SHARE else " -- NOT QUIET, do not quote"
    return result, f"other processes used {others.share:.1%} of the machine, {repeats} repeats{verdict}"


def arguments(doc: str | None, **defaults: int) -> argparse.Namespace:
    """Options of a benchmark: `--json FILE` and one integer option per default."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
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
