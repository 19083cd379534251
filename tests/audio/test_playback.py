from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.audio.playback import (
    PlaybackClock,
    Stall,
    preroll_needed_ns,
    stalls,
    streaming_efficiency,
    time_to_gapless_play_ns,
    total_stall_ns,
)

PIECES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12)
"""(time since the previous arrival, duration) of each piece, in ticks."""


def unzip(pieces: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    arrivals, now = [], 100
    for gap, _ in pieces:
        now += gap
        arrivals.append(now)
    return arrivals, [duration for _, duration in pieces]


def simulate(arrivals: Sequence[int], durations: Sequence[int], buffer: int) -> list[Stall]:
    """The player, tick by tick: what it waits for is counted, not calculated."""
    with_audio = [(at, duration) for at, duration in zip(arrivals, durations, strict=True) if duration]
    if not with_audio:
        return []
    found: list[list[int]] = []
    now = with_audio[0][0] + buffer
    buffered = sum(duration for at, duration in with_audio if at < now)
    remaining = sum(duration for _, duration in with_audio)
    while remaining:
        buffered += sum(duration for at, duration in with_audio if at == now)
        if buffered:
            buffered -= 1
            remaining -= 1
        elif found and sum(found[-1]) == now:
            found[-1][1] += 1
        else:
            found.append([now, 1])
        now += 1
    return [Stall(*stall) for stall in found]


def test_a_player_stalls_from_running_dry_to_the_next_arrival() -> None:
    assert (Stall(110, 15), Stall(145, 5)) == stalls([100, 125, 150], [10, 20, 10])


def test_a_header_is_no_arrival() -> None:
    assert stalls([0, 100, 105], [0, 10, 10]) == ()
    assert preroll_needed_ns([0, 100, 105, 500], [0, 10, 10, 0]) == 0


def test_nothing_plays_without_audio() -> None:
    assert (stalls([], []), preroll_needed_ns([], []), streaming_efficiency([5], [0])) == ((), 0, None)
    assert time_to_gapless_play_ns([5], [0], 0) is None


def test_ttgp_of_a_response_in_one_piece_is_its_latency() -> None:
    assert time_to_gapless_play_ns([500], [1000], 100) == 400


def test_ttgp_charges_for_a_crumb_that_is_followed_by_a_stall() -> None:
    assert time_to_gapless_play_ns([10, 110], [20, 1000], 0) == 90


def test_efficiency_is_audio_over_audio_and_stalls() -> None:
    assert streaming_efficiency([0, 30], [20, 20]) == 0.8
    assert streaming_efficiency([0, 30], [20, 20], buffer_ns=10) == 1.0


def test_arrivals_and_durations_belong_together() -> None:
    with pytest.raises(ValueError, match="shorter"):
        stalls([1, 2], [1])


@given(pieces=PIECES, buffer=st.integers(0, 40))
def test_stalls_are_those_of_a_player_simulated_step_by_step(pieces: list[tuple[int, int]], buffer: int) -> None:
    arrivals, durations = unzip(pieces)
    assert simulate(arrivals, durations, buffer) == list(stalls(arrivals, durations, buffer))


@given(pieces=PIECES, buffer=st.integers(0, 400))
def test_a_buffer_takes_its_length_off_the_total_stall(pieces: list[tuple[int, int]], buffer: int) -> None:
    arrivals, durations = unzip(pieces)
    needed = preroll_needed_ns(arrivals, durations)
    assert needed == total_stall_ns(arrivals, durations)
    assert max(0, needed - buffer) == total_stall_ns(arrivals, durations, buffer)


@given(pieces=PIECES)
def test_the_clock_agrees_with_the_functions_after_every_piece(pieces: list[tuple[int, int]]) -> None:
    arrivals, durations = unzip(pieces)
    clock = PlaybackClock()
    for count, (arrival, duration) in enumerate(zip(arrivals, durations, strict=True), 1):
        clock.deliver(arrival, duration)
        assert total_stall_ns(arrivals[:count], durations[:count]) == clock.stalled_ns


def test_a_clock_starts_with_the_first_audio() -> None:
    clock = PlaybackClock()
    clock.deliver(10, 0)
    assert (clock.deadline_ns, clock.lead_ns(50)) == (None, 0)
    clock.deliver(100, 30)
    assert (clock.deadline_ns, clock.lead_ns(110)) == (130, 20)


def test_a_clock_that_ran_dry_resumes_at_the_next_delivery() -> None:
    clock = PlaybackClock()
    clock.deliver(100, 30)
    assert clock.lead_ns(135) == -5
    clock.deliver(150, 40)
    assert (clock.deadline_ns, clock.stalled_ns) == (190, 20)
