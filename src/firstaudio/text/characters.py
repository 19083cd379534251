"""Classes of characters that the modules of this room share, as bodies of regular expression classes.

Source: the Unicode Character Database (emoji-data, PropList, Scripts), reduced to what speech needs.
"""

from __future__ import annotations

import re

# Pictures. Digits, (c) and (r) have the Emoji property too, but they are spoken.
EMOJI = (
    "\u231a\u231b\u2328\u23cf\u23e9-\u23ff\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u27bf\u2b05-\u2b07\u2b1b\u2b1c"
    "\u2b50\u2b55\u3030\u303d\u3297\u3299\ufe0e\ufe0f\u20e3\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
# Zero-width and bidirectional controls, fillers, variation selectors, private use, surrogates, non-characters.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufdd0-\ufdef\ufeff\uffa0\uffef-\uffff\ue000-\uf8ff\ud800-\udfff\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
# White space and control characters within a line, then the ends of lines.
BLANK = "\t \x00-\x08\x0e-\x1f\x7f-\x84\x86-\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
NEWLINE = "\n\x0b\x0c\r\x85\u2028\u2029"

# Letters that are written without spaces between words, and may be cut between any two.
CJK = "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Scripts whose spaces separate phrases: Thai, Lao, Myanmar, Khmer.
SPACED_BY_PHRASE = "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff"

CLOSERS = "\"'”’»›)]}」』】〉》）］｝〕〗"
OPENERS = "([{“‘«‹「『【〈《（［｛〔〖¿¡"

# Something that an engine has a word for.
SPEAKABLE = re.compile(r"[^\W_]|[$%&@#+§©®°±×÷₠-⃀←-⇿∀-⋿]")


def is_speakable(text: str) -> bool:
    """Whether `text` holds a letter, a digit or a symbol that has a name; marks and pauses alone are silent."""
    return SPEAKABLE.search(text) is not None
