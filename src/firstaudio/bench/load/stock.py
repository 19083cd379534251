"""Texts for a load run, made before its window so that making them costs the window nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from firstaudio.bench.record import Phase
from firstaudio.bench.texts import TextSource
from firstaudio.bench.utterance import Utterance

MAX_AHEAD = 2000


class Stock:
    """Utterances in the order of a source, some of them drawn ahead.

    Args:
        texts: The source.
        num_measured: To be drawn ahead, at most `MAX_AHEAD`; None: nobody knows how many.
        num_warmup: Likewise.
    """

    def __init__(self, texts: TextSource, num_measured: int | None, num_warmup: int) -> None:
        self._sources: dict[Phase, Iterator[Utterance]] = {"measured": iter(texts), "warmup": texts.warmup}
        self._ahead: dict[Phase, deque[Utterance]] = {
            "warmup": deque(islice(texts.warmup, min(num_warmup, MAX_AHEAD))),
            "measured": deque(islice(texts, MAX_AHEAD if num_measured is None else min(num_measured, MAX_AHEAD))),
        }

    def next(self, phase: Phase) -> Utterance:
        """The next text of a phase. Raises BenchError when there is none that is new."""
        ahead = self._ahead[phase]
        return ahead.popleft() if ahead else next(self._sources[phase])
