"""The order of steps, without an engine: fake work on real lanes, a clock that is moved by hand."""

import asyncio
import threading

import numpy as np
import pytest

from firstaudio.audio.chunk import Chunk
from firstaudio.clock import NS_PER_S
from firstaudio.config import StreamingConfig
from firstaudio.errors import EngineError, OverloadedError
from firstaudio.synthesis.scheduler import StepScheduler
from firstaudio.synthesis.step import StepResult

RATE = 8000


class FakeClock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


class FakeWork:
    """Steps of stated length; writes its name into a shared log; may be held at a gate, or fail."""

    def __init__(self, name, log, steps, audio_s=0.1, fail_at=None, gate=None):
        self.name, self.log, self.steps, self.audio_s = name, log, steps, audio_s
        self.fail_at, self.gate = fail_at, gate
        self.num_done = 0
        self.num_closed = 0
        self.leads = []
        self.crowded = []

    def step(self, lead_s, crowded):
        self.crowded.append(crowded)
        self.leads.append(lead_s)
        if self.gate is not None:
            assert self.gate.wait(10)
        self.log.append(self.name)
        if self.fail_at == self.num_done:
            raise EngineError("as told")
        self.num_done += 1
        chunk = Chunk(np.zeros(round(self.audio_s * RATE), np.int16), RATE)
        left_s = (self.steps - self.num_done) * self.audio_s
        return StepResult([chunk], self.num_done == self.steps, left_s)

    def close(self):
        self.num_closed += 1


class Tickets:
    """A gate that lets through as many steps as tickets were given."""

    def __init__(self):
        self._tickets = threading.Semaphore(0)

    def give(self, number):
        self._tickets.release(number)

    def wait(self, timeout):
        return self._tickets.acquire(timeout=timeout)


@pytest.fixture
async def scheduler():
    made = []

    def make(num_lanes=1, rtf=0.0, clock=None, **config):
        made.append(StepScheduler(num_lanes, StreamingConfig(**config), rtf, clock or FakeClock()))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def read(stream):
    return [chunk async for chunk in stream]


