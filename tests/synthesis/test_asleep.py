"""An engine that gave up its model: who waits for it keeps no lane and hears no gap, and nothing is taken for warm."""

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest

from firstaudio.clock import now_ns
from firstaudio.config import Config, EngineConfig, SyntheticConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

TIMEOUT_S = 30.0
LOAD_S = 7.0
KEPT = "Once upon a time, there was a keeper of a lighthouse. And this was never said before: {}."


class Sleeper(SyntheticEngine):
    """Gives up what it needs when the test says so, and loads it until the test says so."""

    def __init__(self, config):
        super().__init__(config)
        self.is_asleep, self.num_loads, self.num_prepared_asleep = False, 0, 0
        self._lock, self._waiting = threading.Lock(), []

    @property
    def info(self):
        return replace(super().info, expected_startup_s=0.5)

    @property
    def asleep_s(self):
        return LOAD_S if self.is_asleep else 0.0

    def awaken(self):
        with self._lock:
            if not self.is_asleep:
                return None
            self.num_loads += not self._waiting
            return self._tell

    def _tell(self, done):
        with self._lock:
            if self.is_asleep:
                self._waiting.append(done)
                return
        done()

    def wake(self):
        with self._lock:
            self.is_asleep = False
            waiting, self._waiting = self._waiting, []
        for done in waiting:
            done()

    def prepare(self, request):
        self.num_prepared_asleep += self.is_asleep
        return super().prepare(request)


@pytest.fixture
async def scene():
    """A synthesizer with one lane and its engine, which has spoken and kept the first segment of `KEPT`."""
    config = Config(
        engine=EngineConfig(names=("synthetic",), default_voice="default"),
        synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.02, capacity=1),
    )
    engine = Sleeper(config)
    one = Synthesizer(config, {"synthetic": engine})
    await one.start()
    await hear(one.stream(Utterance(KEPT.format(0))))
    yield one, engine
    engine.wake()
    await one.close()


async def hear(stream):
    chunks = [chunk.pcm async for chunk in stream]
    return np.concatenate(chunks), stream.trace


async def until_joined(one, count):
    async with asyncio.timeout(TIMEOUT_S):
        while one.statistics()["synthetic"].num_joined < count:  # noqa: ASYNC110 (a step that ends is no event)
            await asyncio.sleep(0.001)


async def test_those_who_wait_for_the_model_keep_no_lane_and_it_is_loaded_once(scene):
    one, engine = scene
    engine.is_asleep = True
    hearing = [asyncio.create_task(hear(one.stream(Utterance(f"Text number {n}.")))) for n in range(3)]
    await until_joined(one, 3)
    now = one.statistics()["synthetic"]
    assert (now.num_busy_lanes, now.num_waiting) == (0, 0)
    engine.wake()
    async with asyncio.timeout(TIMEOUT_S):
        heard = await asyncio.gather(*hearing)

    assert (engine.num_loads, engine.num_prepared_asleep) == (1, 0)
    assert {trace.warmth for _, trace in heard} == {"cold"}
    assert all(trace.outcome == "completed" for _, trace in heard)


async def test_kept_audio_is_held_back_until_what_follows_it_can_be_made(scene):
    one, engine = scene
    engine.is_asleep = True
    stream = one.stream(Utterance(KEPT.format(1)))
    hearing = asyncio.create_task(hear(stream))
    await until_joined(one, 1)
    assert stream.trace.first_chunk_ns is None
    engine.wake()
    async with asyncio.timeout(TIMEOUT_S):
        _, trace = await hearing

    assert (trace.warmth, trace.outcome) == ("cold", "completed")
    _, again = await hear(one.stream(Utterance(KEPT.format(2))))
    assert again.warmth == "cached"


async def test_the_time_of_loading_is_time_in_the_queue(scene):
    one, engine = scene
    engine.is_asleep = True
    stream = one.stream(Utterance("Nobody has said this."))
    hearing = asyncio.create_task(hear(stream))
    await until_joined(one, 1)
    since_ns = now_ns()
    await asyncio.to_thread(sum, range(100_000))
    waited_ns = now_ns() - since_ns
    engine.wake()
    async with asyncio.timeout(TIMEOUT_S):
        _, trace = await hearing
    assert trace.stages_ns["queue"] >= waited_ns
    assert sum(trace.stages_ns.values()) - trace.stages_ns["queue"] <= trace.finished_ns - trace.accepted_ns - waited_ns


async def test_what_is_predicted_knows_of_the_loading(scene):
    one, engine = scene
    predicted_ms = {}
    for engine.is_asleep in (True, False):
        stream = one.stream(Utterance("And this one has to wait."))
        predicted_ms[engine.is_asleep] = stream.trace.predicted_ttfa_ms
        await stream.aclose()
    assert predicted_ms[True] == pytest.approx(predicted_ms[False] + LOAD_S * 1000)


async def test_a_listener_may_go_away_while_the_model_is_loaded(scene):
    one, engine = scene
    engine.is_asleep = True
    stream = one.stream(Utterance("Nobody stays for this."))
    await until_joined(one, 1)
    async with asyncio.timeout(TIMEOUT_S):
        await stream.aclose()
    assert (one.num_streams, one.cache._running) == (0, {})
    engine.wake()
