"""The RIFF header: where samples begin, what they are and how many are promised.

Source: "Multimedia Programming Interface and Data Specifications 1.0" (RIFF), EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PCM_TAG, FLOAT_TAG, EXTENSIBLE_TAG = 1, 3, 0xFFFE
# A stream cannot know its size and states a placeholder: 0, the largest number of 32 bits, or of 31 bits less a header.
# 2 GiB would be twelve hours of 24 kHz speech.
PLACEHOLDER_FROM = 0x7FFF_0000
MAX_HEADER_BYTES = 1 << 24  # a picture may lie before the samples; more is no header
_UNKNOWN_32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class WavHeader:
    """Attributes of a WAV stream.

    Attributes:
        start: Offset of the first sample's first byte.
        num_bytes: Of samples, as stated; None when the header leaves it open.
        format_tag: 1 integers, 3 floats; others are compressed.
        sample_rate: In Hz.
        bits: Per sample.
    """

    start: int
    num_bytes: int | None
    format_tag: int
    num_channels: int
    sample_rate: int
    bits: int
    block_align: int


def parse_wav(head: bytes) -> WavHeader | None:
    """The header, once `head` reaches to its end; None before. Raises ValueError for a broken one."""
    fields: tuple[int, int, int, int, int] | None = None
    long_size: int | None = None
    at = 12
    while at + 8 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        body = head[at + 8 : at + 8 + size]
        if name == b"data":
            return _header(at + 8, long_size if size == _UNKNOWN_32 and long_size else size, fields)
        if size > MAX_HEADER_BYTES:
            raise ValueError(f"the WAV header has a chunk {name!r} of {size} bytes before its samples")
        if len(body) < size:
            return None
        if name == b"fmt ":
            fields = _format(body)
        elif name == b"ds64" and size >= 16:
            long_size = int.from_bytes(body[8:16], "little")
        at += 8 + size + size % 2
    return None


def _format(body: bytes) -> tuple[int, int, int, int, int]:
    if len(body) < 16:
        raise ValueError(f"the WAV header's format chunk has {len(body)} bytes instead of 16 or more")
    tag, num_channels, sample_rate, _, block_align, bits = struct.unpack_from("<HHIIHH", body)
    if tag == EXTENSIBLE_TAG and len(body) >= 26:
        tag = int.from_bytes(body[24:26], "little")  # the first field of the sub-format's GUID
    return tag, num_channels, sample_rate, bits, block_align


def _header(start: int, size: int, fields: tuple[int, int, int, int, int] | None) -> WavHeader:
    if fields is None:
        raise ValueError("the WAV header does not say what its samples are: it has no format chunk")
    tag, num_channels, sample_rate, bits, block_align = fields
    if not num_channels or not block_align:
        raise ValueError(f"the WAV header states {num_channels} channels and {block_align} bytes per sample")
    is_open = size == 0 or PLACEHOLDER_FROM <= size <= _UNKNOWN_32
    return WavHeader(start, None if is_open else size, tag, num_channels, sample_rate, bits, block_align)
