"""`Encoder`: PCM in, bytes of one response out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import Pcm, to_int16
from firstaudio.audio.encode.formats import AudioFormat, output_rate
from firstaudio.audio.resample import Resampler


class Encoder(ABC):
    """Encodes one response: `push` until the end, then `finish`, once. Not reusable, not thread-safe.

    The bytes do not depend on how the PCM was cut. Without any PCM they are a valid stream of nothing: the headers of
    wav, flac and opus, no byte of the formats that have none.

    Attributes:
        format: What is being made.
        output_rate: Sample rate of the encoded audio in Hz.
        num_samples: Samples encoded so far, at the output rate.
    """

    def __init__(self, audio_format: AudioFormat, source_rate: int) -> None:
        self.format = audio_format
        self.output_rate = output_rate(audio_format.name, source_rate)
        self.num_samples = 0
        self._resampler = Resampler(source_rate, self.output_rate)

    def push(self, pcm: Pcm) -> bytes:
        """Encode samples at the source's rate; gives the bytes that are ready."""
        return self._take(to_int16(self._resampler.push(pcm)))

    def finish(self) -> bytes:
        """Encode what is held; gives the last bytes."""
        return self._take(to_int16(self._resampler.finish())) + self._end()

    @property
    def has_audio(self) -> bool:
        """Whether the bytes given so far hold audio, and not headers alone."""
        return self.num_samples > 0

    def close(self) -> None:  # noqa: B027 (wav and pcm hold nothing)
        """Free what the encoder holds, also before its end; idempotent. Nothing else may be called afterwards."""

    def corrections(self) -> list[tuple[int, bytes]]:
        """After `finish`: (position, bytes) that a stream could not know and a seekable file should be given."""
        return []

    def _take(self, pcm: NDArray[np.int16]) -> bytes:
        self.num_samples += len(pcm)
        return self._encode(pcm)

    @abstractmethod
    def _encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Encode samples at the output rate, maybe none."""

    def _end(self) -> bytes:
        return b""
