"""Between a segment's text and what espeak-ng makes of it: text that it speaks whole, and words where they stand.

What the library would lose (1.52, measured: docs/log.md): of a word, what lies beyond 200 phonemes, which spelled
letters and digits reach after two dozen; of a clause, what lies beyond 1000 phonemes (`text.plan` keeps segments
shorter); of a letter that is repeated as a word, all but three. And its word events give a position that may be off by
a space, a length that ends at the first apostrophe or hyphen, and one event for each spoken part of a number.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left

from firstaudio.audio.chunk import WordMark
from firstaudio.text.characters import CJK, SPACED_BY_PHRASE

MAX_SPELLED = 16  # letters of a word that has to be spelled
MAX_DIGITS = 24
MAX_SPOKEN = 60  # letters of a word that can be pronounced
MAX_CONSONANTS = 8  # in a row; "Angstschweiß" has eight

_UNSPACED = f"{CJK}{SPACED_BY_PHRASE}"
_LONG = re.compile(rf"[^\W\d_]{{{MAX_SPELLED + 1},}}|[\d.,:/_-]{{{MAX_DIGITS + 1},}}")
_REPEATED = re.compile(r"(?<!\S)(\w)(?: \1){3,}(?!\S)")
_CONSONANTS = frozenset("bcdfghjklmnpqrstvwxzбвгджзйклмнпрстфхцчшщъьβγδζθκλμνξπρσςτφχψ")
_SPACED_WORD = re.compile(rf"[^\s{_UNSPACED}]+")
_UNSPACED_WORD = re.compile(rf"[{_UNSPACED}]+")


class SpokenText:
    """A segment's text as the library is given it.

    Args:
        text: The segment's text.

    Attributes:
        text: With breaks where the library would lose something.
    """

    def __init__(self, text: str) -> None:
        breaks = {at: "," for found in _REPEATED.finditer(text) for at in range(found.start() + 1, found.end(), 2)}
        for found in _LONG.finditer(text):
            step = _longest(found.group())
            breaks |= dict.fromkeys(range(found.start() + step, found.end(), step), " ")
        pieces, begin = [], 0
        for at in sorted(breaks):
            pieces += [text[begin:at], breaks[at]]
            begin = at
        self.text = "".join([*pieces, text[begin:]])
        self._breaks = [at + index for index, at in enumerate(sorted(breaks))]

    def original(self, position: int) -> int:
        """The character of the segment's text that stands at `position` of `text`."""
        return position - bisect_left(self._breaks, position)


def _longest(run: str) -> int:
    """How many characters of a run the library takes as one word."""
    if not run[0].isalpha():
        return MAX_DIGITS
    consonants = 0
    for letter in unicodedata.normalize("NFD", run.lower()):
        consonants = consonants + 1 if letter in _CONSONANTS else 0
        if consonants > MAX_CONSONANTS:
            return MAX_SPELLED
    return MAX_SPOKEN


class WordFinder:
    """Turns word events into marks: each word once, from its first character to its last.

    A word is a stretch without white space; in scripts without spaces, what lies between two events. A mark is given
    when the next event comes, because only then its end is known.

    Args:
        text: The segment's text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = self._sample = -1
        self._was_shifted = False
        self._end = 0  # events before it belong to the word that is pending

    def event(self, position: int, sample: int) -> list[WordMark]:
        """Take an event at a character of the segment's text; gives the word that it ends."""
        start = min(position, len(self._text))
        while start < len(self._text) and self._text[start].isspace():
            start += 1
        if start == self._start and self._was_shifted:
            self._sample, self._was_shifted = sample, False  # the first one belonged to the marks before the word
            return []
        if start < self._end or start == len(self._text):
            return []
        sample = max(sample, self._sample)  # a spelled word may begin a little before the one ahead of it
        ended = self._take(start)
        self._start, self._sample, self._was_shifted = start, sample, start != position
        word = _SPACED_WORD.match(self._text, start)
        self._end = word.end() if word else start + 1
        return ended

    def finish(self) -> list[WordMark]:
        """The last word."""
        return self._take(len(self._text))

    def _take(self, limit: int) -> list[WordMark]:
        if self._start < 0:
            return []
        word = _SPACED_WORD.match(self._text, self._start) or _UNSPACED_WORD.match(self._text, self._start)
        end = min(word.end() if word else self._start + 1, limit)
        while end > self._start + 1 and unicodedata.category(self._text[end - 1])[0] in "PZ":
            end -= 1
        return [WordMark(self._start, end, self._sample)]
