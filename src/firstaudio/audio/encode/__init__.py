"""Encoders for wav, pcm, mp3, opus, aac and flac: one per response, bytes as early as the format allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

import numpy as np

from firstaudio.audio.chunk import Pcm
from firstaudio.audio.encode.base import Encoder
from firstaudio.audio.encode.file import FileEncoder
from firstaudio.audio.encode.formats import FORMATS, AudioFormat, audio_format, output_rate
from firstaudio.audio.encode.wav import PcmEncoder, WavEncoder, wav_header

__all__ = [
    "FORMATS",
    "AudioFormat",
    "Encoder",
    "FileEncoder",
    "audio_format",
    "encode_to",
    "make_encoder",
    "output_rate",
    "preload",
    "wav_header",
]


def make_encoder(name: str, source_rate: int) -> Encoder:
    """A fresh encoder for PCM at `source_rate`; it resamples where the format demands another rate.

    Sizes in headers are left open, as for a stream; `FileEncoder` and `encode_to` fill them in.

    Raises:
        UnknownFormatError: No such format.
    """
    wanted = audio_format(name)
    if name == "pcm":
        return PcmEncoder(wanted, source_rate)
    if name == "wav":
        return WavEncoder(wanted, source_rate)
    # Here, for they load FFmpeg.
    from firstaudio.audio.encode.libav import LibavEncoder
    from firstaudio.audio.encode.mp3 import Mp3Encoder

    return Mp3Encoder(wanted, source_rate) if name == "mp3" else LibavEncoder(wanted, source_rate)


def preload() -> None:
    """Load FFmpeg and make every encoder once, so that no response waits for it. Blocks for about 0.1 s."""
    for name in FORMATS:
        encoder = make_encoder(name, source_rate=22_050)
        encoder.push(np.zeros(2_205, np.int16))
        encoder.finish()


def encode_to(name: str, source_rate: int, pcm: Iterable[Pcm], file: IO[bytes]) -> None:
    """Encode all of `pcm` into `file`, with true sizes if the file can seek. Raises UnknownFormatError."""
    writer = FileEncoder(make_encoder(name, source_rate), file)
    for samples in pcm:
        writer.push(samples)
    writer.finish()
