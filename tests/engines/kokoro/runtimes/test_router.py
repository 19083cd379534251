"""Every step is done once, by a session that is in order, and says by which."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.engines.kokoro.runtimes.board import Board, RoutedSession
from firstaudio.engines.kokoro.runtimes.cost import Cost
from firstaudio.engines.kokoro.runtimes.router import Router
from firstaudio.errors import EngineError

LANES = 4
FAULTS = st.dictionaries(st.integers(0, 12), st.sampled_from(["raise", "silent", "nan"]), max_size=4)


def step(number: float):
    return {"x": np.array([number, 1.0, -1.0], np.float32)}


def routed(name, session, per_size_ns=None):
    return RoutedSession(name, session, Cost() if per_size_ns is None else Cost.seeded(1.0, per_size_ns))


def test_a_step_goes_to_the_faster_session(fakes):
    slow, fast = fakes.Session(), fakes.Session()
    router = Router([routed("slow", slow, 90.0), routed("fast", fast, 30.0)])

    _, name = router.run(step(1), 10, fakes.is_valid)

    assert (name, slow.num_runs, fast.num_runs) == ("fast", 0, 1)


def test_sessions_of_unknown_cost_are_all_tried_then_the_faster_one_is_used(fakes):
    clock = fakes.Clock()
    router = Router([routed("slow", fakes.Session(clock, [9.0])), routed("fast", fakes.Session(clock, [3.0]))], clock)

    names = [router.run(step(n), 10, fakes.is_valid)[1] for n in range(5)]

    assert names == ["slow", "fast", "fast", "fast", "fast"]


@pytest.mark.parametrize("fault", ["raise", "silent", "nan"])
def test_a_session_that_fails_what_another_can_do_is_retired_and_the_step_is_not_lost(fakes, fault):
    bad, good = fakes.Session(faults={0: fault}), fakes.Session()
    router = Router([routed("bad", bad, 1.0), routed("good", good, 9.0)])

    names = [router.run(step(n), 10, fakes.is_valid)[1] for n in range(3)]
    first, second = router.statistics()

    assert names == ["good", "good", "good"]
    assert (bad.num_runs, first.num_runs, first.num_failures) == (1, 0, 1)
    assert first.retired is not None
    assert first.retired.reason == first.last_failure != ""
    assert first.retired.at.endswith("+00:00")
    assert (second.num_runs, second.num_failures, second.retired) == (3, 0, None)


def test_what_a_driver_raises_on_its_own_is_a_failure_of_its_session(fakes, caplog):
    class Odd(fakes.Session):
        def run(self, inputs):
            raise OSError("the device went away")

    router = Router([routed("odd", Odd(), 1.0), routed("good", fakes.Session(), 9.0)])

    assert router.run(step(1), 10, fakes.is_valid)[1] == "good"
    assert "the device went away" in router.statistics()[0].retired.reason
    assert "session odd of the graph failed unexpectedly" in caplog.text


def test_a_session_that_goes_silent_later_is_found(fakes):
    bad = fakes.Session(faults={2: "silent"})
    router = Router([routed("bad", bad, 1.0), routed("good", fakes.Session(), 9.0)], fakes.Clock())

    assert [router.run(step(n), 10, fakes.is_valid)[1] for n in range(4)] == ["bad", "bad", "good", "good"]


def test_a_step_that_fails_everywhere_raises_and_retires_nobody(fakes):
    sessions = [fakes.Session(faults={0: "raise"}), fakes.Session(faults={0: "nan"})]
    router = Router([routed("one", sessions[0], 1.0), routed("two", sessions[1], 9.0)])

    with pytest.raises(EngineError, match="one: it fell over; two: its output was not finite") as raised:
        router.run(step(1), 10, fakes.is_valid)

    assert raised.value.retryable
    assert [(s.num_failures, s.retired) for s in router.statistics()] == [(1, None), (1, None)]
    assert router.run(step(2), 10, fakes.is_valid)[1] == "one"


def test_the_only_session_is_never_retired(fakes):
    router = Router([routed("only", fakes.Session(faults={0: "raise", 1: "raise"}))])

    for _ in range(2):
        with pytest.raises(EngineError):
            router.run(step(1), 10, fakes.is_valid)

    assert router.run(step(1), 10, fakes.is_valid)[1] == "only"
    assert (router.statistics()[0].num_runs, router.statistics()[0].num_failures) == (1, 2)


def test_two_sessions_that_fail_each_others_steps_at_once_do_not_retire_each_other(fakes):
    """Each step fails on one session and is done by the other; whoever ends first decides, and one stays."""
    meet = threading.Barrier(2)

    class Once(fakes.Session):
        def run(self, inputs):
            if self.num_runs == 0:
                self.num_runs += 1
                meet.wait(timeout=10)
                raise EngineError("it fell over")
            return super().run(inputs)

    router = Router([routed("one", Once(), 1.0), routed("two", Once(), 1.0)])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: router.run(step(n), 10, fakes.is_valid), range(2)))

    assert sum(s.retired is None for s in router.statistics()) == 1


def test_an_error_that_is_no_failure_of_a_session_leaves_no_seat_behind(fakes):
    def is_valid(outputs):
        raise KeyError("a bug of the caller")

    router = Router([routed("only", fakes.Session())])

    with pytest.raises(KeyError):
        router.run(step(1), 10, is_valid)

    assert router.statistics()[0].num_queued == 0
    assert router.run(step(2), 10, fakes.is_valid)[1] == "only"


def test_a_step_that_waits_for_a_session_that_is_retired_goes_elsewhere(fakes):
    """The first step fails on `bad` while a second one waits there; `good` is slow, so both chose `bad`."""
    second_waits, may_fail = threading.Event(), threading.Event()

    class Bad(fakes.Session):
        def run(self, inputs):
            assert may_fail.wait(timeout=10)
            self.num_runs += 1
            raise EngineError("it fell over")

    bad = Bad()
    router = Router([routed("bad", bad, 1.0), routed("good", fakes.Session(), 1000.0)])
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(router.run, step(n), 10, fakes.is_valid) for n in range(2)]
        while router.statistics()[0].num_queued < 2:
            second_waits.wait(0.001)
        may_fail.set()
        names = [each.result(timeout=10)[1] for each in done]

    assert names == ["good", "good"]
    assert bad.num_runs in (1, 2)  # the second one may have begun before the first one was done elsewhere


@settings(max_examples=40, deadline=None)
@given(faults=st.lists(FAULTS, min_size=1, max_size=3), num_steps=st.integers(1, 12))
def test_every_step_runs_once_or_raises_and_says_truly_where(fakes, faults, num_steps):
    """Several lanes, sessions that fail at any time: whatever happens, counters and queues agree with what was done."""
    sessions = {str(i): fakes.Session(faults=faults[i]) for i in range(len(faults))}
    router = Router([routed(name, session) for name, session in sessions.items()])

    def lane(number):
        try:
            outputs, name = router.run(step(number), 1.0, fakes.is_valid)
        except EngineError:
            return number, None, None
        return number, float(outputs["audio"][0]), name

    with ThreadPoolExecutor(LANES) as pool:
        results = list(pool.map(lane, [float(n) for n in range(1, num_steps + 1)]))

    for number, heard, name in results:
        did = [other for other, session in sessions.items() if number in session.done]
        assert did == ([] if name is None else [name])
        assert heard in (None, number)
    for statistics in router.statistics():
        session = sessions[statistics.name]
        assert statistics.num_queued == 0
        assert session.num_runs == statistics.num_runs + statistics.num_failures
        assert len(session.done) == statistics.num_runs
        assert session.most_inside <= 1
    assert any(statistics.retired is None for statistics in router.statistics())


def test_a_step_goes_to_the_slower_session_where_the_faster_one_is_taken_for_longer(fakes):
    fast, slow = routed("fast", fakes.Session(), 3.0), routed("slow", fakes.Session(), 5.0)
    board = Board([slow, fast])
    names = [board.take(10, 0).session.name for _ in range(4)]

    assert names == ["fast", "slow", "fast", "fast"]  # fast ends at 30, then 60, then 90; slow at 50, then 100


def test_a_stand_by_is_given_nothing_while_another_session_is_in_order(fakes):
    """However fast it is, and however long the others are waited for."""
    slow, fast = routed("slow", fakes.Session(), 90.0), routed("fast", fakes.Session(), 1.0)
    fast.is_stand_by = True
    board = Board([slow, fast])

    assert [board.take(10, 0).session.name for _ in range(3)] == ["slow", "slow", "slow"]
    assert board.take(10, 0, tried=[slow]).session.name == "fast"


def test_a_stand_by_takes_over_from_a_session_that_is_retired(fakes):
    stand_by = RoutedSession("one", fakes.Session(), is_stand_by=True, is_loaded=False)
    router = Router([routed("one", fakes.Session(faults={1: "nan"})), stand_by])

    names = [router.run(step(n), 10, fakes.is_valid)[1] for n in range(4)]
    first, second = router.statistics()

    assert names == ["one"] * 4  # the same runtime in another session
    assert (first.num_runs, first.num_failures, first.is_stand_by) == (1, 1, False)
    assert (second.num_runs, second.num_failures, second.is_stand_by) == (3, 0, True)


def test_a_cost_is_unknown_until_the_session_has_run(fakes):
    """What was measured before it was loaded is where its prediction begins, and nothing that it has done."""
    router = Router([routed("one", fakes.Session(), 30.0)])
    before = router.statistics()[0]
    router.run(step(1), 10, fakes.is_valid)
    after = router.statistics()[0]

    assert (before.num_runs, before.fixed_ms, before.per_size_ms) == (0, None, None)
    assert after.num_runs == 1
    assert after.per_size_ms is not None


def test_what_loading_takes_is_no_cost_of_a_step(fakes):
    clock = fakes.Clock()
    session = RoutedSession("late", fakes.Session(clock, [5000.0, 20.0, 20.0]), is_loaded=False)
    router = Router([session], clock)
    router.run(step(0), 10, fakes.is_valid)
    loaded = router.statistics()[0]
    router.run(step(1), 10, fakes.is_valid)
    known = router.statistics()[0]

    assert (loaded.is_loaded, loaded.num_runs, loaded.busy_s, loaded.per_size_ms) == (True, 1, 5.0, None)
    assert (known.fixed_ms, known.per_size_ms) == (0.0, 2.0)


def test_time_that_has_passed_is_not_waited_for_again(fakes):
    fast, slow = routed("fast", fakes.Session(), 3.0), routed("slow", fakes.Session(), 5.0)
    board = Board([slow, fast])
    board.take(10, 0).began_ns = 0

    assert board.take(10, 25).session.name == "fast"  # 5 left, then 30: sooner than 50


ARRIVALS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(arrivals=ARRIVALS, first=st.integers(1, 9), second=st.integers(1, 9))
def test_two_sessions_never_end_later_than_the_faster_one_alone(fakes, arrivals, first, second):
    """Each step takes its size times the session's pace, as predicted."""
    arrivals = sorted(arrivals)
    both, alone = finish(fakes, arrivals, [first, second]), finish(fakes, arrivals, [min(first, second)])

    assert max(both) <= max(alone)


