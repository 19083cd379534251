"""Finished requests on disk: a long run's audio fits into no memory, and reading it must wait for the window's end."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import Self

from firstaudio.bench.load.taken import Taken


class Spool:
    """A sink for `run_load`: writes in well under a millisecond each, gives everything back in the same order.

    The file has no name and is gone with the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by __exit__
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __call__(self, taken: Taken) -> None:
        """Keep one request."""
        pickle.dump(taken, self._file, pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __iter__(self) -> Iterator[Taken]:
        """Each request once, one in memory at a time."""
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)
