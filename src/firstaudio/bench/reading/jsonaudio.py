"""Base64 audio inside JSON, found and decoded while the JSON arrives.

A document of a second of audio is 60 kB: its first audio byte arrives long before its last brace. The scanner follows
the structure only as far as it must to know where it is; whether the document is JSON at all is for its reader to
verify at the end, when the whole of it is there.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Sequence

_STRUCTURE = re.compile(rb'[{}\[\]",]')
_STRING_END = re.compile(rb'["\\]')
_WHITESPACE = b" \t\r\n"


class Base64Text:
    """Decodes base64 fed in any pieces; each byte comes out with the character that completes it.

    Whitespace is skipped and padding may be missing. Anything else outside of the alphabet raises ValueError.
    """

    __slots__ = ("_ended", "_given", "_rest")

    def __init__(self) -> None:
        self._rest = b""  # fewer than four characters
        self._given = 0  # bytes of them that came out already
        self._ended = False

    def feed(self, text: bytes) -> bytes:
        """The bytes that became known."""
        text = text.translate(None, _WHITESPACE)
        if not text:
            return b""
        characters = text.rstrip(b"=")
        if b"=" in characters or (self._ended and characters):
            raise ValueError("base64 goes on after its padding")
        self._ended = self._ended or characters != text
        body = self._rest + characters
        whole = len(body) // 4 * 4
        tail = body[whole:]
        known = len(tail) * 6 // 8
        decoded = _strict(body[:whole]) + _strict(tail.ljust(4, b"A"))[:known] if tail else _strict(body[:whole])
        out = decoded[self._given :]
        self._rest, self._given = tail, known
        return out


class JsonAudio:
    """Finds the string at a dotted path of one JSON document and decodes it, fed piece by piece.

    `feed` raises ValueError for a string there that is not base64.
    """

    def __init__(self, path: str) -> None:
        self._path = path.split(".")
        self._stack: list[str | int | None] = []  # per container: index of an array; key of an object, None before it
        self._string: bytearray | Base64Text | None = None
        self._inside = self._is_key = False
        self._escape = b""

    def feed(self, data: bytes) -> bytes:
        """Audio bytes that became known."""
        out = bytearray()
        at = 0
        while at < len(data):
            at = self._in_string(data, at, out) if self._inside else self._in_structure(data, at)
        return bytes(out)

    def _in_structure(self, data: bytes, at: int) -> int:
        match = _STRUCTURE.search(data, at)
        if match is None:
            return len(data)
        mark = match.group()
        if mark == b'"':
            self._begin_string()
        elif mark in b"{[":
            self._stack.append(None if mark == b"{" else 0)
        elif self._stack and mark == b",":
            top = self._stack[-1]
            self._stack[-1] = top + 1 if isinstance(top, int) else None
        elif self._stack:
            self._stack.pop()
        return match.end()

    def _begin_string(self) -> None:
        self._inside = True
        self._is_key = bool(self._stack) and self._stack[-1] is None
        if self._is_key:
            self._string = bytearray()
        else:
            self._string = Base64Text() if self._is_wanted(self._stack) else None

    def _is_wanted(self, stack: Sequence[str | int | None]) -> bool:
        return len(stack) == len(self._path) and [str(step) for step in stack] == self._path

    def _in_string(self, data: bytes, at: int, out: bytearray) -> int:
        if self._escape:
            return self._in_escape(data, at, out)
        match = _STRING_END.search(data, at)
        end = match.start() if match else len(data)
        self._take(data[at:end], out)
        if match is None:
            return end
        if match.group() == b"\\":
            self._escape = b"\\"
        else:
            self._end_string()
        return match.end()

    def _in_escape(self, data: bytes, at: int, out: bytearray) -> int:
        """One byte of an escape, which a piece may cut anywhere."""
        self._escape += data[at : at + 1]
        if len(self._escape) == (6 if self._escape[1:2] == b"u" else 2):
            escape, self._escape = self._escape, b""
            self._take(json.loads(b'"' + escape + b'"').encode("utf-8", "surrogatepass"), out)
        return at + 1

    def _take(self, text: bytes, out: bytearray) -> None:
        if isinstance(self._string, bytearray):
            self._string += text
        elif self._string is not None:
            out += self._string.feed(text)

    def _end_string(self) -> None:
        if self._is_key:
            assert isinstance(self._string, bytearray)
            self._stack[-1] = self._string.decode("utf-8", "replace")
        self._inside = self._is_key = False


def _strict(text: bytes) -> bytes:
    """Whole quartets. Raises ValueError (binascii.Error) outside of the alphabet."""
    return binascii.a2b_base64(text, strict_mode=True) if text else b""
