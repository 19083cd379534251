"""Punctuation: espeak-ng drops it, the model breathes by it. So a text is cut at its marks, and they are put back.

A mark is one of the symbols that the model knows (`; : , . ! ? — … “ ” ( )`), or another system's sign for the same.
Dots within words, numbers and after abbreviations are no marks, nor are commas and colons within numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from re import Match

from firstaudio.text.boundaries import Kind, find_boundaries
from firstaudio.text.characters import CLOSERS

# Other systems' marks, by ours.
_STOPS = {".": "。．｡।॥۔", ",": "，、､،・", "!": "！", "?": "？؟", ";": "；؛", ":": "："}
_OTHERS = {
    "“": "«„‟‹「『《〈【〖",
    "”": "»›」』》〉】〗",
    "(": "[{（［｛〔",
    ")": "]}）］｝〕",
    "—": "―–⸺",
    "…": "‥",
    "": "¿¡‘",
}
_STOP_SYMBOLS = {other: mark for mark, others in _STOPS.items() for other in others}
_SYMBOLS = (
    {mark: mark for mark in ";:,.!?—…“”()"}
    | _STOP_SYMBOLS
    | {other: mark for mark, others in _OTHERS.items() for other in others}
)

# Repeated marks count once; so do three dots, whatever they are made of.
_CANDIDATE = re.compile(
    r"\.(?:\s?\.)+|…[.…]*|--+|(?:(?<=\s)|^)-(?=\s)|\"|"
    + "|".join(f"{re.escape(mark)}{'+' if mark in ';:,!?—' else ''}" for mark in sorted(_SYMBOLS))
)
_CLOSERS = re.compile(f"[{re.escape(CLOSERS)}]*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of words, or a mark.

    Attributes:
        start_char: First character in the text.
        end_char: One past the last.
        text: The words as they stand in the text, or the mark as the model knows it.
        is_mark: Which of the two.
        space_after: Whether white space follows before the next piece.
    """

    start_char: int
    end_char: int
    text: str
    is_mark: bool
    space_after: bool


def split(text: str, language: str) -> list[Piece]:
    """Words and marks of a text, in order.

    Args:
        text: Any text.
        language: BCP-47 tag; it decides what an abbreviation is.
    """
    pieces: list[Piece] = []
    end = 0
    for mark in _marks(text, language):
        pieces += _words(text, end, mark.start_char)
        pieces += [mark] if mark.text else []
        end = mark.end_char
    return pieces + _words(text, end, len(text))


def _words(text: str, start: int, end: int) -> list[Piece]:
    stretch = text[start:end]
    start += len(stretch) - len(stretch.lstrip())
    stretch = stretch.strip()
    if not stretch:
        return []
    last = start + len(stretch)
    return [Piece(start, last, stretch, False, text[last : last + 1].isspace())]


def _marks(text: str, language: str) -> Iterator[Piece]:
    sentence_ends: set[int] | None = None
    for found in _CANDIDATE.finditer(text):
        start, end = found.span()
        if found.group() == "." and not _stands_alone(text, end):
            if sentence_ends is None:
                sentence_ends = _sentence_ends(text, language)
            if _next_word(text, end) not in sentence_ends:
                continue
        elif _within_number(text, found):
            continue
        symbol = _symbol(text, found)
        yield Piece(start, end, symbol, True, text[end : end + 1].isspace() or found.group() in _STOP_SYMBOLS)


def _symbol(text: str, found: Match[str]) -> str:
    mark = found.group()
    if mark == '"':
        before = text[max(0, found.start() - 1) : found.start()]
        return "“" if not before or before.isspace() or before in "([{—-" else "”"
    if mark[0] in ".…" and len(mark) > 1:
        return "…"
    return "—" if mark[0] == "-" else _SYMBOLS[mark[0]]


def _within_number(text: str, found: Match[str]) -> bool:
    before, after = text[max(0, found.start() - 1) : found.start()], text[found.end() : found.end() + 1]
    return found.group() in ".,:–" and before.isdigit() and after.isdigit()


def _next_word(text: str, end: int) -> int:
    """Where the text goes on after closing quotes and white space."""
    closed = _CLOSERS.match(text, end)
    at = closed.end() if closed else end
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _stands_alone(text: str, end: int) -> bool:
    """Whether a dot is a mark whatever stands before it: nothing follows that could be a word."""
    at = _next_word(text, end)
    return at == len(text) or (at > end and not text[at].isalnum())


def _sentence_ends(text: str, language: str) -> set[int]:
    """Where sentences begin; the white space before it belongs to the one that has ended."""
    return {each.position for each in find_boundaries(text, language=language) if each.kind >= Kind.CLAUSE}
