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
            if not container.streams.audio:
                raise ValueError("the data has no audio stream")
            assert isinstance(container, InputContainer)
            return _samples(container), container.streams.audio[0].codec_context.sample_rate
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise ValueError(f"the data is not {name or 'audio'}: {error}") from error


def _samples(container: InputContainer) -> Pcm:
    kept = container.streams.audio[0].codec_context.format.name in LOSSLESS_FORMATS
    resampler = av.AudioResampler(format="s16" if kept else "flt", layout="mono")
    frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    if frames:  # nothing to flush otherwise: the resampler learns its formats from the first frame
        frames += resampler.resample(None)
    if kept:
        return np.concatenate([np.zeros(0, np.int16), *(frame.to_ndarray()[0].astype(np.int16) for frame in frames)])
    return np.concatenate([np.zeros(0, np.float32), *(frame.to_ndarray()[0].astype(np.float32) for frame in frames)])
