"""`Tempo`: faster or slower speech at the same pitch, for speeds that an engine cannot do by itself."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import to_float32, to_int16

SLICE_S = 0.010
FLUSH_S = 0.300
# atempo matches waveforms, not times: a sound may end up to 7 ms later than the factor says, hardly earlier.
MARGIN_S = 0.010
STAGE_MIN, STAGE_MAX = 0.5, 2.0


class Tempo:
    """Streams int16 PCM through FFmpeg's `atempo` (WSOLA).

    The output does not depend on how the input was cut; after `finish` it is `round(num_samples / factor)` samples and
    10 ms long, the last of the input included. Factor 1 passes unchanged. About 45 ms of input are held back.

    Args:
        sample_rate: In Hz.
        factor: Above 1 is faster; 0.1 to 10.
    """

    def __init__(self, sample_rate: int, factor: float) -> None:
        if not 0.1 <= factor <= 10:
            raise ValueError(f"factor must lie within 0.1 to 10, got {factor}")
        self._factor = factor
        # atempo lets go of a frame when the next one pushes it out: short frames of one size make that wait short, and
        # the output independent of the caller's cutting.
        self._slice = max(1, round(SLICE_S * sample_rate))
        self._flush, self._margin = round(FLUSH_S * sample_rate), round(MARGIN_S * sample_rate)
        self._waiting: NDArray[np.int16] = np.zeros(0, np.int16)
        self._num_in = self._num_out = 0
        self._chain = None
        if factor != 1:
            from firstaudio.audio.filters import FilterChain  # here, for it loads FFmpeg

            self._chain = FilterChain(sample_rate, [("atempo", repr(stage)) for stage in _stages(factor)])

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Stretch more; gives what the filter let go."""
        if self._chain is None:
            return pcm
        self._num_in += len(pcm)
        return self._stretch(pcm)

    def finish(self) -> NDArray[np.int16]:
        """The rest."""
        if self._chain is None or not self._num_in:
            return np.zeros(0, np.int16)
        # The filter drops what does not fill its window: silence pushes all of the input out, then is cut off.
        missing = round(self._num_in / self._factor) + self._margin - self._num_out
        rest = np.concatenate([self._stretch(np.zeros(self._flush, np.int16)), to_int16(self._chain.finish())])[
            :missing
        ]
        return np.pad(rest, (0, missing - len(rest)))

    def _stretch(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        assert self._chain is not None
        samples = np.concatenate([self._waiting, pcm])
        whole = len(samples) - len(samples) % self._slice
        self._waiting = samples[whole:]
        parts = [self._chain.push(to_float32(part)) for part in samples[:whole].reshape(-1, self._slice)]
        out = to_int16(np.concatenate(parts)) if parts else np.zeros(0, np.int16)
        self._num_out += len(out)
        return out


def _stages(factor: float) -> list[float]:
    """Equal factors within 0.5 to 2, where atempo blends; beyond that it would skip samples."""
    num_stages = max(1, math.ceil(abs(math.log2(factor)) / math.log2(STAGE_MAX) - 1e-9))
    return [factor ** (1 / num_stages)] * num_stages
