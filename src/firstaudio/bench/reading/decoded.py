"""Samples, and how many of them each piece made decodable for the first time. Runs after the timed window.

Uncompressed audio by arithmetic. Compressed audio packet by packet: a packet can be decoded once its last byte is
there (in Ogg: its page, which has one checksum), and what the decoder then gives out counts for the piece that brought
that byte. What it holds back to the end counts for the piece with the last packet.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import Pcm
from firstaudio.bench.exchange import Failure, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.reading import mpeg, ogg
from firstaudio.bench.reading.container import Found
from firstaudio.bench.reading.samples import FLOAT_WIDTHS, INTEGER_WIDTHS, mono
from firstaudio.bench.reading.wav import FLOAT_TAG, PCM_TAG

# Beyond them a header is garbage. Below 1 kHz the onset's hop of 1 ms would be less than a sample: one answer that
# states 1 Hz would be looked at in a thousand places for each of its samples.
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Audio of one answer.

    Attributes:
        pcm: Mono, int16 or float32, of all pieces.
        sample_rate: In Hz.
        num_bytes: Of audio, by piece.
        num_samples: That became decodable, by piece; their sum is that of `pcm`.
        failure: The audio is not all that should be there.
    """

    pcm: Pcm
    sample_rate: int
    num_bytes: tuple[int, ...]
    num_samples: tuple[int, ...]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Uncompressed samples between two offsets."""

    start: int
    end: int
    sample_rate: int
    width: int
    num_channels: int
    is_float: bool
    promised: int | None


def decode_pieces(pieces: Sequence[bytes], found: Found, stated: PcmFormat | None = None) -> Decoded:
    """Decode one answer.

    Args:
        pieces: Without envelope, in order.
        found: What is in them.
        stated: Format of headerless samples; for them only.

    Raises:
        SpeakError: It cannot be decoded, or nothing states its sample rate.
    """
    data = b"".join(pieces)
    ends = np.fromiter(accumulate(map(len, pieces)), np.int64, len(pieces))
    layout = _layout(data, found, stated)
    return _by_arithmetic(data, ends, layout) if layout else _by_packets(data, ends, found)


def audio_bytes(ends: NDArray[np.int64], start: int, end: int) -> NDArray[np.int64]:
    """How many bytes of each piece lie between two offsets; `ends` are the pieces' own."""
    inside = np.clip(ends, start, max(start, end)) - start
    return np.diff(inside, prepend=0)


def _layout(data: bytes, found: Found, stated: PcmFormat | None) -> _Layout | None:
    if found.container == "pcm":
        if stated is None:
            message = "these are samples without a header, and nothing states their rate: state it, or ask for wav"
            raise SpeakError(FailureKind.NO_SAMPLE_RATE, message)
        rate, width = _checked_rate(stated.sample_rate), stated.sample_width
        if width not in (2, 4) or stated.num_channels < 1:
            stating = f"headerless samples of {width} bytes in {stated.num_channels} channels"
            raise SpeakError(FailureKind.WRONG_FORMAT, f"{stating} cannot be read: send int16 or float32")
        return _Layout(0, len(data), rate, width, stated.num_channels, width == 4, None)
    header = found.wav
    if header is None or header.format_tag not in (PCM_TAG, FLOAT_TAG):
        return None
    width, is_float = header.block_align // header.num_channels, header.format_tag == FLOAT_TAG
    if width not in (FLOAT_WIDTHS if is_float else INTEGER_WIDTHS) or header.block_align % header.num_channels:
        kind = "floats" if is_float else "integers"
        raise SpeakError(FailureKind.WRONG_FORMAT, f"the WAV header states {kind} of {width} bytes")
    end = len(data) if header.num_bytes is None else min(len(data), header.start + header.num_bytes)
    rate = _checked_rate(header.sample_rate)
    return _Layout(header.start, end, rate, width, header.num_channels, is_float, header.num_bytes)


def _checked_rate(sample_rate: int) -> int:
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        message = f"a sample rate of {sample_rate} Hz is none: the target must state the true one"
        raise SpeakError(FailureKind.NO_SAMPLE_RATE, message)
    return sample_rate


