"""The patterns of what people and models write around words: Markdown, simple HTML, addresses, decoration.

Patterns only; `normalise` says what becomes of each. A pattern `X_UNDECIDED` matches the end of what is known so far
if more text could still change whether, or how far, `X` matches here: its bounds are never smaller than those of `X`.
Every repetition is bounded, so that a text of nothing but openers costs a bounded look-ahead a character.
"""

from __future__ import annotations

import re

from firstaudio.text.characters import BLANK, CJK, EMOJI, INVISIBLE, NEWLINE

# The longest stretches that a rule looks ahead ; smaller ones stand in the patterns.
MAX_LINK_TEXT = 256
MAX_URL = 2048

# Fast path: words of characters that no rule wants, each with the space that ends it.
SAFE = "A-Za-z0-9.,;:?!'\"()$%{}^À-ɏͰ-ԯא-תؠ-ٟ٠-٩ٮ-ۓऀ-෿ก-๛Ḁ-῿‘-”–—…、。〈-】ぁ-ゖァ-ヺー㐀-䶿一-鿿가-힣！（），：；？"
PLAIN = re.compile(rf"(?:[{SAFE}]{{1,64}}+ ){{1,64}}")

SPECIAL = re.escape("`*_~-=#+<>[]!&\\|")
TOKEN = re.compile(
    rf"(?P<blank>[{BLANK}]+)|(?P<newline>\r\n?|[{NEWLINE}])|(?P<emoji>[{EMOJI}]+)|(?P<invisible>[{INVISIBLE}])"
    rf"|(?P<literal>[^A-Za-z0-9{BLANK}{NEWLINE}{EMOJI}{INVISIBLE}{SPECIAL}]+)"
)
WORD = re.compile(r"[A-Za-z0-9]{1,64}")
EMAIL = re.compile(r"(?:mailto:)?[A-Za-z0-9][\w.%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}", re.ASCII)
URL_CHAR = rf"[^\s{BLANK}{INVISIBLE}<>\"`\[\]|\\^{{}}\u2e80-\U0010ffff]"
URL = re.compile(rf"(?:(?i:https?|ftp)://|www\.(?=[A-Za-z0-9])){URL_CHAR}{{1,{MAX_URL}}}")
URL_TAIL = re.compile(r"[.,;:!?'\")*_~»”’]+\Z")
WORD_UNDECIDED = re.compile(
    r"(?:mailto:)?[A-Za-z0-9][A-Za-z0-9_.%+-]{0,63}(?:@[A-Za-z0-9.-]{0,320})?\Z|mailto:\Z"
    rf"|(?i:https?|ftp):(?:/(?:/{URL_CHAR}{{0,{MAX_URL}}})?)?\Z|www\.{URL_CHAR}{{0,{MAX_URL}}}\Z"
)

LINE = re.compile(
    r"(?P<fence>`{3,64}|~{3,64})"
    rf"|(?P<rule>[-*_=|:][-*_=|:+ \t]{{0,255}}(?=[{NEWLINE}]|\Z))"
    rf"|(?P<heading>#{{1,6}}(?=[ \t{NEWLINE}]|\Z))"
    r"|(?P<quote>>)"
    r"|(?P<bullet>[-*+•‣◦–—][ \t](?:\[[ xX]\](?=[ \t]))?)"
    r"|(?P<number>(?=[0-9]{1,3}[.)][ \t]))"
    r"|(?P<row>\|)"
)
LINE_UNDECIDED = re.compile(
    r"(?:`{1,63}|~{1,63}|[-*_=|:][-*_=|:+ \t]{0,255}|#{1,6}|[-*+•‣◦–—](?:[ \t](?:\[[ xX]?\]?)?)?|[0-9]{1,3}[.)]?)\Z"
)

LINE_END = re.compile(f"[{NEWLINE}]")

BACKTICKS = re.compile(r"`{1,64}")
BACKTICKS_UNDECIDED = re.compile(r"`{1,63}\Z")
MARKS = re.compile(r"([*_~=#+-])\1{0,63}")
MARKS_UNDECIDED = re.compile(r"([*_~=#+-])\1{0,63}\Z")
WIDE = re.compile(f"[{CJK}]")

LINK = re.compile(rf"!?\[([^\[\]\n]{{0,{MAX_LINK_TEXT}}})\]\(")
BADGE = re.compile(r"\[(?=!\[)")
FOOTNOTE = re.compile(r"\[\^[^\[\]\s]{1,32}\]:?")
LINK_UNDECIDED = re.compile(rf"!?(?:\[(?:[^\[\]\n]{{0,{MAX_LINK_TEXT}}}\]?)?)?\Z")
TARGET = re.compile(r"[^\s()]+")
TARGET_BLANK = re.compile(r"[ \t]+(?=[\"')])")
TITLE = re.compile(r"[^\"'\n]+")

BLOCK_TAGS = "address|article|blockquote|dd|div|dl|dt|h[1-6]|hr|li|ol|p|section|table|tr|ul"
INLINE_TAGS = (
    "a|abbr|b|br|cite|code|del|details|em|i|img|ins|kbd|mark|pre|s|small|span|strong|sub|summary|sup|td|th|u"
    "|speak|break|prosody|emphasis|voice"  # SSML's
)
TAG = re.compile(
    rf"</?(?:(?P<block>{BLOCK_TAGS})|(?P<inline>{INLINE_TAGS})|(?P<think>think|thinking))(?=[ \t/>])"
    r"(?:[ \t][^<>\n=]{0,64}=[^<>\n]{0,512})?[ \t]{0,8}/?>",
    re.IGNORECASE,
)
COMMENT = re.compile(r"<!--")
AUTOLINK = re.compile(r"<(?=(?i:https?|ftp)://|mailto:|[A-Za-z0-9][\w.%+-]{0,63}@)", re.ASCII)
TAG_UNDECIDED = re.compile(
    r"<(?:!-?|[A-Za-z0-9][A-Za-z0-9_.%+-]{0,63}|(?:https?|ftp):/?|mailto:"
    rf"|/?(?:{BLOCK_TAGS}|{INLINE_TAGS}|think|thinking)(?:[ \t/][^<>\n]{{0,640}})?|/[A-Za-z0-9]{{0,10}})?\Z",
    re.IGNORECASE,
)
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
ENTITY_UNDECIDED = re.compile(r"&#?[A-Za-z0-9]{0,32}\Z")
ESCAPABLE = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
