"""`Chunk`: a piece of contiguous mono PCM, the unit that is yielded and sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16] | NDArray[np.float32]

INT16_FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where one word lies in the text and in the audio.

    Whoever holds a mark states its coordinates: an engine marks its segment (characters of the segment's text,
    samples since the segment's start); the synthesizer's chunks mark the utterance (characters of the original
    text as the client sent it, samples since the utterance's start).

    Attributes:
        start_char: First character, 0-based.
        end_char: One past the last character.
        start_sample: First sample of the word.
        end_sample: One past the last sample; None while the next word has not begun.
    """

    start_char: int
    end_char: int
    start_sample: int
    end_sample: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Contiguous mono PCM with its rate and its place.

    Attributes:
        pcm: Shape (num_samples,), int16, or float32 in -1..1.
        sample_rate: In Hz.
        start_sample: Index of the first sample, counted from the start of the segment (from an engine) or of the
            utterance (from the synthesizer).
        segment_index: Which segment of the utterance the audio speaks, 0-based.
        words: Marks of the words that became known with this chunk.
    """

    pcm: Pcm
    sample_rate: int
    start_sample: int = 0
    segment_index: int = 0
    words: tuple[WordMark, ...] = field(default=())

    def __post_init__(self) -> None:
        assert self.pcm.ndim == 1, f"mono PCM has one dimension, got shape {self.pcm.shape}"
        assert self.pcm.dtype in (np.int16, np.float32), f"PCM is int16 or float32, got {self.pcm.dtype}"
        assert self.sample_rate > 0

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return len(self.pcm)

    @property
    def end_sample(self) -> int:
        """One past the index of the last sample."""
        return self.start_sample + len(self.pcm)

    @property
    def duration_s(self) -> float:
        """Playing time in seconds."""
        return len(self.pcm) / self.sample_rate

    def as_int16(self) -> NDArray[np.int16]:
        """The samples as int16; float samples are rounded and saturated, never wrapped."""
        return to_int16(self.pcm)

    def with_pcm(self, pcm: Pcm) -> Chunk:
        """A copy that carries other samples."""
        return replace(self, pcm=pcm)


def concatenate(parts: Sequence[Pcm]) -> Pcm:
    """The parts one after the other; at least one, all of the same dtype."""
    joined: Pcm = np.concatenate(parts)  # type: ignore[assignment] # numpy's types widen the union to any generic
    return joined


def to_int16(pcm: Pcm) -> NDArray[np.int16]:
    """Convert to int16; float samples are rounded and saturated, int16 is returned as it is."""
    if pcm.dtype == np.int16:
        return pcm  # type: ignore[return-value]
    scaled = np.rint(pcm * INT16_FULL_SCALE)
    clipped: NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype(np.int16)
    return clipped


def to_float32(pcm: Pcm) -> NDArray[np.float32]:
    """Convert to float32 in -1..1; float32 is returned as it is."""
    if pcm.dtype == np.float32:
        return pcm  # type: ignore[return-value]
    return pcm.astype(np.float32) / np.float32(INT16_FULL_SCALE)
