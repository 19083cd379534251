"""Whoever wants to know how far a benchmark has come."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told about cells and requests; must return at once, it is called between measurements and while they run."""

    def begin(self, name: str, total: int | None) -> None:
        """A cell begins; `total` requests are to come, None if time decides."""
        ...

    def advance(self, ok: bool) -> None:
        """One more request of the cell has ended."""
        ...

    def end(self) -> None:
        """The cell has ended."""
        ...

    def note(self, message: str) -> None:
        """Something a person should know now."""
        ...


class Silent:
    """Nobody wants to know."""

    def begin(self, name: str, total: int | None) -> None:
        """Ignore it."""

    def advance(self, ok: bool) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""
