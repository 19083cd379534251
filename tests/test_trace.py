"""A trace: what happened to one utterance, on a clock that the test moves."""

from __future__ import annotations

import pytest

from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.trace import STAGES, Outcome, Trace

MS = NS_PER_MS


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000 * MS

    def __call__(self) -> int:
        return self.now

    def move_ms(self, ms: float) -> None:
        self.now += round(ms * MS)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def trace(clock: HandClock) -> Trace:
    return Trace(clock=clock)


def test_a_trace_begins_when_it_is_made(trace: Trace, clock: HandClock):
    assert clock.now == trace.accepted_ns
    assert dict.fromkeys(STAGES, 0) == trace.stages_ns
    assert [trace.ttfa_ms, trace.rtf, trace.outcome] == [None, None, None]


def test_the_moment_of_acceptance_can_be_given(clock: HandClock):
    assert Trace(clock=clock, accepted_ns=7).accepted_ns == 7


def test_stage_times_add_up(trace: Trace, clock: HandClock):
    for ms in (2, 3):
        with trace.stage("phonemize"):
            clock.move_ms(ms)
    trace.add("queue", 4 * MS)

    assert {**dict.fromkeys(STAGES, 0), "phonemize": 5 * MS, "queue": 4 * MS} == trace.stages_ns


def test_time_that_another_thread_adds_while_a_stage_ends_is_kept(trace: Trace, clock: HandClock):
    def read_clock() -> int:
        trace.add("audio_conversion", 5 * MS)
        return clock.now

    with trace.stage("audio_conversion"):
        clock.move_ms(2)
        trace.clock = read_clock

    assert trace.stages_ns["audio_conversion"] == 7 * MS


def test_a_stage_that_fails_has_taken_its_time(trace: Trace, clock: HandClock):
    def fail() -> None:
        with trace.stage("model_inference"):
            clock.move_ms(6)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()

    assert trace.stages_ns["model_inference"] == 6 * MS


def test_the_stages_up_to_the_first_audio_are_kept(trace: Trace, clock: HandClock):
    trace.add("model_inference", 8 * MS)
    clock.move_ms(10)
    trace.first_audio_sent()
    trace.add("model_inference", 90 * MS)
    clock.move_ms(100)
    trace.first_audio_sent()

    assert trace.ttfa_ms == 10.0
    assert trace.first_audio_stages_ns is not None
    assert trace.first_audio_stages_ns["model_inference"] == 8 * MS
    assert trace.stages_ns["model_inference"] == 98 * MS


def test_the_real_time_factor_needs_an_end_and_audio(trace: Trace, clock: HandClock):
    clock.move_ms(500)
    trace.finish("completed")
    assert trace.rtf is None

    trace.audio_s = 2.0
    assert trace.rtf == 0.25


def test_without_an_end_there_is_no_real_time_factor(trace: Trace):
    trace.audio_s = 2.0

    assert trace.rtf is None


def test_the_first_outcome_stands(trace: Trace, clock: HandClock):
    trace.finish("failed", "the worker died")
    clock.move_ms(1)
    trace.finish("cancelled")

    assert (trace.outcome, trace.error, trace.finished_ns) == ("failed", "the worker died", NS_PER_S)


@pytest.mark.parametrize(("outcome", "warmth"), [("completed", "cached"), ("failed", "cached"), ("refused", "")])
def test_nothing_is_warm_of_what_was_refused(trace: Trace, outcome: Outcome, warmth: str):
    trace.warmth = "cached"
    trace.finish(outcome)

    assert trace.warmth == warmth


def test_what_ran_is_told_once_each_in_order_of_use(trace: Trace):
    for runtime, decode in (("", ""), ("a", "windowed"), ("a", "windowed"), ("b", "whole"), ("a", "")):
        trace.ran(runtime, decode)
    assert (trace.runtime, trace.decode) == ("a,b", "windowed,whole")
