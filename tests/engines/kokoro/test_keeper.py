"""Something heavy, kept while it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from firstaudio.engines.kokoro.keeper import Keeper
from firstaudio.errors import ConfigError

TIMEOUT_S = 30.0


class FakeTimer:
    """A timer that fires when the test says so."""

    made: list[FakeTimer]

    def __init__(self, interval: float, function: Callable[[], None]) -> None:
        self.interval, self.function = interval, function
        self.daemon = self.is_started = self.is_cancelled = False
        self.made.append(self)

    def start(self) -> None:
        self.is_started = True

    def cancel(self) -> None:
        self.is_cancelled = True

    def fire(self) -> None:
        assert self.is_started
        self.function()


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[FakeTimer]:
    monkeypatch.setattr(FakeTimer, "made", [], raising=False)
    monkeypatch.setattr(threading, "Timer", FakeTimer)
    return FakeTimer.made


@pytest.fixture
def loads() -> list[object]:
    return []


@pytest.fixture
def keeper(loads: list[object]) -> Keeper[object]:
    def load() -> object:
        loads.append(object())
        return loads[-1]

    return Keeper(load, 30.0)


def test_it_is_loaded_when_it_is_needed_and_once_for_all(
    keeper: Keeper[object], loads: list[object], timers: list[FakeTimer]
):
    assert keeper.peek() is None
    with keeper.use() as first, keeper.use() as second:
        assert first is second is keeper.peek()
    with keeper.use() as third:
        assert third is first
    assert len(loads) == 1


def test_unused_it_is_let_go_and_loaded_again(keeper: Keeper[object], loads: list[object], timers: list[FakeTimer]):
    with keeper.use():
        assert timers == []
    [timer] = timers
    assert (timer.interval, timer.daemon, timer.is_started) == (30.0, True, True)
    timer.fire()
    assert keeper.peek() is None
    with keeper.use() as again:
        assert again is loads[1]


def test_it_is_kept_while_one_of_two_uses_it(keeper: Keeper[object], timers: list[FakeTimer]):
    with keeper.use():
        with keeper.use():
            pass
        assert timers == []
    assert len(timers) == 1


def test_whoever_comes_in_time_stops_the_timer(keeper: Keeper[object], timers: list[FakeTimer], loads: list[object]):
    with keeper.use():
        pass
    with keeper.use():
        assert timers[0].is_cancelled
        timers[0].fire()  # it had begun when it was cancelled
        assert keeper.peek() is not None
    assert len(loads) == 1
    assert not timers[1].is_cancelled


def test_whoever_fails_inside_is_no_user_any_more(keeper: Keeper[object], timers: list[FakeTimer]):
    with pytest.raises(ZeroDivisionError), keeper.use():
        raise ZeroDivisionError
    timers[0].fire()
    assert keeper.peek() is None


def test_never_means_never(timers: list[FakeTimer]):
    keeper: Keeper[object] = Keeper(object)
    with keeper.use():
        pass
    assert timers == []
    assert keeper.peek() is not None


def test_what_cannot_be_loaded_is_tried_again_by_the_next(timers: list[FakeTimer]):
    found: list[Any] = [ConfigError("no file"), object()]

    def load() -> object:
        each = found.pop(0)
        if isinstance(each, ConfigError):
            raise each
        return each

    keeper = Keeper(load, 30.0)
    with pytest.raises(ConfigError, match="no file"), keeper.use():
        pass
    with keeper.use() as loaded:
        assert loaded is not None
    timers[-1].fire()
    assert keeper.peek() is None


def test_closed_it_is_let_go_and_no_timer_runs(keeper: Keeper[object], timers: list[FakeTimer]):
    with keeper.use():
        pass
    keeper.close()
    keeper.close()
    assert keeper.peek() is None
    assert timers[0].is_cancelled
    assert len(timers) == 1


def test_closed_while_it_is_used_it_is_let_go_and_no_timer_starts(keeper: Keeper[object], timers: list[FakeTimer]):
    with keeper.use() as held:
        keeper.close()
        assert held is not None
    assert keeper.peek() is None
    assert timers == []


def test_many_at_once_load_it_once(keeper: Keeper[object], loads: list[object], timers: list[FakeTimer]):
    begin = threading.Barrier(8)
    seen: list[object] = []

    def use() -> None:
        begin.wait(20)
        with keeper.use() as held:
            seen.append(held)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(loads) == 1
    assert seen == loads * 8


class Gate:
    """A load that ends when the test says so."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.problem: Exception | None = None
        self.num_loads = 0

    def __call__(self) -> object:
        self.num_loads += 1
        self.begun.set()
        assert self.may_end.wait(TIMEOUT_S)
        if self.problem is not None:
            raise self.problem
        return object()


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_what_is_there_needs_no_waking(keeper: Keeper[object], loads: list[object], timers: list[FakeTimer]):
    with keeper.use():
        assert keeper.awaken() is None
    assert keeper.awaken() is None
    assert len(loads) == 1


def test_whoever_wakes_it_goes_on_and_is_told_when_it_is_there(gate: Gate, timers: list[FakeTimer]):
    keeper = Keeper(gate, 30.0)
    told = [threading.Event() for _ in range(3)]
    for event in told[:2]:
        waiting = keeper.awaken()
        assert waiting is not None
        waiting(event.set)
    assert gate.begun.wait(TIMEOUT_S)
    assert not any(event.is_set() for event in told)
    gate.may_end.set()

    assert all(event.wait(TIMEOUT_S) for event in told[:2])
    assert keeper.peek() is not None
    assert (gate.num_loads, keeper.awaken()) == (1, None)
    waiting(told[2].set)  # who asks after the end is told at once
    assert told[2].is_set()
    assert keeper.load_s > 0
    assert len(timers) == 1  # nobody may come: then it is let go again


def test_whoever_waits_for_what_cannot_be_loaded_is_told_too_and_the_next_tries_again(
    gate: Gate, timers: list[FakeTimer], caplog: pytest.LogCaptureFixture
):
    keeper, told = Keeper(gate, 30.0), threading.Event()
    gate.problem = ConfigError("no file")
    gate.may_end.set()
    waiting = keeper.awaken()
    assert waiting is not None
    waiting(told.set)
    assert told.wait(TIMEOUT_S)
    assert "could not be loaded again" in caplog.text
    assert keeper.peek() is None

    gate.problem = None
    with keeper.use() as found:
        assert found is not None
    assert gate.num_loads == 2


def test_it_is_not_closed_in_the_middle_of_loading(gate: Gate, timers: list[FakeTimer]):
    keeper, told = Keeper(gate, 30.0), threading.Event()
    waiting = keeper.awaken()
    assert waiting is not None
    waiting(told.set)
    assert gate.begun.wait(TIMEOUT_S)
    closing = threading.Thread(target=keeper.close)
    closing.start()
    gate.may_end.set()
    closing.join(TIMEOUT_S)

    assert told.is_set()
    assert (keeper.peek(), keeper.awaken()) == (None, None)
