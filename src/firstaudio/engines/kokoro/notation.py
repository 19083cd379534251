"""From espeak-ng's IPA to the notation that Kokoro was trained on.

The notation is misaki's: one letter for each diphthong and affricate, no length in American English, `T` for the
flap of "butter". Source of the facts: `misaki/espeak.py` and the list of English phonemes in misaki's documentation
(github.com/hexgrad/misaki, Apache-2.0); the tables are written from them and from the lexicon's entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

TIE = "\u0361"
_SYLLABIC = "\u0329"

# espeak-ng writes "(fr)" where it changes to another language's sounds, with ties between the letters.
_SWITCH = re.compile(r"\([^()]*\)")
# Marks are put back from the text; what looks like one here is espeak's own notation of a sound.
_NO_SOUND = re.compile(r"[-.,;:!?\"…—]")

_TIED = {"a͡ɪ": "I", "a͡ʊ": "W", "e͡ɪ": "A", "ɔ͡ɪ": "Y", "d͡ʒ": "ʤ", "t͡ʃ": "ʧ"}

_EUROPEAN = {
    **_TIED,
    "d͡z": "ʣ",
    "t͡s": "ʦ",
    "o͡ʊ": "O",
    "ə͡ʊ": "Q",
    "s͡s": "S",
    "r.": "ɽ",  # Hindi's flap
    TIE: "",
}

_ENGLISH = {
    **_TIED,
    f"ʔn{_SYLLABIC}": "tn",
    f"ʔˌn{_SYLLABIC}": "tn",
    "ʔ": "t",
    **{f"{sound}{_SYLLABIC}": f"ᵊ{sound}" for sound in "lmnŋɹ"},
    "ə͡l": "ᵊl",
    "ɚɹ": "əɹ",
    "ɚ": "əɹ",
    "r": "ɹ",
    "x": "k",
    "ç": "k",
    "ɬ": "l",
    "ɐ": "ə",
    "e": "A",
    "o": "ɔ",
    "ʲo": "jo",
    "ʲə": "jə",
    "ʲ": "",
    "\u0303": "",
    TIE: "",
}
_AMERICAN = {
    **_ENGLISH,
    "o͡ʊ": "O",
    "ɜːɹ": "ɜɹ",
    "ɜː͡ɹ": "ɜɹ",
    "ɜː": "ɜɹ",
    "ɪə": "iə",
    "ɪ͡ə": "iə",
    "ɾ": "T",
    "ː": "",
}
_BRITISH = {
    **_ENGLISH,
    "ə͡ʊ": "Q",
    "e͡ə": "ɛː",
    "iə": "ɪə",
    "i͡ə": "ɪə",
    "ɾ": "T",
    "ᵻ": "ɪ",
    "æ": "a",
}


def _rewriter(table: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces every key of `table`, the longest first, each place once."""
    pattern = re.compile("|".join(map(re.escape, sorted(table, key=len, reverse=True))))
    return lambda phonemes: pattern.sub(lambda found: table[found.group()], phonemes)


_REWRITERS = {"en-us": _rewriter(_AMERICAN), "en-gb": _rewriter(_BRITISH)}
_rewrite_others = _rewriter(_EUROPEAN)


def from_espeak(ipa: str, language: str) -> str:
    """Kokoro's notation of what espeak-ng said; words stay separated by single spaces.

    Args:
        ipa: With ties (U+0361) between the letters of one sound.
        language: "en-us", "en-gb", or another tag, for which the notation is nearly espeak's own.
    """
    ipa = _SWITCH.sub("", ipa)
    phonemes = _REWRITERS.get(language, _rewrite_others)(ipa)
    return " ".join(_NO_SOUND.sub("", phonemes).split())
