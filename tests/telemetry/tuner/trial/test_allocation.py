"""Arms stay balanced, whatever comes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from firstaudio.telemetry.tuner.trial.allocation import MAX_OPEN, WASHOUT_S, WINDOW_S, Pairs, Windows


@given(st.lists(st.integers(0, 5), max_size=200), st.integers())
def test_in_every_kind_of_utterance_the_arms_are_balanced_at_any_time(kinds, seed):
    pairs, seen = Pairs(random.Random(seed)), {}
    for kind in kinds:
        place = pairs.place(kind, 0.0)
        seen.setdefault(kind, []).append(place)
        arms = [each.arm for each in seen[kind]]
        assert abs(arms.count("a") - arms.count("b")) <= 1
        for first, second in zip(seen[kind][::2], seen[kind][1::2], strict=False):
            assert (first.block, {first.arm, second.arm}) == (second.block, {"a", "b"})


def test_kinds_without_end_do_not_fill_the_memory():
    pairs = Pairs(random.Random(1))
    for kind in range(10 * MAX_OPEN):
        pairs.place(kind, 0.0)
    assert len(pairs._open) == MAX_OPEN


def test_windows_alternate_in_random_order_and_leave_out_their_beginning():
    windows = Windows(random.Random(1), 1000.0)
    at = [1000.0 + WINDOW_S * k + WASHOUT_S + 1 for k in range(40)]
    places = [windows.place("any", now_s) for now_s in at]
    assert [place.block for place in places] == [k // 2 for k in range(40)]
    orders = {(a.arm, b.arm) for a, b in zip(places[::2], places[1::2], strict=True)}
    assert orders == {("a", "b"), ("b", "a")}
    assert windows.place("any", 1000.0 + WINDOW_S * 3 + WASHOUT_S / 2) is None
    assert windows.arm(at[3]) == places[3].arm
