"""`Rechunker`: pieces of bounded duration from any chunking."""

from __future__ import annotations

import math
from itertools import pairwise

from firstaudio.audio.chunk import Chunk, WordMark, concatenate


class Rechunker:
    """Cuts contiguous chunks into pieces that last between a minimum and a maximum.

    Whatever is held is cut evenly as soon as it reaches the minimum, so nothing waits longer than it must; only the
    last piece of the utterance may be shorter. A mark travels with the piece in which its word begins; where that
    piece has gone already, with the next one.

    Args:
        min_s: Shortest piece in seconds; bounds are rounded down to whole samples.
        max_s: Longest piece in seconds, at least twice `min_s`: any longer stretch can then be cut within the bounds.
    """

    def __init__(self, min_s: float, max_s: float) -> None:
        if not 0 < min_s * 2 <= max_s:
            raise ValueError(f"max_s must be at least twice min_s, and both positive; got {max_s} and {min_s}")
        self._min_s = min_s
        self._max_s = max_s
        self._held: list[Chunk] = []

    def push(self, *chunks: Chunk) -> list[Chunk]:
        """Take the next chunks; give what has come, cut evenly, once it is long enough to go."""
        self._held += chunks
        return self._cut() if self._held and self.held_s >= self._min_s else []

    @property
    def held_s(self) -> float:
        """Audio that waits, in seconds."""
        return sum(part.duration_s for part in self._held)

    def finish(self) -> list[Chunk]:
        """Give what is left; empty when nothing is."""
        return self._cut() if self._held else []

    def _num_held(self) -> int:
        return sum(part.num_samples for part in self._held)

    def _cut(self) -> list[Chunk]:
        num_samples = self._num_held()
        parts, self._held = self._held, []
        num_pieces = max(1, math.ceil(num_samples / max(1, int(self._max_s * parts[0].sample_rate))))
        return _pieces(parts, [num_samples * index // num_pieces for index in range(num_pieces + 1)])


def _pieces(parts: list[Chunk], bounds: list[int]) -> list[Chunk]:
    pcm = parts[0].pcm if len(parts) == 1 else concatenate([part.pcm for part in parts])
    rate, origin = parts[0].sample_rate, parts[0].start_sample
    marks = [mark for part in parts for mark in part.words]
    pieces = []
    for begin, end in pairwise(bounds):
        later = len(marks) if end == bounds[-1] else _num_before(marks, origin + end)
        words, marks = tuple(marks[:later]), marks[later:]
        pieces.append(Chunk(pcm[begin:end], rate, origin + begin, _segment_at(parts, origin + begin), words))
    return pieces


def _num_before(marks: list[WordMark], sample: int) -> int:
    """How many of the marks come before the first one that begins at `sample` or later."""
    return next((index for index, mark in enumerate(marks) if mark.start_sample >= sample), len(marks))


def _segment_at(parts: list[Chunk], sample: int) -> int:
    """The segment that speaks at `sample`."""
    return next((part.segment_index for part in parts if sample < part.end_sample), parts[-1].segment_index)
