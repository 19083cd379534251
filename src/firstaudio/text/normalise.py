r"""`Normaliser`: from what people and models write to what can be read aloud, in pieces of any size.

What is left out on purpose, all of it:

- blocks of code (between lines of ``` or ~~~, also one that never ends): nobody wants to hear code;
- `<think>` and `<thinking>` blocks, also one that never ends, and HTML comments;
- emoji, zero-width and bidirectional controls, control characters, private-use characters, lone surrogates;
- the marks of Markdown, of simple HTML and of SSML (what they mark is read, what they ask for is not done), lines of
  dashes, targets of links, footnote marks;
- user name, path and query of a URL; decoration (four and more equal marks in a row).

Paragraphs, headings, list items and table rows are set apart by "\n\n"; all other white space is one space.
Everything else, numbers and dates above all, is left to the engine. A text without anything to say becomes "".

The output does not depend on how the input was cut. Each rule decides on what lies before it and a bounded stretch
of what lies ahead, and waits for that stretch: a pattern that ends in ``\Z`` and matches says "undecided yet", and its
bound is never smaller than that of the pattern that it guards. So the work is linear, too.
"""

from __future__ import annotations

import html
import html.entities
import re
from collections.abc import Callable
from dataclasses import dataclass
from re import Match, Pattern

from firstaudio.text import markup
from firstaudio.text.addresses import Spoken, speak_email, speak_url
from firstaudio.text.characters import NEWLINE
from firstaudio.text.mapped import MappedText
from firstaudio.text.writer import Writer


@dataclass(frozen=True, slots=True)
class _Until:
    """Drop everything up to the end of `pattern`, of which no match is longer than `overlap` + 1."""

    pattern: Pattern[str]
    overlap: int


_THINK_END = _Until(re.compile(r"</think(?:ing)?[ \t]{0,8}>", re.IGNORECASE), 19)
_COMMENT_END = _Until(re.compile(r"-->"), 2)
_BLANK_AHEAD = _Until(re.compile(r"(?=\s)"), 0)


@dataclass(slots=True)
class _Fence:
    """A block of code that is open: its mark, and whether the place is the opening line, a line's start or within."""

    char: str
    length: int
    place: str = "opening"


@dataclass(slots=True)
class _Target:
    """The target of a link, after "](": depth of brackets, and the quote of a title that is open."""

    depth: int = 0
    quote: str = ""