def _by_arithmetic(data: bytes, ends: NDArray[np.int64], layout: _Layout) -> Decoded:
    frame = layout.width * layout.num_channels
    num_bytes = audio_bytes(ends, layout.start, layout.end)
    num_samples = np.diff(np.cumsum(num_bytes) // frame, prepend=0)
    whole = (layout.end - layout.start) // frame * frame
    samples = data[layout.start : layout.start + whole]
    pcm = mono(samples, layout.width, layout.num_channels, is_float=layout.is_float)
    return _checked(pcm, layout.sample_rate, num_bytes, num_samples, _cut_samples(layout, frame))


def _cut_samples(layout: _Layout, frame: int) -> str | None:
    came = layout.end - layout.start
    if layout.promised is not None and came < layout.promised:
        return f"the header promises {layout.promised} bytes of audio, {came} came"
    return (
        f"the audio ends in the middle of a sample: {came} bytes are no multiple of {frame}" if came % frame else None
    )


def _checked(
    pcm: Pcm, sample_rate: int, num_bytes: NDArray[np.int64], num_samples: NDArray[np.int64], cut: str | None
) -> Decoded:
    failure = Failure(FailureKind.TRUNCATED, cut) if cut else None
    if not np.isfinite(pcm).all():
        failure = Failure(FailureKind.WRONG_FORMAT, "some samples are not numbers (NaN or infinite)")
        pcm = np.nan_to_num(pcm, nan=0.0, posinf=1.0, neginf=-1.0).astype(np.float32)
    return Decoded(pcm, sample_rate, tuple(num_bytes.tolist()), tuple(num_samples.tolist()), failure)


def _by_packets(data: bytes, ends: NDArray[np.int64], found: Found) -> Decoded:
    packets = _Packets(data, found)
    num_samples = np.zeros(len(ends), np.int64)
    parts: list[NDArray[np.float64]] = []
    for available, samples in packets:
        index = min(int(np.searchsorted(ends, available)), len(ends) - 1)
        num_samples[index] += len(samples)
        parts.append(samples)
    cut = packets.cut or _cut_container(data, found, sum(map(len, parts)))
    if not parts:
        kind = FailureKind.TRUNCATED if cut else FailureKind.EMPTY
        raise SpeakError(kind, cut or f"the {found.container} answer has headers and no audio")
    joined = np.concatenate(parts)
    pcm: Pcm = np.rint(joined).astype(np.int16) if packets.is_16_bit else joined.astype(np.float32)
    rate = _checked_rate(packets.sample_rate)
    return _checked(pcm, rate, audio_bytes(ends, found.start, len(data)), num_samples, cut)


class _Packets:
    """Iterates over (offset behind which the samples can be had, samples); the rest is known at the end.

    Attributes:
        sample_rate: In Hz; 0 until the first samples.
        is_16_bit: Whether samples are int16, else floats.
        cut: Why it ends early.
    """

    def __init__(self, data: bytes, found: Found) -> None:
        self._data, self._found = data, found
        self._page_ends = iter(_page_ends(data) if found.is_ogg else [])
        self._available = 0
        self.sample_rate = 0
        self.is_16_bit = False
        self.cut: str | None = None

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        import av

        try:
            yield from self._decode()
        except (av.error.FFmpegError, ValueError) as error:
            where = f"at byte {self._available} of {len(self._data)}"
            if self._available < len(self._data) and not (self._found.is_ogg and ogg.is_cut(self._data)):
                message = f"the {self._found.container} answer cannot be decoded {where}: {error}"
                raise SpeakError(FailureKind.WRONG_FORMAT, message) from error
            self.cut = f"the {self._found.container} answer ends in the middle of a frame"

    def _decode(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        import av
        from av.container import InputContainer

        from firstaudio.audio.decode import LOSSLESS_FORMATS

        name = "ogg" if self._found.is_ogg else self._found.container
        with av.open(io.BytesIO(self._data), format=name) as container:
            assert isinstance(container, InputContainer)
            codec = container.streams.audio[0].codec_context if container.streams.audio else None
            if codec is None or codec.format is None:  # FFmpeg has no decoder for it
                raise ValueError("it has no audio stream that can be decoded")
            self.is_16_bit = codec.format.name in LOSSLESS_FORMATS
            planes = av.AudioResampler(format="s16p" if self.is_16_bit else "fltp")
            for packet in container.demux(audio=0):
                self._note(packet.pos, packet.size, bytes(packet)[:4])
                for frame in packet.decode():
                    self.sample_rate = frame.sample_rate
                    for plane in planes.resample(frame):
                        yield self._available, plane.to_ndarray().mean(axis=0, dtype=np.float64)

    def _note(self, position: int | None, size: int, header: bytes) -> None:
        if not size or position is None:  # the packet that only flushes the decoder
            return
        end = next(self._page_ends, self._available) if self._found.is_ogg else position + size
        self._available = max(self._available, end)
        frame = mpeg.mp3_frame(header) if self._found.container == "mp3" else None
        if frame and size < frame.num_bytes:
            self.cut = "the mp3 answer ends in the middle of a frame"


def _page_ends(data: bytes) -> list[int]:
    """For each packet, the end of the page in which it ends."""
    try:
        return [page.end for page in ogg.audio_pages(data) for _ in page.packets]
    except ValueError as error:
        raise SpeakError(FailureKind.WRONG_FORMAT, f"the Ogg answer is damaged: {error}") from error


def _cut_container(data: bytes, found: Found, num_samples: int) -> str | None:
    """What the container itself says about more that should have come."""
    if found.is_ogg:
        return "the Ogg stream ends without its last page" if ogg.is_cut(data) else None
    if found.container == "flac":
        promised = int.from_bytes(data[18:26], "big") & (1 << 36) - 1  # of STREAMINFO; 0: not known
        return f"FLAC's header promises {promised} samples, {num_samples} came" if num_samples < promised else None
    if found.container != "mp3":
        return None
    at = mpeg.after_id3(data) or 0
    kind = mpeg.mp3_frame(data[at : at + 4])
    mark = mpeg.info_at(data[at : at + kind.num_bytes], kind) if kind else None
    size = mpeg.promised_bytes(data[at:], mark) if mark is not None else None
    came = len(data) - at
    return f"mp3's Info frame promises {size} bytes, {came} came" if size and came < size else None
