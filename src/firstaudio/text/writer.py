"""`Writer`: puts spoken text together from pieces of the original, with separators where something was left out."""

from __future__ import annotations

from firstaudio.text.characters import SPEAKABLE
from firstaudio.text.mapped import MappedText, Run

# Leading marks ("(", an opening quote) wait for the first thing to say; nobody opens more brackets than this.
MAX_LEADING_MARKS = 64

_TIGHT = frozenset(".,;:!?…)]}»”’、。，；：！？")
_PAUSES = frozenset(".,;:!?…、。，；：！？،؛؟।")
# ZWNJ and ZWJ are letters' business from Hebrew to Tibetan and Myanmar; elsewhere they are invisible noise.
_JOINERS = frozenset("\u200c\u200d")
_JOINED_SCRIPTS = ("\u0590", "\u109f")


class Writer:
    """Collects text and its map; separators are written only between two things that are spoken.

    Nothing comes out before the first speakable character, so a text of marks alone gives "".
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._runs: list[Run] = []
        self._length = 0
        self._last = ""
        self._original_end = 0
        self._spoken = False
        self._num_newlines = 0
        self._space = self._soft = self._comma = self._paragraph = False

    def space(self) -> None:
        """White space stood here."""
        self._space = True

    def newline(self) -> None:
        """A line ended here; two in a row end a paragraph."""
        self._space = True
        self._num_newlines += 1
        self._paragraph |= self._num_newlines >= 2

    def break_paragraph(self) -> None:
        """What follows is a paragraph of its own."""
        self._paragraph = True

    def comma(self) -> None:
        """A cell of a table ended here: a short pause."""
        self._comma = True

    def soften(self) -> None:
        """Something was left out here: two words must not run together, a full stop must not stand apart."""
        self._soft = True

    def joiner(self, char: str, start: int) -> None:
        """Keep `char` if it is a joiner after a letter whose script needs it."""
        attached = not (self._space or self._soft or self._comma or self._paragraph)
        if char in _JOINERS and attached and _JOINED_SCRIPTS[0] <= self._last <= _JOINED_SCRIPTS[1]:
            self.emit(char, start, start + 1)

    def emit(self, text: str, start: int, end: int) -> None:
        """Write `text`, not empty, for the original characters `start` to `end`.

        Equal lengths mean that the characters correspond one by one.
        """
        if not self._spoken:
            found = SPEAKABLE.search(text)
            num_marks = found.start() if found else len(text)
            kept = min(num_marks, MAX_LEADING_MARKS - self._length)
            if kept > 0:
                self._write(text[:kept], start, start + kept if len(text) == end - start else end)
            if not found:
                return
            self._spoken = True
            if num_marks:
                start, text = (start + num_marks if len(text) == end - start else start), text[num_marks:]
        self._write(text, start, end)

    def take(self) -> MappedText:
        """What was written since the last call."""
        if not self._spoken or not self._texts:
            return MappedText()
        taken = MappedText("".join(self._texts), tuple(self._runs))
        self._texts, self._runs, self._length = [], [], 0
        return taken

    def _write(self, text: str, start: int, end: int) -> None:
        separator = self._separator(text[0]) if self._last else ""
        if separator:
            self._append(separator, self._original_end, start)
        self._append(text, start, end)
        self._last, self._original_end = text[-1], end
        self._num_newlines = 0
        self._space = self._soft = self._comma = self._paragraph = False

    def _separator(self, following: str) -> str:
        if self._paragraph:
            return "\n\n"
        if self._comma:
            return " " if self._last in _PAUSES else ", "
        if self._soft and following in _TIGHT:
            return ""
        if self._space or (self._soft and following.isalnum() and self._last not in _JOINERS):
            return " "
        return ""

    def _append(self, text: str, start: int, end: int) -> None:
        identical = len(text) == end - start
        if identical and self._runs:
            last = self._runs[-1]
            if last.original_end == start and self._length - last.start == last.original_end - last.original_start:
                self._runs[-1] = Run(last.start, last.original_start, end)
                self._texts.append(text)
                self._length += len(text)
                return
        self._runs.append(Run(self._length, start, end))
        self._texts.append(text)
        self._length += len(text)
