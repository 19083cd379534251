"""What kind of text a text is: measurements of unlike texts are not to be mixed."""

from __future__ import annotations

import re

from firstaudio.trace import TextClass

SHORT_CHARS = 100
LONG_CHARS = 300
LOOKED_AT = 4096  # characters; a book is classified by its beginning

_ADDRESS = re.compile(r"https?://|www\.|\S@\S")
_MARKS = re.compile(r"[;:()\[\]{}/%&@#+*=<>\"_|~$€£\\^]")
MIN_NUMBERS, MIN_MARKS = 2, 3  # places in a text, beside one another or not


def text_class(text: str) -> TextClass:
    """Complex where it has an address, numbers and marks, or many marks; else by length in characters.

    Short below 100, long above 300. What makes a text complex is what costs its normalisation: numbers, dates,
    addresses and mixed punctuation.
    """
    seen = text[:LOOKED_AT]
    numbers, marks = len(re.findall(r"\d+", seen)), len(_MARKS.findall(seen))
    if _ADDRESS.search(seen) or (numbers >= MIN_NUMBERS and marks) or (marks >= MIN_MARKS and _mixed(seen)):
        return "complex"
    if len(text) < SHORT_CHARS:
        return "short"
    return "medium" if len(text) <= LONG_CHARS else "long"


def _mixed(text: str) -> bool:
    """Whether there are marks of more than two kinds."""
    return len(set(_MARKS.findall(text))) >= MIN_MARKS
