"""`Resampler`: another sample rate, with almost no delay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import Pcm, to_float32, to_int16

# libswresample with 64 taps holds back 1.4 ms and is flat to 10 kHz with errors below -90 dB (22.05 to 24 kHz). soxr HQ
# is cleaner still but works in blocks: 33 ms held back, nothing at all for the first 45 ms; soxr LQ loses 3.5 dB at
# 9 kHz. Source: docs/log.md, "Resamplers".
FILTER = "filter_size=64"


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
        self._chain = None
        self._dtype: type[np.int16] | type[np.float32] = np.int16
        self._num_in = self._num_out = 0
        if in_rate != out_rate:
            from firstaudio.audio.filters import FilterChain  # here, for it loads FFmpeg

            self._chain = FilterChain(in_rate, [("aresample", f"{out_rate}:{FILTER}")])

    def push(self, pcm: Pcm) -> Pcm:
        """Resample more; gives all but the last 2 ms at most."""
        if self._chain is None:
            return pcm
        self._dtype = np.int16 if pcm.dtype == np.int16 else np.float32
        self._num_in += len(pcm)
        return self._give(self._chain.push(to_float32(pcm)))

    def finish(self) -> Pcm:
        """The rest."""
        if self._chain is None or not self._num_in:
            return self._give(np.zeros(0, np.float32))
        missing = round(self._num_in * self.out_rate / self.in_rate) - self._num_out
        rest = self._chain.finish()[:missing]
        return self._give(np.pad(rest, (0, missing - len(rest))))

    def _give(self, samples: NDArray[np.float32]) -> Pcm:
        self._num_out += len(samples)
        return to_int16(samples) if self._dtype == np.int16 else samples
