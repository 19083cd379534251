"""How URLs and e-mail addresses are read aloud: the host by its labels, the rest of a URL not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Words for "." and "@". A language that is not here keeps the signs, which its engine reads its own way.
DOT_AND_AT = {
    "de": ("Punkt", "at"),
    "en": ("dot", "at"),
    "es": ("punto", "arroba"),
    "fr": ("point", "arobase"),
    "it": ("punto", "chiocciola"),
    "nl": ("punt", "apenstaartje"),
    "pt": ("ponto", "arroba"),
}

_HOST = re.compile(r"(?:[A-Za-z]+://)?+(?:[^/?#@]*@)?(?:www\.)?([^/?#:@]*[^\W_][^/?#:@]*)")
_EMAIL = re.compile(r"(?:mailto:)?(.+)")
_PART = re.compile(r"(?<=[^.@])[.@]+(?=[^.@])|[^.@]+")

Spoken = tuple[str, int, int]


def speak_url(url: str, language: str) -> Iterator[Spoken]:
    """The words of a URL's host, each with the part of `url` it stands for, as (word, start, end).

    User name, "www.", port, path, query and fragment are left out. Nothing comes where there is no host.
    """
    found = _HOST.match(url)
    if found:
        yield from _speak(url, found.start(1), found.end(1), language)


def speak_email(address: str, language: str) -> Iterator[Spoken]:
    """The words of an e-mail address, each with the part of `address` it stands for, as (word, start, end)."""
    found = _EMAIL.match(address)
    if found:
        yield from _speak(address, found.start(1), found.end(1), language)


def _speak(text: str, start: int, end: int, language: str) -> Iterator[Spoken]:
    words = DOT_AND_AT.get(language.lower().split("-")[0])
    for found in _PART.finditer(text[start:end]):
        part, begin, stop = found.group(), start + found.start(), start + found.end()
        if words and part[0] in ".@":
            yield f" {words['@' in part]} ", begin, stop
        else:
            yield part, begin, stop