async def settle(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("did not settle")


async def test_chunks_come_in_order_and_the_work_is_closed_once(scheduler):
    work = FakeWork("a", [], steps=5)
    stream = scheduler().open(work, 0.5)
    assert len(await read(stream)) == 5
    await stream.closed.wait()
    assert work.num_closed == 1


async def test_a_newcomer_goes_before_the_surplus_of_streams_that_have_a_lead(scheduler):
    log, tickets = [], Tickets()
    one = scheduler(max_lead_s=100.0)
    old = one.open(FakeWork("old", log, steps=5, audio_s=5.0, gate=tickets), 25.0)
    tickets.give(1)
    await settle(lambda: one.statistics().num_steps == 1)  # five seconds ahead, and its second step waits on the lane
    new = one.open(FakeWork("new", log, steps=3, audio_s=0.05), 0.15)
    tickets.give(4)
    await asyncio.gather(read(old), read(new))
    assert log == ["old", "old", "new", "new", "new", "old", "old", "old"]


async def test_the_earliest_deadline_goes_first(scheduler):
    log, gate, clock = [], threading.Event(), FakeClock()
    one = scheduler(clock=clock)
    blocker = one.open(FakeWork("blocker", log, steps=1, gate=gate), 0.1)
    late = one.open(FakeWork("late", log, steps=1), 0.1)
    clock.now -= NS_PER_S  # arrived before the others, as the clock has it
    early = one.open(FakeWork("early", log, steps=1), 0.1)
    gate.set()
    await asyncio.gather(*(read(stream) for stream in (blocker, late, early)))
    assert log == ["blocker", "early", "late"]


async def test_streams_of_equal_need_take_turns(scheduler):
    log = []
    one = scheduler()
    streams = [one.open(FakeWork(name, log, steps=6), 0.6) for name in "abc"]
    await asyncio.gather(*map(read, streams))
    positions = {name: [i for i, logged in enumerate(log) if logged == name] for name in "abc"}
    # Nobody's third step comes after anybody's last: long streams do not run through.
    assert max(p[2] for p in positions.values()) < min(p[5] for p in positions.values())


async def test_a_reader_that_lags_parks_its_stream_and_reading_wakes_it(scheduler):
    one = scheduler(max_lead_s=1.0)
    work = FakeWork("a", [], steps=100, audio_s=0.25)
    stream = one.open(work, 25.0)
    await settle(lambda: one.statistics().num_parked == 1)
    assert work.num_done == 4
    await stream.__anext__()
    await settle(lambda: work.num_done == 5)
    assert len(await read(stream)) == 99


async def test_a_stream_is_idle_while_nothing_is_to_be_done_before_its_reader_takes_something(scheduler):
    clock, tickets = FakeClock(), Tickets()
    one = scheduler(clock=clock, max_lead_s=1.0)
    stream = one.open(FakeWork("a", [], steps=3, audio_s=1.0, gate=tickets), 3.0)
    idle = [stream.idle_since_ns]
    for num_steps in (1, 2, 3):
        clock.now += NS_PER_S
        tickets.give(1)
        await settle(lambda n=num_steps: one.statistics().num_steps == n)
        idle.append(stream.idle_since_ns)
        clock.now += NS_PER_S
        await stream.__anext__()
        idle.append(stream.idle_since_ns)

    made = clock.now - NS_PER_S
    assert idle == [None, made - 4 * NS_PER_S, None, made - 2 * NS_PER_S, None, made, made]


async def test_what_a_lagging_reader_has_not_read_is_ahead_of_it_however_late_it_is(scheduler):
    clock = FakeClock()
    one = scheduler(rtf=0.5, clock=clock, max_lead_s=8.0)

    class HalfAsLong(FakeWork):
        def step(self, lead_s, crowded):
            clock.now += NS_PER_S
            return super().step(lead_s, crowded)

    works = [HalfAsLong(name, [], steps=9, audio_s=2.0) for name in "ab"]
    lagging = []
    for work in works:
        lagging.append(one.open(work, 18.0))
        await settle(lambda: one.statistics().num_parked == len(lagging))
    clock.now += 60 * NS_PER_S
    assert await read(one.open(FakeWork("c", [], steps=1), 4.0))
    for stream, work in zip(lagging, works, strict=True):
        await stream.__anext__()
        await settle(lambda work=work: work.num_done == 5)
        assert work.leads[-1] == 6.0


async def test_the_lead_is_told_to_the_work(scheduler):
    one = scheduler()
    work = FakeWork("a", [], steps=3, audio_s=0.5)
    await read(one.open(work, 1.5))
    assert work.leads == [0.0, 0.5, 1.0]


async def test_the_work_is_told_when_others_wait_for_a_lane(scheduler):
    one, tickets = scheduler(), Tickets()
    first = FakeWork("a", [], steps=2, gate=tickets)
    streams = [one.open(first, 0.2), one.open(FakeWork("b", [], steps=9, audio_s=5.0), 45.0)]
    tickets.give(2)
    await asyncio.gather(*map(read, streams))
    assert first.crowded == [False, True]


async def test_a_cancelled_stream_stops_within_the_step_that_runs(scheduler):
    one = scheduler()
    gate = threading.Event()
    work = FakeWork("a", [], steps=100, gate=gate)
    stream = one.open(work, 10.0)
    await settle(lambda: one.statistics().num_busy_lanes == 1)
    stream.cancel()
    gate.set()
    await stream.aclose()
    assert (work.num_done, work.num_closed) == (1, 1)
    assert (one.statistics().num_streams, one.statistics().num_busy_lanes) == (0, 0)
    assert await read(stream) == []


async def test_audio_that_was_made_and_not_read_is_gone_after_a_cancel(scheduler):
    one = scheduler()
    stream = one.open(FakeWork("a", [], steps=3), 0.3)
    await stream.closed.wait()
    await stream.aclose()
    assert await read(stream) == []


async def test_a_stream_cancelled_before_its_first_step_does_no_work(scheduler):
    one = scheduler()
    gate = threading.Event()
    blocker = one.open(FakeWork("blocker", [], steps=1, gate=gate), 0.1)
    work = FakeWork("a", [], steps=1)
    stream = one.open(work, 0.1)
    stream.cancel()
    gate.set()
    await asyncio.gather(read(blocker), stream.aclose())
    assert (work.num_done, work.num_closed) == (0, 1)


async def test_a_failure_ends_its_own_stream_after_the_audio_that_was_made(scheduler):
    one = scheduler()
    failing = FakeWork("a", [], steps=9, fail_at=2)
    stream, other = one.open(failing, 0.9), one.open(FakeWork("b", [], steps=9), 0.9)
    assert [await stream.__anext__(), await stream.__anext__()]
    with pytest.raises(EngineError, match="as told"):
        await stream.__anext__()
    await stream.aclose()
    assert failing.num_closed == 1
    assert len(await read(other)) == 9


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, StopAsyncIteration, SystemExit, KeyboardInterrupt])
async def test_whatever_a_step_raises_fails_its_stream_and_nothing_else(scheduler, error):
    class Broken(FakeWork):
        def step(self, lead_s, crowded):
            raise error

    one = scheduler()
    stream, other = one.open(Broken("a", [], steps=1), 0.1), one.open(FakeWork("b", [], steps=9), 0.9)
    with pytest.raises(ZeroDivisionError if error is ZeroDivisionError else RuntimeError):
        await stream.__anext__()
    assert len(await read(other)) == 9


