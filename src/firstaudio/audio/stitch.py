"""`Stitcher`: one gapless utterance from the audio of its segments, as it streams.

An engine pads each segment with silence of its own liking. The stitcher cuts that silence and puts a set pause
instead. A sample is *silent* when its magnitude stays below a threshold; everything from a segment's first to its
last audible sample passes unchanged, inner silence included. So audible samples never wait and are never lost; only
a run of silence waits, until it is known whether it lies inside the segment or at its end.

    pre-roll | segment 0 | tail . pause . lead | segment 1 | tail . pause . lead | segment 2 | tail
             audible                           audible                           audible

Tail and lead are the segments' own silence, part of the pause, kept so that decays and breaths do not end in a cut;
the distance from audible to audible is exactly the pause that was asked for. Where silence is cut, a short fade takes
what is left of it to zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import INT16_FULL_SCALE, Chunk, Pcm, WordMark, concatenate


@dataclass(frozen=True, slots=True)
class StitchParameters:
    """How edges are cut.

    Attributes:
        threshold_dbfs: Samples of at least this magnitude are audible; 10 dB below what counts as an onset.
        preroll_s: Most silence before the utterance's first audible sample: room for the fade, and no more, because
            the listener waits for it.
        lead_s: Most of a later segment's own silence that is kept before it.
        tail_s: Most of a segment's own silence that is kept after it.
        fade_s: Length of the fade at a cut.
    """

    threshold_dbfs: float = -50.0
    preroll_s: float = 0.005
    lead_s: float = 0.010
    tail_s: float = 0.050
    fade_s: float = 0.003


DEFAULT_STITCH = StitchParameters()


class Stitcher:
    """Joins segments: `push` their chunks, `end_segment` between them, `finish` after the last.

    Takes chunks in segment coordinates; gives chunks that are contiguous from sample 0 of the utterance, with word
    marks in samples of the utterance (their characters are not touched). A mark comes with the chunk in which its end
    became known: when the next word begins, or with the segment's end. An utterance without any audible sample gives
    no chunk.

    Args:
        sample_rate: Of every chunk, in Hz.
        parameters: How edges are cut.
    """

    def __init__(self, sample_rate: int, parameters: StitchParameters = DEFAULT_STITCH) -> None:
        self._sample_rate = sample_rate
        self._level = 10.0 ** (parameters.threshold_dbfs / 20.0)
        self._preroll = self._num_samples(parameters.preroll_s)
        self._lead = self._num_samples(parameters.lead_s)
        self._tail = self._num_samples(parameters.tail_s)
        self._fade = self._num_samples(parameters.fade_s)
        self._position = 0
        self._segment_index = 0
        self._spoke = False
        self._gap = 0
        self._gap_left = 0
        self._empty: Pcm = np.zeros(0, np.int16)
        self._rest: Pcm = self._empty
        self._done: list[WordMark] = []
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._held: list[Pcm] = []
        self._marks: list[WordMark] = []
        self._received = 0
        self._first = 0
        self._offset: int | None = None

    def push(self, chunk: Chunk) -> list[Chunk]:
        """Take the segment's next chunk; give what is known to belong to the utterance."""
        assert chunk.sample_rate == self._sample_rate, f"expected {self._sample_rate} Hz, got {chunk.sample_rate}"
        self._segment_index, self._empty = chunk.segment_index, chunk.pcm[:0]
        self._marks += chunk.words
        audible = self._audible(chunk.pcm)
        self._received += chunk.num_samples
        if not len(audible):
            self._held.append(chunk.pcm)
            return []
        end = int(audible[-1]) + 1
        num_silent = sum(map(len, self._held)) + int(audible[0])
        run = _join([*self._held, chunk.pcm[:end]])
        self._held = [chunk.pcm[end:]]
        if self._offset is None:
            run = self._open(run, num_silent)
        self._complete_marks(self._received - len(self._held[0]))
        return self._emit(run)

    def end_segment(self, pause_s: float) -> list[Chunk]:
        """End the segment and give the pause behind it, but for the part that the next segment's silence may fill.

        The pause goes out at once, so that the listener has it while the next segment is still being made. Therefore
        the last segment of an utterance is ended by `finish`, or with a pause of 0.

        Args:
            pause_s: From this segment's last audible sample to the next one's first, in seconds. Behind a segment
                without any audible sample the longer of its own and the preceding pause holds.
        """
        pause = self._num_samples(pause_s)
        if self._offset is None:
            return self._lengthen_gap(pause)
        silence = _join([self._silence(0), *self._held])
        self._close_marks(self._received - len(silence))
        kept = self._cut_tail(silence, pause)
        self._gap = pause
        self._gap_left = min(self._lead, pause - len(kept))
        self._rest = silence if pause == 0 else self._silence(0)
        self._begin_segment()
        return self._emit(_join([kept, self._silence(pause - len(kept) - self._gap_left)]))

    def _lengthen_gap(self, pause: int) -> list[Chunk]:
        """End a segment that has no audible sample."""
        self._drop_marks()
        self._begin_segment()
        if not self._spoke or pause <= self._gap:
            return []
        missing, self._gap = pause - self._gap, pause
        self._rest = self._silence(0)
        return self._emit(self._silence(missing))

    def finish(self) -> list[Chunk]:
        """End the utterance: a short tail of its own silence, and every mark that is left."""
        if self._offset is not None:
            self._rest = _join([self._silence(0), *self._held])
            self._close_marks(self._received - len(self._rest))
        else:
            self._drop_marks()
        tail = self._cut_tail(self._rest, self._tail)
        self._begin_segment()
        self._rest = self._silence(0)
        return [self._chunk(tail)] if self._spoke and (len(tail) or self._done) else []

    def _open(self, run: Pcm, num_silent: int) -> Pcm:
        """Cut the silence before the segment's first audible sample; fill up the pause that is still owed."""
        wanted = self._gap_left if self._spoke else self._preroll
        kept = min(num_silent, wanted)
        if kept < num_silent:
            fade = min(self._fade, kept)
            run = run[num_silent - kept :]
            run = _join([_faded(run[:fade], np.arange(1, fade + 1) / (fade + 1)), run[fade:]])
        missing = wanted - kept if self._spoke else 0
        self._first = num_silent - kept
        self._offset = self._position + missing - self._first
        self._spoke = True
        self._rest = self._silence(0)
        return _join([self._silence(missing), run])

    def _cut_tail(self, silence: Pcm, room: int) -> Pcm:
        """The part of a segment's last silence that is kept, faded out where there was more."""
        kept = min(len(silence), self._tail, room)
        if kept == len(silence):
            return silence
        fade = min(self._fade, kept)
        return _join([silence[: kept - fade], _faded(silence[kept - fade : kept], np.arange(fade, 0, -1) / (fade + 1))])

    # Marks.

    def _complete_marks(self, heard: int) -> None:
        """Complete the marks that end within the `heard` samples of the segment."""
        while self._marks:
            mark, following = self._marks[0], self._marks[1:]
            end = following[0].start_sample if mark.end_sample is None and following else mark.end_sample
            if end is None or end > heard:
                return
            self._done.append(self._placed(mark, end))
            self._marks = following

    def _close_marks(self, heard: int) -> None:
        """Complete all marks; none reaches beyond the `heard` samples of the segment."""
        self._complete_marks(heard)
        starts = [min(mark.start_sample, heard) for mark in self._marks]
        for mark, (start, end) in zip(self._marks, pairwise([*starts, heard]), strict=True):
            self._done.append(self._placed(replace(mark, start_sample=start), end))

    def _drop_marks(self) -> None:
        """Complete the marks of a segment that nobody hears: they last for nothing."""
        at = self._position
        self._done += [replace(mark, start_sample=at, end_sample=at) for mark in self._marks]

    def _placed(self, mark: WordMark, end_sample: int) -> WordMark:
        assert self._offset is not None
        start = max(mark.start_sample, self._first)
        end = max(end_sample, start)
        return replace(mark, start_sample=start + self._offset, end_sample=end + self._offset)

    # Samples.

    def _num_samples(self, duration_s: float) -> int:
        return round(duration_s * self._sample_rate)

    def _silence(self, num_samples: int) -> Pcm:
        silence: Pcm = np.zeros(num_samples, self._empty.dtype)
        return silence

    def _audible(self, pcm: Pcm) -> NDArray[np.intp]:
        level = self._level * INT16_FULL_SCALE if pcm.dtype == np.int16 else self._level
        return np.flatnonzero((pcm >= level) | (pcm <= -level))

    def _emit(self, pcm: Pcm) -> list[Chunk]:
        return [self._chunk(pcm)] if len(pcm) else []

    def _chunk(self, pcm: Pcm) -> Chunk:
        words, self._done = tuple(self._done), []
        chunk = Chunk(pcm, self._sample_rate, self._position, self._segment_index, words)
        self._position += len(pcm)
        return chunk


def _join(parts: list[Pcm]) -> Pcm:
    filled = [part for part in parts if len(part)]
    if len(filled) == 1:
        return filled[0]
    return concatenate(filled) if filled else parts[0][:0]


def _faded(pcm: Pcm, gain: NDArray[np.float64]) -> Pcm:
    """The samples under a gain, truncated towards zero: a fade never makes a sample louder."""
    if pcm.dtype == np.int16:
        return (pcm * gain).astype(np.int16)
    return (pcm * gain).astype(np.float32)
