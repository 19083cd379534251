"""A server of our own in a process of its own, on a free port, for the length of a `with` block."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: psutil.Process

    def rss_mb(self) -> float:
        """Resident memory of the server and its workers, in MB."""
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes) / 1e6


@contextmanager
def serve(*flags: str, module: str = "firstaudio.cli.main") -> Iterator[Server]:
    """Start `firstaudio serve` (or another module that takes its flags); yields when it is ready."""
    command = [sys.executable, "-m", module, *([] if module != "firstaudio.cli.main" else ["serve"])]
    process = subprocess.Popen([*command, "--port", "0", *flags], stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        url = _ready_url(process)
        # Keep reading what it says, so that a full pipe never blocks it.
        threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
        yield Server(url, psutil.Process(process.pid))
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
