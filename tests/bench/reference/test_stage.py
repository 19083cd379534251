"""Lanes, the line, and performances, with a clock and an alarm moved by hand."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from firstaudio.bench.reference import stage as stage_module
from firstaudio.bench.reference.alarm import Call
from firstaudio.bench.reference.faults import FAULTS, GOOD, Fault
from firstaudio.bench.reference.figures import Figures
from firstaudio.bench.reference.plan import Ask
from firstaudio.bench.reference.stage import Performance, Stage, make_performance
from firstaudio.clock import NS_PER_MS

MS = NS_PER_MS


class HandClock:
    """Time, and the calls that wait for it."""

    def __init__(self) -> None:
        self.ns = 0
        self.calls: list[Call] = []

    def __call__(self) -> int:
        return self.ns

    def at(self, due_ns: int, function: Callable[[], None]) -> Call:
        call = Call(due_ns, function)
        heapq.heappush(self.calls, call)
        return call

    def run(self, until_ms: float) -> None:
        while self.calls and self.calls[0].due_ns <= until_ms * MS:
            call = heapq.heappop(self.calls)
            self.ns = max(self.ns, call.due_ns)
            if call.function is not None:
                call.function()
        self.ns = round(until_ms * MS)


@dataclass
class Notebook:
    """A sink that writes down what it was told, and when."""

    clock: HandClock
    said: list[tuple[float, str]] = field(default_factory=list)
    full: bool = False

    def begin(self) -> None:
        self.said.append((self.clock.ns / MS, "begin"))

    def render(self, index: int, is_last: bool, due_ns: int) -> bytes:
        return f"{index}{'.' if is_last else ','}".encode()

    def write(self, data: bytes, is_last: bool) -> None:
        self.said.append((self.clock.ns / MS, data.decode()))

    def break_off(self) -> None:
        self.said.append((self.clock.ns / MS, "break"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    clock = HandClock()
    monkeypatch.setattr(stage_module, "now_ns", clock)
    return clock


def make_stage(clock: HandClock, **figures: object) -> Stage:
    """200 ms of audio per text in chunks of 100 ms."""
    stated = Figures(char_s=0.1, **figures)  # type: ignore[arg-type]
    return Stage(stated, clock)  # type: ignore[arg-type]


def enter(stage: Stage, clock: HandClock, fault: Fault = GOOD) -> tuple[Performance, Notebook]:
    notebook = Notebook(clock)
    performance = make_performance(stage, Ask("Hi"), fault, clock.ns, "id", lambda plan, row: notebook)
    stage.enter(performance)
    return performance, notebook


def test_chunks_are_written_when_they_are_due(clock: HandClock):
    _, heard = enter(make_stage(clock, ttfa_ms=50, rtf=0.5), clock)
    clock.run(500)

    assert heard.said == [(0, "begin"), (50, "0,"), (100, "1.")]


def test_the_null_server_writes_before_the_request_has_returned(clock: HandClock):
    _, heard = enter(make_stage(clock, ttfa_ms=0, rtf=0), clock)

    assert heard.said == [(0, "begin"), (0, "0,"), (0, "1.")]


def test_the_log_says_what_was_due_and_what_left(clock: HandClock):
    stage = make_stage(clock, ttfa_ms=50, rtf=0.5)
    enter(stage, clock)
    clock.run(500)
    row = stage.truth[0]

    assert (row.due_ns, row.written_ns, row.num_samples) == ([50 * MS, 100 * MS], [50 * MS, 100 * MS], [2400, 2400])
    assert (row.outcome, row.accepted_ns, row.started_ns, row.ended_ns) == ("complete", 0, 0, 100 * MS)


def test_a_third_request_waits_in_line_for_one_of_two_lanes(clock: HandClock):
    stage = make_stage(clock, ttfa_ms=50, rtf=0.5, capacity=2)
    heard = [enter(stage, clock)[1] for _ in range(4)]
    clock.run(500)

    assert [said.said[-1][0] for said in heard] == [100, 100, 200, 200]
    assert (stage.most_busy, stage.most_waiting) == (2, 2)


def test_a_full_line_has_no_room(clock: HandClock):
    stage = make_stage(clock, capacity=1, max_waiting=1)
    room = [stage.has_room]
    for _ in range(2):
        enter(stage, clock)
        room.append(stage.has_room)

    assert room == [True, True, False]


def test_a_line_without_a_limit_always_has_room(clock: HandClock):
    stage = make_stage(clock, capacity=1)
    for _ in range(9):
        enter(stage, clock)

    assert stage.has_room


def test_a_client_that_leaves_frees_its_lane_and_hears_no_more(clock: HandClock):
    stage = make_stage(clock, ttfa_ms=50, rtf=0.5, capacity=1)
    (first, heard_first), (_, heard_second) = enter(stage, clock), enter(stage, clock)
    clock.run(60)
    first.cancel()
    clock.run(500)

    assert heard_first.said == [(0, "begin"), (50, "0,")]
    assert heard_second.said == [(60, "begin"), (110, "0,"), (160, "1.")]
    assert stage.truth[0].outcome == "cancelled"


def test_a_client_that_leaves_the_line_is_never_served(clock: HandClock):
    stage = make_stage(clock, ttfa_ms=50, capacity=1)
    enter(stage, clock)
    waiting, heard = enter(stage, clock)
    waiting.cancel()
    clock.run(500)

    assert heard.said == []


def test_a_client_that_does_not_read_is_waited_for(clock: HandClock):
    _, heard = enter(make_stage(clock, ttfa_ms=50, rtf=0.5), clock)
    heard.full = True
    clock.run(80)
    heard.full = False
    clock.run(500)

    assert heard.said == [(0, "begin"), (81, "0,"), (100, "1.")]


def test_an_answer_that_breaks_off_does_so_in_the_middle_and_frees_its_lane(clock: HandClock):
    stage = make_stage(clock, ttfa_ms=50, rtf=0.5, capacity=1)
    (_, broken), (_, following) = enter(stage, clock, FAULTS["disconnect"]), enter(stage, clock)
    clock.run(500)

    assert broken.said == [(0, "begin"), (50, "0,"), (100, "break")]
    assert following.said[-1] == (200, "1.")


def test_the_stated_share_of_requests_fails_before_any_audio(clock: HandClock):
    stage = make_stage(clock, ttfa_ms=0, rtf=0, failure_rate=0.25)
    heard = [enter(stage, clock)[1] for _ in range(400)]
    failed = [said for said in heard if said.said == [(0, "begin"), (0, "break")]]

    assert 75 <= len(failed) <= 125


def test_an_endless_answer_never_takes_the_loop_for_itself(clock: HandClock):
    """Without a pause it writes a burst and lets the loop turn."""
    _, heard = enter(make_stage(clock, ttfa_ms=0, rtf=0), clock, FAULTS["endless"])

    assert len(heard.said) == 3
    assert len(clock.calls) == 1
