"""Frame headers of MP3 and ADTS, and the tags before them.

Source: ISO/IEC 11172-3 and 13818-3 (MPEG audio), 13818-7 (ADTS), id3.org (ID3v2.4), the "mp3 info tag" specification.
"""

from __future__ import annotations

from dataclasses import dataclass

_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)
_RATE_DIVISOR = {3: 1, 2: 2, 0: 4}  # by the two bits of the version
_PLACEHOLDER_FROM = 0x7FFF_0000  # as in WAV: a length that a stream did not know
HEADER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Mp3Frame:
    """What four bytes say of a frame."""

    num_bytes: int
    is_mpeg1: bool
    is_mono: bool


def mp3_frame(header: bytes) -> Mp3Frame | None:
    """The frame that begins with these four bytes; None if none does."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate_index, rate_index = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate_index in (0, 15) or rate_index == 3:
        return None
    bits = 1000 * _KBITS[1 if version == 3 else 2, layer][bitrate_index]
    rate, padding = _RATES[rate_index] // _RATE_DIVISOR[version], header[2] >> 1 & 1
    if layer == 1:
        size = (12 * bits // rate + padding) * 4
    else:
        size = (72 if layer == 3 and version != 3 else 144) * bits // rate + padding
    return Mp3Frame(size, version == 3, header[3] >> 6 == 3)


def adts_size(header: bytes) -> int | None:
    """Bytes of the ADTS frame that begins with these six or more bytes; None if none does."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size >= 7 and header[2] >> 2 & 15 < 13 else None


def after_id3(head: bytes) -> int | None:
    """Offset behind the ID3v2 tags at the beginning, 0 without one; None while a tag's header is incomplete."""
    at = 0
    while head.startswith(b"ID3", at):
        if len(head) < at + 10:
            return None
        footer = 10 if head[at + 5] & 0x10 else 0
        size = sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[at + 6 : at + 10]))
        at += 10 + size + footer
    return at


def info_at(frame: bytes, kind: Mp3Frame) -> int | None:
    """Where in a first frame the "Xing" or "Info" mark lies, or VBRI's; None: the frame is audio."""
    crc = 0 if frame[1] & 1 else 2
    side = (17 if kind.is_mono else 32) if kind.is_mpeg1 else (9 if kind.is_mono else 17)
    at = HEADER_BYTES + crc + side
    # Some encoders put the mark where it belongs without a checksum, though they announce one.
    for place in (at, at - crc):
        if frame[place : place + 4] in (b"Xing", b"Info"):
            return place
    return 36 if frame[36:40] == b"VBRI" else None


def promised_bytes(frame: bytes, at: int) -> int | None:
    """Bytes of the whole stream, Info frame included, that its mark at `at` states; None if it does not."""
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    if frame[at : at + 4] == b"VBRI" or not flags & 2:
        return None
    place = at + 8 + 4 * (flags & 1)
    size = int.from_bytes(frame[place : place + 4], "big")
    return size if 0 < size < _PLACEHOLDER_FROM else None
