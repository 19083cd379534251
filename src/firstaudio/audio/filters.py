"""`FilterChain`: an audio filter graph of libavfilter that takes and gives mono arrays as they stream."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray


class FilterChain:
    """Filters one after the other, for float32 mono.

    Args:
        sample_rate: Of the input, in Hz.
        filters: Name and arguments of each filter.
    """

    def __init__(self, sample_rate: int, filters: Sequence[tuple[str, str]]) -> None:
        self._sample_rate = sample_rate
        self._num_pushed = 0
        self._graph = Graph()  # kept: PyAV's filter contexts do not keep their graph alive
        self._source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="flt", layout="mono", time_base=Fraction(1, sample_rate)
        )
        last = self._source
        for name, arguments in filters:
            following = self._graph.add(name, arguments)
            last.link_to(following)
            last = following
        self._sink = self._graph.add("abuffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Filter more; gives what the filters let go."""
        if len(samples):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None, :], format="flt", layout="mono")
            frame.sample_rate, frame.pts = self._sample_rate, self._num_pushed
            self._num_pushed += len(samples)
            self._source.push(frame)
        return self._drain()

    def finish(self) -> NDArray[np.float32]:
        """End the input; gives what the filters still held."""
        self._source.push(None)
        return self._drain()

    def _drain(self) -> NDArray[np.float32]:
        parts = []
        while True:
            try:
                frame = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            assert isinstance(frame, av.AudioFrame)
            parts.append(frame.to_ndarray().reshape(-1).astype(np.float32, copy=False))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)
