"""What can be seen of the streams that run, at one moment."""

import asyncio
import threading

import numpy as np
import pytest

from firstaudio.audio.chunk import Chunk
from firstaudio.clock import NS_PER_S
from firstaudio.config import Config, EngineConfig, StreamingConfig, SyntheticConfig
from firstaudio.synthesis.scheduler import StepScheduler
from firstaudio.synthesis.step import StepResult
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

RATE = 8000


class HandClock:
    """Moved by hand."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


class GatedWork:
    """Two seconds of audio in each of two steps, each behind a gate."""

    def __init__(self, gate):
        self.gate, self.num_done = gate, 0

    def step(self, lead_s, crowded):
        assert self.gate.acquire(timeout=10)
        self.num_done += 1
        return StepResult([Chunk(np.zeros(2 * RATE, np.int16), RATE)], self.num_done == 2, 2.0 * (2 - self.num_done))

    def close(self):
        pass


async def until(condition):
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("did not come true")


@pytest.fixture
async def scene():
    """A scheduler with one lane, its clock, and a gate for steps."""
    clock, gate = HandClock(), threading.Semaphore(0)
    config = StreamingConfig(first_chunk_target_ms=200, target_buffer_ms=150, max_lead_s=1.0)
    scheduler = StepScheduler(1, config, 0.0, clock)
    yield scheduler, clock, gate
    gate.release(100)
    await scheduler.close()


async def test_before_the_first_audio_a_stream_has_a_deadline_and_no_lead(scene):
    scheduler, clock, _ = scene
    stream = scheduler.open(GatedWork(threading.Semaphore(0)), 4.0)
    try:
        clock.now = NS_PER_S // 10
        figures = stream.figures()
        assert (figures.state, figures.age_s, figures.lead_s) == ("running", 0.1, None)
        assert figures.due_s == pytest.approx(0.1)
        clock.now = NS_PER_S
        assert stream.figures().due_s == pytest.approx(-0.8)  # overdue
    finally:
        stream.work.gate.release(2)


async def test_one_that_waits_for_a_lane_is_told_from_one_that_has_it(scene):
    scheduler, _, gate = scene
    first, second = (scheduler.open(GatedWork(gate), 4.0) for _ in range(2))
    assert [first.figures().state, second.figures().state] == ["running", "ready"]


async def test_the_lead_shrinks_as_the_listener_plays_and_turns_negative_when_it_has_run_out(scene):
    scheduler, clock, gate = scene
    stream = scheduler.open(GatedWork(gate), 4.0)
    gate.release()
    await anext(stream)
    clock.now = NS_PER_S
    figures = stream.figures()
    assert figures.lead_s == pytest.approx(1.0)
    assert figures.due_s == pytest.approx(1.0 - 0.15)
    assert (figures.unread_s, figures.remaining_s) == (0.0, 2.0)
    clock.now = 3 * NS_PER_S
    assert stream.figures().lead_s == pytest.approx(-1.0)


async def test_a_stream_whose_reader_lags_is_parked_with_its_unread_audio(scene):
    scheduler, _, gate = scene
    stream = scheduler.open(GatedWork(gate), 4.0)
    gate.release()
    await until(lambda: stream.figures().state == "parked")
    assert stream.figures().unread_s == 2.0


async def test_a_stream_that_is_made_wants_no_further_chunk(scene):
    scheduler, _, gate = scene
    stream = scheduler.open(GatedWork(gate), 4.0)
    gate.release(2)
    async for _ in stream:
        pass
    figures = stream.figures()
    assert (figures.state, figures.due_s, figures.remaining_s) == ("made", None, 0.0)
    assert figures.lead_s == pytest.approx(4.0)


async def test_the_synthesizer_names_its_streams_in_the_order_of_their_deadlines():
    config = Config(
        engine=EngineConfig(names=("synthetic",)),
        synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.02),
        streaming=StreamingConfig(max_lead_s=0.5),
    )
    one = Synthesizer(config)
    await one.start()
    try:
        begun = one.stream(Utterance("The first of two sentences. " * 40, request_id="begun"))
        async for _ in begun:
            if begun.snapshot().figures.lead_s > 0.4:
                break
        fresh = one.stream(Utterance("A newcomer.", request_id="fresh"))
        assert [snapshot.request_id for snapshot in one.snapshot()] == ["fresh", "begun"]
        newcomer = one.snapshot()[0]
        assert (newcomer.engine, newcomer.voice, newcomer.origin) == ("synthetic", fresh.voice, "client")
        assert newcomer.num_characters == len("A newcomer.")
        await fresh.aclose()
        assert [snapshot.request_id for snapshot in one.snapshot()] == ["begun"]
    finally:
        await one.close()
    assert one.snapshot() == []
