"""Decoding whole files: for clients, tests and the harness; never inside a timed window."""

from __future__ import annotations

import io

import av
import numpy as np
from av.container import InputContainer

from firstaudio.audio.chunk import Pcm

PCM_RATE = 24_000
DEMUXERS = {"opus": "ogg"}
LOSSLESS_FORMATS = ("s16", "s16p")


def decode(data: bytes, name: str | None = None) -> tuple[Pcm, int]:
    """Samples and sample rate of an encoded file.

    Args:
        data: The whole file.
        name: Its format as in `encode.FORMATS`; None: found out from the data. Headerless "pcm" must be named.

    Returns:
        Mono PCM, int16 where the file holds 16-bit samples and float32 otherwise, and its rate in Hz. Silence that
        the stream itself states as no part of the source is left out.

    Raises:
        ValueError: The data is not audio of that format.
    """
    if name == "pcm":
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16), PCM_RATE
    try:
        with av.open(io.BytesIO(data), format=DEMUXERS.get(name or "", name)) as container:
            assert isinstance(container, InputContainer)
            codec = container.streams.audio[0].codec_context if container.streams.audio else None
            if codec is None or codec.format is None:
                raise ValueError("the data has no audio stream that can be decoded")
            return _samples(container), container.streams.audio[0].codec_context.sample_rate
    except av.error.FFmpegError as error:
        raise ValueError(f"the data is not {name or 'audio'}: {error}") from error


def _samples(container: InputContainer) -> Pcm:
    is_16_bit = container.streams.audio[0].codec_context.format.name in LOSSLESS_FORMATS
    planes = av.AudioResampler(format="s16p" if is_16_bit else "fltp")
    frames = [plane for frame in container.decode(audio=0) for plane in planes.resample(frame)]
    if frames:  # nothing to flush otherwise: the resampler learns its formats from the first frame
        frames += planes.resample(None)
    mixed = [np.zeros(0), *(frame.to_ndarray().mean(axis=0) for frame in frames)]
    return np.rint(np.concatenate(mixed)).astype(np.int16) if is_16_bit else np.concatenate(mixed, dtype=np.float32)
