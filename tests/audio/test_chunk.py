import numpy as np
import pytest

from firstaudio.audio.chunk import Chunk, concatenate, to_float32, to_int16


def test_float_samples_saturate_instead_of_wrapping() -> None:
    loud = np.array([-2.0, -1.0, 0.0, 1.0, 2.0], np.float32)
    assert to_int16(loud).tolist() == [-32768, -32768, 0, 32767, 32767]


def test_int16_survives_the_way_through_float() -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(every, to_int16(to_float32(every)))


def test_a_conversion_that_changes_nothing_copies_nothing() -> None:
    pcm = np.zeros(3, np.int16)
    assert to_int16(pcm) is pcm
    assert Chunk(pcm, 24000).as_int16() is pcm


def test_a_chunk_knows_its_place_and_duration() -> None:
    chunk = Chunk(np.zeros(240, np.int16), 24000, start_sample=100)
    assert (chunk.num_samples, chunk.end_sample, chunk.duration_s) == (240, 340, 0.01)


def test_stereo_is_no_chunk() -> None:
    with pytest.raises(AssertionError, match="one dimension"):
        Chunk(np.zeros((2, 3), np.int16), 24000)


def test_joined_parts_keep_their_dtype() -> None:
    assert np.int16 == concatenate([np.zeros(2, np.int16), np.zeros(0, np.int16)]).dtype
