"""Another sample rate: `Resampler` for samples, `ChunkResampler` for chunks with their places and word marks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import soxr
from numpy.typing import NDArray

from firstaudio.audio.chunk import Chunk, Pcm, WordMark, to_float32, to_int16

# soxr HQ holds back about 30 ms of audio. Whoever needs a first chunk of 50 ms takes 80 ms from the engine, which costs
# less than the CPU of a filter with a shorter delay. Source: docs/log.md, "Resamplers".
QUALITY = "HQ"


class Resampler:
    """Streams PCM from one rate to another; int16 stays int16 and float32 stays float32.

    The output does not depend on how the input was cut. It is aligned with the input, and after `finish` it is
    `round(num_samples * out_rate / in_rate)` samples long. Equal rates pass unchanged.

    Args:
        in_rate: In Hz.
        out_rate: In Hz.
    """

    def __init__(self, in_rate: int, out_rate: int) -> None:
        self.in_rate, self.out_rate = in_rate, out_rate
        self._stream: soxr.ResampleStream | None = None  # made with the first samples: it takes 0.1 ms
        self._is_int16 = True
        self._num_in = self._num_out = 0

    def push(self, pcm: Pcm) -> Pcm:
        """Resample more; gives all but the last 40 ms at most."""
        if self.in_rate == self.out_rate:
            return pcm
        if self._stream is None:
            # float32 inside: soxr's int16 output depends on how the input was cut.
            self._stream = soxr.ResampleStream(self.in_rate, self.out_rate, 1, "float32", QUALITY)
        self._is_int16 = pcm.dtype == np.int16
        self._num_in += len(pcm)
        out: NDArray[np.float32] = self._stream.resample_chunk(to_float32(pcm))
        return self._give(out)

    def finish(self) -> Pcm:
        """The rest."""
        if self._stream is None or not self._num_in:
            return self._give(np.zeros(0, np.float32))
        missing = round(self._num_in * self.out_rate / self.in_rate) - self._num_out
        rest = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)[:missing]
        return self._give(np.pad(rest, (0, missing - len(rest))))

    def _give(self, samples: NDArray[np.float32]) -> Pcm:
        self._num_out += len(samples)
        out: Pcm = to_int16(samples) if self._is_int16 else samples
        return out


class ChunkResampler:
    """The same for contiguous chunks: places and word marks are converted too.

    Args:
        in_rate: Of every chunk, in Hz.
        out_rate: In Hz.
    """

    def __init__(self, in_rate: int, out_rate: int) -> None:
        self._resampler = Resampler(in_rate, out_rate)
        self._position = 0
        self._marks: list[WordMark] = []
        self._last: Chunk | None = None

    def push(self, chunk: Chunk) -> list[Chunk]:
        """Resample the next chunk."""
        if self._resampler.in_rate == self._resampler.out_rate:
            return [chunk]
        self._last = chunk
        self._marks += [self._converted(mark) for mark in chunk.words]
        return self._give(self._resampler.push(chunk.pcm))

    def finish(self) -> list[Chunk]:
        """The rest."""
        return self._give(self._resampler.finish()) if self._last is not None else []

    def _give(self, pcm: Pcm) -> list[Chunk]:
        if not len(pcm) or self._last is None:
            return []
        words, self._marks = tuple(self._marks), []
        chunk = Chunk(pcm, self._resampler.out_rate, self._position, self._last.segment_index, words)
        self._position += len(pcm)
        return [chunk]

    def _converted(self, mark: WordMark) -> WordMark:
        end = None if mark.end_sample is None else self._sample(mark.end_sample)
        return replace(mark, start_sample=self._sample(mark.start_sample), end_sample=end)

    def _sample(self, sample: int) -> int:
        return round(sample * self._resampler.out_rate / self._resampler.in_rate)
