"""The last minutes in memory: nothing is counted twice, nothing that is old is kept."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.server.dashboard.window import MAX_ANSWERS, NUM_RECENT, SLOT_S, WINDOW_S, Answer, Window, groups
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.trace import Trace


class HandClock:
    """Moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def measurement(ttfa_ms: float | None = 100.0, **fields) -> Measurement:
    trace = Trace(request_id="one")
    trace.finish("completed")
    return replace(measure(trace, 1.0), ttfa_ms=ttfa_ms, **fields)


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def window(clock):
    return Window(clock)


def answers(*samples: float, origin: str = "client", is_cached: bool = False) -> list[Answer]:
    return [Answer(0.0, origin, is_cached, sample) for sample in samples]


def test_the_warm_up_is_no_traffic(window):
    window.add(measurement(origin="warmup"))
    assert (window.answers(), window.recent()) == ([], [])
    assert sum(sum(slot.outcomes.values()) for slot in window.slots()) == 0


def test_answers_leave_when_they_are_old(window, clock):
    window.add(measurement(1.0))
    clock.now += WINDOW_S
    window.add(measurement(2.0))
    assert [answer.ttfa_ms for answer in window.answers()] == [1.0, 2.0]
    clock.now += 1.0
    assert [answer.ttfa_ms for answer in window.answers()] == [2.0]


def test_a_request_without_audio_counts_as_a_request_and_has_no_time(window):
    window.add(measurement(None, outcome="refused"))
    assert window.answers() == []
    assert window.slots()[-1].outcomes == {"refused": 1}


def test_requests_and_audio_are_counted_where_they_ended(window, clock):
    window.add(measurement(audio_s=2.0))
    clock.now += SLOT_S
    window.add(measurement(audio_s=3.0, outcome="failed"))
    clock.now += 4.0
    assert [(slot.audio_s, slot.outcomes) for slot in window.slots()] == [(2.0, {"completed": 1}), (3.0, {"failed": 1})]
    assert [(slot.ago_s, slot.seconds) for slot in window.slots()] == [(4.0, 10.0), (0.0, 4.0)]


def test_benchmarks_and_the_tuner_are_in_no_figure_of_clients(window):
    window.add(measurement(audio_s=2.0))
    window.add(measurement(audio_s=5.0, origin="benchmark", outcome="failed"))
    window.add(measurement(audio_s=7.0, origin="tuner"))
    (slot,) = window.slots()
    assert (slot.audio_s, slot.outcomes) == (2.0, {"completed": 1})
    assert (slot.other_audio_s, slot.other_outcomes) == (12.0, {"failed": 1, "completed": 1})


def test_the_window_reaches_as_far_back_as_it_has_watched(window, clock):
    window.add(measurement())
    clock.now += 44.0
    assert window.reach_s() == 44.0
    clock.now += 2 * WINDOW_S
    assert window.reach_s() == WINDOW_S


def test_a_full_window_reaches_back_to_its_oldest_answer(window, clock):
    clock.now += 40.0
    for _ in range(MAX_ANSWERS):
        window.add(measurement())
    clock.now += 3.0
    assert window.reach_s() == 3.0


def test_slots_begin_with_the_window_and_reach_no_further_back_than_it_does(window, clock):
    clock.now += 3.0
    assert [slot.seconds for slot in window.slots()] == [3.0]
    clock.now += 10 * WINDOW_S
    slots = window.slots()
    assert sum(slot.seconds for slot in slots) == pytest.approx(WINDOW_S, abs=SLOT_S)
    assert sum(sum(slot.outcomes.values()) for slot in slots) == 0


def test_only_the_last_requests_are_shown_the_newest_first(window):
    for index in range(NUM_RECENT + 5):
        window.add(measurement(request_id=str(index)))
    assert [one.request_id for one in window.recent()] == [str(i) for i in range(NUM_RECENT + 4, 4, -1)]


def test_what_is_kept_is_bounded(window):
    one = measurement()
    for _ in range(MAX_ANSWERS + 10):
        window.add(one)
    assert len(window.answers()) == MAX_ANSWERS
    assert window.slots()[-1].outcomes == {"completed": MAX_ANSWERS + 10}


def test_cached_answers_and_other_origins_are_apart_and_clients_come_first():
    mixed = answers(1.0, origin="benchmark") + answers(2.0, is_cached=True) + answers(3.0)
    found = [
        (group.origin, group.is_cached, group.bins[0].low_ms <= ms)
        for group, ms in zip(groups(mixed, 800.0), (3.0, 2.0, 1.0), strict=True)
    ]
    assert found == [("client", False, True), ("client", True, True), ("benchmark", False, True)]


def test_a_percentile_is_stated_only_where_there_are_enough():
    (few,), (many,) = groups(answers(*range(1, 6)), 800.0), groups(answers(*range(1, 101)), 800.0)
    assert [one.value_ms for one in few.percentiles] == [None] * 4
    assert {one.name: one.value_ms for one in many.percentiles} == {"p50": 50.5, "p90": 90.1, "p95": 95.05, "p99": None}


def test_exactly_the_target_meets_it():
    (group,) = groups(answers(800.0, 800.1), 800.0)
    assert (group.num_met, group.n) == (1, 2)
    assert group.met_low < 0.5 < group.met_high


@given(st.lists(st.floats(1e-6, 1e7), min_size=1, max_size=50))
def test_every_answer_is_in_one_bin(samples):
    (group,) = groups(answers(*samples), 800.0)
    assert sum(one.n for one in group.bins) == len(samples)
    for sample in samples:
        assert any(one.low_ms * 0.999999 <= max(sample, 1e-3) <= one.high_ms * 1.000001 for one in group.bins)
    ends = [end for one in group.bins for end in (one.low_ms, one.high_ms)]
    assert ends == sorted(ends)
