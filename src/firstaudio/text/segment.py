"""`Segmenter`: cuts a text into segments, lazily; together they are the normalised text, character by character."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from firstaudio.config import StreamingConfig
from firstaudio.text.boundaries import MAX_CONTEXT, Kind, cut_within, find_boundaries
from firstaudio.text.characters import is_speakable
from firstaudio.text.choice import Cut, best_cut, within_budget
from firstaudio.text.mapped import MappedText
from firstaudio.text.normalise import Normaliser
from firstaudio.text.plan import LONGEST_S, Budget, CostModel, SpeechRate, latin_chars, plan_budget

# Original characters that are normalised at a time: the first segment costs this much and not the whole text.
PULL_CHARS = 512
# Looked at beyond the longest allowed segment, so that the decision at its end is made with its right context.
MARGIN_CHARS = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text that is given to the engine at once.

    Attributes:
        index: 0-based number within the utterance.
        start: Offset of its first character in the normalised text.
        kind: What its end is: decides the pause after it. The last one ends a paragraph.
        estimated_s: Predicted seconds of speech at the utterance's speed.
        mapped: The text with its way back to the original.
    """

    index: int
    start: int
    kind: Kind
    estimated_s: float
    mapped: MappedText

    @property
    def text(self) -> str:
        """An exact slice of the normalised text; the white space at a cut ends the segment before it."""
        return self.mapped.text

    @property
    def end(self) -> int:
        """Offset of one past its last character in the normalised text."""
        return self.start + len(self.mapped)

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The original characters behind characters `start` to `end` of this segment's text."""
        return self.mapped.original_span(start, end)


class _Known(NamedTuple):
    """A boundary: its offset in the buffer, its kind, and what lies between the cursor and it."""

    position: int
    kind: Kind
    num_latin_chars: float


