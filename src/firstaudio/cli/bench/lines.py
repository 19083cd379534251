"""How far a benchmark has come, for a program that watches: one JSON object a line on stderr.

`{"progress": {...}}` tells where the run stands; `{"note": "..."}` is for people. Other lines are not JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

from firstaudio.clock import NS_PER_S, Clock, now_ns

EVERY_S = 0.5  # while requests are timed, a line must cost next to nothing


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class JsonLines:
    """Writes a line when a cell begins and ends, and now and then between.

    `share` is the part of all measured requests that have ended, 0..1; None where the mode decides as it goes, or time
    does.

    Args:
        write: Takes a line.
        clock: Nanoseconds.
    """

    def __init__(self, write: Callable[[str], None] = _print, clock: Clock = now_ns) -> None:
        self._write, self._clock = write, clock
        self._plan: dict[str, int | None] = {}
        self._ended: set[str] = set()
        self._cell = ""
        self._total: int | None = None
        self._done = self._failed = self._before = 0
        self._told_ns = clock()

    def plan(self, totals: Mapping[str, int | None]) -> None:
        """What is to come: measured requests by name of the cell; None if time decides."""
        self._plan = dict(totals)

    def begin(self, name: str, total: int | None) -> None:
        """A cell begins."""
        self._cell, self._total, self._done, self._failed = name, total, 0, 0
        self._tell()

    def advance(self, ok: bool) -> None:
        """One more request has ended."""
        self._done += 1
        self._failed += not ok
        if self._clock() - self._told_ns >= EVERY_S * NS_PER_S:
            self._tell()

    def end(self) -> None:
        """The cell has ended."""
        self._ended.add(self._cell)
        self._before += self._plan.get(self._cell) or self._done
        self._done = 0
        self._tell()

    def note(self, message: str) -> None:
        """Something a person should know."""
        self._write(json.dumps({"note": message}))

    def _tell(self) -> None:
        self._told_ns = self._clock()
        told = {
            "cell": self._cell,
            "done": self._done,
            "total": self._total,
            "failed": self._failed,
            "cells_done": len(self._ended),
            "cells": len(self._plan) or None,
            "share": self._share(),
        }
        self._write(json.dumps({"progress": told}))

    def _share(self) -> float | None:
        totals = [total for total in self._plan.values() if total is not None]
        if len(totals) < len(self._plan) or not sum(totals):
            return None
        return min(1.0, (self._before + self._done) / sum(totals))
