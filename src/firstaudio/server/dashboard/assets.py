"""The page and what it is made of: files beside this module, and nothing from anywhere else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
PAGE = "index.html"
PARTS = ("style.css", "icon.svg", "main.js", "dom.js", "charts.js", "feed.js", "panels.js", "player.js", "speak.js")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent.

    Attributes:
        body: Its bytes.
        media_type: With the character set, where it is text.
        etag: Changes with the bytes.
    """

    body: bytes
    media_type: str
    etag: str


@cache
def asset(name: str) -> Asset:
    """The file `name`, one of `PAGE` and `PARTS`; reads the disk once."""
    assert name == PAGE or name in PARTS, f"no such asset: {name}"
    body = (files(__package__) / "static" / name).read_bytes()
    return Asset(body, MEDIA_TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
