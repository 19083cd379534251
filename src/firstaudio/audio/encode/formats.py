"""`AudioFormat`: what a client may ask for, and at which rate it gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from firstaudio.errors import UnknownFormatError


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One response format.

    Attributes:
        name: What requests say in `response_format`.
        media_type: Content-Type of the response.
        extension: Of files, without the dot.
        lossless: Whether a decoder gives the very samples.
        sample_rates: Rates in Hz that the format can carry; None: any.
        delay_samples: Samples at the output rate that a listener hears before the source's first one. Priming that
            the stream itself states, so that decoders remove it (opus, mp3), does not count.
    """

    name: str
    media_type: str
    extension: str
    lossless: bool
    sample_rates: tuple[int, ...] | None = None
    delay_samples: int = 0


# Media types. pcm: clients look for `audio/pcm` at the start, and a rate that is not stated is a rate that is guessed;
# `audio/L16` would promise big-endian samples (RFC 2586). opus: `audio/ogg` is what is registered for Ogg (RFC 7845);
# `audio/opus` names RTP payload (RFC 7587), which this is not.
#
# Rates. pcm: clients of the OpenAI API hard-code 24 kHz. aac: a frame is 1024 samples whatever the rate, so 48 kHz
# halves what the encoder waits for (45 ms instead of 90) and the priming that everyone hears (21 ms instead of 43).
# mp3 would gain nothing: the frames of its lower rates are half as long. Source: docs/log.md, "Encoders".
_FORMATS = (
    AudioFormat(
        "mp3",
        "audio/mpeg",
        "mp3",
        lossless=False,
        sample_rates=(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ),
    AudioFormat(
        "opus",
        "audio/ogg",
        "opus",
        lossless=False,
        sample_rates=(8000, 12000, 16000, 24000, 48000),
    ),
    AudioFormat(
        "aac",
        "audio/aac",
        "aac",
        lossless=False,
        sample_rates=(48000,),
        delay_samples=1024,
    ),
    AudioFormat("flac", "audio/flac", "flac", lossless=True),
    AudioFormat("wav", "audio/wav", "wav", lossless=True),
    AudioFormat("pcm", "audio/pcm;rate=24000;channels=1", "pcm", lossless=True, sample_rates=(24000,)),
)

FORMATS: Mapping[str, AudioFormat] = MappingProxyType({audio_format.name: audio_format for audio_format in _FORMATS})


def audio_format(name: str) -> AudioFormat:
    """The format of that name. Raises UnknownFormatError."""
    if name not in FORMATS:
        raise UnknownFormatError(
            f"unknown response format {name!r}; use one of: {', '.join(FORMATS)}", param="response_format"
        )
    return FORMATS[name]


def output_rate(name: str, source_rate: int) -> int:
    """The rate in Hz at which a format carries audio of `source_rate`.

    The source's own where the format has it, else the next higher, else the highest. Raises UnknownFormatError.
    """
    rates = audio_format(name).sample_rates
    if rates is None or source_rate in rates:
        return source_rate
    return min((rate for rate in rates if rate > source_rate), default=max(rates))
