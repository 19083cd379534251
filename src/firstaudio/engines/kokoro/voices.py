"""Voices of a Kokoro model: names, languages, the style for a number of tokens, blends.

A voice is a table of styles, one row for each number of tokens. Its name begins with a letter for the language and one
for the gender (`af_heart`: American, female), as hexgrad/Kokoro-82M's VOICES.md states.

A blend is written as users of Kokoro-FastAPI write it: `af_bella(2)+af_sky(1)`; without weights, all count the same.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.base import Voice
from firstaudio.errors import ConfigError, UnknownLanguageError, UnknownVoiceError

Styles = NDArray[np.float32]

STYLE_DIM = 256
MAX_BLENDED = 16
MIN_WEIGHT, MAX_WEIGHT = 0.0001, 1000.0
_PARTS = 10_000  # shares of a blend are told apart by so much
DEFAULT_LANGUAGE = "en-us"

PREFIX_LANGUAGES = {
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
# Everyday tags, and the letters that Kokoro's own pipeline calls languages by.
LANGUAGE_ALIASES = PREFIX_LANGUAGES | {
    "en": "en-us",
    "en-uk": "en-gb",
    "es-es": "es",
    "fr": "fr-fr",
    "hi-in": "hi",
    "it-it": "it",
    "ja-jp": "ja",
    "pt": "pt-br",
    "zh": "cmn",
    "zh-cn": "cmn",
}
_GENDERS = {"f": "female", "m": "male"}

# The 13 names of OpenAI's API, the harness's `default` and the default of Kokoro's clients, by the voice of the
# release `model-files-v1.0` that is nearest in name or character.
ALIASES = {
    "default": "af_heart",
    "af_heart": "af_heart",
    "alloy": "af_alloy",
    "ash": "am_adam",
    "ballad": "bm_george",
    "cedar": "am_michael",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_kore",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",
    "shimmer": "af_sky",
    "verse": "am_puck",
}

# Tables of 511 rows belong to the releases before v1.0 and were read at the number of tokens; those of 510 rows at
# one less, so that row 0 is for one token. Sources: `KPipeline.infer` of hexgrad/kokoro 0.9 and `_style_for` of
# kokoro-onnx 0.6 (both `n - 1`), `generate` in kokoro.py of hexgrad/Kokoro-82M v0.19 (`n`).
_ROWS_COUNTED_FROM_ZERO = 511

_NPY = b"\x93NUMPY"
_NEXT_STEP = "set kokoro.voices to another file, or fetch one with `firstaudio models pull kokoro`"
_PART = re.compile(r"\s*([^()+]+?)\s*(?:\(\s*([^()]*?)\s*\))?\s*")


class VoiceTable:
    """Every voice of a voices file; all of it is read and checked at once. Thread-safe.

    Args:
        path: An npz archive (`voices-v1.0.bin`, `.npz`), one voice as `.npy` or raw float32 `.bin`, or a folder of such
            single voices.

    Raises:
        ConfigError: The file is missing, damaged, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._styles = dict(sorted(_read(path).items()))
        self._digests: dict[str, str] = {}
        self._by_lower = {name.lower(): name for name in self._styles}
        self._aliases = {
            alias: self._nearest(wanted) for alias, wanted in ALIASES.items() if alias not in self._by_lower
        }

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP-47 tags that the voices speak by themselves, sorted."""
        return tuple(sorted({language_of(name) for name in self._styles}))

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each voice's styles, by name: the same name in another file may be another voice."""
        self._digests = self._digests or {
            name: hashlib.sha256(styles.data).hexdigest() for name, styles in self._styles.items()
        }
        return dict(self._digests)

    def voices(self) -> list[Voice]:
        """Aliases first (`default`, OpenAI's names), then the file's own."""
        aliases = [
            Voice(alias, alias, language_of(name), gender_of(name), alias_of=name)
            for alias, name in self._aliases.items()
        ]
        return aliases + [Voice(name, _spoken(name), language_of(name), gender_of(name)) for name in self._styles]

    def resolve(self, voice: str, language: str | None) -> tuple[str, str]:
        """Canonical voice id (`af_heart`, `af_bella(0.75)+af_sky(0.25)`) and BCP-47 language; see `Engine.resolve`.

        Any voice speaks any language of this model, because the model reads phonemes: a voice that is named speaks
        with its own accent. An alias names no person: it becomes a voice of that language where the file has one.

        Raises:
            UnknownVoiceError: No such voice, or a blend that cannot be made.
            UnknownLanguageError: Not a language of this model.
        """
        asked = None if not language else canonical_language(language)
        shares = self._shares(voice, asked)
        heaviest = max(shares, key=lambda name: shares[name])
        return _written(shares), asked or language_of(heaviest)

    def style(self, voice: str, num_tokens: int) -> Styles:
        """The style, shape [1, 256], for a canonical voice id and a number of tokens, pads not counted.

        Beyond the last row of a table, the last row.
        """
        assert num_tokens > 0
        parts = list(_parts(voice))
        if len(parts) == 1:
            return _row(self._styles[parts[0][0]], num_tokens)
        total = sum(share for _, share in parts)
        return _sum(_row(self._styles[name], num_tokens) * np.float32(share / total) for name, share in parts)

    def _shares(self, voice: str, language: str | None) -> dict[str, float]:
        """The voices of a blend in the order of the request, and their shares of 1."""
        weights: dict[str, float] = {}
        for name, weight in _parts(voice):
            known = self._name(name, language)
            weights[known] = weights.get(known, 0.0) + weight
        if len(weights) > MAX_BLENDED:
            raise UnknownVoiceError(f"a blend of {len(weights)} voices; at most {MAX_BLENDED} go", param="voice")
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items()}

    def _name(self, voice: str, language: str | None) -> str:
        """The voice of the file that a name means."""
        key = voice.lower()
        if key in self._by_lower:
            return self._by_lower[key]
        if key not in self._aliases:
            raise UnknownVoiceError(f"no voice {voice[:80]!r}{self._hint(key)}", param="voice")
        name = self._aliases[key]
        if language is None or language == language_of(name):
            return name
        return self._native(language, gender_of(name)) or name

    def _native(self, language: str, gender: str) -> str | None:
        """A voice of the file that speaks a language by itself, of that gender where there is one."""
        native = [name for name in self._styles if language_of(name) == language]
        return next((name for name in native if gender_of(name) == gender), native[0] if native else None)

    def _nearest(self, wanted: str) -> str:
        """The voice of the file that is nearest to one of the release: itself, else by language and gender."""
        if wanted in self._styles:
            return wanted
        language, gender = language_of(wanted), gender_of(wanted)
        same_gender = (name for name in self._styles if gender_of(name) == gender)
        return self._native(language, gender) or next(same_gender, next(iter(self._styles)))

    def _hint(self, key: str) -> str:
        close = difflib.get_close_matches(key[:80], [*self._aliases, *self._by_lower], n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ";"
        return f"{hint} `firstaudio voices` or GET /v1/audio/voices lists them all"


def language_of(name: str) -> str:
    """The language that a voice speaks by itself, by its name; American English for a name of another kind."""
    return PREFIX_LANGUAGES.get(name[:1].lower(), DEFAULT_LANGUAGE) if _has_prefix(name) else DEFAULT_LANGUAGE


def gender_of(name: str) -> str:
    """The gender of a voice by its name."""
    return _GENDERS[name[1].lower()] if _has_prefix(name) else "neutral"


def canonical_language(language: str) -> str:
    """The tag of a language that this model was trained on. Raises UnknownLanguageError."""
    tag = language.lower().replace("_", "-")
    tag = LANGUAGE_ALIASES.get(tag, tag)
    if tag not in PREFIX_LANGUAGES.values():
        known = ", ".join(PREFIX_LANGUAGES.values())
        raise UnknownLanguageError(f"kokoro has no language {language[:80]!r}; it has {known}", param="language")
    return tag


def _has_prefix(name: str) -> bool:
    return re.match(r"[a-z][fm]_", name, re.IGNORECASE) is not None


def _spoken(name: str) -> str:
    """The name for people: `af_heart` is Heart."""
    return name[3:].replace("_", " ").title() if _has_prefix(name) else name


def _parts(voice: str) -> Iterator[tuple[str, float]]:
    """Names and weights of a blend. Raises UnknownVoiceError."""
    for part in voice.split("+"):
        found = _PART.fullmatch(part)
        if found is None or found.group(2) == "":
            raise _not_a_blend(voice)
        name, weight = found.groups()
        yield name, 1.0 if weight is None else _weight(weight, voice)


def _weight(written: str, voice: str) -> float:
    try:
        weight = float(written)
    except ValueError:
        raise _not_a_blend(voice) from None
    if not (math.isfinite(weight) and MIN_WEIGHT <= weight <= MAX_WEIGHT):
        raise UnknownVoiceError(
            f"weight {written[:20]} of a blend is out of range: {MIN_WEIGHT} to {MAX_WEIGHT:g}", param="voice"
        )
    return weight


def _not_a_blend(voice: str) -> UnknownVoiceError:
    return UnknownVoiceError(
        f"no voice {voice[:80]!r}; a blend is written af_bella(2)+af_sky(1), and nothing is subtracted", param="voice"
    )


def _written(shares: Mapping[str, float]) -> str:
    """One way to write a blend, whatever the order and scale of what was asked; it resolves to itself."""
    names = sorted(shares)
    if math.isclose(max(shares.values()), min(shares.values()), rel_tol=1e-6):
        return "+".join(names)
    parts = {name: max(1, int(shares[name] * _PARTS + 1e-6)) for name in names}
    heaviest = max(names, key=lambda name: parts[name])
    parts[heaviest] += _PARTS - sum(parts.values())  # so that they add up, and are the same when they are read again
    return "+".join(f"{name}({part / _PARTS:g})" for name, part in parts.items())


def _row(styles: Styles, num_tokens: int) -> Styles:
    first = 0 if len(styles) >= _ROWS_COUNTED_FROM_ZERO else 1
    row: Styles = styles[min(num_tokens - first, len(styles) - 1)][None]
    return row


def _sum(rows: Iterable[Styles]) -> Styles:
    total: Styles = np.sum(list(rows), axis=0, dtype=np.float32)
    return total


def _read(path: Path) -> dict[str, Styles]:
    """Every voice below a path, shape [rows, 256]. Raises ConfigError."""
    try:
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if each.suffix in (".bin", ".npy"))
            voices = {each.stem: _one(each) for each in files}
        elif zipfile.is_zipfile(path):
            with np.load(path, allow_pickle=False) as archive:
                voices = {name: _checked(archive[name], f"voice {name!r} of {path}") for name in archive.files}
        else:
            voices = {path.stem: _one(path)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} cannot be read as voices ({error}); {_NEXT_STEP}") from error
    if not voices:
        raise ConfigError(f"{path} holds no voice; {_NEXT_STEP}")
    if ambiguous := [name for name in voices if not _is_name(name)]:
        raise ConfigError(
            f"{path} names a voice {ambiguous[0]!r}, which cannot be told from a blend; rename it: no '+', no "
            "brackets, no space at the ends"
        )
    return voices


