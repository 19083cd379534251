"""Frames between the engine and its worker processes: a fixed header and raw bytes, nothing pickled.

Header: kind (u8), job (u32), payload length (u32), big-endian. Jobs count up from 1 on each worker; job 0 is the
worker itself. The standard library alone is imported here, because a worker must start in milliseconds.

    engine -> worker   SPEAK      JSON {text, voice, rate, pitch}
                       PHONEMIZE  JSON {texts, voice}
                       CANCEL     empty; a job that has ended already ignores it
    worker -> engine   READY      JSON {version, sample_rate, voices, variants}; job 0, once
                       WORDS      (character, sample) u32 pairs, little-endian
                       AUDIO      s16le PCM
                       PHONEMES   UTF-8 IPA; one frame for each of the texts
                       END        empty; also after a cancel
                       ERROR      UTF-8 text; job 0: the worker cannot start
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

HEADER = struct.Struct(">BII")
WORD = struct.Struct("<II")


class Kind(IntEnum):
    """What a frame is."""

    SPEAK = 1
    CANCEL = 2
    READY = 3
    WORDS = 4
    AUDIO = 5
    END = 6
    ERROR = 7
    PHONEMIZE = 8
    PHONEMES = 9


class Frame(NamedTuple):
    """One message."""

    kind: Kind
    job: int
    payload: bytes


def pack(kind: Kind, job: int, payload: bytes = b"") -> bytes:
    """The bytes of one frame."""
    return HEADER.pack(kind, job, len(payload)) + payload


class FrameParser:
    """Turns bytes, cut anywhere, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes; yield the frames that are complete."""
        self._buffer += data
        begin = 0
        while len(self._buffer) - begin >= HEADER.size:
            kind, job, length = HEADER.unpack_from(self._buffer, begin)
            end = begin + HEADER.size + length
            if len(self._buffer) < end:
                break
            yield Frame(Kind(kind), job, bytes(self._buffer[begin + HEADER.size : end]))
            begin = end
        del self._buffer[:begin]
