"""An engine that fails again and again rests, is told of, and is tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.config import Config, EngineConfig, SyntheticConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError
from firstaudio.synthesis.circuit import FIRST_REST_S, LONGEST_REST_S, MAX_FAILURES, Circuit
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

TEXT = "The first clause is short, and it goes out at once. The second sentence follows while the first one plays!"
ON = Config(engine=EngineConfig(failover=True), synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.02))


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_ns = 1

    def __call__(self) -> int:
        return self.now_ns

    def passes(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def time() -> Time:
    return Time()


def fail(circuit: Circuit, times: int = 1) -> None:
    for stream in [object() for _ in range(times)]:
        circuit.begin(stream)
        circuit.failed(stream, "no memory")
        circuit.ended(stream, completed=False)


def succeed(circuit: Circuit) -> None:
    stream = object()
    circuit.begin(stream)
    circuit.heard(stream)
    circuit.ended(stream, completed=True)


def resting(time: Time) -> Circuit:
    circuit = Circuit("slow", clock=time)
    fail(circuit, MAX_FAILURES)
    return circuit


def test_failures_in_a_row_begin_a_rest_and_the_reason_is_told(time: Time):
    circuit = Circuit("slow", clock=time)
    fail(circuit, MAX_FAILURES - 1)
    assert not circuit.is_open
    fail(circuit)
    assert circuit.is_open
    assert circuit.message == ("the slow engine failed 3 times in a row and rests, it is tried again in 5 s: no memory")


def test_a_success_between_failures_begins_the_count_anew(time: Time):
    circuit = Circuit("slow", clock=time)
    for _ in range(5):
        fail(circuit, MAX_FAILURES - 1)
        succeed(circuit)
    assert not circuit.is_open


def test_one_stream_finds_out_after_a_rest_and_the_others_wait_for_what_it_hears(time: Time):
    circuit = resting(time)
    time.passes(FIRST_REST_S)
    assert not circuit.is_open
    probe, other = object(), object()
    circuit.begin(probe)
    assert circuit.is_open
    assert "a request is trying it now" in circuit.message
    circuit.begin(other)
    circuit.heard(other)
    circuit.ended(other, completed=False)
    assert circuit.is_open
    circuit.heard(probe)
    assert not circuit.is_open


def test_a_probe_that_is_cancelled_leaves_the_finding_out_to_the_next(time: Time):
    circuit = resting(time)
    time.passes(FIRST_REST_S)
    probe = object()
    circuit.begin(probe)
    circuit.ended(probe, completed=False)
    assert not circuit.is_open
    succeed(circuit)
    fail(circuit, MAX_FAILURES - 1)
    assert not circuit.is_open


def test_rests_grow_to_a_bound_and_begin_small_again_after_a_success(time: Time):
    circuit = resting(time)
    lengths = []
    for _ in range(2000):
        length = 0.0
        while circuit.is_open:
            time.passes(FIRST_REST_S)
            length += FIRST_REST_S
        lengths.append(length)
        fail(circuit)
    assert lengths[:8] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert set(lengths[8:]) == {LONGEST_REST_S}
    time.passes(LONGEST_REST_S)
    succeed(circuit)
    fail(circuit, MAX_FAILURES)
    time.passes(FIRST_REST_S)
    assert not circuit.is_open


def test_an_engine_that_always_breaks_down_after_its_first_words_rests_longer_and_longer(time: Time):
    circuit = resting(time)
    for rest_s in (FIRST_REST_S, 2 * FIRST_REST_S, 4 * FIRST_REST_S):
        time.passes(rest_s - 1)
        assert circuit.is_open
        time.passes(1)
        probe = object()
        circuit.begin(probe)
        circuit.heard(probe)
        assert not circuit.is_open
        circuit.failed(probe, "no memory")
        assert circuit.is_open


def test_streams_that_began_before_a_rest_make_it_neither_longer_nor_shorter(time: Time):
    circuit = Circuit("slow", clock=time)
    before = [object() for _ in range(10)]
    for stream in before:
        circuit.begin(stream)
    fail(circuit, MAX_FAILURES)
    for stream in before:
        circuit.failed(stream, "no memory")
        circuit.ended(stream, completed=True)
    time.passes(FIRST_REST_S - 1)
    assert circuit.is_open
    time.passes(1)
    assert not circuit.is_open


def test_without_anybody_to_stand_in_nobody_rests(time: Time):
    circuit = Circuit("slow", is_on=False, clock=time)
    fail(circuit, 10 * MAX_FAILURES)
    assert not circuit.is_open


@given(st.lists(st.sampled_from(["begin", "heard", "failed", "completed", "cancelled", "time"]), max_size=60))
def test_whatever_happens_there_is_a_time_when_the_engine_is_asked_again(events: list[str]):
    time = Time()
    circuit = Circuit("slow", clock=time)
    streams: list[object] = []
    for event in events:
        if event == "begin":
            streams.append(object())
            circuit.begin(streams[-1])
        elif event == "time":
            time.passes(60)
        elif streams and event == "heard":
            circuit.heard(streams[0])
        elif streams and event == "failed":
            circuit.failed(streams[0], "no memory")
            circuit.ended(streams.pop(0), completed=False)
        elif streams:
            circuit.ended(streams.pop(0), completed=event == "completed")
    for stream in streams:
        circuit.ended(stream, completed=False)
    time.passes(LONGEST_REST_S)
    assert not circuit.is_open
    succeed(circuit)
    fail(circuit, MAX_FAILURES - 1)
    assert not circuit.is_open


# In a synthesizer.


class Breaks(SyntheticEngine):
    """Fails while it is told to, and counts how often it was asked."""

    def __init__(self, config: Config = ON) -> None:
        super().__init__(config)
        self.is_broken = True
        self.fails_at = 0
        self.num_asked = 0

    def steps(self, prepared: Any) -> Any:
        self.num_asked += 1
        for index, chunk in enumerate(super().steps(prepared)):
            if self.is_broken and index == self.fails_at:
                raise EngineError("out of memory")
            yield chunk


async def speak(one: Synthesizer, text: str = TEXT, **fields: Any) -> Any:
    async with one.stream(Utterance(text, **fields)) as stream:
        assert [chunk async for chunk in stream]
    return stream


@pytest.fixture
async def pair(time: Time) -> Any:
    """A synthesizer that prefers an engine that breaks."""
    engine = Breaks()
    one = Synthesizer(ON, {"breaks": engine, "quick": SyntheticEngine(ON)})
    one._roster["breaks"].circuit._clock = time
    await one.start(wait_for_all=True)
    yield one, engine
    await one.close()


async def test_an_engine_that_rests_is_not_asked_and_that_is_said(pair: Any, time: Time):
    one, engine = pair
    for _ in range(MAX_FAILURES):
        assert (await speak(one)).trace.failover == 'breaks; reason="engine_error"'
    assert engine.num_asked == MAX_FAILURES
    for model in (None, "breaks"):
        stream = await speak(one, engine=model)
        assert (stream.engine, stream.trace.failover) == ("quick", 'breaks; reason="resting"')
    assert engine.num_asked == MAX_FAILURES
    status = one.engine_statuses()[0]
    assert (status.state, status.progress) == ("resting", 1.0)
    assert status.message.endswith("out of memory")
    assert one.readiness.message == f"quick speaks; {status.message}"
    assert one.readiness.state == "ready"
    assert len(one.infos()) == 2
    assert set(one.statistics()) == {"breaks", "quick"}


async def test_it_is_tried_again_and_trusted_again(pair: Any, time: Time):
    one, engine = pair
    for _ in range(MAX_FAILURES):
        await speak(one)
    time.passes(FIRST_REST_S)
    assert (await speak(one)).trace.failover == 'breaks; reason="engine_error"'
    assert one.engine_statuses()[0].state == "resting"
    time.passes(2 * FIRST_REST_S)
    engine.is_broken = False
    stream = await speak(one)
    assert (stream.engine, stream.trace.failover) == ("breaks", None)
    assert one.readiness.message == "ready"


async def test_an_engine_that_rests_is_asked_where_nobody_else_is_left(time: Time):
    engines = {"one": Breaks(), "other": Breaks()}
    crew = Synthesizer(ON, engines)
    for name in engines:
        crew._roster[name].circuit._clock = time
    await crew.start(wait_for_all=True)
    for _ in range(MAX_FAILURES):
        with pytest.raises(EngineError, match="out of memory"):
            await speak(crew)
    assert {status.state for status in crew.engine_statuses()} == {"resting"}
    engines["other"].is_broken = False
    stream = await speak(crew)
    assert (stream.engine, stream.trace.failover) == ("other", 'one; reason="engine_error"')
    await crew.close()


async def test_failures_in_mid_stream_count(pair: Any):
    one, engine = pair
    engine.fails_at = 4
    for _ in range(MAX_FAILURES):
        with pytest.raises(EngineError):
            await speak(one)
    assert (await speak(one)).trace.failover == 'breaks; reason="resting"'


async def test_cancelled_streams_neither_fail_nor_succeed(pair: Any):
    one, engine = pair
    engine.is_broken = False
    for _ in range(2 * MAX_FAILURES):
        stream = one.stream(Utterance(TEXT))
        await anext(stream)
        await stream.aclose()
    assert one.engine_statuses()[0].state == "ready"


async def test_what_was_kept_of_earlier_streams_says_nothing_of_the_engine(pair: Any):
    one, engine = pair
    kept = "Hello there."
    engine.is_broken = False
    await speak(one, text=kept)
    engine.is_broken = True
    for number in range(MAX_FAILURES):
        assert (await speak(one, text=f"{number} {TEXT}")).engine == "quick"
        stream = await speak(one, text=kept)
        assert stream.trace.warmth == "cached" or number == MAX_FAILURES - 1
    assert one.engine_statuses()[0].state == "resting"


async def test_without_failover_every_request_is_a_try():
    config = replace(ON, engine=EngineConfig())
    engine = Breaks(config)
    one = Synthesizer(config, {"breaks": engine})
    await one.start(wait_for_all=True)
    for _ in range(2 * MAX_FAILURES):
        with pytest.raises(EngineError, match="out of memory"):
            await speak(one)
    assert engine.num_asked == 2 * MAX_FAILURES
    assert one.engine_statuses()[0].state == "ready"
    await one.close()
