"""Texts of the tuner's own are spoken to nobody, and in nobody's way."""

import asyncio
import random
from itertools import islice

import pytest

from firstaudio.config import Config, EngineConfig, StreamingConfig, SyntheticConfig
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.telemetry.tuner.idle import QUIET_S, IdleTraffic, texts

from .conftest import Clock


def test_own_texts_come_in_three_lengths_and_hardly_ever_twice():
    found = list(islice(texts(random.Random(1)), 300))
    assert len({text[:20] for text in found}) == 300
    assert max(map(len, found[::3])) < 140 < min(map(len, found[1::3]))


@pytest.fixture
async def synthesizer():
    config = Config(
        engine=EngineConfig(names=("synthetic",), default_voice="alloy"),
        synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.01, capacity=1),
    )
    one = Synthesizer(config)
    await one.start()
    yield one
    await one.close()


def idle(synthesizer, clock, wanted=lambda: True):
    """Idle traffic whose waiting is the test's: each wait moves the clock."""
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        clock.now_s += seconds
        await asyncio.sleep(0)
        if len(waits) >= 12:
            raise asyncio.CancelledError

    return IdleTraffic(synthesizer, wanted, random.Random(1), clock, sleep), waits


async def test_it_speaks_when_it_has_been_quiet_for_a_while(synthesizer):
    heard, clock = [], Clock()
    synthesizer.add_listener(heard.append)
    traffic, waits = idle(synthesizer, clock)
    with pytest.raises(asyncio.CancelledError):
        await traffic.run()
    assert waits[:2] == [QUIET_S / 2, QUIET_S / 2]
    assert len(heard) == traffic.num_spoken == 10
    assert {(trace.origin, trace.outcome) for trace in heard} == {("tuner", "completed")}
    assert all(trace.ttfa_ms is not None and trace.ttgp_ms is not None for trace in heard)


async def test_it_says_nothing_where_nothing_is_to_be_learned(synthesizer):
    traffic, _ = idle(synthesizer, Clock(), wanted=lambda: False)
    with pytest.raises(asyncio.CancelledError):
        await traffic.run()
    assert traffic.num_spoken == 0


async def test_it_is_silent_while_somebody_listens(synthesizer):
    async with synthesizer.stream(Utterance("A client is served. " * 50)):
        traffic, _ = idle(synthesizer, Clock())
        with pytest.raises(asyncio.CancelledError):
            await traffic.run()
    assert traffic.num_spoken == 0


class Eager(IdleTraffic):
    """Says when it has been heard."""

    def __init__(self, *args):
        super().__init__(*args)
        self.begun = asyncio.Event()

    async def _listen(self, stream):
        await anext(stream)
        self.begun.set()
        return await super()._listen(stream)


async def test_it_makes_way_before_the_client_is_admitted():
    """The one lane can serve one stream and not two: a client would be refused if the tuner's still counted."""
    config = Config(
        engine=EngineConfig(names=("synthetic",), default_voice="alloy"),
        synthetic=SyntheticConfig(ttfa_ms=1.0, rtf=0.8, step_ms=20.0, capacity=1),
        streaming=StreamingConfig(min_chunk_size_ms=10, max_chunk_size_ms=20),
    )
    synthesizer = Synthesizer(config)
    await synthesizer.start()
    heard = []
    synthesizer.add_listener(heard.append)
    traffic = Eager(synthesizer, lambda: True, random.Random(1), Clock())
    traffic._texts = iter(["A text that goes on and on. " * 200])
    plain = synthesizer.assign

    def assign(utterance, trace):
        if trace.origin != "tuner":
            traffic.make_way()
        return plain(utterance, trace)

    synthesizer.assign = assign
    speaking = asyncio.create_task(traffic._speak())
    await traffic.begun.wait()
    try:
        async with synthesizer.stream(Utterance("A client comes, and has a lot to say. " * 20)) as stream:
            assert await anext(stream)
        assert await speaking
    finally:
        await synthesizer.close()
    assert [(each.origin, each.outcome) for each in heard] == [("tuner", "cancelled"), ("client", "cancelled")]
    assert traffic.num_spoken == 0


async def test_its_failures_make_it_slower(synthesizer, monkeypatch):
    clock = Clock()
    traffic, waits = idle(synthesizer, clock)

    async def fail():
        return False

    monkeypatch.setattr(traffic, "_speak", fail)
    with pytest.raises(asyncio.CancelledError):
        await traffic.run()
    assert waits[2:6] == [2 * QUIET_S, 4 * QUIET_S, 8 * QUIET_S, 16 * QUIET_S]
    assert max(waits) == 300.0
