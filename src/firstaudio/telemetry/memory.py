"""What the server holds in memory: this process and all that descend from it, such as the workers of espeak."""

from __future__ import annotations

from collections.abc import Iterator
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
    """A process tree, its root first. Pages that several processes share count once in each."""

    processes: tuple[ProcessMemory, ...]

    @property
    def rss_bytes(self) -> int:
        """Of all together."""
        return sum(process.rss_bytes for process in self.processes)


def read_memory() -> Memory:
    """This process's tree now. Looks at every process of the machine: some milliseconds, for a thread."""
    root = psutil.Process()
    return Memory(tuple(_readings([root, *root.children(recursive=True)])))


def _readings(processes: list[psutil.Process]) -> Iterator[ProcessMemory]:
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied), process.oneshot():
            yield ProcessMemory(process.pid, process.name(), process.memory_info().rss)
