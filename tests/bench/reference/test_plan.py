"""The arithmetic of a reference server, against sums done by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.playback import total_stall_ns
from firstaudio.bench.reference.figures import Figures
from firstaudio.bench.reference.plan import Ask, expected, jitter_ns, make_plan, slow_factor
from firstaudio.clock import NS_PER_MS, NS_PER_S

TEN_CHARS = Ask("0123456789")


def offsets_ms(figures: Figures, ask: Ask = TEN_CHARS) -> list[float]:
    plan = make_plan(figures, ask)
    return [plan.offset_ns(index) / NS_PER_MS for index in range(plan.num_chunks)]


def test_chunks_leave_on_an_absolute_schedule():
    """10 characters of 60 ms are 600 ms: with 250 ms chunks 250, 250 and 100."""
    figures = Figures(ttfa_ms=50, rtf=0.4, chunk_ms=250, char_s=0.06, sample_rate=8000)
    plan = make_plan(figures, TEN_CHARS)

    assert offsets_ms(figures) == [50, 150, 250]
    assert [plan.bounds(index) for index in range(3)] == [(0, 2000), (2000, 4000), (4000, 4800)]


def test_a_stall_delays_the_chunks_that_begin_at_it_or_later():
    figures = Figures(ttfa_ms=0, rtf=0, chunk_ms=200, stalls=((0.2, 300), (0.3, 50)))

    assert offsets_ms(figures) == [0, 300, 350]


def test_a_stall_at_the_very_beginning_is_after_the_first_chunk():
    assert offsets_ms(Figures(ttfa_ms=5, rtf=0, chunk_ms=300, stalls=((0, 20),))) == [5, 25]


def test_whole_synthesis_delivers_everything_when_all_is_made():
    """30 ms and half of 600 ms."""
    figures = Figures(ttfa_ms=30, rtf=0.5)

    assert offsets_ms(figures, Ask("0123456789", streams=False)) == [330]
    assert offsets_ms(figures.replace(streams=False)) == [330]


def test_a_slow_voice_is_slower_in_everything_but_its_length():
    figures = Figures(ttfa_ms=100, rtf=0.5, chunk_ms=300)
    slow = Ask(TEN_CHARS.text, voice="slow10")

    assert offsets_ms(figures, slow) == [110, 275]
    assert make_plan(figures, slow).num_samples == make_plan(figures, TEN_CHARS).num_samples


@pytest.mark.parametrize(("voice", "factor"), [("slow10", 1.1), ("slow250", 3.5), ("slow", 1.0), ("alloy", 1.0)])
def test_the_number_in_a_voice_is_its_slowness_in_percent(voice: str, factor: float):
    assert slow_factor(voice) == factor


def test_speed_shortens_the_audio():
    assert make_plan(Figures(char_s=0.1), Ask("0123456789", speed=2.0)).audio_s == 0.5


def test_what_a_listener_must_measure_is_computed_for_him():
    """600 ms in chunks of 200, all at 40 ms but for a pause of 250 ms before the second: 50 ms of silence."""
    right = expected(Figures(ttfa_ms=40, rtf=0, chunk_ms=200, stalls=((0.2, 250),)), TEN_CHARS)

    assert (right.ttfa_ms, right.latency_ms, right.preroll_ms) == (40, 290, 50)
    assert (right.num_stalls, right.stall_ms, right.ttgp_ms, right.audio_s) == (1, 50, 90, 0.6)
    assert right.rtf == pytest.approx(0.290 / 0.6)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 500),
    st.floats(0, 3),
    st.integers(20, 2000),
    st.integers(1, 100),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 500)), max_size=3),
)
def test_a_plan_covers_every_sample_once_and_never_goes_back_in_time(
    ttfa_ms: float, rtf: float, chunk_ms: int, num_chars: int, stalls: list[tuple[float, float]]
):
    figures = Figures(ttfa_ms=ttfa_ms, rtf=rtf, chunk_ms=chunk_ms, stalls=tuple(stalls))
    plan = make_plan(figures, Ask("x" * num_chars))
    bounds = [plan.bounds(index) for index in range(plan.num_chunks)]
    offsets = [plan.offset_ns(index) for index in range(plan.num_chunks)]

    assert [0, *(end for _, end in bounds)] == [*(begin for begin, _ in bounds), plan.num_samples]
    assert offsets == sorted(offsets)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 3), st.integers(10, 500), st.floats(0, 2), st.floats(0, 900))
def test_the_expected_preroll_is_the_total_stall(rtf: float, chunk_ms: int, after_s: float, pause_ms: float):
    figures = Figures(rtf=rtf, chunk_ms=chunk_ms, stalls=((after_s, pause_ms),))
    plan = make_plan(figures, Ask("x" * 40))
    durations = [(e - b) * NS_PER_S // 24_000 for b, e in map(plan.bounds, range(plan.num_chunks))]
    arrivals = [plan.offset_ns(index) for index in range(plan.num_chunks)]
    right = expected(figures, Ask("x" * 40))

    assert right.preroll_ms == pytest.approx(total_stall_ns(arrivals, durations) / NS_PER_MS)
    assert right.stall_ms == pytest.approx(right.preroll_ms)


def test_jitter_is_never_early_and_the_same_for_the_same_seed():
    figures = Figures(jitter_ms=5)
    draws = [[jitter_ns(figures, rng) for _ in range(200)] for rng in (random.Random(7), random.Random(7))]

    assert draws[0] == draws[1]
    assert min(draws[0]) == 0
    assert 0 < max(draws[0]) < 30 * NS_PER_MS
    assert jitter_ns(Figures(), random.Random(7)) == 0
