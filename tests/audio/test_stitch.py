import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.chunk import Chunk, Pcm, WordMark, concatenate
from firstaudio.audio.stitch import Stitcher, StitchParameters

RATE = 1000
PARAMETERS = StitchParameters(preroll_s=0.015)
"""One sample is a millisecond: pre-roll 15 samples, lead 10, tail 50, fade 3."""

LOUD, QUIET = 20_000, 7


@dataclass(frozen=True)
class Spoken:
    """A segment: silence, sound with silence inside, silence; and the pause behind it."""

    before: int
    runs: tuple[int, ...]
    after: int
    pause: int
    cuts: tuple[int, ...] = ()

    def pcm(self) -> Pcm:
        inside = [np.full(run, LOUD if index % 2 == 0 else QUIET, np.int16) for index, run in enumerate(self.runs)]
        return concatenate([np.full(self.before, QUIET, np.int16), *inside, np.full(self.after, QUIET, np.int16)])

    def sound(self) -> Pcm:
        return self.pcm()[self.before : self.before + sum(self.runs)]


SEGMENTS = st.lists(
    st.builds(
        Spoken,
        before=st.integers(0, 120),
        runs=st.lists(st.integers(1, 80), max_size=5).map(lambda runs: tuple(runs[: len(runs) - (len(runs) + 1) % 2])),
        after=st.integers(0, 120),
        pause=st.integers(0, 150),
        cuts=st.lists(st.integers(1, 400), max_size=6).map(tuple),
    ),
    max_size=4,
)


def chunks_of(pcm: Pcm, cuts: tuple[int, ...], index: int, words: tuple[WordMark, ...] = ()) -> list[Chunk]:
    """The segment cut at `cuts`; each mark comes with the chunk in which its word begins."""
    bounds = sorted({0, len(pcm), *(cut for cut in cuts if cut < len(pcm))})
    return [
        Chunk(pcm[a:b], RATE, a, index, tuple(mark for mark in words if a <= mark.start_sample < b))
        for a, b in itertools.pairwise(bounds)
    ]


def stitch(segments: list[Spoken]) -> list[Chunk]:
    stitcher, given_back = Stitcher(RATE, PARAMETERS), []
    for index, segment in enumerate(segments):
        for chunk in chunks_of(segment.pcm(), segment.cuts, index):
            given_back += stitcher.push(chunk)
        if index < len(segments) - 1:
            given_back += stitcher.end_segment(segment.pause / RATE)
    return given_back + stitcher.finish()


def joined(chunks: list[Chunk]) -> Pcm:
    return concatenate([np.zeros(0, np.int16), *(chunk.pcm for chunk in chunks)])


def audible(pcm: Pcm) -> list[int]:
    return np.flatnonzero(np.abs(pcm) > 200).tolist()


def expected_length(segments: list[Spoken]) -> int:
    """Pre-roll, sounds, pauses between them (the longest, where silent segments lie between), tail."""
    total, gap, spoke = 0, 0, False
    for segment in segments:
        if segment.runs:
            total += gap + len(segment.sound()) + (0 if spoke else min(segment.before, 15))
            spoke, gap = True, segment.pause
        elif spoke:
            gap = max(gap, segment.pause)
    if not spoke:
        return 0
    is_open = bool(segments[-1].runs)
    return total + (min(segments[-1].after, 50) if is_open else _shown_gap(segments))


def _shown_gap(segments: list[Spoken]) -> int:
    """What has gone out of the last gap when only silent segments followed the last sound."""
    last = max(index for index, segment in enumerate(segments) if segment.runs)
    pause = segments[last].pause
    longest = max([pause, *(segment.pause for segment in segments[last + 1 : -1])])
    if longest == 0:
        return min(segments[last].after, 50)
    return longest - min(10, pause - min(segments[last].after, 50, pause))


@settings(max_examples=200, deadline=None)
@given(segments=SEGMENTS)
def test_every_audible_sample_and_the_silence_inside_come_through_in_order(segments: list[Spoken]) -> None:
    out = joined(stitch(segments))
    sounds = [segment.sound() for segment in segments if segment.runs]
    at = 0
    for sound in sounds:
        at += audible(out[at:])[0]
        assert np.array_equal(sound, out[at : at + len(sound)])
        at += len(sound)
    assert audible(out[at:]) == []


@settings(max_examples=200, deadline=None)
@given(segments=SEGMENTS)
def test_pauses_preroll_and_tail_are_exact(segments: list[Spoken]) -> None:
    assert expected_length(segments) == len(joined(stitch(segments)))


@settings(max_examples=50, deadline=None)
@given(segments=SEGMENTS)
def test_the_result_does_not_depend_on_the_chunking(segments: list[Spoken]) -> None:
    whole = [Spoken(part.before, part.runs, part.after, part.pause) for part in segments]
    assert np.array_equal(joined(stitch(whole)), joined(stitch(segments)))


@settings(max_examples=50, deadline=None)
@given(segments=SEGMENTS)
def test_chunks_are_contiguous_from_zero_and_never_empty(segments: list[Spoken]) -> None:
    at = 0
    for chunk in stitch(segments):
        assert (at, True) == (chunk.start_sample, chunk.num_samples > 0)
        at = chunk.end_sample


def test_only_silence_is_held_back() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    pcm = np.array([0] * 30 + [LOUD] * 20 + [QUIET] * 40, np.int16)
    assert len(joined(stitcher.push(Chunk(pcm, RATE)))) == 35
    assert len(joined(stitcher.push(Chunk(pcm[30:50], RATE, 90)))) == 60


