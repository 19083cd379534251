"""A progress bar on stderr, for people who wait for a long text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from firstaudio.audio.chunk import Chunk

LONG_TEXT_CHARS = 2000  # a minute or two of speech


class Progress(Protocol):
    """Whoever wants to know how far the speech has come."""

    def spoken(self, chunk: Chunk) -> None:
        """Note a chunk that has been delivered."""
        ...


class _Silent:
    def spoken(self, chunk: Chunk) -> None:
        """Say nothing."""


@contextmanager
def progress_for(num_characters: int) -> Iterator[Progress]:
    """A bar when stderr is a terminal and the text is long, else silence.

    Args:
        num_characters: Length of the text.
    """
    if num_characters < LONG_TEXT_CHARS or not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task("", total=num_characters))


class _Bar:
    """How far: the last character whose word has been spoken, and the length of the speech so far."""

    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def spoken(self, chunk: Chunk) -> None:
        """Move to the last word of the chunk; chunks without word marks move the clock alone."""
        completed = max((word.end_char for word in chunk.words), default=None)
        spoken_s = chunk.end_sample / chunk.sample_rate
        self._bar.update(self._task, completed=completed, description=f"{spoken_s:.0f} s of speech")
