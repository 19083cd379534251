"""Text to runs of tokens: what the model is given."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

from firstaudio.config.fields import KokoroConfig
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.misaki_g2p import LANGUAGES as MISAKI_LANGUAGES
from firstaudio.engines.kokoro.misaki_g2p import MisakiPronouncer, missing
from firstaudio.engines.kokoro.phonemes import ESPEAK_LANGUAGES, EspeakPronouncer, Pronouncer, Sound
from firstaudio.engines.kokoro.vocabulary import Vocabulary
from firstaudio.engines.kokoro.words import WordSpan, align, go_together, one_by_one, trimmed, words_of
from firstaudio.errors import ConfigError, UnknownLanguageError
from firstaudio.text.boundaries import find_boundaries

LOG = logging.getLogger(__name__)

MAX_TOKENS = 510  # the position table has 512 places, two of them are the pads

_OPENING = frozenset("“(")
# Ranks of places to cut, below those of `text.boundaries.Kind` doubled: between words of sounds; between two sounds.
_BETWEEN_SOUNDS, _WITHIN_SOUND = 1, 0
_LEANS_ON_NEXT, _LEANS_ON_PREVIOUS = frozenset("ˈˌ"), frozenset("ːʰʲᵝ\u0303")
_WINDOW = 0.2  # a cut may lie so far from the even one, as a share of what is cut, to be at a better place


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that go through the model at once.

    Attributes:
        ids: 1 to 510 token ids, without the pad (0) that the model wants at both ends.
        start_char: First character of the segment's text that the run speaks.
        end_char: One past the last one.
        is_last: Whether the segment ends with it.
        start_token: Index of its first token among the segment's.
        source: The segment, as `TextToTokens.words` needs it.
    """

    ids: tuple[int, ...]
    start_char: int
    end_char: int
    is_last: bool = True
    start_token: int = 0
    source: Prepared | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True, eq=False)
class Prepared:
    """One segment, pronounced.

    Attributes:
        text: The segment's text.
        language: BCP-47 tag.
        pronouncer: What pronounced it.
        sounds: What is said, in order; only what has tokens.
        offsets: Index of the first token of each sound.
        phonemes: All of it, one character a token.
        words: Which tokens speak which word; None until somebody has asked.
    """

    text: str
    language: str
    pronouncer: Pronouncer
    sounds: list[Sound]
    offsets: list[int]
    phonemes: str
    words: list[WordSpan] | None = None


