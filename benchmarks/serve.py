"""A server of our own in a process of its own, on a free port, for the length of a `with` block."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstaudio.bench.spec import TargetSpec


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        url: Where it listens.
        pid: Root of its process tree.
    """

    url: str
    pid: int

    def spec(self, **changes: Any) -> TargetSpec:
        """It as a target: streamed pcm, unless changed."""
        return TargetSpec("openai", self.url, "firstaudio", container="pcm").replace(**changes)


@contextmanager
def serve(*flags: str, script: Path | None = None) -> Iterator[Server]:
    """Start `firstaudio serve`, or a script that takes the same arguments; yields when it is ready.

    Its state lies in a temporary folder unless a flag names another: it has no history, and adds none to the user's.
    """
    with tempfile.TemporaryDirectory(prefix="firstaudio-state-") as state:
        yield from _serve(flags, script, os.environ | {"FIRSTAUDIO_TELEMETRY_STATE_FOLDER": state})


def _serve(flags: Sequence[str], script: Path | None, env: Mapping[str, str]) -> Iterator[Server]:
    program = [str(script)] if script else ["-m", "firstaudio.cli.main"]
    command = [sys.executable, *program, "serve", "--port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        url = _ready_url(process)
        # Keep reading what it says, so that a full pipe never blocks it.
        threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _ready_url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "ready" in line.lower() and (found := re.search(r"http://[\w.:\[\]]+", line)):
            return found.group()
    raise RuntimeError("the server did not start:\n" + "".join(said))
