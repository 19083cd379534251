"""Where a text may be cut, and how natural a cut there is.

The scanner walks from gap to gap (white space, CJK stops, dashes, places between CJK letters) and looks at what stands
on both sides. Whether a full stop ends a sentence is asked of sentencex, with a few words of context: it knows the
abbreviations of many languages and takes 2 µs a question. Its segments of a whole text are not used: of mixed scripts
they do not always join to the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum
from re import Match
from typing import NamedTuple

import sentencex

from firstaudio.text.characters import CJK, CLOSERS, SPACED_BY_PHRASE, is_speakable
from firstaudio.text.words import abbreviations, clinging_words, phrase_starters


class Kind(IntEnum):
    """How natural a cut is; greater is better."""

    CHARACTER = 0
    WORD = 1
    PHRASE = 2
    CLAUSE = 3
    STRONG_CLAUSE = 4
    SENTENCE = 5
    PARAGRAPH = 6


class Boundary(NamedTuple):
    """A place to cut: `position` is the first character after the cut; white space stays before it."""

    position: int
    kind: Kind


# The longest stretches that one decision looks at, so that no text makes it slow.
MAX_WORD = 24
MAX_CONTEXT = 48
MAX_CLOSERS = 16
MAX_BACK = 64

_ENDS = frozenset(".!?…。！？｡．؟۔।॥։።។៕၊။")
_STRONG = frozenset(";:；：؛·")
_COMMAS = frozenset(",，、､،፣၊")
_DASHES = frozenset("-–—―")
_BRACKETS_CLOSED = frozenset(")]}）］｝】〕")
_BRACKETS_OPEN = frozenset("([{（［｛【〔¿¡")
_QUOTES = "\"'“”‘’«»‹›„‚「」『』()[]"
_HIRAGANA = "\u3041-\u3096"
# What never begins a word: small kana and marks (as at a line's start), and hiragana, which ends words or stands alone.
_LATE = f"{_HIRAGANA}ァィゥェォッャュョヮヵヶー々ゝゞヽヾ"

_GAP = re.compile(
    r"[ \n]+"
    rf"|[。！？｡，、；：—…।॥။។][{re.escape(CLOSERS)}。！？…—]{{0,{MAX_CLOSERS}}}[ \n]*"
    rf"|(?<=[{CJK}A-Za-z])(?=[{CJK}])(?![{_LATE}])|(?<=[{CJK}])(?=[A-Za-z0-9])"
)
_PHRASE_BEFORE = re.compile(rf"(?<=[{_HIRAGANA}])(?=[\u4e00-\u9fff\u30a1-\u30fa])")
_WITHIN_KATAKANA = re.compile(r"(?<=[\u30a1-\u30ff])(?=[\u30a1-\u30ff])")
_PHRASE_SCRIPT = re.compile(f"[{SPACED_BY_PHRASE}]")
_LIST_NUMBER = re.compile(r"(?:^|[.!?:;] )[0-9]{1,3}\Z")
_WORD = re.compile(rf"[^ \n]{{1,{MAX_WORD}}}")
_BARE = str.maketrans("", "", _QUOTES)


def find_boundaries(text: str, start: int = 0, *, language: str = "en", final: bool = True) -> Iterator[Boundary]:
    """The places after `start` where normalised `text` may be cut, ascending, its end not among them.

    Lazy: what is not asked for is not looked at. No boundary is followed by a word that cannot be spoken.

    Args:
        text: Normalised text.
        start: Where to begin to look; what lies before it is context.
        language: BCP-47 tag.
        final: Whether the text is complete. If not, the walk ends where more text could change the answer.
    """
    for gap in _GAP.finditer(text, start):
        if gap.end() <= start or gap.start() == 0:
            continue
        if gap.end() == len(text):
            return
        following = _WORD.match(text, gap.end())
        assert following is not None, "a gap takes all white space"
        known = final or following.end() < len(text) or len(following.group()) == MAX_WORD
        first = following.group()[0]
        if not first.isalnum() and not is_speakable(following.group()):
            if not known:
                return
            continue
        kind = _kind(text, gap, following.group(), known, language)
        if kind is Undecided:
            return
        if isinstance(kind, Kind):
            yield Boundary(gap.end(), kind)


class Undecided:
    """More text is needed to say what a gap is."""


def _kind(text: str, gap: Match[str], following: str, known: bool, language: str) -> Kind | type[Undecided] | None:
    """What the gap is; None: no place to cut."""
    if "\n" in gap.group():
        return Kind.PARAGRAPH
    end = gap.start() + len(gap.group().rstrip())
    at = end
    while at > max(0, end - MAX_CLOSERS) and text[at - 1] in CLOSERS:
        at -= 1
    mark, closed = text[at - 1] if at else "", text[at:end]
    if mark in _ENDS and mark:
        return _end_kind(text, at, closed, following, known, language)
    if mark in _STRONG and mark:
        return Kind.STRONG_CLAUSE
    if mark in _COMMAS and mark:
        return Kind.CLAUSE
    if mark in _DASHES and mark and (mark in "—―" or text[at - 2 : at - 1] in (" ", "-", "–")):
        return Kind.CLAUSE
    if _BRACKETS_CLOSED.intersection(closed) or following[0] in _BRACKETS_OPEN:
        return Kind.CLAUSE
    return _word_kind(text, gap, following, known, language)


def _end_kind(
    text: str, at: int, closed: str, following: str, known: bool, language: str
) -> Kind | type[Undecided] | None:
    """The kind of a gap after a mark that may end a sentence; `at` is one past the mark."""
    goes_on = following[0].islower() or re.match(f"[{_HIRAGANA}]", following) is not None
    if closed and closed[-1] in "\"'”’»」』" and goes_on:
        return Kind.CLAUSE
    if text[at - 1] == "…" or text[max(0, at - 2) : at] == "..":
        return Kind.CLAUSE if goes_on else Kind.SENTENCE
    if text[at - 1] != ".":
        return Kind.SENTENCE
    before = text[max(0, at - MAX_CONTEXT) : at - 1]
    before = before[before.rfind("\n") + 1 :]
    word = before[before.rfind(" ") + 1 :].translate(_BARE)
    if _LIST_NUMBER.search(before):
        return None
    if len(word) == 1 and word.isalpha() and word != "I":
        return None  # an initial, or half of "z. B."
    if word.lower() in abbreviations(language):
        return None
    if len(word) > 5 and word.isalpha():
        following = following[0]
    elif not known:
        return Undecided
    context = before.translate(_BARE) + ". "
    found = sentencex.get_sentence_boundaries(language, context + following)
    return Kind.SENTENCE if any(each["end_index"] == len(context) for each in found) else None


def _word_kind(text: str, gap: Match[str], following: str, known: bool, language: str) -> Kind | type[Undecided] | None:
    """The kind of a gap between two words of one clause."""
    start, last = gap.start(), text[gap.start() - 1]
    if not gap.group():
        if _WITHIN_KATAKANA.match(text, start):
            return None
        return Kind.PHRASE if _PHRASE_BEFORE.match(text, start) else Kind.WORD
    if last.isdigit() and following[0].isdigit():
        return None
    if _PHRASE_SCRIPT.match(last) or _PHRASE_SCRIPT.match(following):
        return Kind.PHRASE
    starters = phrase_starters(language)
    if not starters:
        return Kind.WORD
    if not known:
        return Undecided
    previous = text[max(0, start - MAX_WORD) : start]
    if previous[max(previous.rfind(" "), previous.rfind("\n")) + 1 :].lower() in clinging_words(language):
        return None
    return Kind.PHRASE if following.lower() in starters else Kind.WORD


_NUMBER_MARKS = frozenset(".,:'/")
_THAI_LATE = frozenset("ะาำๅๆฯะາຳ")
_THAI_EARLY = frozenset("เแโใไເແໂໃໄ")


def cut_within(text: str, lowest: int, limit: int) -> int:
    """The best place to cut a stretch without boundaries: after `lowest`, at most at `limit`.

    After a hyphen, a slash or another mark where there is one near; never within a character, and within a number
    only where there is nothing else. Expects lowest < limit <= len(text).
    """
    safe = [at for at in range(limit, max(lowest, limit - MAX_BACK), -1) if _is_safe(text, at)]
    for at in safe:
        mark = text[at - 1]
        separates = not mark.isalnum() and mark not in "'’" and unicodedata.category(mark)[0] != "M"
        if separates and is_speakable(text[lowest:at]):
            return at
    return safe[0] if safe else limit


def _is_safe(text: str, at: int) -> bool:
    """Whether a cut at `at` separates neither a letter from its marks nor the digits of a number."""
    if at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if unicodedata.category(after) in ("Mn", "Mc", "Me", "Cf") or after in _THAI_LATE or "\u1160" <= after <= "\u11ff":
        return False
    if before == "\u200d" or before in _THAI_EARLY or unicodedata.combining(before) == 9:  # 9: virama
        return False
    if before.isdigit():
        following = text[at + 1 : at + 2]
        return not (after.isdigit() or (after in _NUMBER_MARKS and following.isdigit()))
    return not (after.isdigit() and before in _NUMBER_MARKS and text[at - 2 : at - 1].isdigit())
