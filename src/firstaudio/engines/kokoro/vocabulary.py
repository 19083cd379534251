"""Kokoro's symbols: which there are, what stands for those that there are not, and a count of what is lost.

Source: `vocab` in `config.json` of hexgrad/Kokoro-82M (Apache-2.0): 114 symbols among 178 ids; the other rows of the
model's table belong to no symbol.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter

LOG = logging.getLogger(__name__)

PAD = 0
NUM_IDS = 178
TILDE = "\u0303"  # nasal

# Symbols with ids in a row, by the first one's id.
_ROWS = {
    1: ";:,.!?",
    9: f'—…"()“” {TILDE}ʣʥʦʨᵝ\uab67AI',
    31: "O",
    33: "Q",
    35: "ST",
    39: "W",
    41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ",
    75: "βɔɕç",
    80: "ɖðʤə",
    85: "ɚɛɜ",
    90: "ɟ",
    92: "ɡ",
    99: "ɥ",
    101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø",
    118: "ɸθœ",
    123: "ɹ",
    125: "ɾɻ",
    128: "ʁɽʂʃʈʧ",
    135: "ʊʋ",
    138: "ʌɣɤ",
    142: "χʎ",
    147: "ʒʔ",
    156: "ˈˌː",
    162: "ʰ",
    164: "ʲ",
    169: "↓",
    171: "→↗↘",
    177: "ᵻ",
}
IDS: dict[str, int] = {symbol: first + index for first, row in _ROWS.items() for index, symbol in enumerate(row)}

# Sounds of IPA that the table lacks, by the nearest one that it has in manner and place of articulation.
_NEAR = {
    "l": "ɫɬɮɭʟˡǁ",
    "ɡ": "gɠʛɢ",
    "w": "ʍʷ",
    "h": "ɦħʜ",
    "m": "ɱ",
    "n": "ⁿ",
    "ʁ": "ʀ",
    "b": "ʙɓ",
    "d": "ɗ",
    "ɖ": "ᶑ",
    "ɟ": "ʄ",
    "v": "ⱱ",
    "ɾ": "ɺ",
    "ʃ": "ɧ",
    "ʒ": "ʑʐ",
    "ʔ": "ʕʡʢ",
    "p": "ʘ",
    "t": "ǀǃǂ",
    "ə": "ɘɵ",
    "ɜ": "ɞ",
    "ɜɹ": "ɝ",
    "u": "ʉ",
    "y": "ʏ",
    "œ": "ɶ",
    "ɨ": "ɿʅ",
    "ɪ": "ɩᴉ",
    "ʊ": "ɷ",
    "ː": "ˑ",
}
_NEAREST = {lacking: symbol for symbol, sounds in _NEAR.items() for lacking in sounds}
# Categories of what shades a sound and is none by itself: combining marks, modifier letters, symbols such as tones.
_SHADES = frozenset({"Mn", "Lm", "Sk", "Cf"})
_UNKNOWN = re.compile(f"[^{re.escape(''.join(IDS))}]")


class Vocabulary:
    """Phonemes to ids. Counts what has no symbol and nothing near. Thread-safe enough: a count may miss one.

    Attributes:
        lost: How often each symbol without a token was left out.
    """

    def __init__(self) -> None:
        self.lost: Counter[str] = Counter()

    def fit(self, phonemes: str) -> str:
        """The phonemes in symbols of the table alone: each character of the result is one token.

        What shades a sound (a dental bridge, a tone letter) is left out where the table has no symbol: the model never
        saw it. A sound without any symbol near is left out, counted and logged once.
        """
        return _UNKNOWN.sub(lambda found: self._nearest(found.group()), phonemes)

    def encode(self, phonemes: str) -> tuple[int, ...]:
        """The ids of what `fit` gave, one for each character."""
        return tuple(map(IDS.__getitem__, phonemes))

    def _nearest(self, symbol: str) -> str:
        if symbol in _NEAREST:
            return _NEAREST[symbol]
        apart = unicodedata.normalize("NFD", symbol)
        if apart != symbol:
            return self.fit(apart)
        if unicodedata.category(symbol) not in _SHADES:
            self._lose(symbol)
        return ""

    def _lose(self, symbol: str) -> None:
        self.lost[symbol] += 1
        if self.lost[symbol] == 1:
            LOG.warning("no token for the sound %r (U+%04X): it is left out", symbol, ord(symbol))
