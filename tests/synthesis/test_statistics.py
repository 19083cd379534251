"""What schedulers and engines tell of themselves, by a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firstaudio.audio.chunk import Chunk
from firstaudio.clock import NS_PER_S
from firstaudio.config import Config, EngineConfig, StreamingConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError, OverloadedError
from firstaudio.synthesis.scheduler import StepScheduler
from firstaudio.synthesis.step import StepResult
from firstaudio.synthesis.synthesizer import Synthesizer

RATE = 8000


class Work:
    """One second of audio a step, which takes a second of the clock; waits for a ticket before each."""

    def __init__(self, clock: Clock, num_steps: int) -> None:
        self._clock, self._left = clock, num_steps
        self.tickets = threading.Semaphore(0)

    def step(self, lead_s: float, crowded: bool) -> StepResult:
        assert self.tickets.acquire(timeout=10)
        self._clock.now += NS_PER_S
        self._left -= 1
        return StepResult([Chunk(np.zeros(RATE, np.int16), RATE)], not self._left, float(self._left))

    def close(self) -> None:
        pass


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came true")


async def test_streams_and_lanes_are_counted_from_the_first_to_the_last():
    clock = Clock()
    one = StepScheduler(1, StreamingConfig(max_streams=2, max_utilization=1.0, max_wait_ms=60_000), 0.0, clock)
    works = [Work(clock, 2), Work(clock, 1)]
    streams = [one.open(work, 1.0) for work in works]
    with pytest.raises(OverloadedError):
        one.open(Work(clock, 1), 1.0)
    now = one.statistics()
    assert (now.num_streams, now.num_waiting, now.num_busy_lanes, now.num_unstarted) == (2, 1, 1, 2)
    assert (now.num_opened, now.num_refused, now.peak_streams, now.peak_busy_lanes) == (2, 1, 2, 1)
    assert (now.busy_s, now.utilization, now.least_lead_s) == (0.0, None, None)

    works[0].tickets.release()
    await until(lambda: one.statistics().num_steps == 1)
    now = one.statistics()
    assert (now.busy_s, now.age_s, now.utilization) == (1.0, 1.0, 1.0)
    assert (now.unread_s, now.least_lead_s) == (1.0, 1.0)
    clock.now += 3 * NS_PER_S
    assert one.statistics().utilization == 0.25
    assert [chunk.duration_s async for chunk in _first(streams[0])] == [1.0]
    assert one.statistics().unread_s == 0.0
    assert one.statistics().least_lead_s == -2.0

    for work in works:
        work.tickets.release(2)
    await asyncio.gather(*(_drain(stream) for stream in streams))
    await one.close()
    end = one.statistics()
    assert (end.num_streams, end.num_busy_lanes, end.num_waiting) == (0, 0, 0)
    assert (end.num_opened, end.peak_streams, end.num_steps, end.busy_s) == (2, 2, 3, 6.0)  # a step was running


async def _first(stream: Any) -> Any:
    yield await anext(stream)


async def _drain(stream: Any) -> None:
    async for _ in stream:
        pass


class Telling(SyntheticEngine):
    def status(self) -> dict[str, Any]:
        return {"model": "m"}


class Broken(SyntheticEngine):
    def start(self) -> None:
        raise EngineError("no weights")


async def test_engines_tell_of_themselves_and_what_their_start_took():
    config = Config(engine=EngineConfig(failover=True, default_voice="alloy"))
    synthesizer = Synthesizer(
        config, {"telling": Telling(config), "silent": SyntheticEngine(config), "broken": Broken(config)}
    )
    assert [status.start_ms for status in synthesizer.engine_statuses()] == [None, None, None]
    await synthesizer.start(wait_for_all=True)
    try:
        assert synthesizer.engine_reports() == {"telling": {"model": "m"}, "silent": None, "broken": None}
        for status in synthesizer.engine_statuses():
            assert status.start_ms is not None
            assert status.start_ms >= 0
    finally:
        await synthesizer.close()
