from hypothesis import given
from hypothesis import strategies as st

from firstaudio.text.mapped import MappedText, Run

# "a b" written for "a &nbsp; b" at offset 10.
SAMPLE = MappedText("a b", (Run(0, 10, 11), Run(1, 11, 19), Run(2, 19, 20)))


@st.composite
def mapped_texts(draw: st.DrawFn) -> MappedText:
    """Runs in ascending order, some of equal length with their original, some not."""
    text, runs, original = "", [], 0
    for _ in range(draw(st.integers(0, 6))):
        original += draw(st.integers(0, 3))
        piece = draw(st.text("abc", min_size=1, max_size=4))
        width = draw(st.sampled_from([len(piece), 0, 7]))
        runs.append(Run(len(text), original, original + width))
        text += piece
        original += width
    return MappedText(text, tuple(runs))


def test_characters_of_an_identical_run_map_one_by_one():
    mapped = MappedText("hello", (Run(0, 3, 8),))
    assert mapped.original_span(1, 3) == (4, 6)


def test_part_of_a_replaced_run_maps_to_all_it_stands_for():
    assert SAMPLE.original_span(1, 2) == (11, 19)
    assert SAMPLE.original_span(0, 3) == (10, 20)


def test_an_empty_range_gives_an_empty_span():
    assert SAMPLE.original_span(2, 2) == (19, 19)
    assert SAMPLE.original_span(3, 3) == (20, 20)
    assert MappedText().original_span(0, 0) == (0, 0)


def test_a_sum_maps_like_its_parts():
    both = SAMPLE + MappedText("c", (Run(0, 25, 26),))
    assert both.text == "a bc"
    assert both.original_span(3, 4) == (25, 26)
    assert both.original_span(2, 4) == (19, 26)


@given(mapped_texts(), st.data())
def test_a_slice_maps_like_the_whole(mapped: MappedText, data: st.DataObject):
    start = data.draw(st.integers(0, len(mapped)))
    end = data.draw(st.integers(start, len(mapped)))
    part = mapped.slice(start, end)
    assert part.text == mapped.text[start:end]
    for at in range(len(part)):
        whole, sliced = mapped.original_span(start + at, start + at + 1), part.original_span(at, at + 1)
        assert whole[0] <= sliced[0] <= sliced[1] <= whole[1]


@given(mapped_texts(), mapped_texts(), mapped_texts())
def test_joining_is_associative(a: MappedText, b: MappedText, c: MappedText):
    assert (a + b) + c == a + (b + c) == MappedText.join([a, b, c])
