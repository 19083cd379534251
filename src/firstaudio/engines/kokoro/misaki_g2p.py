"""misaki's pronunciation: English by lexicon and context, Japanese and Chinese. Optional; it downloads nothing here.

misaki is what the model's own texts were made with, so its English is nearer to what the model knows: a lexicon, and
spaCy to tell "to read" from "has read". What the lexicon lacks is said by espeak-ng, in our worker process.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from firstaudio.engines.kokoro.marks import Piece, split
from firstaudio.engines.kokoro.phonemes import EspeakPronouncer, Sound
from firstaudio.engines.kokoro.vocabulary import Vocabulary

LANGUAGES = ("en-us", "en-gb", "ja", "cmn")

FIRST_PYTHON_WITHOUT = (3, 13)  # misaki 0.9.4 wants Python < 3.13
SPACY_MODEL = "en_core_web_sm"
# Packages without which a module of misaki cannot be imported, and the extra of misaki that brings them.
_PACKAGES = {
    "en": ("addict", "num2words", "spacy"),
    "ja": ("addict", "fugashi", "jaconv", "mojimoji", "pyopenjtalk", "unidic"),
    "zh": ("cn2an", "jieba", "ordered_set", "pypinyin"),
}
_UNKNOWN = "❓"
_MARKS = frozenset(';:,.!?—…"“”()')
_LATIN = re.compile(r"[A-Za-zÀ-ɏ](?:[A-Za-zÀ-ɏ' -]*[A-Za-zÀ-ɏ])?")


def missing(language: str) -> str:
    """Why misaki cannot pronounce a language here, with the next step; empty if nothing is known to be in the way."""
    extra = _extra(language)
    lacking = [name for name in ("misaki", *_PACKAGES[extra]) if not _is_there(name)]
    if "misaki" in lacking and sys.version_info >= FIRST_PYTHON_WITHOUT:
        return "misaki has no release for this version of Python: it takes 3.12 and older"
    if lacking:
        install = "'firstaudio[misaki]'" if extra == "en" else f"'misaki[{extra}]'"
        return f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not installed: pip install {install}"
    if extra == "en" and not _has_spacy_model():
        return f"spaCy's model {SPACY_MODEL} is not installed: python -m spacy download {SPACY_MODEL}"
    return ""


class MisakiPronouncer:
    """misaki's pronunciation. Thread-safe: one text at a time.

    Args:
        espeak: Says what misaki's lexicon lacks, and Latin letters within Chinese and Japanese.
        vocabulary: Counts the symbols that are lost.

    Attributes:
        mute: How often, by language, misaki had no sound for something.
    """

    def __init__(self, espeak: EspeakPronouncer, vocabulary: Vocabulary) -> None:
        self._espeak = espeak
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._g2p: dict[str, Callable[[str], tuple[str, Any]]] = {}
        self.mute: Counter[str] = Counter()

    def load(self, language: str) -> str:
        """Load what pronounces a language; seconds. Returns why it cannot, with the next step; empty on success."""
        try:
            self._g2p[language] = self._make(language)
        except (ImportError, OSError, RuntimeError) as error:
            extra = _extra(language)
            more = "; then python -m unidic download" if extra == "ja" else ""
            return f"misaki cannot start for {language} ({error}): pip install --upgrade 'misaki[{extra}]'{more}"
        return ""

    def sounds(self, text: str, language: str) -> list[Sound]:
        """See `Pronouncer.sounds`; English is known word by word."""
        if _extra(language) == "en":
            return list(self._english(text, language))
        return [sound for piece in split(text, language) for sound in self._asian(piece, language)]

    def alone(self, words: Sequence[str], language: str) -> list[str]:
        """See `Pronouncer.alone`."""
        return [" ".join(sound.phonemes for sound in self.sounds(word, language)) for word in words]

    def _make(self, language: str) -> Callable[[str], tuple[str, Any]]:
        if language == "ja":
            from misaki.ja import JAG2P

            japanese: Callable[[str], tuple[str, Any]] = JAG2P()
            return japanese
        if language == "cmn":
            from misaki.zh import ZHG2P

            chinese: Callable[[str], tuple[str, Any]] = ZHG2P()
            return chinese
        from misaki.en import G2P

        english = G2P(british=language == "en-gb", fallback=lambda token: self._fallback(token, language), unk="")
        return lambda text: english(text, preprocess=False)  # links were resolved long ago; here they would be lost

    def _fallback(self, token: Any, language: str) -> tuple[str | None, int | None]:
        phonemes = self._espeak.alone([token.text], language)[0]
        return (phonemes, 2) if phonemes else (None, None)  # 2: misaki's grade of what is no lexicon's

    def _english(self, text: str, language: str) -> Iterator[Sound]:
        with self._lock:
            _, tokens = self._g2p[language](text)
        at = 0
        for token in tokens:
            found = text.find(token.text, at)
            start, end = (found, found + len(token.text)) if found >= 0 else (at, at)
            phonemes = self._vocabulary.fit(" ".join((token.phonemes or "").split()))
            is_mark = all(symbol in _MARKS for symbol in phonemes)
            if token.phonemes is None and any(map(str.isalnum, token.text)):
                self.mute[language] += 1
            yield Sound(start, end, phonemes, "mark" if is_mark else "word", bool(token.whitespace))
            at = end

    def _asian(self, piece: Piece, language: str) -> Iterator[Sound]:
        """A mark as it is; words by script, because misaki would read Latin letters as phonemes."""
        if piece.is_mark:
            yield Sound(piece.start_char, piece.end_char, piece.text, "mark", piece.space_after)
            return
        parts = list(_by_script(piece.text))
        for start, end in parts:
            part = piece.text[start:end]
            phonemes = self._latin(part) if _LATIN.match(part) else self._native(part, language)
            is_last = end == len(piece.text)
            yield Sound(
                piece.start_char + start, piece.start_char + end, phonemes, "words", piece.space_after or not is_last
            )

    def _latin(self, text: str) -> str:
        return self._espeak.alone([text], "en-us")[0]

    def _native(self, text: str, language: str) -> str:
        with self._lock:
            phonemes = self._g2p[language](text)[0]
        self.mute[language] += phonemes.count(_UNKNOWN)
        return self._vocabulary.fit(" ".join(phonemes.replace(_UNKNOWN, "").split()))


def _by_script(text: str) -> Iterator[tuple[int, int]]:
    """Stretches of Latin letters and of others, in order, without the white space between."""
    at = 0
    for found in [*_LATIN.finditer(text), None]:
        start = found.start() if found else len(text)
        between = text[at:start]
        if between.strip():
            begin = at + len(between) - len(between.lstrip())
            yield begin, begin + len(between.strip())
        if found:
            yield found.span()
            at = found.end()


def _extra(language: str) -> str:
    """The extra of misaki that brings a language."""
    return {"ja": "ja", "cmn": "zh"}.get(language, "en")


def _is_there(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _has_spacy_model() -> bool:
    """Asked exactly as misaki asks, which downloads the model where the answer is no."""
    return bool(importlib.import_module("spacy.util").is_package(SPACY_MODEL))
