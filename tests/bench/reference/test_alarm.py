"""Calls at exact times, on a real loop; how exact is for the benchmarks."""

from __future__ import annotations

import asyncio
import sys

import pytest

from firstaudio.bench.reference import alarm as alarm_module
from firstaudio.bench.reference.alarm import Alarm
from firstaudio.clock import NS_PER_MS, now_ns

MS = NS_PER_MS


@pytest.fixture(params=["kernel timer", "loop timer"])
async def alarm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if request.param == "loop timer":
        monkeypatch.setattr(sys, "platform", "elsewhere")
    elif sys.platform != "linux":
        pytest.skip("only Linux has it")
    made = Alarm(asyncio.get_running_loop())
    yield made
    made.close()


async def test_nothing_is_called_before_it_is_due_and_all_in_order(alarm: Alarm):
    called: list[tuple[int, int]] = []
    done = asyncio.Event()
    begin_ns = now_ns()
    for offset_ms in (9, 3, 6, 3, 0):
        due_ns = begin_ns + offset_ms * MS
        alarm.at(due_ns, lambda due_ns=due_ns: called.append((due_ns, now_ns())))
    alarm.at(begin_ns + 10 * MS, done.set)
    await done.wait()

    assert [due_ns for due_ns, _ in called] == [begin_ns + offset * MS for offset in (0, 3, 3, 6, 9)]
    assert [at_ns >= due_ns for due_ns, at_ns in called] == [True] * 5


async def test_what_is_due_already_is_called_by_the_loop_and_not_at_once(alarm: Alarm):
    called = asyncio.Event()
    alarm.at(0, called.set)
    assert not called.is_set()
    await called.wait()


async def test_a_cancelled_call_is_never_made(alarm: Alarm):
    called, done = [], asyncio.Event()
    alarm.at(now_ns() + MS, lambda: called.append("cancelled")).cancel()
    alarm.at(now_ns() + 4 * MS, done.set)
    await done.wait()

    assert called == []


async def test_a_call_may_ask_for_the_next(alarm: Alarm):
    done, count = asyncio.Event(), iter(range(5))

    def again() -> None:
        if next(count) < 4:
            alarm.at(now_ns() + MS // 2, again)
        else:
            done.set()

    again()
    await done.wait()

    assert list(count) == []


async def test_an_earlier_call_overtakes_one_that_is_waited_for(alarm: Alarm):
    order, done = [], asyncio.Event()
    alarm.at(now_ns() + 12 * MS, lambda: (order.append("late"), done.set()))
    await asyncio.sleep(0)
    alarm.at(now_ns() + MS, lambda: order.append("early"))
    await done.wait()

    assert order == ["early", "late"]


async def test_without_a_kernel_timer_the_loops_own_is_used(monkeypatch: pytest.MonkeyPatch):
    def missing(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(alarm_module._KernelTimer, "__init__", missing)

    assert isinstance(alarm_module._waker(asyncio.get_running_loop(), lambda: None), alarm_module._LoopTimer)
