"""What the self test has spoken, and whether all of it was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SENTENCES = (
    "Good evening to everybody who has come home.",
    "The kettle is on, and the window stands open.",
    "Four ferries cross the harbour before noon.",
    "Nobody had expected the letter so early.",
    "A narrow path leads down to the water.",
    "Please leave the parcel with the neighbours.",
    "The orchestra begins once the lights are low.",
    "Rain is likely in the north by tomorrow.",
)
"""For the client's own view: as many as a median wants, and two more."""

# Without pairs such as "for the" or "there are": espeak-ng speaks them as one word, and marks only the first.
_PROSE = (
    "The lighthouse stands where an old road ends, and clear nights carry its beam beyond seven islands. "
    "Every winter its keeper counts ships; every summer he counts visitors, who come in greater numbers. "
    "Some ask how many steps lead upstairs. He always answers: two hundred and eleven! "
    "Others wonder whether he feels lonely; somebody with good books, he says, never does. "
)
# One clause without any punctuation, whose phonemes are more than a model of 510 takes at once.
_BREATHLESS = (
    "then everybody walked along another river past old mills and green meadows where grey horses grazed "
    "while several children ran ahead looking eagerly after wooden bridges which their grandfather built "
    "when young people still carried heavy stones upwards behind village churches "
)
_COMPLEX = (
    "On 14 March 2024 at 09:30, room B12 was booked by 25 people (3 came on-line).\n\n"
    "It cost 1,250.75 euros, i.e. 12.5% more than in 2019. Dr. Okafor wasn't pleased..."
)
TEXTS: Mapping[str, str] = {
    "long text": _PROSE * 4,
    "no punctuation": (_BREATHLESS * 4).strip(),
    "numbers, dates, line breaks": _COMPLEX,
}
"""By what each one tries."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of one text was spoken.

    Attributes:
        name: What the text tries.
        num_characters: Length of the text.
        num_words: Words in it.
        missing: Those that no word mark holds, in order.
        num_out_of_order: Word marks that begin before the one before them has ended: said twice, or in another order.
        num_segments: Pieces in which the engine was given the text; None: the server keeps no measurements.
    """

    name: str
    num_characters: int
    num_words: int
    missing: tuple[str, ...]
    num_out_of_order: int
    num_segments: int | None

    @property
    def is_complete(self) -> bool:
        """Whether every word was spoken, once, in order."""
        return not self.missing and not self.num_out_of_order


def coverage(name: str, text: str, marks: Sequence[tuple[int, int]], num_segments: int | None = None) -> Coverage:
    """Compare a text with the word marks of its speech.

    Args:
        name: What the text tries.
        text: As it was sent.
        marks: First and last character (exclusive) of each word, in the order of the speech.
        num_segments: See `Coverage`.
    """
    spoken = bytearray(len(text))
    for start, end in marks:
        spoken[start:end] = b"\1" * (min(end, len(text)) - start)
    words = list(_WORD.finditer(text))
    missing = tuple(word.group() for word in words if not all(spoken[word.start() : word.end()]))
    return Coverage(name, len(text), len(words), missing, _num_out_of_order(marks), num_segments)


def _num_out_of_order(marks: Sequence[tuple[int, int]]) -> int:
    furthest, num = 0, 0
    for start, end in marks:
        num += start < furthest
        furthest = max(furthest, end)
    return num
