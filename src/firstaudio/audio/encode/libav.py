"""flac, opus and aac: FFmpeg's encoders and muxers, set to let go of bytes as early as they can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.encode.base import Encoder
from firstaudio.audio.encode.formats import AudioFormat


@dataclass(frozen=True, slots=True)
class Recipe:
    """FFmpeg's names for one format.

    Attributes:
        muxer: Container format.
        codec: Encoder.
        sample_format: What the encoder takes.
        bit_rate: In bit/s; 0 where it does not apply.
        muxer_options: As for `ffmpeg`.
        codec_options: As for `ffmpeg`.
        frame_s: Length of a frame in seconds, where it is ours to choose.
    """

    muxer: str
    codec: str
    sample_format: str
    bit_rate: int = 0
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    codec_options: Mapping[str, str] = field(default_factory=dict)
    frame_s: float | None = None


# Bytes leave with their packet; equal audio gives equal bytes (Ogg's serial number is random otherwise).
MUXER_OPTIONS: Mapping[str, str] = {"flush_packets": "1", "fflags": "+bitexact"}

# First bytes, and CPU per second of audio at these settings. Source: docs/log.md, "Encoders".
RECIPES: Mapping[str, Recipe] = {
    # 20 ms, where the default frame of 4608 samples waits for 192; 0.8 ms. Without padding the header is 8 kB shorter.
    "flac": Recipe("flac", "flac", "s16", frame_s=0.020, muxer_options={"metadata_header_padding": "0"}),
    # 40 ms: the muxer holds one page back. Its default page is a second long. 2.9 ms; 9.3 at complexity 10.
    "opus": Recipe(
        "ogg",
        "libopus",
        "s16",
        48_000,
        muxer_options={"page_duration": "20000"},
        codec_options={"application": "audio", "compression_level": "5"},
    ),
    # 45 ms; 4.2 ms, where the two-loop coder takes 13.
    "aac": Recipe("adts", "aac", "fltp", 96_000, codec_options={"aac_coder": "fast"}),
    # 50 ms; 75 with the bit reservoir, which makes a frame wait for the next. 6.4 ms. Its Info frame is our own.
    "mp3": Recipe(
        "mp3",
        "libmp3lame",
        "s16p",
        64_000,
        muxer_options={"write_xing": "0", "id3v2_version": "0"},
        codec_options={"reservoir": "0", "compression_level": "5"},
    ),
}


class _Outlet:
    """What FFmpeg writes to: keeps new bytes until taken, and remembers what it wants to write over.

    Attributes:
        size: Bytes so far.
    """

    def __init__(self) -> None:
        self.corrections: list[tuple[int, bytes]] = []
        self._fresh = bytearray()
        self.size = self._position = 0

    def write(self, data: bytes) -> int:
        if self._position < self.size:
            self.corrections.append((self._position, bytes(data)))
        else:
            self._fresh += data
            self.size += len(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def take(self) -> bytes:
        data = bytes(self._fresh)
        self._fresh.clear()
        return data


class LibavEncoder(Encoder):
    """One encoder and one muxer for the whole response."""

    def __init__(self, audio_format: AudioFormat, source_rate: int) -> None:
        super().__init__(audio_format, source_rate)
        recipe = RECIPES[audio_format.name]
        self._outlet = _Outlet()
        self._container = av.open(
            self._outlet, "w", format=recipe.muxer, options={**MUXER_OPTIONS, **recipe.muxer_options}
        )
        options = dict(recipe.codec_options)
        if recipe.frame_s:
            options["frame_size"] = str(round(recipe.frame_s * self.output_rate))
        stream = self._container.add_stream(
            recipe.codec, rate=self.output_rate, layout="mono", options=options, bit_rate=recipe.bit_rate
        )
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.format = av.AudioFormat(recipe.sample_format)
        self._stream = stream
        self._num_packets = 0
        self._header_size: int | None = None

    @property
    def has_audio(self) -> bool:
        """Whether a packet has left the muxer: Ogg's holds a page back."""
        return self._header_size is not None and self._outlet.size > self._header_size

    def close(self) -> None:
        """Free FFmpeg's side, two threads among it, at once: a collection might find it only much later."""
        self._container.close()

    def corrections(self) -> list[tuple[int, bytes]]:
        """What the muxer went back for: flac's number of samples and checksum."""
        return self._outlet.corrections

    def _encode(self, pcm: NDArray[np.int16]) -> bytes:
        if len(pcm):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[None, :], format="s16", layout="mono")
            frame.sample_rate, frame.pts = self.output_rate, self.num_samples - len(pcm)
            self._mux(frame)
        return self._outlet.take()

    def _end(self) -> bytes:
        if self.num_samples:
            self._mux(None)
        else:
            self._container.start_encoding()
        self._container.close()
        return self._outlet.take()

    def _mux(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if self._header_size is None:
                self._container.start_encoding()
                self._header_size = self._outlet.size
            self._num_packets += 1
            self._container.mux(packet)
