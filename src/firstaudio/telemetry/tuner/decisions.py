"""What was decided, and why: a bounded file of JSON lines."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from firstaudio.telemetry.tuner.knobs import Value

logger = logging.getLogger(__name__)

Action = Literal["recommended", "kept", "left", "stopped", "rolled_back", "abandoned", "reset"]

FILE_NAME = "decisions.jsonl"
MAX_DECISIONS = 500  # the file is rewritten when it holds twice as many


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    Attributes:
        at: When, in seconds since 1970.
        experiment: Its id; empty for a reset.
        setting: As in the configuration.
        current: What it stood at.
        candidate: What was tried; for a rollback or a reset: what was left.
        action: "recommended" and "kept" after a gain, "left" after none, "stopped" for harm during the experiment,
            "rolled_back" for harm after it, "abandoned" where it came to no end, "reset" on demand.
        verdict: Of the experiment; empty where there is none.
        sentence: For people.
        evidence: The numbers.
    """

    at: float
    experiment: str
    setting: str
    current: Value
    candidate: Value
    action: Action
    verdict: str
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class DecisionLog:
    """The last decisions, in memory and on disk. Every method but `last` touches the disk: call it in a thread.

    Args:
        folder: Made when it is needed; None keeps them in memory only.

    Attributes:
        problem: Why decisions are not kept on disk, with the next step; empty where they are.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._decisions: deque[Decision] = deque(maxlen=MAX_DECISIONS)
        self._num_lines = 0
        self.problem = ""

    def last(self, number: int = MAX_DECISIONS) -> list[Decision]:
        """The newest first."""
        return list(self._decisions)[::-1][:number]

    def load(self) -> None:
        """Read what earlier servers decided; lines that cannot be read are counted in the log."""
        if self._path is None:
            return
        try:
            lines = self._path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            self._report(error)
            return
        read = [decision for line in lines if (decision := _decision(line)) is not None]
        self._num_lines = len(lines)
        self._decisions.extend(read)
        if len(read) < len(lines):
            logger.warning("%d of %d lines in %s are no decisions", len(lines) - len(read), len(lines), self._path)

    def append(self, decision: Decision) -> None:
        """Keep one more; a disk that refuses is reported, and memory keeps it."""
        self._decisions.append(decision)
        if self._path is None:
            return
        try:
            self._write(self._path, decision)
        except OSError as error:
            self._report(error)
        else:
            self.problem = ""

    def _write(self, path: Path, decision: Decision) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._num_lines >= 2 * MAX_DECISIONS:
            self._rewrite(path)
            return
        with path.open("a", encoding="utf-8") as file:
            # A line that a dying server left half written must not swallow this one.
            file.write(_line(decision) if file.tell() == 0 or _ends_cleanly(path) else "\n" + _line(decision))
        self._num_lines += 1

    def _rewrite(self, path: Path) -> None:
        beside = path.with_suffix(".new")
        beside.write_text("".join(map(_line, self._decisions)), "utf-8")
        beside.replace(path)
        self._num_lines = len(self._decisions)

    def _report(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        if not self.problem:
            logger.warning("decisions of the tuner cannot be kept in %s: %s", self._path, reason)
        self.problem = f"decisions cannot be kept in {self._path} ({reason}); they are in memory only"


def _line(decision: Decision) -> str:
    return json.dumps(asdict(decision), allow_nan=False) + "\n"


def _ends_cleanly(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _decision(line: str) -> Decision | None:
    """A line as a decision; None where it is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Decision).validate_json(line)
    except ValidationError:
        return None
