"""What the server holds in memory: this process and all that descend from it, such as the workers of espeak.

A benchmark that the server runs is a child of it, too, but no part of it: such a program leads a session (in the sense
of setsid) of its own, which workers do not, and is told apart by that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped, unused-ignore] # ships no types

BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """One process.

    Attributes:
        pid: Its id.
        name: Of its program.
        rss_bytes: Resident, shared pages included.
    """

    pid: int
    name: str
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Memory:
    """A process tree. Pages that several processes share count once in each.

    Attributes:
        processes: The server, its root first.
        beside: Benchmark programs that it runs, with their children.
    """

    processes: tuple[ProcessMemory, ...]
    beside: tuple[ProcessMemory, ...] = ()

    @property
    def rss_bytes(self) -> int:
        """Of the server."""
        return sum(process.rss_bytes for process in self.processes)

    @property
    def beside_rss_bytes(self) -> int:
        """Of the benchmark programs."""
        return sum(process.rss_bytes for process in self.beside)


def read_memory() -> Memory:
    """This process's tree now. Looks at every process of the machine: some milliseconds, for a thread."""
    root = psutil.Process()
    session = os.getsid(0)
    below = [(process, _session(process.pid)) for process in root.children(recursive=True)]
    workers = [process for process, its in below if its == session]
    beside = [process for process, its in below if its not in (session, None)]
    return Memory(tuple(_readings([root, *workers])), tuple(_readings(beside)))


def _session(pid: int) -> int | None:
    """To which session a process belongs; None where it has ended."""
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return None


def _readings(processes: Sequence[psutil.Process]) -> Iterator[ProcessMemory]:
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied), process.oneshot():
            yield ProcessMemory(process.pid, process.name(), process.memory_info().rss)
