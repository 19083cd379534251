"""Starting a reference server in a process of its own, and never leaving one behind."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from firstaudio.bench.reference.figures import Figures, to_flags
from firstaudio.errors import BenchError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class ReferenceServer:
    """A reference server that runs.

    Attributes:
        url: Of HTTP; "" for a protocol that was not asked for.
        ws_url: Of the websockets, "ws://host:port".
        wyoming_url: "tcp://host:port".
        pid: Of its process.
        started_ns: When it became ready; a freeze is counted from here.
        figures: What it states.
    """

    url: str
    ws_url: str
    wyoming_url: str
    pid: int
    started_ns: int
    figures: Figures

    def truth(self, num_requests: int = 1000) -> dict[str, Any]:
        """The server's own log: `stage.Stage.to_json`."""
        with urllib.request.urlopen(f"{self.url}/truth?n={num_requests}", timeout=30) as response:
            return dict(json.load(response))


@contextmanager
def running(
    figures: Figures | None = None, *, protocols: Sequence[str] = ("http",), port: int = 0, **changes: Any
) -> Iterator[ReferenceServer]:
    """A reference server for as long as the block runs.

    It also ends when this process dies, in whatever way: its standard input is a pipe from here.

    Args:
        figures: What it states; None: from `changes` alone.
        protocols: Of "http", "ws", "wyoming".
        port: Of HTTP; 0 takes a free one.
        changes: Single figures.

    Raises:
        BenchError: A figure is out of range, or the server did not start.
    """
    stated = figures.replace(**changes) if figures is not None else Figures(**changes)
    flags = ["--tied", f"--port={port}", f"--protocols={','.join(protocols)}", *to_flags(stated)]
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "firstaudio.bench.reference", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # a Ctrl-C is for whoever runs this block, which then ends it
        )
        try:
            yield _server(_first_line(process, stderr), stated)
        finally:
            _stop(process)


def _first_line(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    line = process.stdout.readline() if readable else b""
    if not line:
        process.kill()
        process.wait()
        stderr.seek(0)
        said = stderr.read().decode(errors="replace").strip().splitlines()
        raise BenchError(f"the reference server did not start: {said[-1] if said else 'it said nothing'}")
    return dict(json.loads(line))


def _server(said: dict[str, Any], figures: Figures) -> ReferenceServer:
    urls = {name: said[name] or "" for name in ("url", "ws_url", "wyoming_url")}
    return ReferenceServer(**urls, pid=said["pid"], started_ns=said["started_ns"], figures=figures)


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdin.close()
    process.stdout.close()