@settings(max_examples=150, deadline=None)
@given(arrivals=ARRIVALS, first=st.integers(1, 9), second=st.integers(1, 9), wrong=st.floats(0.7, 1.4))
def test_with_costs_known_badly_at_first_it_is_at_most_some_steps_worse(fakes, arrivals, first, second, wrong):
    """Predictions of the first session begin wrong by up to 40 %, so the seat that is taken may be the worse one."""
    arrivals = sorted(arrivals)
    paces = [first, second]
    both = finish(fakes, arrivals, paces, wrong)
    alone = finish(fakes, arrivals, [min(paces)])
    largest = max(size for _, size in arrivals) * max(paces)

    assert max(both) <= max(alone) * 1.4 + largest


def finish(fakes, arrivals, paces, wrong=1.0):
    """When each step ends, on a board whose sessions take `size * pace`."""
    sessions = [RoutedSession(str(i), fakes.Session(), Cost.seeded(1.0, pace)) for i, pace in enumerate(paces)]
    sessions[0].cost = Cost.seeded(1.0, paces[0] * wrong)
    board, free_at, ends, running = Board(sessions), dict.fromkeys(map(str, range(len(paces))), 0), [], []
    for now, size in arrivals:
        for seat, end, begin, done_size in sorted(running, key=lambda row: row[1]):
            if end <= now:
                board.leave(seat)
                seat.session.cost.learn(done_size, end - begin)
                running.remove((seat, end, begin, done_size))
            elif begin <= now:
                seat.began_ns = begin
        seat = board.take(size, now)
        begin = max(now, free_at[seat.session.name])
        end = begin + size * paces[int(seat.session.name)]
        free_at[seat.session.name] = end
        if begin == now:
            seat.began_ns = now
        running.append((seat, end, begin, size))
        ends.append(end)
    return ends
