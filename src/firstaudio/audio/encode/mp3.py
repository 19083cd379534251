"""mp3: frames behind an Info frame that tells decoders which silence to drop.

An mp3 encoder begins with 576 samples of its own, and a decoder adds 529. Players know the second figure and read the
first from the "LAME" extension of an Info frame, which an encoder usually writes last, when it knows the length. Only
the delay matters to a listener, and that is known at once: so the frame goes first, with the lengths unknown. FFmpeg
(and with it most players and browsers) then begins with the source's very first sample, 46 ms earlier at 24 kHz;
decoders that do not read the delay skip the frame as they skip every Info frame.

Source: the "mp3 info tag" specification, rev. 1 (LAME project).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.encode.libav import LibavEncoder

ENCODER_DELAY = 576
HEADER_SIZE = 4
UNKNOWN_BYTES = 0x7FFFFFFF
HAS_FRAMES, HAS_BYTES = 1, 2
CRC_POLYNOMIAL = 0xA001

# kbit/s by index, for MPEG 1 and for MPEG 2 and 2.5; sample rates by index, divided by version.
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44100, 48000, 32000)
_RATE_DIVISOR = {3: 1, 2: 2, 0: 4}


class Mp3Encoder(LibavEncoder):
    """MPEG layer III at a constant bit rate."""

    _first_header = b""
    _num_bytes = 0

    def corrections(self) -> list[tuple[int, bytes]]:
        """The Info frame with true lengths, so that decoders also drop the padding at the end."""
        if not self._first_header:
            return []
        padding = self._num_packets * samples_per_frame(self._first_header) - ENCODER_DELAY - self.num_samples
        return [(0, info_frame(self._first_header, self._num_packets, self._num_bytes, padding))]

    def _encode(self, pcm: NDArray[np.int16]) -> bytes:
        return self._after_info(super()._encode(pcm))

    def _end(self) -> bytes:
        return self._after_info(super()._end())

    def _after_info(self, data: bytes) -> bytes:
        if data and not self._first_header:
            self._first_header = data[:HEADER_SIZE]
            data = info_frame(self._first_header) + data
        self._num_bytes += len(data)
        return data


def samples_per_frame(header: bytes) -> int:
    """1152 for MPEG 1, 576 for MPEG 2 and 2.5."""
    return 1152 if _is_mpeg1(header) else 576


def info_frame(header: bytes, num_frames: int | None = None, num_bytes: int | None = None, padding: int = 0) -> bytes:
    """A silent frame that states the encoder's delay.

    Args:
        header: The first four bytes of the audio frames that follow; the Info frame gets the same.
        num_frames: Of audio; None: not known.
        num_bytes: With this frame; None: not known.
        padding: Samples after the source's last one.
    """
    frame = bytearray(_frame_size(header))
    frame[:HEADER_SIZE] = header
    frame[2] &= ~0x02  # no padding slot: the size above has none
    at = HEADER_SIZE + (17 if _is_mpeg1(header) else 9)
    # FFmpeg takes a frame that states neither length for audio.
    lengths = b"" if num_frames is None else num_frames.to_bytes(4, "big")
    lengths += (UNKNOWN_BYTES if num_bytes is None else num_bytes).to_bytes(4, "big")
    flags = HAS_BYTES | (0 if num_frames is None else HAS_FRAMES)
    delays = (ENCODER_DELAY << 12 | min(padding, 0xFFF)).to_bytes(3, "big")
    tag = b"Info" + flags.to_bytes(4, "big") + lengths + b"LAME3.100".ljust(21, b"\0") + delays
    frame[at : at + len(tag)] = tag
    crc_at = at + len(tag) + 10
    frame[crc_at : crc_at + 2] = _crc16(frame[:crc_at]).to_bytes(2, "big")
    return bytes(frame)


def _is_mpeg1(header: bytes) -> bool:
    return header[1] >> 3 & 3 == 3


def _frame_size(header: bytes) -> int:
    kbits = (_KBITS_1 if _is_mpeg1(header) else _KBITS_2)[header[2] >> 4]
    sample_rate = _RATES[header[2] >> 2 & 3] // _RATE_DIVISOR[header[1] >> 3 & 3]
    return samples_per_frame(header) // 8 * kbits * 1000 // sample_rate


def _crc16(data: bytes | bytearray) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ CRC_POLYNOMIAL if crc & 1 else crc >> 1
    return crc
