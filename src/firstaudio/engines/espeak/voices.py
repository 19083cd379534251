"""Names: which espeak-ng voice speaks when a request says `alloy`, `af_heart`, `en-gb` or `en-us+f3`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from firstaudio.engines.base import Voice
from firstaudio.engines.espeak.library import LibraryVoice
from firstaudio.errors import UnknownLanguageError, UnknownVoiceError

DEFAULT_LANGUAGE = "en-us"

# What a bare language tag means where the library lists only regions, and everyday tags that the library spells
# otherwise.
LANGUAGE_ALIASES = {
    "en": "en-us",
    "en-uk": "en-gb",
    "fr": "fr-fr",
    "zh": "cmn",
    "zh-cn": "cmn",
    "zh-tw": "cmn",
    "zh-hk": "yue",
    "no": "nb",
    "de-de": "de",
    "es-es": "es",
    "es-mx": "es-419",
    "hi-in": "hi",
    "it-it": "it",
    "ja-jp": "ja",
    "ko-kr": "ko",
    "pt-pt": "pt",
    "ru-ru": "ru",
}

# Any two-letter tag is close to something that it has nothing to do with.
SHORTEST_HINT = 3


@dataclass(frozen=True, slots=True)
class Alias:
    """A persona of another system: a variant of whatever language is spoken."""

    variant: str
    gender: str
    language: str = DEFAULT_LANGUAGE


# The 13 names of OpenAI's API, the default of Kokoro's clients, and the harness's `default`.
ALIASES: dict[str, Alias] = {
    "default": Alias("", "male"),
    "alloy": Alias("f2", "neutral"),
    "ash": Alias("m3", "male"),
    "ballad": Alias("m7", "male"),
    "cedar": Alias("m1", "male"),
    "coral": Alias("f4", "female"),
    "echo": Alias("m4", "male"),
    "fable": Alias("m5", "male", "en-gb"),
    "marin": Alias("f1", "female"),
    "nova": Alias("f5", "female"),
    "onyx": Alias("m8", "male"),
    "sage": Alias("linda", "female"),
    "shimmer": Alias("steph", "female"),
    "verse": Alias("m6", "male"),
    "af_heart": Alias("f3", "female"),
}

# Kokoro names its voices by language and gender (`bf_emma`). A client of it that is spoken to by espeak, while a model
# loads for one, hears that language and gender; `X-Voice` says what speaks.
_KOKORO_NAME = re.compile(r"([abefhijpz])([fm])_[a-z0-9]+")
_KOKORO_LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "cmn",
}


class VoiceTable:
    """Every voice of a library, by id.

    A voice id is the library's language tag (`en-us`, `cmn`); where two voices share a tag, the later ones go by
    their identifier's last part. Any id may carry a `+variant`. Ids are matched without regard to case.

    Args:
        listed: The library's voices.
        variants: Names that may follow `+`.
    """

    def __init__(self, listed: Iterable[LibraryVoice], variants: Iterable[str]) -> None:
        self._variants = {name.lower(): name for name in variants}
        self._by_id: dict[str, LibraryVoice] = {}
        for voice in listed:
            key = voice.language.lower()
            self._by_id[key if key not in self._by_id else voice.identifier.rsplit("/")[-1].lower()] = voice
        missing = {alias.variant for alias in ALIASES.values()} - {"", *self._variants}
        self._aliases = {
            name: Alias("" if alias.variant in missing else alias.variant, alias.gender, alias.language)
            for name, alias in ALIASES.items()
        }

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP-47 tags, sorted."""
        return tuple(sorted({voice.language for voice in self._by_id.values()}))

    def voices(self) -> list[Voice]:
        """Aliases first, then the library's own; variants are not multiplied out."""
        aliases = [
            Voice(name, name, alias.language, alias.gender, alias_of=_join(alias.language, alias.variant))
            for name, alias in self._aliases.items()
        ]
        return aliases + [
            Voice(key, voice.name, voice.language, voice.gender) for key, voice in sorted(self._by_id.items())
        ]

    def resolve(self, voice: str, language: str | None) -> tuple[str, str]:
        """Canonical voice id (`en-us+f3`) and language; see `Engine.resolve`."""
        alias = self._aliases.get(voice.lower()) or self._stand_in(voice.lower())
        if alias is not None:
            tag = self._language(language) if language else alias.language
            return _join(tag, alias.variant), self._by_id[tag].language
        base, _, variant = voice.partition("+")
        key = base.lower() if base.lower() in self._by_id else LANGUAGE_ALIASES.get(base.lower(), "")
        if key not in self._by_id:
            raise UnknownVoiceError(f"no voice {voice[:80]!r}{self._nearest(base)}", param="voice")
        if variant and variant.lower() not in self._variants:
            raise UnknownVoiceError(
                f"no variant {variant[:80]!r} of voice {base!r}; variants: {', '.join(sorted(self._variants))}",
                param="voice",
            )
        if language and self._by_id[self._language(language)].language != self._by_id[key].language:
            raise UnknownLanguageError(
                f"voice {voice!r} speaks {self._by_id[key].language!r}, not {language!r}; "
                f"leave the language out or use a voice such as 'alloy' that speaks any language",
                param="language",
            )
        return _join(key, self._variants.get(variant.lower(), "")), self._by_id[key].language

    def identifier(self, voice: str) -> str:
        """What the library calls a canonical voice id."""
        key, _, variant = voice.partition("+")
        return _join(self._by_id[key].identifier, variant)

    def _stand_in(self, voice: str) -> Alias | None:
        """What speaks for a voice of Kokoro's, if `voice` is named like one."""
        found = _KOKORO_NAME.fullmatch(voice)
        if found is None or _KOKORO_LANGUAGES[found[1]] not in self._by_id:
            return None
        like = self._aliases["af_heart" if found[2] == "f" else "ash"]
        return Alias(like.variant, like.gender, _KOKORO_LANGUAGES[found[1]])

    def _language(self, language: str) -> str:
        tag = language.lower().replace("_", "-")
        tag = tag if tag in self._by_id else LANGUAGE_ALIASES.get(tag, "")
        if tag not in self._by_id:
            raise UnknownLanguageError(f"no language {language[:80]!r}{self._nearest(language)}", param="language")
        return tag

    def _nearest(self, name: str) -> str:
        language, region, _ = name.lower().replace("_", "-").partition("-")
        related = [key for key in self._by_id if region and key.split("-")[0] == language]
        names = related or [known for known in (*self._aliases, *self._by_id) if len(known) >= SHORTEST_HINT]
        close = difflib.get_close_matches(name.lower()[:80], names, n=3, cutoff=0.6) or related[:3]
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ";"
        return f"{hint} `firstaudio voices` or GET /v1/audio/voices lists them all"


def _join(base: str, variant: str) -> str:
    return f"{base}+{variant}" if variant else base