def _is_name(name: str) -> bool:
    """Whether it is a voice's name, and nothing else, where it is asked for."""
    try:
        return list(_parts(name)) == [(name, 1.0)]
    except UnknownVoiceError:
        return False


def _one(path: Path) -> Styles:
    """The single voice of a file: numpy's own format, or raw little-endian float32."""
    with path.open("rb") as file:
        is_npy = file.read(len(_NPY)) == _NPY
    if is_npy:
        return _checked(np.load(path, allow_pickle=False), str(path))
    data = path.read_bytes()
    if not data or len(data) % (STYLE_DIM * 4):
        raise ConfigError(f"{path} is no table of styles: {len(data)} bytes are no rows of 256 float32; {_NEXT_STEP}")
    return _checked(np.frombuffer(data, "<f4").reshape(-1, STYLE_DIM), str(path))


def _checked(styles: NDArray[Any], what: str) -> Styles:
    """The table as [rows, 256] float32. Raises ConfigError."""
    if styles.shape[-1:] != (STYLE_DIM,) or styles.size != len(styles) * STYLE_DIM or not len(styles):
        raise ConfigError(f"{what} has the shape {list(styles.shape)}, expected [510, 1, {STYLE_DIM}]; {_NEXT_STEP}")
    if styles.dtype.kind != "f":
        raise ConfigError(f"{what} holds {styles.dtype}, expected float32; {_NEXT_STEP}")
    table = np.ascontiguousarray(styles.reshape(len(styles), STYLE_DIM), np.float32)
    if not np.isfinite(table).all():
        raise ConfigError(f"{what} holds values that are not finite: the file is damaged; {_NEXT_STEP}")
    return table


def shares_of(voice: str) -> list[tuple[str, float]]:
    """The voices of the file that a canonical voice id is made of, and their shares; they sum to 1."""
    parts = list(_parts(voice))
    total = sum(share for _, share in parts)
    return [(name, share / total) for name, share in parts]
