"""`MappedText`: text that knows where each of its characters stood in the original."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Run(NamedTuple):
    """A stretch of text that came from one stretch of the original.

    Where both are equally long they correspond character by character, otherwise only as wholes.

    Attributes:
        start: First character in the text; the run ends where the next one starts.
        original_start: First character in the original.
        original_end: One past the last character in the original.
    """

    start: int
    original_start: int
    original_end: int


@dataclass(frozen=True, slots=True)
class MappedText:
    """A text and its way back to the original.

    Attributes:
        text: The text.
        runs: Ascending in `start`, the first at 0, none empty; no run where the text is empty.
    """

    text: str = ""
    runs: tuple[Run, ...] = ()

    def __len__(self) -> int:
        return len(self.text)

    def __add__(self, other: MappedText) -> MappedText:
        return MappedText.join((self, other))

    @staticmethod
    def join(parts: Iterable[MappedText]) -> MappedText:
        """The parts one after the other, in time linear in their sum."""
        texts: list[str] = []
        runs: list[Run] = []
        length = 0
        for part in parts:
            texts.append(part.text)
            runs.extend(Run(run.start + length, run.original_start, run.original_end) for run in part.runs)
            length += len(part.text)
        return MappedText("".join(texts), tuple(runs))

    def slice(self, start: int, end: int) -> MappedText:
        """Characters `start` to `end` with their part of the map. Expects 0 <= start <= end <= len."""
        if start == end:
            return MappedText()
        first, last = self._run_at(start), self._run_at(end - 1)
        runs = []
        for index in range(first, last + 1):
            begin, stop = max(start, self.runs[index].start), min(end, self._end_of(index))
            runs.append(Run(begin - start, *self._within(index, begin, stop)))
        return MappedText(self.text[start:end], tuple(runs))

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The original characters that characters `start` to `end` came from, as (start, end).

        An empty range gives an empty span. Expects 0 <= start <= end <= len.
        """
        if start == end:
            if not self.runs:
                return 0, 0
            at = self.original_span(start, start + 1)[0] if start < len(self) else self.runs[-1].original_end
            return at, at
        first, last = self._run_at(start), self._run_at(end - 1)
        return (
            self._within(first, start, min(end, self._end_of(first)))[0],
            self._within(last, max(start, self.runs[last].start), end)[1],
        )

    def _run_at(self, offset: int) -> int:
        return bisect_right(self.runs, offset, key=lambda run: run.start) - 1

    def _end_of(self, index: int) -> int:
        return self.runs[index + 1].start if index + 1 < len(self.runs) else len(self.text)

    def _within(self, index: int, start: int, end: int) -> tuple[int, int]:
        """The original span of `start` to `end`, which lie within run `index`."""
        run = self.runs[index]
        if self._end_of(index) - run.start != run.original_end - run.original_start:
            return run.original_start, run.original_end
        shift = run.original_start - run.start
        return start + shift, end + shift
