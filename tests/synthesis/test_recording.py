"""Listeners of one synthesis never wait on a lane: they are told that another is at work, and when it no longer is."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from firstaudio.audio.chunk import Chunk
from firstaudio.clock import now_ns
from firstaudio.config import Config, EngineConfig, SyntheticConfig
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError
from firstaudio.synthesis.cache import PhraseCache
from firstaudio.synthesis.recording import PENDING
from firstaudio.synthesis.segment_key import SegmentKey
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Trace

REQUEST = SpeakRequest("Said by all.", "default", "en-us")
KEY = SegmentKey("synthetic", "", "default", "en-us", 1.0, 1.0, "auto", REQUEST.text)
NUM_CHUNKS = 5
TIMEOUT_S = 20.0


class Stepwise:
    """Stops in the `at`-th of its calls (0 is `prepare`) until it is let go; may fail there."""

    def __init__(self, at, error=None):
        self.at, self.error = at, error
        self.reached, self.gate = threading.Event(), threading.Event()

    def prepare(self, request):
        self._call(0)
        return request

    def steps(self, prepared):
        for index in range(NUM_CHUNKS):
            self._call(index + 1)
            yield Chunk(np.full(10, index, np.int16), 8000)

    def _call(self, number):
        if number == self.at:
            self.reached.set()
            assert self.gate.wait(TIMEOUT_S)
            if self.error is not None:
                raise self.error


@pytest.fixture
def lanes():
    with ThreadPoolExecutor(8) as made:
        yield made


def open_one(cache):
    return cache.open(KEY, Trace(), is_first=True)


def hear(replay, engine):
    """All of it, waiting where another lane is at work; how often that was."""
    heard, num_waits = [], 0
    while True:
        taken = replay.take() if replay.begin(engine, REQUEST) else PENDING
        if taken is None:
            return heard, num_waits
        if taken is not PENDING:
            heard.append(int(taken.chunk.pcm[0]))
            continue
        num_waits += 1
        free = threading.Event()
        replay.when_free(free.set)
        assert free.wait(TIMEOUT_S)


def test_who_asks_while_another_lane_is_at_work_is_told_so_at_once(lanes):
    engine, cache = Stepwise(at=2), PhraseCache(1_000_000)
    first, second = open_one(cache), open_one(cache)
    ahead = lanes.submit(hear, first, engine)
    assert engine.reached.wait(TIMEOUT_S)

    assert second.begin(engine, REQUEST)
    assert second.take().chunk.pcm[0] == 0
    assert second.take() is PENDING
    free = threading.Event()
    second.when_free(free.set)
    assert not free.is_set()
    engine.gate.set()
    assert free.wait(TIMEOUT_S)
    assert ahead.result(TIMEOUT_S) == (list(range(NUM_CHUNKS)), 0)
    assert hear(second, engine) == (list(range(1, NUM_CHUNKS)), 0)


def test_who_asks_while_another_lane_prepares_is_told_so(lanes):
    engine, cache = Stepwise(at=0), PhraseCache(1_000_000)
    first, second = open_one(cache), open_one(cache)
    ahead = lanes.submit(hear, first, engine)
    assert engine.reached.wait(TIMEOUT_S)

    assert not second.begin(engine, REQUEST)
    engine.gate.set()
    ahead.result(TIMEOUT_S)
    assert second.begin(engine, REQUEST)
    assert not second.is_own


def test_a_recording_that_is_free_wakes_at_once():
    replay, calls = open_one(PhraseCache(0)), []
    replay.when_free(lambda: calls.append(True))
    assert calls == [True]


def test_who_waits_is_woken_once():
    engine, cache, calls = Stepwise(at=None), PhraseCache(1_000_000), []
    first, second = open_one(cache), open_one(cache)
    first.begin(engine, REQUEST)
    with first._recording._claim():
        assert second.take() is PENDING
        second.when_free(lambda: calls.append(True))
        assert calls == []
    hear(first, engine)
    assert calls == [True]


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_failure_wakes_all_who_wait_and_is_theirs(lanes, at):
    engine, cache = Stepwise(at, EngineError("no more")), PhraseCache(1_000_000)
    replays = [open_one(cache) for _ in range(4)]
    results = [lanes.submit(hear, replay, engine) for replay in replays]
    assert engine.reached.wait(TIMEOUT_S)
    engine.gate.set()
    for result in results:
        with pytest.raises(EngineError, match="no more"):
            result.result(TIMEOUT_S)


def test_nobody_who_waits_is_forgotten(lanes):
    for _ in range(100):
        engine, cache = Stepwise(at=None), PhraseCache(1_000_000)
        replays = [open_one(cache) for _ in range(8)]
        for result in [lanes.submit(hear, replay, engine) for replay in replays]:
            assert result.result(TIMEOUT_S)[0] == list(range(NUM_CHUNKS))


# With a scheduler.


class SlowText(SyntheticEngine):
    """Stops at a place in a text that says so, until it is let go: where it is prepared, or in its second step."""

    def __init__(self, config, place):
        super().__init__(config)
        self.place, self.gate = place, threading.Event()
        self.num_prepared = 0

    def prepare(self, request):
        self.num_prepared += "slow" in request.text
        self._pass("prepare", request)
        return super().prepare(request)

    def steps(self, prepared):
        for index, chunk in enumerate(super().steps(prepared)):
            if index == 1:
                self._pass("step", prepared.request)
            yield chunk

    def _pass(self, place, request):
        if place == self.place and "slow" in request.text:
            assert self.gate.wait(TIMEOUT_S)


@pytest.fixture(params=["prepare", "step"])
async def scene(request):
    """A synthesizer with three lanes, its engine, and the synthesis of a slow text that six streams listen to."""
    config = Config(
        engine=EngineConfig(names=("synthetic",), default_voice="default"),
        synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.02, capacity=3),
    )
    engine = SlowText(config, request.param)
    one = Synthesizer(config, {"synthetic": engine})
    await one.start()
    streams = [one.stream(Utterance("A slow text, and all want it.")) for _ in range(6)]
    async with asyncio.timeout(TIMEOUT_S):
        while one.statistics()["synthetic"].num_joined < 5:  # noqa: ASYNC110 (a step that ends is no event)
            await asyncio.sleep(0.001)
    yield one, engine, streams
    engine.gate.set()
    await one.close()


async def hear_all(stream):
    return np.concatenate([chunk.pcm async for chunk in stream])


async def test_followers_of_a_slow_text_keep_no_lane_from_another_text(scene):
    one, engine, streams = scene
    now = one.statistics()["synthetic"]
    assert (now.num_lanes, now.num_busy_lanes, now.num_waiting, now.num_joined) == (3, 1, 0, 5)
    assert sorted(stream.snapshot().figures.state for stream in streams) == ["joined"] * 5 + ["running"]

    async with asyncio.timeout(TIMEOUT_S):
        assert len(await hear_all(one.stream(Utterance("Something else."))))
        assert not engine.gate.is_set()
        engine.gate.set()
        heard = await asyncio.gather(*map(hear_all, streams))
    assert engine.num_prepared == 1
    assert all(np.array_equal(heard[0], each) for each in heard)


async def test_time_in_which_another_lane_makes_the_audio_is_time_in_the_queue(scene):
    one, engine, streams = scene
    since_ns = now_ns()
    joined = [stream for stream in streams if stream.snapshot().figures.state == "joined"]
    async with asyncio.timeout(TIMEOUT_S):
        await hear_all(one.stream(Utterance("Something else, for some time.")))
        waited_ns = now_ns() - since_ns
        engine.gate.set()
        await asyncio.gather(*map(hear_all, streams))
    assert min(stream.trace.stages_ns["queue"] for stream in joined) >= waited_ns


async def test_a_follower_may_go_away_while_it_waits(scene):
    one, engine, streams = scene
    follower = next(stream for stream in streams if stream.snapshot().figures.state == "joined")
    async with asyncio.timeout(TIMEOUT_S):
        await follower.aclose()
        assert one.statistics()["synthetic"].num_joined == 4
        engine.gate.set()
        await asyncio.gather(*(hear_all(stream) for stream in streams if stream is not follower))
    assert (one.num_streams, one.cache._running) == (0, {})