class Segmenter:
    """Takes the original text in pieces and gives segments, each as large as its budget says.

    Nothing is done before it is asked for: `feed` only keeps the piece. Where the segments are cut depends on the
    text and the budgets, not on the pieces.

    Args:
        language: BCP-47 tag: abbreviations, phrases, wording of addresses.
        rate: Predicts durations; shared with whoever observes them.
        speed: Speed of the utterance.
    """

    def __init__(self, *, language: str = "en", rate: SpeechRate | None = None, speed: float = 1.0) -> None:
        self._language = language
        self._rate = rate or SpeechRate()
        self._speed = speed
        self._normaliser = Normaliser(language)
        self._pieces: deque[str] = deque()
        self._piece_offset = 0  # what has been taken of the first one
        self._finished = False  # no more pieces will come
        self._complete = False  # all of them are in the buffer
        self._buffer = MappedText()
        self._cursor = 0
        self._dropped = 0  # normalised characters that have left the buffer
        self._index = 0
        self._known: list[_Known] = []  # the boundaries after the cursor
        self._looked_at = 0  # the boundaries up to here are known

    def feed(self, piece: str) -> None:
        """Take the next piece of the original text, of any size."""
        assert not self._finished, "feed after finish"
        if piece:
            self._pieces.append(piece)

    def finish(self) -> None:
        """The text has ended."""
        self._finished = True

    @property
    def exhausted(self) -> bool:
        """Whether all segments have been given; settled once `next_segment` has returned None."""
        return self._complete and self._cursor == len(self._buffer)

    def next_segment(self, budget: Budget) -> Segment | None:
        """The next segment; None when more text is needed to decide, or when `exhausted`."""
        while True:
            cut = self._choose(budget)
            if cut:
                return self._take(cut)
            if not self._pull():
                return None

    def _pull(self) -> bool:
        """Normalise some more; False when nothing is left to do."""
        if self._complete or not (self._pieces or self._finished):
            return False
        if self._pieces:
            more = self._normaliser.feed(self._next_piece())
        else:
            more = self._normaliser.finish()
            self._complete = True
        self._forget_taken()
        self._buffer += more
        return True

    def _next_piece(self) -> str:
        piece = self._pieces[0][self._piece_offset : self._piece_offset + PULL_CHARS]
        self._piece_offset += len(piece)
        if self._piece_offset == len(self._pieces[0]):
            self._pieces.popleft()
            self._piece_offset = 0
        return piece

    def _forget_taken(self) -> None:
        taken = max(0, self._cursor - MAX_CONTEXT)
        self._buffer = self._buffer.slice(taken, len(self._buffer))
        self._known = [_Known(each.position - taken, each.kind, each.num_latin_chars) for each in self._known]
        self._looked_at = max(0, self._looked_at - taken)
        self._dropped += taken
        self._cursor -= taken

    def _take(self, cut: Cut) -> Segment:
        mapped = self._buffer.slice(self._cursor, cut.position)
        segment = Segment(self._index, self._dropped + self._cursor, cut.kind, cut.seconds, mapped)
        self._index += 1
        self._cursor = cut.position
        self._looked_at = max(self._looked_at, cut.position)
        spoken = latin_chars(mapped.text)
        later = [each for each in self._known if each.position > cut.position]
        self._known = [_Known(each.position, each.kind, each.num_latin_chars - spoken) for each in later]
        return segment

    def _choose(self, budget: Budget) -> Cut | None:
        """Where the segment ends; None: undecided."""
        rest = len(self._buffer) - self._cursor
        if not rest:
            return None
        self._look_ahead(budget)
        known = self._known
        if self._complete and not (known and self._reaches(known[-1], budget)):
            known = [*known, self._measure(len(self._buffer), Kind.PARAGRAPH)]
        cuts = [Cut(each.position, each.kind, self._seconds(each)) for each in known]
        limit = self._cursor + self._most_chars(budget)
        options, decided = within_budget(cuts, limit, budget)
        far_enough = rest >= budget.max_chars + MARGIN_CHARS or (known and self._reaches(known[-1], budget))
        if not (decided or self._complete or far_enough):
            return None
        if options:
            return best_cut(options, cuts[len(options) :], budget)
        position = cut_within(self._buffer.text, self._cursor, limit)
        text = self._buffer.text[self._cursor : position]
        return Cut(position, Kind.CHARACTER, self._rate.seconds(text, self._speed))

    def _most_chars(self, budget: Budget) -> int:
        """As many characters as may be given to an engine at once, even where no boundary is found in them."""
        text = self._buffer.text[self._cursor : self._cursor + budget.max_chars]
        seconds = self._rate.seconds(text, self._speed)
        return budget.max_chars if seconds <= LONGEST_S else max(1, int(len(text) * LONGEST_S / seconds))

    def _look_ahead(self, budget: Budget) -> None:
        """Learn boundaries as far as the budget reaches."""
        if self._known and self._reaches(self._known[-1], budget):
            return
        text = self._buffer.text
        start = max(self._looked_at, self._cursor)
        for position, kind in find_boundaries(text, start, language=self._language, final=self._complete):
            self._looked_at = position
            if not self._known and not is_speakable(text[self._cursor : position]):
                continue
            self._known.append(self._measure(position, kind))
            if self._reaches(self._known[-1], budget):
                return

    def _reaches(self, known: _Known, budget: Budget) -> bool:
        """Whether no boundary after this one can matter under the budget."""
        far = known.position - self._cursor > budget.max_chars + MARGIN_CHARS
        return far or self._seconds(known) > budget.max_s + budget.min_s

    def _seconds(self, known: _Known) -> float:
        return self._rate.seconds_of(known.num_latin_chars, self._speed)

    def _measure(self, position: int, kind: Kind) -> _Known:
        """A boundary at `position`, after all the known ones."""
        before = self._known[-1] if self._known else _Known(self._cursor, kind, 0.0)
        added = latin_chars(self._buffer.text[before.position : position])
        return _Known(position, kind, before.num_latin_chars + added)


def segment_text(
    text: str,
    streaming: StreamingConfig | None = None,
    *,
    language: str = "en",
    speed: float = 1.0,
    cost: CostModel | None = None,
    incremental: bool = True,
) -> list[Segment]:
    """All segments of a text, as they would be cut for a listener who plays at once on an idle engine.

    Args:
        text: The original text.
        streaming: The configuration; None takes the defaults.
        language: BCP-47 tag.
        speed: Speed of the utterance.
        cost: The engine's work; None: none at all.
        incremental: Whether the engine yields the first audio of a segment early.
    """
    streaming, cost = streaming or StreamingConfig(), cost or CostModel(0.0)
    segmenter = Segmenter(language=language, speed=speed)
    segmenter.feed(text)
    segmenter.finish()
    segments: list[Segment] = []
    lead_s = 0.0
    while True:
        segment = segmenter.next_segment(plan_budget(len(segments), lead_s, cost, streaming, incremental=incremental))
        if segment is None:
            return segments
        if segments:
            lead_s = max(0.0, lead_s - cost.predict_s(segment.estimated_s))
        lead_s += segment.estimated_s
        segments.append(segment)
