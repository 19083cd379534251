"""Engines that start at their own pace, that cannot start, that fail: who speaks, and what is said about it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from urllib.parse import quote

import pytest

from firstaudio.config import Config, EngineConfig, StreamingConfig, SyntheticConfig
from firstaudio.engines.base import Voice
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import (
    ConfigError,
    EngineError,
    FirstaudioError,
    NotReadyError,
    RequestError,
    UnknownVoiceError,
    WorkerDiedError,
)
from firstaudio.synthesis.casting import describe_failover
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

TEXT = "The first clause is short, and it goes out at once. The second sentence follows while the first one plays!"
ON = Config(
    engine=EngineConfig(failover=True),
    synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.02),
)
OFF = replace(ON, engine=EngineConfig())


class Slow(SyntheticEngine):
    """Starts when told to; has a voice of its own and another rate; fails as told."""

    def __init__(self, config: Config = ON, error: Exception | None = None, rate: int = 16_000) -> None:
        super().__init__(replace(config, synthetic=replace(config.synthetic, sample_rate=rate)))
        self.go = threading.Event()
        self.error = error
        self.num_closed = 0
        self.fails_with: Exception | None = None
        self.fails_at = 0

    def start(self):
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error

    def voices(self):
        return [*super().voices(), Voice("of_its_own", "Own", "en-us")]

    def resolve(self, voice, language):
        return super().resolve("default" if voice == "of_its_own" else voice, language)

    def steps(self, prepared):
        for index, chunk in enumerate(super().steps(prepared)):
            if self.fails_with is not None and index == self.fails_at:
                raise self.fails_with
            yield chunk

    def close(self):
        self.num_closed += 1


@pytest.fixture
async def pair():
    """A synthesizer that prefers `slow` (which waits to be told) to `quick`, and `slow` itself."""
    made = []

    def make(config=ON, **options):
        slow = Slow(config, **options)
        made.append((Synthesizer(config, {"slow": slow, "quick": SyntheticEngine(config)}), slow))
        return made[-1]

    yield make
    for synthesizer, slow in made:
        slow.go.set()
        await synthesizer.close()


async def speak(synthesizer, text=TEXT, **fields):
    async with synthesizer.stream(Utterance(text, **fields)) as stream:
        return [chunk async for chunk in stream], stream


async def whole_start(synthesizer, slow):
    slow.go.set()
    await synthesizer.start()
    await synthesizer.settled()


async def test_engines_start_at_the_same_time():
    meeting = threading.Barrier(2, timeout=10)

    class Meets(SyntheticEngine):
        def start(self):
            meeting.wait()

    one = Synthesizer(OFF, {"a": Meets(OFF), "b": Meets(OFF)})
    await one.start()
    assert one.readiness.state == "ready"
    await one.close()


async def test_without_failover_nothing_is_spoken_before_all_engines_are_ready(pair):
    one, slow = pair(OFF)
    starting = asyncio.create_task(one.start())
    while one.engine_statuses()[1].state != "ready":  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0)
    for model in (None, "quick"):
        with pytest.raises(NotReadyError, match="the server is starting: quick speaks; starting the slow engine"):
            one.stream(Utterance(TEXT, engine=model))
    slow.go.set()
    await starting
    assert (await speak(one))[1].engine == "slow"
    assert one.readiness.message == "ready"


async def test_without_failover_an_engine_that_cannot_start_ends_the_start_though_another_still_starts(pair):
    one = Synthesizer(OFF, {"slow": (slow := Slow(OFF)), "bad": (bad := Slow(OFF, error=ConfigError("no model")))})
    bad.go.set()
    with pytest.raises(ConfigError, match="no model"):
        await one.start()
    assert (one.readiness.state, one.readiness.message) == ("failed", "no model")
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    assert slow.num_closed == 0  # it still starts: it is closed when it has
    slow.go.set()
    await closing
    assert slow.num_closed == bad.num_closed == 1


async def test_with_failover_the_first_ready_engine_speaks_until_the_preferred_one_is_ready(pair):
    one, slow = pair()
    await one.start()
    assert one.readiness.state == "ready"
    assert one.readiness.message == "quick speaks; starting the slow engine"
    assert [(s.name, s.state, s.progress) for s in one.engine_statuses()] == [
        ("slow", "starting", 0.0),
        ("quick", "ready", 1.0),
    ]
    assert ([info.sample_rate for info in one.infos()], {name for name, _ in one.voices()}) == ([24_000], {"quick"})
    _, before = await speak(one)
    assert (before.engine, before.trace.failover) == ("quick", 'slow; reason="starting"')

    running = one.stream(Utterance(TEXT))
    slow.go.set()
    await one.settled()
    chunks, after = await speak(one)
    assert (after.engine, after.trace.failover, chunks[0].sample_rate) == ("slow", None, 16_000)
    assert one.readiness.message == "ready"
    assert {chunk.sample_rate async for chunk in running} == {24_000}  # what runs finishes where it is
    assert (running.engine, running.trace.outcome) == ("quick", "completed")


async def test_an_engine_that_is_named_is_meant_unless_failover_is_on(pair):
    one, _ = pair()
    await one.start()
    _, stream = await speak(one, engine="slow")
    assert (stream.engine, stream.trace.failover) == ("quick", 'slow; reason="starting"')
    _, stream = await speak(one, engine="quick")
    assert (stream.engine, stream.trace.failover) == ("quick", None)


async def test_only_later_engines_stand_in_for_one_that_is_named():
    one = Synthesizer(ON, {"quick": SyntheticEngine(ON), "slow": (slow := Slow())})
    await one.start()
    with pytest.raises(NotReadyError, match="not yet: starting the slow engine; try again shortly"):
        one.stream(Utterance(TEXT, engine="slow"))
    slow.go.set()
    await one.close()


async def test_an_engine_that_cannot_start_is_reported_and_the_others_serve(pair, caplog):
    one, slow = pair(error=ConfigError("there is no model file; run: firstaudio models pull kokoro"))
    await whole_start(one, slow)
    await asyncio.sleep(0)
    assert one.readiness.state == "ready"
    assert one.readiness.message.startswith("quick speaks; there is no model file")
    assert one.engine_statuses()[0].state == "failed"
    assert "the slow engine cannot start, the others speak: there is no model file" in caplog.text
    _, stream = await speak(one)
    assert stream.trace.failover == 'slow; reason="config_error"'


async def test_a_start_fails_where_no_engine_can_start(pair):
    one = Synthesizer(ON, {"a": (a := Slow(error=EngineError("no a"))), "b": (b := Slow(error=OSError("no b")))})
    a.go.set()
    b.go.set()
    with pytest.raises(EngineError, match="no a"):
        await one.start()
    assert (one.readiness.state, one.readiness.message) == ("failed", "no a")
    await one.close()


async def test_who_speaks_once_can_wait_for_all_engines(pair):
    one, slow = pair()
    starting = asyncio.create_task(one.start(wait_for_all=True))
    while one.engine_statuses()[1].state != "ready":  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0)
    assert not starting.done()
    slow.go.set()
    await starting
    assert (await speak(one))[1].engine == "slow"


async def test_a_voice_that_nobody_knows_yet_is_the_default_one_and_that_is_said(pair):
    one, slow = pair()
    await one.start()
    _, stream = await speak(one, voice="of_its_own")
    assert (stream.voice, stream.trace.failover) == ("default", 'slow; reason="starting"; voice="of_its_own"')
    _, stream = await speak(one, voice="alloy")
    assert (stream.voice, stream.trace.failover) == ("alloy", 'slow; reason="starting"')
    for blend, heard in (("alloy(2)+nova(1)", "alloy"), (" alloy+nobody", "alloy"), ("nobody(2)+alloy", "default")):
        _, stream = await speak(one, voice=blend)
        assert (stream.voice, stream.trace.failover) == (heard, f'slow; reason="starting"; voice="{quote(blend)}"')
    slow.go.set()
    await one.settled()
    assert (await speak(one, voice="of_its_own"))[1].engine == "slow"
    with pytest.raises(UnknownVoiceError):
        one.stream(Utterance(TEXT, voice="nobody"))


async def test_what_only_an_engine_that_starts_might_speak_is_refused_as_too_early(pair):
    one, slow = pair()
    await one.start()
    with pytest.raises(NotReadyError, match="not yet"):
        one.stream(Utterance(TEXT, language="tlh"))
    slow.go.set()
    await one.settled()
    with pytest.raises(RequestError, match="tlh"):
        one.stream(Utterance(TEXT, language="tlh"))


@pytest.mark.parametrize("error_type", [EngineError, WorkerDiedError, ZeroDivisionError])
async def test_an_engine_that_fails_before_its_first_audio_is_replaced(pair, error_type):
    one, slow = pair()
    await whole_start(one, slow)
    slow.fails_with = error = error_type("no runtime left")
    expected, _ = await speak(one, engine="quick")
    for model in (None, "slow"):
        finished = []
        one.add_listener(finished.append)
        chunks, stream = await speak(one, engine=model)
        code = error.code if isinstance(error, FirstaudioError) else "engine_error"
        assert stream.trace.failover == f'slow; reason="{code}"'
        assert (stream.engine, stream.trace.engine, stream.trace.outcome) == ("quick", "quick", "completed")
        assert {chunk.sample_rate for chunk in chunks} == {stream.sample_rate} == {16_000}  # as was said before
        assert sum(c.duration_s for c in chunks) == pytest.approx(sum(c.duration_s for c in expected), abs=0.01)
        assert finished == [stream.trace]


async def test_an_engine_that_fails_after_its_first_audio_is_not_replaced(pair):
    one, slow = pair()
    await whole_start(one, slow)
    slow.fails_with, slow.fails_at = EngineError("broken"), 4
    stream = one.stream(Utterance(TEXT))
    assert await anext(stream)
    with pytest.raises(EngineError, match="broken"):
        [chunk async for chunk in stream]
    assert (stream.engine, stream.trace.failover, stream.trace.outcome) == ("slow", None, "failed")


async def test_without_failover_a_failure_is_a_failure(pair):
    one, slow = pair(OFF)
    await whole_start(one, slow)
    slow.fails_with = EngineError("broken")
    with pytest.raises(EngineError, match="broken"):
        await speak(one)


async def test_the_failure_is_told_where_nobody_can_stand_in(pair):
    one, slow = pair()
    await whole_start(one, slow)
    slow.fails_with = EngineError("broken")
    one._roster["quick"].engine.resolve = slow.resolve  # knows the voice, and nobody speaks Klingon
    stream = one.stream(Utterance(TEXT))
    stream.asked = replace(stream.asked, pitch=9.0)
    with pytest.raises(EngineError, match="broken"):
        [chunk async for chunk in stream]
    assert stream.trace.outcome == "failed"
    await stream.aclose()
    assert one.num_streams == 0


async def test_the_log_of_a_failed_stand_in_quotes_nothing_of_the_request(pair, caplog):
    one, slow = pair()
    await whole_start(one, slow)
    slow.fails_with = EngineError("broken")
    stream = one.stream(Utterance(TEXT))
    stream.asked = replace(stream.asked, language="my secret")
    with pytest.raises(EngineError, match="broken"):
        [chunk async for chunk in stream]
    assert "nobody can stand in: unknown_language" in caplog.text
    assert "my secret" not in caplog.text
    await stream.aclose()


async def test_a_whole_crew_that_fails_is_asked_once_each(pair):
    one, slow = pair()
    await whole_start(one, slow)
    slow.fails_with = EngineError("broken")
    one._roster["quick"].engine.steps = slow.steps
    stream = one.stream(Utterance(TEXT))
    with pytest.raises(EngineError, match="broken"):
        [chunk async for chunk in stream]
    assert stream.failed == {"slow": "engine_error", "quick": "engine_error"}


async def test_a_stream_that_is_cancelled_while_it_fails_over_leaves_nothing(pair):
    one, slow = pair()
    await whole_start(one, slow)
    slow.fails_with = EngineError("broken")
    stream = one.stream(Utterance(TEXT * 50))
    await anext(stream)
    await stream.aclose()
    assert (stream.engine, stream.trace.outcome, one.num_streams) == ("quick", "cancelled", 0)
    assert all(figures.num_streams == 0 for figures in one.statistics().values())


async def test_the_time_of_the_engine_that_failed_is_not_counted_as_waiting_for_a_lane(pair):
    one, slow = pair()
    await whole_start(one, slow)
    began = threading.Event()

    def fails_late(_):
        began.wait(0.05)
        raise EngineError("broken")
        yield

    slow.steps = fails_late
    _, stream = await speak(one)
    assert stream.trace.stages_ns["model_inference"] >= 50_000_000 > stream.trace.stages_ns["queue"]


async def test_a_default_voice_that_nobody_has_is_told_where_failover_is_on(pair):
    config = replace(ON, engine=EngineConfig(failover=True, default_voice="nobody"))
    one = Synthesizer(config, {"quick": SyntheticEngine(config)})
    with pytest.raises(ConfigError, match=r"engine\.default_voice: .*'nobody'"):
        await one.start()
    await one.close()


async def test_a_default_voice_that_only_a_late_engine_might_have_is_judged_when_that_is_there(caplog):
    class OneVoice(SyntheticEngine):
        def resolve(self, voice, language):
            if voice != "alloy":
                raise UnknownVoiceError(f"no voice {voice!r}", param="voice")
            return super().resolve(voice, language)

    config = replace(ON, engine=EngineConfig(failover=True, default_voice="nobody"))
    one = Synthesizer(config, {"slow": (slow := Slow(config)), "quick": OneVoice(config)})
    await one.start()
    with pytest.raises(NotReadyError, match="not yet"):
        one.stream(Utterance(TEXT))
    assert caplog.text == ""
    slow.go.set()
    await one.settled()
    await asyncio.sleep(0)
    assert "engine.default_voice: " in caplog.text
    with pytest.raises(UnknownVoiceError):
        one.stream(Utterance(TEXT))
    assert (await speak(one, voice="of_its_own"))[1].engine == "slow"
    await one.close()


async def test_an_engine_may_tell_how_far_its_start_has_come(pair):
    one, slow = pair()
    slow.progress = lambda: (0.25, "cutting the model")
    await one.start()
    status = one.engine_statuses()[0]
    assert (status.progress, status.message) == (0.25, "cutting the model")
    assert one.readiness.progress == pytest.approx(0.625)
    assert one.readiness.message == "quick speaks; cutting the model"


async def test_close_during_a_start_that_others_do_not_wait_for_waits_for_it(pair):
    one, slow = pair()
    await one.start()
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    with pytest.raises(NotReadyError, match="draining"):
        one.stream(Utterance(TEXT))
    slow.go.set()
    await closing
    assert (slow.num_closed, one.readiness.state) == (1, "closed")


def test_a_header_can_hold_any_name():
    assert describe_failover({}) is None
    assert describe_failover({"a": "starting", "b c": "engine_error"}, 'größe"; x') == (
        'a; reason="starting"; voice="gr%C3%B6%C3%9Fe%22%3B%20x", b%20c; reason="engine_error"'
    )


# How segments are decoded.


async def test_whole_segments_can_be_asked_for_one_utterance(pair):
    one, slow = pair()
    await whole_start(one, slow)
    slow.fails_with, slow.fails_at = EngineError("broken"), 3
    _, stream = await speak(one, decode="whole")
    assert (stream.engine, stream.trace.decode) == ("quick", "whole")  # nothing of the first segment was sent


class Windows(SyntheticEngine):
    """Tells what runs, and remembers what it was asked for."""

    def __init__(self, config, *, incremental=True):
        super().__init__(config)
        self._info = replace(self._info, incremental=incremental, word_timing=False, expected_startup_s=0.25)
        self.asked = []

    def prepare(self, request):
        self.asked.append(request.decode)
        self.prepared = Told(super().prepare(request))
        return self.prepared

    def steps(self, prepared):
        for index, chunk in enumerate(super().steps(prepared.inner)):
            prepared.runtime = "openvino-cpu-bf16" if index < 2 else "onnxruntime-cpu"
            prepared.decode = "windowed"
            yield chunk


class Told:
    def __init__(self, inner):
        self.inner = inner


async def test_what_really_ran_is_on_the_trace_from_the_first_audio_on():
    one = Synthesizer(OFF, {"windows": (engine := Windows(OFF))})
    await one.start()
    stream = one.stream(Utterance(TEXT * 3, decode="windowed"))
    await anext(stream)
    assert (stream.trace.runtime.split(",")[0], stream.trace.decode) == ("openvino-cpu-bf16", "windowed")
    assert [chunk async for chunk in stream]
    assert stream.trace.runtime == "openvino-cpu-bf16,onnxruntime-cpu"
    assert set(engine.asked) == {"windowed"}
    await one.close()


async def test_an_engine_without_windows_tells_nothing(pair):
    one, slow = pair()
    await whole_start(one, slow)
    _, stream = await speak(one)
    assert (stream.trace.runtime, stream.trace.decode) == ("", "")


async def test_windows_are_refused_where_there_are_none():
    one = Synthesizer(OFF, {"windows": Windows(OFF, incremental=False)})
    await one.start()
    for decode in ("auto", "whole"):
        assert (await speak(one, decode=decode))[1].trace.outcome == "completed"
    with pytest.raises(RequestError, match="only whole segments") as refused:
        one.stream(Utterance(TEXT, decode="windowed"))
    assert refused.value.param == "decode"
    await one.close()


async def test_an_engine_may_say_why_there_are_no_windows_and_what_brings_them():
    engine = Windows(OFF, incremental=False)
    engine.windows_reason = "nobody has measured it: run the measurement"
    one = Synthesizer(OFF, {"windows": engine})
    await one.start()
    with pytest.raises(RequestError) as refused:
        one.stream(Utterance(TEXT, decode="windowed"))
    assert refused.value.message == (
        "the windows engine gives only whole segments here: nobody has measured it: run the measurement; "
        "send decode auto or whole"
    )
    await one.close()


async def test_windows_are_refused_where_the_server_sends_whole_segments():
    off = replace(OFF, streaming=StreamingConfig(incremental_generation=False))
    one = Synthesizer(off, {"quick": SyntheticEngine(off)})
    await one.start()
    with pytest.raises(RequestError, match=r"streaming\.incremental_generation is off"):
        one.stream(Utterance(TEXT, decode="windowed"))
    assert (await speak(one))[1].trace.decode == "whole"
    await one.close()


async def test_word_times_are_refused_by_an_engine_that_has_none():
    one = Synthesizer(OFF, {"windows": Windows(OFF)})
    await one.start()
    with pytest.raises(RequestError, match="knows no word times") as refused:
        one.stream(Utterance(TEXT, word_marks=True))
    assert refused.value.param == "word_timestamps"
    await one.close()


async def test_a_cold_engine_is_expected_to_take_as_long_as_it_says():
    one = Synthesizer(OFF, {"windows": Windows(OFF)})
    await one.start()
    assert one.statistics()["windows"].first_step_s == 0.25
    await speak(one)
    assert 0 < one.statistics()["windows"].first_step_s < 0.25
    await one.close()


async def test_the_start_up_of_segments_is_learnt_from_those_that_are_not_whole():
    for decode, learns in (("auto", True), ("whole", False)):
        one = Synthesizer(OFF, {"windows": Windows(OFF)})
        await one.start()
        figures = one._roster["windows"].figures
        expected_s = figures.startup.predict_s(1.0)
        if decode == "whole":
            one._roster["windows"].engine.steps = lambda prepared: SyntheticEngine(OFF).steps(prepared.inner)
        await speak(one, TEXT * 3, decode=decode)
        assert (figures.startup.predict_s(1.0) < expected_s) == learns
        await one.close()


# Endings.


async def test_listeners_hear_of_a_cancelled_stream_when_its_step_has_ended(pair):
    one, slow = pair()
    await whole_start(one, slow)
    running, gate, told = threading.Event(), threading.Event(), []

    def held(_):
        running.set()
        assert gate.wait(10)
        yield from ()

    slow.steps = held
    one.add_listener(told.append)
    stream = one.stream(Utterance(TEXT))
    assert await asyncio.to_thread(running.wait, 10)
    closing = asyncio.create_task(stream.aclose())
    await asyncio.sleep(0)
    assert (told, stream.trace.outcome, one.num_streams) == ([], "cancelled", 1)
    gate.set()
    await closing
    assert (told, one.num_streams) == ([stream.trace], 0)


async def test_a_held_stream_ends_when_it_was_delivered(pair):
    one, slow = pair()
    await whole_start(one, slow)
    for ending, outcome in (("delivered", "completed"), (None, "cancelled")):
        stream = one.stream(Utterance(TEXT))
        stream.hold()
        assert [chunk async for chunk in stream]
        assert (stream.trace.outcome, one.num_streams) == (None, 1)
        if ending:
            stream.delivered()
        await stream.aclose()
        assert (stream.trace.outcome, one.num_streams) == (outcome, 0)