def test_the_pause_goes_out_before_the_next_segment_is_there() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    stitcher.push(Chunk(np.full(20, LOUD, np.int16), RATE))
    assert len(joined(stitcher.end_segment(0.3))) == 290
    following = joined(stitcher.push(Chunk(np.full(20, LOUD, np.int16), RATE)))
    assert (len(following), audible(following)[0]) == (30, 10)


def test_a_cut_fades_and_what_was_not_cut_does_not() -> None:
    hum = StitchParameters(preroll_s=0.015, threshold_dbfs=-20.0, fade_s=0.004)
    stitcher = Stitcher(RATE, hum)
    sound = np.array([1000] * 60 + [LOUD] * 5 + [1000] * 60, np.int16)
    out = joined(stitcher.push(Chunk(sound, RATE)) + stitcher.finish())
    assert out[:5].tolist() == [200, 400, 600, 800, 1000]
    assert out[-5:].tolist() == [1000, 800, 600, 400, 200]
    assert (sound[0], sound[-1]) == (1000, 1000)

    short = Stitcher(RATE, hum)
    untouched = np.array([1000] * 15 + [LOUD] * 5 + [1000] * 50, np.int16)
    assert np.array_equal(untouched, joined(short.push(Chunk(untouched, RATE)) + short.finish()))


def test_float_samples_stay_float() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    pcm = np.concatenate([np.zeros(50), np.full(20, 0.5), np.full(90, 1e-4)]).astype(np.float32)
    chunks = stitcher.push(Chunk(pcm, RATE)) + stitcher.end_segment(0.2) + stitcher.push(Chunk(pcm, RATE))
    chunks += stitcher.finish()
    assert {np.dtype(np.float32)} == {chunk.pcm.dtype for chunk in chunks}
    assert sum(chunk.num_samples for chunk in chunks) == 15 + 20 + 200 + 20 + 50


def test_the_loudest_negative_sample_is_audible() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    assert len(joined(stitcher.push(Chunk(np.array([-32768], np.int16), RATE)))) == 1


def test_a_silent_utterance_gives_nothing() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    silent = Chunk(np.zeros(500, np.int16), RATE, words=(WordMark(0, 1, 0),))
    assert stitcher.push(silent) + stitcher.end_segment(0.2) + stitcher.push(silent) + stitcher.finish() == []


def test_another_rate_is_refused() -> None:
    with pytest.raises(AssertionError, match="expected 1000 Hz"):
        Stitcher(RATE, PARAMETERS).push(Chunk(np.zeros(1, np.int16), 22050))


# Words.


def marks(stitched: list[Chunk]) -> list[tuple[int, int, int | None]]:
    return [(mark.start_char, mark.start_sample, mark.end_sample) for chunk in stitched for mark in chunk.words]


def test_marks_move_with_the_audio_and_end_where_the_next_begins() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    pcm = np.array([0] * 100 + [LOUD] * 200 + [0] * 100, np.int16)
    words = (WordMark(0, 3, 80), WordMark(4, 7, 180))
    chunks = stitcher.push(Chunk(pcm, RATE, words=words)) + stitcher.end_segment(0.15)
    chunks += stitcher.push(Chunk(pcm, RATE, segment_index=1, words=(WordMark(8, 9, 100),))) + stitcher.finish()
    assert marks(chunks) == [(0, 0, 95), (4, 95, 215), (8, 365, 565)]


def test_a_mark_is_released_with_the_chunk_that_completes_it() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    sound = np.full(100, LOUD, np.int16)
    assert marks(stitcher.push(Chunk(sound, RATE, 0, words=(WordMark(0, 1, 10),)))) == []
    assert marks(stitcher.push(Chunk(sound, RATE, 100, words=(WordMark(2, 3, 120),)))) == [(0, 10, 120)]
    assert marks(stitcher.end_segment(0.1)) == [(2, 120, 200)]


def test_an_end_that_the_engine_states_stands() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    sound = np.full(100, LOUD, np.int16)
    assert marks(stitcher.push(Chunk(sound, RATE, words=(WordMark(0, 1, 10, 40),)))) == [(0, 10, 40)]


def test_words_of_a_silent_segment_are_not_lost() -> None:
    stitcher = Stitcher(RATE, PARAMETERS)
    chunks = stitcher.push(Chunk(np.full(100, LOUD, np.int16), RATE, words=(WordMark(0, 1, 0),)))
    chunks += stitcher.end_segment(0.1)
    chunks += stitcher.push(Chunk(np.zeros(100, np.int16), RATE, words=(WordMark(2, 3, 0),)))
    chunks += stitcher.finish()
    assert marks(chunks) == [(0, 0, 100), (2, 190, 190)]


@settings(max_examples=100, deadline=None)
@given(segments=SEGMENTS, places=st.lists(st.floats(0, 0.999), max_size=4).map(sorted))
def test_no_mark_is_lost_and_all_lie_in_order_within_the_utterance(segments: list[Spoken], places: list[float]) -> None:
    stitcher, chunks, num_marks = Stitcher(RATE, PARAMETERS), [], 0
    for index, segment in enumerate(segments):
        pcm = segment.pcm()
        starts = [int(place * len(pcm)) for place in places] if len(pcm) else []
        words = tuple(WordMark(num_marks + count, num_marks + count, at) for count, at in enumerate(starts))
        num_marks += len(words)
        for chunk in chunks_of(pcm, segment.cuts, index, words):
            chunks += stitcher.push(chunk)
        chunks += stitcher.end_segment(segment.pause / RATE)
    chunks += stitcher.finish()
    found = [mark for chunk in chunks for mark in chunk.words]
    bounds = [bound for mark in found for bound in (mark.start_sample, mark.end_sample)]
    assert (list(range(num_marks)) if chunks else []) == [mark.start_char for mark in found]
    assert sorted([0, *bounds, len(joined(chunks))]) == [0, *bounds, len(joined(chunks))]
