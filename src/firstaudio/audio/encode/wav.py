"""wav and pcm: samples as they are, with and without a header."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.encode.base import Encoder

HEADER_SIZE = 44
UNKNOWN_SIZE = 0xFFFFFFFF


def wav_header(sample_rate: int, num_bytes: int | None = None) -> bytes:
    """The canonical 44 bytes before 16-bit mono PCM.

    Clients strip exactly 44 bytes; FFmpeg's own header has 78.

    Args:
        sample_rate: In Hz.
        num_bytes: Of PCM; None while it is not known. What does not fit 32 bits is stated as unknown.
    """
    data_size = UNKNOWN_SIZE if num_bytes is None else min(num_bytes, UNKNOWN_SIZE)
    riff_size = min(data_size + HEADER_SIZE - 8, UNKNOWN_SIZE)
    chunk_size, pcm_tag, num_channels, sample_width = 16, 1, 1, 2
    byte_rate = sample_rate * num_channels * sample_width
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff_size, b"WAVE", b"fmt ", chunk_size, pcm_tag, num_channels, sample_rate),
        *(byte_rate, num_channels * sample_width, 8 * sample_width, b"data", data_size),
    )


class PcmEncoder(Encoder):
    """Signed 16-bit little-endian samples."""

    def _encode(self, pcm: NDArray[np.int16]) -> bytes:
        return pcm.astype("<i2", copy=False).tobytes()


class WavEncoder(PcmEncoder):
    """The same behind a header, which leaves with the first samples."""

    _has_header = False

    def corrections(self) -> list[tuple[int, bytes]]:
        """The header with true sizes."""
        return [(0, wav_header(self.output_rate, 2 * self.num_samples))]

    def _encode(self, pcm: NDArray[np.int16]) -> bytes:
        return self._header() + super()._encode(pcm) if len(pcm) else b""

    def _end(self) -> bytes:
        return self._header()

    def _header(self) -> bytes:
        if self._has_header:
            return b""
        self._has_header = True
        return wav_header(self.output_rate)