class Normaliser:
    """A machine that reads one text in pieces and gives what is to be spoken.

    `feed` gives what can be decided already, `finish` the rest. Offsets count characters over all pieces.

    Args:
        language: BCP-47 tag of the wording of addresses ("example dot com").
    """

    def __init__(self, language: str = "en") -> None:
        self._language = language
        self._writer = Writer()
        self._buffer = ""
        self._pos = 0
        self._base = 0  # original offset of the buffer's first character
        self._final = False
        self._previous = ""
        self._line_start = True
        self._until: _Until | None = None
        self._fence: _Fence | None = None
        self._target: _Target | None = None
        self._after_target = -1  # original offset where a link's target has just ended
        self._link_close = -1  # original offset of the bracket that closes a link's text
        self._in_code = self._in_emphasis = self._in_autolink = self._in_row = self._break_at_newline = False
        self._by_char: dict[str, Callable[[], bool]] = {
            **dict.fromkeys("*_~=#+-", self._marks),
            **dict.fromkeys("![", self._bracket),
            "]": self._closing_bracket,
            "<": self._tag,
            ">": self._closing_angle,
            "&": self._entity,
            "\\": self._escape,
            "|": self._pipe,
        }

    def feed(self, piece: str) -> MappedText:
        """Take the next piece of the original; returns what it completed, perhaps nothing."""
        self._buffer = self._buffer[self._pos :] + piece
        self._base += self._pos
        self._pos = 0
        while self._pos < len(self._buffer) and self._step():
            pass
        return self._writer.take()

    def finish(self) -> MappedText:
        """The text has ended; returns what was still undecided."""
        self._final = True
        return self.feed("")

    @property
    def num_undecided(self) -> int:
        """Characters that wait for what follows them; bounded, whatever the text."""
        return len(self._buffer) - self._pos

    # Every step consumes at least one character or changes the state; False: undecided without more text.

    def _step(self) -> bool:
        if self._until:
            return self._drop(self._until)
        if self._fence:
            return self._code_block(self._fence)
        if self._target:
            return self._link_target(self._target)
        if self._line_start:
            return self._start_of_line()
        return self._plain() or self._inline()

    def _undecided(self, pattern: Pattern[str]) -> bool:
        return not self._final and pattern.match(self._buffer, self._pos) is not None

    def _match(self, pattern: Pattern[str]) -> Match[str] | None:
        return pattern.match(self._buffer, self._pos)

    def _skip(self, num_chars: int) -> bool:
        """Leave out the next characters."""
        if num_chars:
            self._pos += num_chars
            self._previous = self._buffer[self._pos - 1]
        return True

    def _say(self, num_chars: int) -> bool:
        """Read the next characters as they are."""
        start = self._base + self._pos
        self._writer.emit(self._buffer[self._pos : self._pos + num_chars], start, start + num_chars)
        return self._skip(num_chars)

    def _say_words(self, words: list[Spoken]) -> None:
        """Read words that stand for parts of what lies ahead, without moving on."""
        start = self._base + self._pos
        self._writer.soften()
        for word, begin, end in words:
            self._writer.emit(word, start + begin, start + end)
        self._writer.soften()

    def _plain(self) -> bool:
        found = self._match(markup.PLAIN)
        if not found:
            return False
        words = found.group()
        url = -1 if self._in_code else words.find("www.")
        if url >= 0:
            words = words[: words.rfind(" ", 0, url) + 1]
            if not words:
                return False
        self._say(len(words) - 1)
        self._writer.space()
        return self._skip(1)

    def _inline(self) -> bool:
        char = self._buffer[self._pos]
        if char == "`":
            return self._backticks()
        if char in self._by_char:
            return self._say(1) if self._in_code else self._by_char[char]()
        if char.isascii() and char.isalnum():
            return self._word()
        return self._token()

    def _token(self) -> bool:
        found = self._match(markup.TOKEN)
        assert found is not None, "the classes of markup.TOKEN, markup.SPECIAL and [A-Za-z0-9] cover every character"
        kind, length = found.lastgroup, len(found.group())
        if kind == "literal":
            return self._say(length)
        if kind == "newline":
            return self._newline(found.group())
        if kind == "blank":
            self._writer.space()
        elif kind == "emoji":
            self._writer.soften()
        else:
            self._writer.joiner(found.group(), self._base + self._pos)
        return self._skip(length)

    def _newline(self, newline: str) -> bool:
        if newline == "\r" and not self._final and self._pos + 1 == len(self._buffer):
            return False
        self._writer.newline()
        if self._break_at_newline or newline == "\u2029":
            self._writer.break_paragraph()
        self._line_start = True
        self._in_code = self._in_emphasis = self._in_autolink = self._in_row = self._break_at_newline = False
        return self._skip(len(newline))

    def _start_of_line(self) -> bool:
        if self._buffer[self._pos] in " \t":
            return self._skip(1)
        if self._undecided(markup.LINE_UNDECIDED):
            return False
        found = self._match(markup.LINE)
        self._line_start = found is not None and found.lastgroup == "quote"
        if not found:
            return True
        if found.lastgroup == "fence":
            self._fence = _Fence(found.group()[0], len(found.group()))
        if found.lastgroup != "quote":
            self._writer.break_paragraph()
        self._in_row = found.lastgroup == "row"
        self._break_at_newline = found.lastgroup in ("row", "heading", "rule")
        return self._skip(len(found.group()))

    def _code_block(self, fence: _Fence) -> bool:
        if fence.place == "within":
            return self._to_end_of_line(fence)
        char = self._buffer[self._pos]
        if char == fence.char:
            run = markup.BACKTICKS if char == "`" else markup.MARKS
            if self._undecided(markup.BACKTICKS_UNDECIDED if char == "`" else markup.MARKS_UNDECIDED):
                return False
            found = self._match(run)
            length = len(found.group()) if found else 1
            if length >= fence.length:
                self._fence = None
            elif fence.place == "start":
                fence.place = "within"
            return self._skip(length)
        if fence.place == "opening":
            if char in NEWLINE:
                fence.place = "start"
        elif char not in " \t" and char not in NEWLINE:
            fence.place = "within"
        return self._skip(1)

    def _to_end_of_line(self, fence: _Fence) -> bool:
        newline = markup.LINE_END.search(self._buffer, self._pos)
        if newline:
            fence.place = "start"
        return self._skip((newline.end() if newline else len(self._buffer)) - self._pos)

    def _drop(self, until: _Until) -> bool:
        found = until.pattern.search(self._buffer, self._pos)
        if found:
            self._until = None
            self._writer.soften()
            return self._skip(found.end() - self._pos)
        overlap = 0 if self._final else until.overlap
        self._skip(max(0, len(self._buffer) - overlap - self._pos))
        return False

    def _word(self) -> bool:
        if self._undecided(markup.WORD_UNDECIDED):
            return False
        if not self._in_code:
            email = self._match(markup.EMAIL)
            if email:
                self._say_words(list(speak_email(email.group(), self._language)))
                return self._skip(len(email.group()))
            url = self._match(markup.URL)
            if url and self._url(url.group()):
                return True
        found = self._match(markup.WORD)
        return self._say(len(found.group()) if found else 1)

    def _url(self, url: str) -> bool:
        if len(url) >= markup.MAX_URL:
            self._until = _BLANK_AHEAD
        else:
            url = markup.URL_TAIL.sub("", url)
        words = list(speak_url(url, self._language))
        if not words:
            self._until = None
            return False
        self._say_words(words)
        return self._skip(len(url))

    def _marks(self) -> bool:
        """Emphasis and decoration; "2 * 3", "snake_case", "C#", "~5" and "a - b" stay."""
        if self._undecided(markup.MARKS_UNDECIDED):
            return False
        found = self._match(markup.MARKS)
        assert found is not None
        char, length = found.group(1), len(found.group())
        if length >= 4 or self._previous == char:
            self._writer.soften()
            return self._skip(length)
        following = self._buffer[self._pos + length : self._pos + length + 1]
        if self._is_literal(char, length, following):
            return self._say(length)
        if char == "*":
            self._in_emphasis = bool(following.strip()) and not self._previous.isalnum()
        return self._skip(length)

    def _is_literal(self, char: str, length: int, following: str) -> bool:
        before = self._previous
        if char in "=#+-":
            return True
        if char == "~":
            return length == 1
        if not before.strip() and not following.strip():
            return True
        if before.isalnum() and following.isalnum():
            wide = markup.WIDE.match(before) or markup.WIDE.match(following)
            return not (char == "*" and (wide or self._in_emphasis))
        return False

    def _backticks(self) -> bool:
        if self._undecided(markup.BACKTICKS_UNDECIDED):
            return False
        found = self._match(markup.BACKTICKS)
        self._in_code = not self._in_code
        return self._skip(len(found.group()) if found else 1)

    def _bracket(self) -> bool:
        if self._undecided(markup.LINK_UNDECIDED):
            return False
        footnote = self._match(markup.FOOTNOTE)
        if footnote:
            self._writer.soften()
            return self._skip(len(footnote.group()))
        link = self._match(markup.LINK)
        if link:
            self._link_close = self._base + link.end(1)
            return self._skip(link.start(1) - self._pos)
        return self._skip(1) if self._match(markup.BADGE) else self._say(1)

    def _closing_bracket(self) -> bool:
        here = self._base + self._pos
        if here == self._after_target and not self._final and self._pos + 1 == len(self._buffer):
            return False
        badge = here == self._after_target and self._buffer[self._pos + 1 : self._pos + 2] == "("
        if badge or here == self._link_close:
            self._target = _Target()
            return self._skip(2)
        return self._say(1)

    def _link_target(self, target: _Target) -> bool:
        char = self._buffer[self._pos]
        if target.quote:
            if char in (target.quote, "\n"):
                target.quote = ""
                return self._skip(1) if char != "\n" else True
            title = self._match(markup.TITLE)
            return self._skip(len(title.group()) if title else 1)
        if char in "()":
            target.depth += 1 if char == "(" else -1
            self._skip(1)
            if target.depth < 0:
                self._target = None
                self._after_target = self._base + self._pos
                self._in_emphasis = False
            return True
        if char in " \t":
            return self._target_blank(target)
        if char.isspace():
            self._target = None
            return True
        found = self._match(markup.TARGET)
        return self._skip(len(found.group()) if found else 1)

    def _target_blank(self, target: _Target) -> bool:
        """A title or the end may follow white space in a target; anything else is text again."""
        following = self._buffer[self._pos + 1 : self._pos + 2]
        if not following and not self._final:
            return False
        if following and following in "\"'":
            target.quote = following
            return self._skip(2)
        if not following or following not in ") \t":
            self._target = None
            return True
        return self._skip(1)

    def _tag(self) -> bool:
        if self._undecided(markup.TAG_UNDECIDED):
            return False
        comment = self._match(markup.COMMENT)
        if comment:
            self._until = _COMMENT_END
            return self._skip(len(comment.group()))
        if self._match(markup.AUTOLINK):
            self._in_autolink = True
            return self._skip(1)
        tag = self._match(markup.TAG)
        if not tag:
            return self._say(1)
        if tag["think"] and not tag.group().startswith("</"):
            self._until = _THINK_END
        if tag["block"]:
            self._writer.break_paragraph()
        elif (tag["inline"] or "").lower() in ("br", "td", "th", "break"):
            self._writer.space()
        return self._skip(len(tag.group()))

    def _closing_angle(self) -> bool:
        if not self._in_autolink:
            return self._say(1)
        self._in_autolink = False
        return self._skip(1)

    def _entity(self) -> bool:
        if self._undecided(markup.ENTITY_UNDECIDED):
            return False
        found = self._match(markup.ENTITY)
        chars = _unescape(found.group()) if found else ""
        if not found or chars == found.group():
            return self._say(1)
        kind = markup.TOKEN.match(chars)
        if kind is None or kind.lastgroup == "literal":
            start = self._base + self._pos
            self._writer.emit(chars, start, start + len(found.group()))
        elif kind.lastgroup in ("blank", "newline"):
            self._writer.space()
        return self._skip(len(found.group()))

    def _escape(self) -> bool:
        following = self._buffer[self._pos + 1 : self._pos + 2]
        if not following and not self._final:
            return False
        if not following or following not in markup.ESCAPABLE:
            return self._say(1)
        self._skip(1)
        return self._say(1)

    def _pipe(self) -> bool:
        if not self._in_row:
            return self._say(1)
        self._writer.comma()
        return self._skip(1)


def _unescape(entity: str) -> str:
    """What `entity` stands for; itself if it stands for nothing."""
    if entity[1] == "#":
        return html.unescape(entity) or "\ufffd"
    return html.entities.html5.get(entity[1:], entity)
