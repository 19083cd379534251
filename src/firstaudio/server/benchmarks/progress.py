"""What a running benchmark says on stderr: its progress, and the end of everything else."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from firstaudio.clock import NS_PER_S, Clock, now_ns

MAX_LINE_BYTES = 65_536
MAX_TAIL_CHARS = 4000
REPORTS = "writing the reports"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run has come.

    Attributes:
        share: Of all measured requests, 0..1; None while nobody knows.
        current_test: Name of the condition that is measured, None before the first one.
    """

    share: float | None = None
    current_test: str | None = None


class Listener:
    """Reads what the program writes, in whatever pieces it comes; whatever it writes, this stays small.

    Attributes:
        progress: What it told last.
        tail: The end of what it said to people.
    """

    def __init__(self) -> None:
        self.progress = RunProgress()
        self.tail = ""
        self._line = b""

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._hear(line)
        if len(self._line) > MAX_LINE_BYTES:
            self._say(self._line)
            self._line = b""

    def end(self) -> None:
        """Nothing more comes."""
        if self._line:
            self._hear(self._line)
        self._line = b""

    @property
    def last_line(self) -> str:
        """The last thing that it said to people; empty if it said nothing."""
        return next((line.strip() for line in reversed(self.tail.splitlines()) if line.strip()), "")

    def _hear(self, line: bytes) -> None:
        document = _document(line)
        if isinstance(document.get("progress"), dict):
            self.progress = _progress(document["progress"], self.progress)
        elif isinstance(document.get("note"), str):
            self._say(document["note"].encode())
        else:
            self._say(line)

    def _say(self, line: bytes) -> None:
        self.tail = f"{self.tail}{line.decode('utf-8', 'replace')}\n"[-MAX_TAIL_CHARS:]


class Pace:
    """How fast a run goes, from the first progress on: its program takes seconds to load before.

    Args:
        clock: Nanoseconds.
    """

    def __init__(self, clock: Clock = now_ns) -> None:
        self._clock = clock
        self._first: tuple[int, float] | None = None

    def note(self, share: float | None) -> None:
        """The run has said how far it is."""
        if self._first is None and share is not None:
            self._first = self._clock(), share

    def remaining_s(self, share: float | None) -> float | None:
        """How long it still takes at the pace so far; None while there is none."""
        if self._first is None or share is None or share <= self._first[1]:
            return None
        began_ns, before = self._first
        return (self._clock() - began_ns) / NS_PER_S * (1 - share) / (share - before)


def _document(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"{"):
        return {}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _progress(told: dict[str, Any], before: RunProgress) -> RunProgress:
    """As told, where it makes sense."""
    share, cell = told.get("share"), told.get("cell")
    is_share = isinstance(share, int | float) and math.isfinite(share) and 0 <= share <= 1
    known = float(share) if is_share and share is not None else before.share
    if told.get("cells") is not None and told.get("cells") == told.get("cells_done"):
        cell = REPORTS
    return RunProgress(
        share=known,
        current_test=cell[:200] if isinstance(cell, str) and cell else before.current_test,
    )
