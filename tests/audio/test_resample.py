import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.chunk import Chunk, Pcm, WordMark, concatenate, to_float32
from firstaudio.audio.resample import ChunkResampler, Resampler

RATES = [(22050, 24000), (24000, 48000), (22050, 48000), (16000, 24000), (48000, 24000)]


def speechlike(num_samples: int, rate: int, seed: int = 0) -> Pcm:
    """Noise below 4 kHz, int16."""
    noise = np.random.default_rng(seed).standard_normal(num_samples * 8000 // rate + 50).astype(np.float32)
    return (soxr.resample(noise, 8000, rate)[:num_samples] * 4000).astype(np.int16)


def resample(pcm: Pcm, in_rate: int, out_rate: int, cuts: list[int] | None = None) -> Pcm:
    resampler = Resampler(in_rate, out_rate)
    pieces = np.split(pcm, sorted(cut for cut in cuts or [] if cut < len(pcm)))
    return concatenate([*(resampler.push(piece) for piece in pieces), resampler.finish()])


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
def test_it_agrees_with_a_resampler_that_sees_everything(in_rate: int, out_rate: int) -> None:
    pcm = speechlike(in_rate // 2, in_rate)
    ours = to_float32(resample(pcm, in_rate, out_rate))
    theirs = soxr.resample(to_float32(pcm), in_rate, out_rate)
    error = np.std(ours - theirs[: len(ours)]) / np.std(theirs)
    assert error < 10 ** (-60 / 20)


@settings(max_examples=30, deadline=None)
@given(
    rates=st.sampled_from(RATES),
    num_samples=st.integers(0, 8000),
    cuts=st.lists(st.integers(0, 8000), max_size=8),
)
def test_streamed_is_whole_and_the_length_is_exact(rates: tuple[int, int], num_samples: int, cuts: list[int]) -> None:
    pcm = speechlike(num_samples, rates[0])
    streamed = resample(pcm, *rates, cuts)
    assert round(num_samples * rates[1] / rates[0]) == len(streamed)
    assert np.array_equal(resample(pcm, *rates), streamed)


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
def test_at_most_forty_milliseconds_are_held_back(in_rate: int, out_rate: int) -> None:
    held_s = 0.2 - len(Resampler(in_rate, out_rate).push(speechlike(in_rate // 5, in_rate))) / out_rate
    assert 0 <= held_s < 0.040


def test_chunks_keep_their_order_and_their_words_move_with_the_rate() -> None:
    pcm = speechlike(22050, 22050)
    resampler = ChunkResampler(22050, 24000)
    given_chunks = [
        Chunk(pcm[at : at + 2205], 22050, at, at // 11025, (WordMark(at, at + 1, at + 100, at + 2000),))
        for at in range(0, 22050, 2205)
    ]
    chunks = [piece for chunk in given_chunks for piece in resampler.push(chunk)] + resampler.finish()
    assert (chunks[0].start_sample, chunks[-1].end_sample) == (0, 24000)
    assert [c.end_sample for c in chunks[:-1]] == [c.start_sample for c in chunks[1:]]
    marks = [mark for chunk in chunks for mark in chunk.words]
    assert [(at, round((at + 100) / 22050 * 24000)) for at in range(0, 22050, 2205)] == [
        (mark.start_char, mark.start_sample) for mark in marks
    ]


def test_chunks_of_the_right_rate_pass_unchanged() -> None:
    chunk = Chunk(speechlike(100, 24000), 24000)
    resampler = ChunkResampler(24000, 24000)
    assert [chunk] == resampler.push(chunk)
    assert resampler.finish() == []


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_the_dtype_is_kept(dtype: type) -> None:
    resampler = Resampler(22050, 24000)
    assert (dtype, dtype) == (resampler.push(np.zeros(900, dtype)).dtype, resampler.finish().dtype)


def test_equal_rates_pass_unchanged() -> None:
    pcm = speechlike(100, 24000)
    assert Resampler(24000, 24000).push(pcm) is pcm