class TextToTokens:
    """The one door from text to tokens. Thread-safe.

    Args:
        config: Which way text becomes phonemes (`kokoro.g2p`).
        phonemizer: espeak-ng in a worker process of its own; started and closed by this object.
        limit: Tokens of the longest run.
    """

    def __init__(self, config: KokoroConfig, phonemizer: Phonemizer, limit: int = MAX_TOKENS) -> None:
        self._g2p = config.g2p
        self._phonemizer = phonemizer
        self._limit = limit
        self.vocabulary = Vocabulary()
        self._espeak = EspeakPronouncer(phonemizer, self.vocabulary)
        self._misaki = MisakiPronouncer(self._espeak, self.vocabulary)
        self._missing: dict[str, str] = {}  # why misaki does not pronounce a language that it could

    def start(self) -> None:
        """Start the worker and load what `kokoro.g2p` asks for. Blocks.

        Raises:
            ConfigError: No espeak-ng, or `kokoro.g2p = misaki` and misaki cannot be used for English.
            EngineError: The worker cannot start.
        """
        self._phonemizer.start()
        if self._g2p == "espeak":
            return
        for language in MISAKI_LANGUAGES:
            self._missing[language] = missing(language) or self._misaki.load(language)
        if self._g2p == "misaki" and self._missing["en-us"]:
            raise ConfigError(f"kokoro.g2p is misaki, but {self._missing['en-us']}")
        LOG.info("%s", self.reason("en-us"))

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP-47 tags that can be spoken here: what `runs` takes."""
        return ESPEAK_LANGUAGES + tuple(
            each for each in MISAKI_LANGUAGES if each not in ESPEAK_LANGUAGES and self._uses_misaki(each)
        )

    def require(self, language: str) -> None:
        """Raises UnknownLanguageError, with the next step, for a language that `runs` does not take."""
        if language in self.languages:
            return
        if language not in MISAKI_LANGUAGES:
            known = ", ".join(self.languages)
            raise UnknownLanguageError(
                f"kokoro does not speak {language!r}; it speaks {known}, and an engine such as espeak more",
                param="language",
            )
        raise UnknownLanguageError(
            f"kokoro speaks {language!r} through misaki alone, but {self._why_not_misaki(language)}", param="language"
        )

    def reason(self, language: str) -> str:
        """One sentence: what pronounces this language here, and why."""
        if self._uses_misaki(language):
            return f"misaki pronounces {language}: it is installed, and the model was trained on its phonemes"
        who = "espeak-ng" if language in ESPEAK_LANGUAGES else "nothing"
        return f"{who} pronounces {language}: {self._why_not_misaki(language)}"

    def runs(self, text: str, language: str) -> list[Run]:
        """Tokens of a segment, in runs of 1 to 510; none where nothing of the text has a sound.

        Every token of the text is in exactly one run, in order. About a millisecond for a clause.

        Raises:
            UnknownLanguageError: See `require`.
            EngineError: The worker died (retryable) or refuses.
        """
        self.require(language)
        pronouncer: Pronouncer = self._misaki if self._uses_misaki(language) else self._espeak
        prepared = prepare(text, language, pronouncer, pronouncer.sounds(text, language))
        if all(sound.kind == "mark" for sound in prepared.sounds):
            return []
        cuts = [0, *self._cuts(prepared), len(prepared.phonemes)]
        ids = self.vocabulary.encode(prepared.phonemes)
        chars = [0, *(_char_at(prepared, cut) for cut in cuts[1:-1]), len(text)]
        runs = [
            Run(ids[start:end], chars[index], chars[index + 1], False, start, prepared)
            for index, (start, end) in enumerate(pairwise(cuts))
        ]
        return [*runs[:-1], replace(runs[-1], is_last=True)]

    def words(self, run: Run) -> Sequence[WordSpan]:
        """Which tokens speak which word; in order, without overlap. May ask the worker: call it after the first audio.

        A word that a cut divides belongs to the run where it begins; a word that is not heard has no span.

        Raises:
            EngineError: The worker died (retryable).
        """
        assert run.source is not None, "a run of `runs`"
        begin, end = run.start_token, run.start_token + len(run.ids)
        return [
            WordSpan(word.start_char, word.end_char, word.start_token - begin, min(word.end_token, end) - begin)
            for word in _words(run.source)
            if begin <= word.start_token < end
        ]

    def close(self) -> None:
        """Stop the worker; idempotent."""
        self._phonemizer.close()

    def _uses_misaki(self, language: str) -> bool:
        return self._g2p != "espeak" and self._missing.get(language) == ""

    def _why_not_misaki(self, language: str) -> str:
        if language not in MISAKI_LANGUAGES:
            return "misaki has nothing else for it"
        if self._g2p == "espeak":
            return "kokoro.g2p is espeak; auto takes misaki where it is installed"
        return self._missing.get(language) or "misaki was not looked for yet"

    def _cuts(self, prepared: Prepared) -> list[int]:
        num_tokens = len(prepared.phonemes)
        if num_tokens <= self._limit:
            return []
        return list(even_cuts(0, num_tokens, _ranks(prepared), self._limit))


def prepare(text: str, language: str, pronouncer: Pronouncer, sounds: Sequence[Sound]) -> Prepared:
    """Put sounds, marks and spaces in a row; a mark before the first sound that opens nothing has nothing to mark."""
    row, kept, offsets = "", [], []
    space = begun = False
    for sound in sounds:
        begun = begun or (sound.kind != "mark" and bool(sound.phonemes))
        if sound.phonemes and (begun or sound.phonemes in _OPENING):
            row += " " if space and row else ""
            kept.append(sound)
            offsets.append(len(row))
            row += sound.phonemes
            space = False
        space = space or sound.space_after
    return Prepared(text, language, pronouncer, kept, offsets, row)


def even_cuts(start: int, end: int, ranks: Mapping[int, int], limit: int) -> Iterator[int]:
    """Where to cut tokens `start` to `end` so that no part is longer than `limit`; ascending.

    Each cut is at the place of the highest rank within a window around the even division, nearest to that; a place
    without a rank is taken only where the window holds no other.
    """
    length = end - start
    if length <= limit:
        return
    num_parts = -(-length // limit)
    even = start + length * ((num_parts + 1) // 2) // num_parts
    lowest, highest = max(start + 1, even - int(length * _WINDOW)), min(end - 1, even + int(length * _WINDOW))
    places = [place for place in range(lowest, highest + 1) if place in ranks]
    cut = max(places, key=lambda place: (ranks[place], -abs(place - even)), default=even)
    yield from even_cuts(start, cut, ranks, limit)
    yield cut
    yield from even_cuts(cut, end, ranks, limit)


def _ranks(prepared: Prepared) -> dict[int, int]:
    """How natural a cut before each token is: between sounds, between words of sounds, as between words of the text."""
    phonemes = prepared.phonemes
    ranks = {
        at: _BETWEEN_SOUNDS if phonemes[at - 1] == " " else _WITHIN_SOUND
        for at in range(1, len(phonemes))
        if phonemes[at] != " " and phonemes[at] not in _LEANS_ON_PREVIOUS and phonemes[at - 1] not in _LEANS_ON_NEXT
    }
    starts = _starts(prepared)
    chars = [char for char, _ in starts]
    for boundary in find_boundaries(prepared.text, language=prepared.language):
        index = bisect_left(chars, boundary.position)
        if index < len(starts) and (token := starts[index][1]) > 0:
            ranks[token] = max(ranks.get(token, 0), 2 * boundary.kind)
    return ranks


def _starts(prepared: Prepared) -> list[tuple[int, int]]:
    """(first character, first token) of every word and mark, ascending."""
    words = ((word.start_char, word.start_token) for word in _words(prepared))
    sounds = zip((sound.start_char for sound in prepared.sounds), prepared.offsets, strict=True)
    return sorted({*words, *sounds})


def _char_at(prepared: Prepared, token: int) -> int:
    """The first character of the text that is spoken from `token` on."""
    return next((char for char, first in _starts(prepared) if first >= token), len(prepared.text))


def _words(prepared: Prepared) -> list[WordSpan]:
    """The words of the whole segment, found once."""
    if prepared.words is None:
        prepared.words = list(_find_words(prepared))
    return prepared.words


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The words of one sound: where they lie in the text, and what they are."""

    sound: Sound
    offset: int
    spans: list[tuple[int, int]]
    words: list[str]

    @property
    def is_certain(self) -> bool:
        return go_together(self.words, self.sound.phonemes)


def _find_words(prepared: Prepared) -> Iterator[WordSpan]:
    stretches = list(_stretches(prepared))
    uncertain = [word for each in stretches if not each.is_certain for word in each.words]
    alone = iter(prepared.pronouncer.alone(uncertain, prepared.language))
    for each in stretches:
        phonemes, count = each.sound.phonemes, len(each.words)
        ranges = one_by_one(phonemes, count) if each.is_certain else align(phonemes, list(islice(alone, count)))
        for (start, end), (first, last) in zip(each.spans, ranges, strict=True):
            if first < last:
                yield WordSpan(start, end, each.offset + first, each.offset + last)


def _stretches(prepared: Prepared) -> Iterator[_Stretch]:
    for sound, offset in zip(prepared.sounds, prepared.offsets, strict=True):
        if sound.kind == "mark":
            continue
        text = prepared.text[sound.start_char : sound.end_char]
        spans = words_of(text) if sound.kind == "words" else [trimmed(text, 0, len(text))]
        spans = [(sound.start_char + start, sound.start_char + end) for start, end in spans]
        yield _Stretch(sound, offset, spans, [prepared.text[start:end] for start, end in spans])
