"""What Python functions return for speech, as bytes: a file as it is, samples as a WAV stream.

Samples get a streaming WAV header (44 bytes, sizes unknown) before the first of them, so that their format travels with
them and no later step has to guess it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from firstaudio.bench.exchange import FailureKind, PcmFormat, SpeakError

AUDIO_KEYS = ("audio", "samples", "pcm", "wav", "audio_data")
RATE_KEYS = ("sample_rate", "sampling_rate")
RETURN_WHAT = "return bytes, an array, (array, sample_rate), a dict with 'audio' and 'sample_rate', or yield such"
MAX_CHANNELS = 8
UNKNOWN_SIZE = 0xFFFFFFFF
_PCM, _FLOAT = 1, 3  # WAVE_FORMAT_*


class Samples:
    """The pieces of one answer, as bytes.

    Args:
        sample_rate: Of arrays that come without one, in Hz; None: they must come with it.
    """

    def __init__(self, sample_rate: int | None) -> None:
        self._default_rate = sample_rate
        self.stated: PcmFormat | None = None
        self._kind: str | None = None

    def as_bytes(self, value: Any) -> bytes:
        """One piece.

        Raises:
            SpeakError: It is nothing that can be heard, its rate is nowhere stated, or it does not go on as the
                answer began.
        """
        audio, rate = _unpack(value)
        if isinstance(audio, bytes | bytearray | memoryview):
            self._same_kind("bytes")
            if rate is not None:
                self.stated = PcmFormat(rate)
            return bytes(audio)
        self._same_kind("samples")
        return self._encoded(_as_array(audio), rate or self._default_rate)

    def _same_kind(self, kind: str) -> None:
        if self._kind not in (None, kind):
            raise SpeakError(FailureKind.PROTOCOL, f"one answer yields {self._kind} and then {kind}: yield one of them")
        self._kind = kind

    def _encoded(self, array: np.ndarray[Any, Any], rate: int | None) -> bytes:
        if rate is None:
            message = "the function returns samples without their rate: return (samples, sample_rate), or state it"
            raise SpeakError(FailureKind.NO_SAMPLE_RATE, message)
        found = PcmFormat(rate, array.dtype.itemsize, array.shape[1])
        if self.stated is None:
            self.stated = found
            return wav_stream_header(found) + array.tobytes()
        if self.stated != found:
            raise SpeakError(FailureKind.PROTOCOL, f"the format changes from {self.stated} to {found} in one answer")
        return array.tobytes()


def wav_stream_header(pcm: PcmFormat) -> bytes:
    """44 bytes before samples whose number nobody knows yet."""
    block = pcm.sample_width * pcm.num_channels
    tag = _FLOAT if pcm.sample_width == np.dtype(np.float32).itemsize else _PCM
    layout = (16, tag, pcm.num_channels, pcm.sample_rate, pcm.sample_rate * block, block, pcm.sample_width * 8)
    sizes = struct.pack("<I", UNKNOWN_SIZE)
    return b"RIFF" + sizes + b"WAVEfmt " + struct.pack("<IHHIIHH", *layout) + b"data" + sizes


def _unpack(value: Any) -> tuple[Any, int | None]:
    """Audio, and its rate where it comes with one."""
    if isinstance(value, tuple):
        if len(value) != 2:
            raise _unknown(value)
        return value[0], _as_rate(value[1])
    if isinstance(value, Mapping):
        return _named(value.get, value)
    if isinstance(value, bytes | bytearray | memoryview | list) or hasattr(value, "__array__"):
        return value, None
    return _named(lambda name: getattr(value, name, None), value)


def _named(get: Any, value: Any) -> tuple[Any, int | None]:
    audio = next((found for key in AUDIO_KEYS if (found := get(key)) is not None), None)
    rate = next((found for key in RATE_KEYS if (found := get(key)) is not None), None)
    if audio is None:
        raise _unknown(value)
    return audio, None if rate is None else _as_rate(rate)


def _as_rate(value: Any) -> int:
    try:
        rate = int(value)
    except (TypeError, ValueError):
        rate = 0
    if rate <= 0:
        raise SpeakError(FailureKind.NO_SAMPLE_RATE, f"{value!r} is no sample rate: return one in Hz")
    return rate


def _as_array(audio: Any) -> np.ndarray[Any, Any]:
    """Shape (num_samples, num_channels), int16 or float32, little endian."""
    try:
        array = np.asarray(audio)
    except (TypeError, ValueError) as error:
        raise _unknown(audio) from error
    if array.ndim == 2 and array.shape[0] <= MAX_CHANNELS < array.shape[1]:
        array = array.T  # (channels, samples), as models and torch have it
    array = array.reshape(-1, 1) if array.ndim < 2 or array.shape[0] == 1 else array
    if array.ndim != 2 or array.shape[1] > MAX_CHANNELS:
        raise SpeakError(FailureKind.PROTOCOL, f"an array of shape {array.shape} is no speech: {RETURN_WHAT}")
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, "<f4")
    if array.dtype.kind == "i" and array.dtype.itemsize == 2:
        return np.ascontiguousarray(array, "<i2")
    message = f"samples of type {array.dtype} cannot be read: return int16, or float in -1..1"
    raise SpeakError(FailureKind.WRONG_FORMAT, message)


def _unknown(value: Any) -> SpeakError:
    return SpeakError(FailureKind.PROTOCOL, f"a {type(value).__name__} is no speech: {RETURN_WHAT}")