async def test_work_that_cannot_be_closed_is_in_the_log_and_its_stream_ends(scheduler, caplog):
    class Stuck(FakeWork):
        def close(self):
            raise OSError("still busy")

    assert len(await read(scheduler().open(Stuck("a", [], steps=2), 0.2))) == 2
    await settle(lambda: "still busy" in caplog.text)


async def test_lanes_run_steps_of_different_streams_at_the_same_time(scheduler):
    one = scheduler(num_lanes=2)
    barrier = threading.Barrier(2, timeout=10)

    class Meeting(FakeWork):
        def step(self, lead_s, crowded):
            barrier.wait()
            return super().step(lead_s, crowded)

    streams = [one.open(Meeting(name, [], steps=3), 0.3) for name in "ab"]
    assert [len(chunks) for chunks in await asyncio.gather(*map(read, streams))] == [3, 3]


async def test_more_streams_than_allowed_are_refused_with_a_time_to_come_back(scheduler):
    one = scheduler(max_streams=2, max_lead_s=0.1)
    for name in "ab":
        one.open(FakeWork(name, [], steps=50), 5.0)
    with pytest.raises(OverloadedError, match="Retry-After") as refused:
        one.open(FakeWork("c", [], steps=50), 5.0)
    assert 1 <= refused.value.retry_after_s <= 30
    assert one.statistics().num_refused == 1


async def test_listeners_beyond_the_measured_speed_are_refused(scheduler):
    one = scheduler(num_lanes=1, rtf=0.3, max_lead_s=0.1, max_utilization=1.0)
    gate = threading.Event()
    for name in "abc":
        one.open(FakeWork(name, [], steps=1000, gate=gate), 100.0)
    with pytest.raises(OverloadedError):
        one.open(FakeWork("d", [], steps=1000), 100.0)
    gate.set()


async def test_steps_that_bring_no_audio_count_as_work_for_the_next_that_does(scheduler):
    clock = FakeClock()
    one = scheduler(rtf=0.25, clock=clock)

    class EverySecond(FakeWork):
        def step(self, lead_s, crowded):
            clock.now += NS_PER_S // 40
            result = super().step(lead_s, crowded)
            return result if self.num_done % 2 == 0 else result._replace(chunks=[])

    await read(one.open(EverySecond("a", [], steps=100, audio_s=0.2), 10.0))
    assert one.statistics().rtf == pytest.approx(0.25)


async def test_newcomers_who_would_wait_for_too_many_first_steps_are_refused_from_the_second_stream_on(scheduler):
    clock, gate = FakeClock(), threading.Event()
    one = scheduler(clock=clock, max_wait_ms=2000, max_utilization=1.0)

    class SlowToBegin(FakeWork):
        def step(self, lead_s, crowded):
            clock.now += NS_PER_S // 2
            return super().step(lead_s, crowded)

    await read(one.open(SlowToBegin("a", [], steps=1), 0.1))
    assert one.statistics().first_step_s == 0.5
    for _ in range(4):
        one.open(FakeWork("b", [], steps=1, gate=gate), 0.1)
    with pytest.raises(OverloadedError):
        one.open(FakeWork("c", [], steps=1), 0.1)
    gate.set()


async def test_an_engine_slower_than_speech_still_serves_a_stream_per_lane(scheduler):
    one = scheduler(num_lanes=1, rtf=5.0)
    assert len(await read(one.open(FakeWork("a", [], steps=3), 0.3))) == 3


async def test_a_stream_that_waits_for_another_s_step_leaves_its_lane_and_comes_back_when_it_is_called(scheduler):
    one, log, wakes = scheduler(), [], []

    class Follower(FakeWork):
        def step(self, lead_s, crowded):
            result = super().step(lead_s, crowded)
            return result._replace(chunks=[], waits_for=wakes.append) if self.num_done == 1 else result

    work = Follower("follower", log, steps=2)
    stream = one.open(work, 0.2)
    await settle(lambda: wakes)
    assert (stream.figures().state, one.statistics().num_joined, one.statistics().num_busy_lanes) == ("joined", 1, 0)
    assert await read(one.open(FakeWork("other", log, steps=1), 0.1))
    assert log == ["follower", "other"]

    await asyncio.to_thread(wakes.pop())
    assert len(await read(stream)) == 1
    assert (log, one.statistics().num_joined) == (["follower", "other", "follower"], 0)


async def test_a_stream_that_is_called_after_its_end_does_no_more_work(scheduler):
    one, wakes = scheduler(), []

    class Follower(FakeWork):
        def step(self, lead_s, crowded):
            return super().step(lead_s, crowded)._replace(chunks=[], waits_for=wakes.append)

    work = Follower("follower", [], steps=9)
    stream = one.open(work, 0.2)
    await settle(lambda: wakes)
    await stream.aclose()
    wakes.pop()()
    assert await read(one.open(FakeWork("other", [], steps=1), 0.1))
    assert (work.num_done, work.num_closed) == (1, 1)
