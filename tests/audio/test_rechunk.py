import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.chunk import Chunk, WordMark
from firstaudio.audio.rechunk import Rechunker


def cut(lengths: list[int], rate: int = 1000) -> list[Chunk]:
    """Chunks of a ramp, each with one mark in its middle and a segment of its own."""
    chunks, at = [], 0
    for index, length in enumerate(lengths):
        pcm = np.arange(at, at + length).astype(np.int16)
        marks = (WordMark(index, index + 1, at + length // 2, at + length),)
        chunks.append(Chunk(pcm, rate, at, index, marks))
        at += length
    return chunks


def rechunk(rechunker: Rechunker, chunks: list[Chunk]) -> list[Chunk]:
    return [piece for chunk in chunks for piece in rechunker.push(chunk)] + rechunker.finish()


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 900), max_size=12),
    shortest=st.integers(1, 100),
    factor=st.floats(2, 5),
    rate=st.sampled_from([1000, 11025, 24000]),
)
def test_pieces_keep_the_bounds_and_lose_nothing(lengths: list[int], shortest: int, factor: float, rate: int) -> None:
    chunks = cut(lengths, rate)
    low, high = shortest / 1000, shortest * factor / 1000
    pieces = rechunk(Rechunker(low, high), chunks)

    assert sum(lengths) == sum(piece.num_samples for piece in pieces)
    assert all(int(low * rate) <= piece.num_samples for piece in pieces[:-1])
    assert all(piece.num_samples <= max(1, int(high * rate)) for piece in pieces)
    assert [piece.start_sample for piece in pieces] == [
        sum(earlier.num_samples for earlier in pieces[:index]) for index in range(len(pieces))
    ]
    assert [mark for chunk in chunks for mark in chunk.words] == [mark for piece in pieces for mark in piece.words]
    if lengths:
        joined = np.concatenate([piece.pcm for piece in pieces])
        assert np.array_equal(np.arange(sum(lengths)).astype(np.int16), joined)


def test_a_piece_leaves_as_soon_as_the_minimum_is_held() -> None:
    first, second, _ = cut([49, 1, 10])
    rechunker = Rechunker(0.05, 0.2)
    assert rechunker.push(first) == []
    assert [piece.num_samples for piece in rechunker.push(second)] == [50]


def test_a_long_chunk_is_cut_evenly() -> None:
    assert [piece.num_samples for piece in rechunk(Rechunker(0.05, 0.2), cut([450]))] == [150, 150, 150]


def test_a_mark_travels_with_the_piece_in_which_its_word_begins() -> None:
    marks = (WordMark(0, 1, 10, 90), WordMark(2, 3, 150, 200))
    pieces = rechunk(Rechunker(0.05, 0.1), [Chunk(np.zeros(200, np.int16), 1000, 0, 0, marks)])
    assert [(marks[0],), (marks[1],)] == [piece.words for piece in pieces]


def test_a_piece_belongs_to_the_segment_of_its_first_sample() -> None:
    pieces = rechunk(Rechunker(0.05, 0.1), cut([40, 160]))
    assert [(piece.start_sample, piece.segment_index) for piece in pieces] == [(0, 0), (100, 1)]


def test_nothing_gives_nothing() -> None:
    assert Rechunker(0.05, 0.2).finish() == []


def test_bounds_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Rechunker(0.1, 0.15)
