"""Which tokens belong to which word of the text.

espeak-ng says a clause, not words: "of the" becomes one word of sounds, "3497" six. Where the numbers of words agree
and nothing in the text looks like a number or an abbreviation, words and sounds go together one by one. Else every
word is pronounced alone, and what was said of the clause is aligned with that by dynamic programming over groups of
words (1:1, 1:n, n:1), as sentences of translations are.

Source of the method: Gale and Church, "A Program for Aligning Sentences in Bilingual Corpora", Computational
Linguistics 19(1), 1993.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from firstaudio.text.characters import CJK, SPACED_BY_PHRASE

_WORD = re.compile(rf"[^\s{CJK}{SPACED_BY_PHRASE}]+|[{CJK}{SPACED_BY_PHRASE}]+")
_PLAIN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*['’]?")
_STRESS = str.maketrans("", "", "ˈˌː")

# Groups: (words said in the clause, words said alone), and what taking one costs beside how unlike the two are.
_GROUPS = {(1, 1): 0.0, (1, 2): 0.2, (1, 3): 0.3, (1, 4): 0.4, (2, 1): 0.3, (0, 1): 1.5, (1, 0): 1.5}
_SLACK = 4  # words by which the alignment may stray further than the difference in their numbers

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WordSpan:
    """One word of the segment's text and the tokens of a run that speak it.

    Attributes:
        start_char: First character in the segment's text, 0-based.
        end_char: One past the last character.
        start_token: Index of the first token in `Run.ids`; the model's own sequence begins with a pad, so its index
            there is one more.
        end_token: One past the last token.
    """

    start_char: int
    end_char: int
    start_token: int
    end_token: int


def words_of(text: str) -> list[Range]:
    """Where the words of a stretch lie, without the punctuation at their ends; a script without spaces is one word."""
    return [trimmed(text, *found.span()) for found in _WORD.finditer(text)]


def go_together(words: Sequence[str], phonemes: str) -> bool:
    """Whether each word is certain to be one word of sounds."""
    if len(words) <= 1:
        return True
    plain = all(_PLAIN.fullmatch(word) and not _is_spelled(word) for word in words)
    return plain and len(words) == len(phonemes.split())


def align(phonemes: str, alone: Sequence[str]) -> list[Range]:
    """The stretch of `phonemes` that each word has; empty where a word is not heard.

    Args:
        phonemes: Of the clause, words of sounds separated by single spaces.
        alone: Of each word by itself; one empty string or more sounds each.

    Returns:
        Ascending, without overlap, one for each word.
    """
    said = [found.span() for found in re.finditer(r"\S+", phonemes)]
    parts = [(owner, part) for owner, whole in enumerate(alone) for part in whole.split()]
    ranges: list[list[Range]] = [[] for _ in alone]
    for (i, i_end), (j, j_end) in _groups([phonemes[a:b] for a, b in said], [part for _, part in parts]):
        for owner, where in _share(said[i:i_end], parts[j:j_end]):
            ranges[owner].append(where)
    return list(_filled(ranges))


def one_by_one(phonemes: str, num_words: int) -> list[Range]:
    """The stretch of `phonemes` that each word has where words and sounds go together."""
    if num_words == 1:
        return [(0, len(phonemes))]
    return [found.span() for found in re.finditer(r"\S+", phonemes)]


def trimmed(text: str, start: int, end: int) -> Range:
    """The range without the punctuation at its ends; the whole of it where there is nothing else."""
    first, last = start, end
    while last > first and unicodedata.category(text[last - 1])[0] in "PZ":
        last -= 1
    while first < last and unicodedata.category(text[first])[0] in "PZ":
        first += 1
    return (first, last) if first < last else (start, end)


def _is_spelled(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _groups(said: Sequence[str], alone: Sequence[str]) -> list[tuple[Range, Range]]:
    """The cheapest way through both sequences in groups, as pairs of ranges."""
    n, m = len(said), len(alone)
    said, alone = [each.translate(_STRESS) for each in said], [each.translate(_STRESS) for each in alone]
    if n == m:
        return [((i, i + 1), (i, i + 1)) for i in range(n)]
    band = abs(n - m) + _SLACK
    best: dict[tuple[int, int], tuple[float, int, int]] = {(0, 0): (0.0, 0, 0)}
    for i in range(n + 1):
        centre = i * m // n if n else 0
        for j in range(max(0, centre - band), min(m, centre + band) + 1):
            if (i, j) == (0, 0):
                continue
            ways = [
                (best[i - a, j - b][0] + extra + _unlikeness(said[i - a : i], alone[j - b : j]), a, b)
                for (a, b), extra in _GROUPS.items()
                if (i - a, j - b) in best
            ]
            if ways:
                best[i, j] = min(ways)
    return _path(best, n, m)


def _path(best: dict[tuple[int, int], tuple[float, int, int]], i: int, j: int) -> list[tuple[Range, Range]]:
    groups = []
    while i or j:
        _, a, b = best[i, j]
        groups.append(((i - a, i), (j - b, j)))
        i, j = i - a, j - b
    return groups[::-1]


def _unlikeness(said: Sequence[str], alone: Sequence[str]) -> float:
    """0 for the same sounds; else by their numbers, and whether they begin and end alike."""
    one, other = "".join(said), "".join(alone)
    if one == other or not one or not other:
        return 0.0
    different = (one[0] != other[0]) + (one[-1] != other[-1])
    return abs(len(one) - len(other)) / max(len(one), len(other)) + 0.4 * different + 0.1


def _share(said: Sequence[Range], parts: Sequence[tuple[int, str]]) -> Iterator[tuple[int, Range]]:
    """What of the words said belongs to each owner of the parts: all to one, or in proportion to their lengths."""
    if not said or not parts:
        return
    start, end = said[0][0], said[-1][1]
    total = sum(len(part) for _, part in parts)
    ends = [start + round((end - start) * sum_ / total) for sum_ in accumulate(len(part) for _, part in parts)]
    for (owner, _), where in zip(parts, pairwise([start, *ends]), strict=True):
        yield owner, where


def _filled(ranges: Sequence[Sequence[Range]]) -> Iterator[Range]:
    """One range for each word, from its first sound to its last; an empty one in place where it has none."""
    at = 0
    for each in ranges:
        start, end = (each[0][0], each[-1][1]) if each else (at, at)
        yield start, end
        at = end
