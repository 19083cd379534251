"""Text to sounds in Kokoro's notation, through espeak-ng: punctuation kept in its place, nothing lost on the way."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.espeak.words import SpokenText
from firstaudio.engines.kokoro.marks import Piece, split
from firstaudio.engines.kokoro.notation import from_espeak
from firstaudio.engines.kokoro.vocabulary import Vocabulary
from firstaudio.text.characters import is_speakable

LOG = logging.getLogger(__name__)

# The languages of Kokoro's voices that espeak-ng pronounces, by the tag under which it lists them.
ESPEAK_LANGUAGES = ("en-us", "en-gb", "es", "fr-fr", "hi", "it", "pt-br")

# espeak-ng keeps 1000 phonemes of a clause and forgets the rest without a word. What a character may become at most:
# a digit is a word, a capital may be spelled, a symbol has a name of several words.
MAX_CLAUSE = 600
_DIGIT, _CAPITAL, _LETTER, _SYMBOL = 12, 4, 2, 16

# Signs that are letters or digits in disguise, and that espeak-ng spells or leaves out: circled, Roman, full-width.
_DISGUISED = re.compile("[\u2160-\u2188\u2460-\u24ff\uff01-\uff5e]")


@dataclass(frozen=True, slots=True)
class Sound:
    """What is said for a piece of the text.

    Attributes:
        start_char: First character in the text, 0-based.
        end_char: One past the last.
        phonemes: In symbols of the vocabulary, each one token; words are separated by single spaces.
        kind: "words": any number of words, of which is not known which sounds belong to which; "word": exactly one;
            "mark": punctuation.
        space_after: Whether white space follows before the next sound.
    """

    start_char: int
    end_char: int
    phonemes: str
    kind: Literal["words", "word", "mark"]
    space_after: bool


class Pronouncer(Protocol):
    """Text to sounds, in one way."""

    def sounds(self, text: str, language: str) -> list[Sound]:
        """Every sound of a text, in order. Raises EngineError."""
        ...

    def alone(self, words: Sequence[str], language: str) -> list[str]:
        """How each word sounds by itself, for comparison with what it became in its clause. Raises EngineError."""
        ...


class EspeakPronouncer:
    """espeak-ng's pronunciation.

    Args:
        phonemizer: The library, in its worker.
        vocabulary: Counts the symbols that are lost.

    Attributes:
        mute: How often a stretch of text that should have a sound had none.
    """

    def __init__(self, phonemizer: Phonemizer, vocabulary: Vocabulary) -> None:
        self._phonemizer = phonemizer
        self._vocabulary = vocabulary
        self.mute: Counter[str] = Counter()

    def sounds(self, text: str, language: str) -> list[Sound]:
        """See `Pronouncer.sounds`. One round trip, whatever the number of clauses."""
        pieces = [part for piece in split(text, language) for part in _bounded(piece)]
        spoken = iter(self.alone([piece.text for piece in pieces if not piece.is_mark], language))
        return [self._sound(piece, piece.text if piece.is_mark else next(spoken), language) for piece in pieces]

    def alone(self, words: Sequence[str], language: str) -> list[str]:
        """See `Pronouncer.alone`."""
        heard = self._phonemizer.phonemize([SpokenText(_plain(word)).text for word in words], language)
        return [self._vocabulary.fit(from_espeak(ipa, language)) for ipa in heard]

    def _sound(self, piece: Piece, phonemes: str, language: str) -> Sound:
        if not phonemes and is_speakable(piece.text):
            self._count_mute(piece.text, language)
        kind: Literal["words", "mark"] = "mark" if piece.is_mark else "words"
        return Sound(piece.start_char, piece.end_char, phonemes, kind, piece.space_after)

    def _count_mute(self, text: str, language: str) -> None:
        self.mute[language] += 1
        if self.mute[language] == 1:
            LOG.warning("espeak-ng has no sound for %r in %s: it is left out; choose its language", text[:40], language)


def _plain(text: str) -> str:
    return _DISGUISED.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)


def _bounded(piece: Piece) -> Iterator[Piece]:
    """The piece, cut between words where espeak-ng would forget the end of it."""
    if piece.is_mark or _weight(piece.text) <= MAX_CLAUSE:
        yield piece
        return
    parts = list(_parts(piece.text))
    at = piece.start_char
    for index, part in enumerate(parts):
        end = piece.end_char if index == len(parts) - 1 else min(at + len(part), piece.end_char)
        yield Piece(at, end, part.strip(), False, piece.space_after if index == len(parts) - 1 else True)
        at = end


def _parts(text: str) -> Iterator[str]:
    """Words with the space behind them, as many at a time as espeak-ng remembers; together they are the text."""
    begin = weight = 0
    at = 0
    while at < len(text):
        end = text.find(" ", at) + 1 or len(text)
        word = _weight(text[at:end])
        if weight and weight + word > MAX_CLAUSE:
            yield text[begin:at]
            begin, weight = at, 0
        at, weight = end, weight + word
    yield text[begin:]


def _weight(text: str) -> int:
    return sum(
        _DIGIT if each.isnumeric() else _CAPITAL if each.isupper() else _LETTER if each.isalpha() else _SYMBOL
        for each in text
        if not each.isspace()
    )
