"""Ogg pages: where audio begins and when each page is complete.

Source: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), the Vorbis I specification, the FLAC-to-Ogg mapping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_FIXED = 27  # bytes of a page header before its lacing values
_BEGINS_STREAM, _ENDS_STREAM = 2, 4


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        start: Offset of its header.
        body: Offset of its first packet byte.
        end: Offset behind it; may lie beyond what has arrived.
        packets: Sizes of the packets, or parts of them, that end in it; the rest goes on in the next page.
        begins_stream: It is the first page of a logical stream.
        ends_stream: It is the last one.
    """

    start: int
    body: int
    end: int
    packets: tuple[int, ...]
    begins_stream: bool
    ends_stream: bool


def pages(data: bytes) -> Iterator[Page]:
    """Every page whose header is there. Raises ValueError where something else than a page lies."""
    at = 0
    while at + _FIXED <= len(data):
        if data[at : at + 4] != b"OggS":
            raise ValueError(f"byte {at} of the Ogg stream is not the beginning of a page")
        lacing = data[at + _FIXED : at + _FIXED + data[at + 26]]
        if len(lacing) < data[at + 26]:
            return
        body = at + _FIXED + len(lacing)
        flags = data[at + 5]
        end = body + sum(lacing)
        yield Page(at, body, end, _packets(lacing), bool(flags & _BEGINS_STREAM), bool(flags & _ENDS_STREAM))
        at = end


def codec(data: bytes) -> str | None:
    """What the first packet says: "opus", "vorbis", "flac"; None when it is not there or not known."""
    first = next(pages(data), None)
    if first is None:
        return None
    names = {b"OpusHead": "opus", b"\x01vorbis": "vorbis", b"\x7fFLAC": "flac"}
    return next((name for magic, name in names.items() if data.startswith(magic, first.body)), None)


def audio_pages(data: bytes) -> Iterator[Page]:
    """The pages after those of header packets; of chained streams, of each one."""
    missing = 0
    for page in pages(data):
        if page.begins_stream:
            missing = _num_headers(data[page.body : page.body + 16])
        if missing > 0:
            missing -= len(page.packets)
        elif page.end > page.body:
            yield page


def is_cut(data: bytes) -> bool:
    """Whether the stream ends inside of a page or without the page that says it is the last."""
    last = None
    for page in pages(data):
        last = page
    return last is None or last.end != len(data) or not last.ends_stream


def _packets(lacing: bytes) -> tuple[int, ...]:
    sizes, size = [], 0
    for value in lacing:
        size += value
        if value < 255:
            sizes.append(size)
            size = 0
    return tuple(sizes)


def _num_headers(packet: bytes) -> int:
    """Header packets of a stream with this first packet."""
    if packet.startswith(b"OpusHead"):
        return 2
    if packet.startswith(b"\x7fFLAC"):
        return 1 + int.from_bytes(packet[7:9], "big")
    return 3  # Vorbis
