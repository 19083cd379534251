"""The ramp of windows."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.windows import CONTEXT, LENGTHS, Window, plan_windows


@st.composite
def ramps(draw: st.DrawFn) -> tuple[int, tuple[int, ...], int]:
    """Frames of a run, lengths and context."""
    context = draw(st.integers(0, 6))
    lengths = draw(st.sets(st.integers(2 * context + 1, 80), min_size=1, max_size=4))
    return draw(st.integers(1, 400)), tuple(sorted(lengths)), context


def check(windows: list[Window], num_frames: int, lengths: tuple[int, ...], context: int) -> None:
    kept = [frame for window in windows for frame in range(window.keep_begin, window.keep_end)]
    assert kept == list(range(num_frames))
    for window in windows:
        assert 0 <= window.begin <= window.keep_begin < window.keep_end <= window.end <= num_frames
        assert window.length in lengths or (num_frames < lengths[0] and window.length == num_frames)
        assert window.begin == 0 or window.keep_begin - window.begin >= context
        assert window.end == num_frames or window.end - window.keep_end >= context


@given(ramps())
@example((26, (16, 32, 56), 4))
def test_every_frame_is_kept_once_in_order_with_its_context_from_windows_of_known_lengths(
    ramp: tuple[int, tuple[int, ...], int],
):
    num_frames, lengths, context = ramp
    check(plan_windows(num_frames, lengths, context), num_frames, lengths, context)


def test_every_short_run_is_planned_with_the_lengths_that_are_used():
    for num_frames in range(1, 300):
        check(plan_windows(num_frames), num_frames, LENGTHS, CONTEXT)


@given(st.integers(1, 2000))
def test_the_first_window_is_the_smallest_and_each_next_one_at_most_a_step_larger(num_frames: int):
    windows = plan_windows(num_frames)
    assert windows[0].length == min(num_frames, LENGTHS[0])
    steps = [LENGTHS.index(window.length) for window in windows] if len(windows) > 1 else []
    assert all(after <= before + 1 for before, after in pairwise(steps))


def test_a_run_that_is_one_window_long_is_one_window():
    assert [Window(0, 16, 0, 16)] == plan_windows(16)


def test_the_last_window_ends_with_the_run_and_decodes_some_frames_again():
    assert [Window(0, 16, 0, 12), Window(4, 20, 12, 20)] == plan_windows(20)


def test_a_long_run_is_mostly_windows_of_the_largest_length():
    lengths = [window.length for window in plan_windows(500)]
    assert lengths[:2] == [16, 32]
    assert set(lengths[2:-1]) == {56}
    assert sum(window.num_kept for window in plan_windows(500)) == 500
