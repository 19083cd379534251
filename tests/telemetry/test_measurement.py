"""A finished trace as a row: every number of it, and what is null."""

from dataclasses import fields

import pytest

from firstaudio.clock import NS_PER_MS
from firstaudio.telemetry.measurement import Measurement, bottleneck, measure
from firstaudio.trace import STAGES, Trace

MS = NS_PER_MS


class HandClock:
    def __init__(self) -> None:
        self.now = 1_000 * MS

    def __call__(self) -> int:
        return self.now

    def move_ms(self, ms: float) -> None:
        self.now += round(ms * MS)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def trace(clock: HandClock) -> Trace:
    return Trace(request_id="r", clock=clock)


def spoken(trace: Trace, clock: HandClock) -> Measurement:
    """20 ms of phonemize, 80 ms of inference, audio of 50 ms; a gap of 30 ms; audio of 1 s; the end."""
    for stage, ms in (("phonemize", 20), ("model_inference", 80)):
        with trace.stage(stage):  # type: ignore[arg-type]
            clock.move_ms(ms)
    trace.sent(50 * MS)
    with trace.stage("model_inference"):
        clock.move_ms(80)
    trace.sent(1_000 * MS)
    trace.audio_s = 1.05
    clock.move_ms(30)
    trace.finish("completed")
    return measure(trace, 2_000.0)


def test_times_are_those_of_the_trace(trace: Trace, clock: HandClock):
    row = spoken(trace, clock)

    assert (row.ttfa_ms, row.ttgp_ms, row.duration_ms, row.audio_s) == (100.0, 130.0, 210.0, 1.05)
    assert row.preroll_ms == 30.0
    assert row.rtf == pytest.approx(0.2)
    assert row.timestamp == pytest.approx(2_000.0 - 0.21)


def test_stages_until_the_first_audio_are_apart_from_those_of_the_whole(trace: Trace, clock: HandClock):
    row = spoken(trace, clock)
    nothing = dict.fromkeys(STAGES, 0.0)

    assert row.first_audio_ms == {**nothing, "phonemize": 20.0, "model_inference": 80.0}
    assert row.stages_ms == {**nothing, "phonemize": 20.0, "model_inference": 160.0}
    assert (row.bottleneck, row.category) == ("model_inference", "excellent")


def test_every_other_field_is_the_traces_own(trace: Trace, clock: HandClock):
    trace.engine, trace.voice, trace.language, trace.runtime, trace.decode = "e", "v", "l", "r", "d"
    trace.format, trace.delivery, trace.warmth, trace.origin, trace.run, trace.arm = (
        "f",
        "sse",
        "cold",
        "tuner",
        "n",
        "a",
    )
    trace.text_class, trace.num_characters, trace.speed, trace.num_ahead = "long", 7, 1.5, 3
    trace.num_segments, trace.num_retries, trace.failover, trace.predicted_ttfa_ms = 2, 1, "x", 90.0
    row = spoken(trace, clock)

    same = {field.name for field in fields(Measurement)} & set(Trace.__slots__)
    assert len(same) >= 20
    assert {name: getattr(row, name) for name in same - {"stages_ms"}} == {
        name: getattr(trace, name) for name in same - {"stages_ms"}
    }


def test_without_audio_there_is_no_time_to_it(trace: Trace, clock: HandClock):
    clock.move_ms(40)
    trace.finish("failed", "the engine died")
    row = measure(trace, 10.0)

    assert [row.ttfa_ms, row.ttgp_ms, row.rtf, row.preroll_ms, row.category, row.bottleneck] == [None] * 6
    assert (row.outcome, row.error, row.duration_ms, row.first_audio_ms) == ("failed", "the engine died", 40.0, {})


def test_the_bottleneck_is_the_largest_stage_and_of_equals_the_earlier_one():
    assert bottleneck({"queue": 1.0, "chunk_delivery": 2.0}) == "chunk_delivery"
    assert bottleneck({"chunk_delivery": 2.0, "queue": 2.0}) == "queue"
    assert bottleneck({"queue": 0.0}) is None
    assert bottleneck({}) is None
