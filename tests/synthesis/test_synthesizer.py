"""From utterance to chunks, with the synthetic engine (exact audio) and with espeak (real processes)."""

import asyncio
import gc
import os
import signal
import threading
from dataclasses import replace

import numpy as np
import psutil
import pytest

from firstaudio.audio.chunk import Chunk, WordMark
from firstaudio.clock import now_ns
from firstaudio.config import Config, EngineConfig, StreamingConfig, SyntheticConfig
from firstaudio.engines.espeak.engine import EspeakEngine
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import (
    ConfigError,
    EmptyTextError,
    EngineError,
    NotReadyError,
    OverloadedError,
    RequestError,
    UnknownLanguageError,
    UnknownModelError,
    UnknownVoiceError,
)
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Origin, Trace

TEXT = (
    "The first clause is short, and it goes out at once. The second sentence follows while the first one plays! "
    "Does a third one come? Yes; and a fourth, which is a little longer than all the others before it, ends the text."
)


def config(engine="synthetic", streaming=None, **synthetic):
    figures = {"ttfa_ms": 0.0, "rtf": 0.0, "char_s": 0.02} | synthetic
    return Config(
        engine=EngineConfig(names=(engine,)),
        synthetic=SyntheticConfig(**figures),
        streaming=StreamingConfig(**(streaming or {})),
    )


@pytest.fixture
async def synthesizer():
    made = []

    async def make(*args, **kwargs):
        made.append(Synthesizer(config(*args, **kwargs)))
        await made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def speak(synthesizer, text=TEXT, **fields):
    async with synthesizer.stream(Utterance(text, **fields)) as stream:
        return [chunk async for chunk in stream], stream.trace


def joined(chunks):
    return np.concatenate([chunk.pcm for chunk in chunks])


def spoken_words(chunks, text):
    return [text[mark.start_char : mark.end_char] for chunk in chunks for mark in chunk.words]


async def test_chunks_are_contiguous_and_last_50_to_200_ms(synthesizer):
    chunks, trace = await speak(await synthesizer())
    assert chunks[0].start_sample == 0
    assert [c.start_sample for c in chunks[1:]] == [c.end_sample for c in chunks[:-1]]
    assert all(0.050 <= c.duration_s <= 0.200 for c in chunks[:-1])
    assert (trace.outcome, trace.num_chunks) == ("completed", len(chunks))
    assert trace.audio_s == pytest.approx(sum(c.duration_s for c in chunks))


async def test_chunk_bounds_are_settings(synthesizer):
    one = await synthesizer(streaming={"min_chunk_size_ms": 20, "max_chunk_size_ms": 60}, step_ms=500.0)
    chunks, _ = await speak(one)
    assert all(0.020 <= c.duration_s <= 0.060 for c in chunks[:-1])


async def test_every_word_is_marked_once_in_characters_of_the_original_text(synthesizer):
    text = "Some **bold** words &\tand\n\n# A heading\n- point one\n- point two. See `code`, 3.14 and more."
    for engine in ("synthetic", "espeak"):
        chunks, _ = await speak(await synthesizer(engine), text)
        words = [word.strip(".,*#`- ") for word in spoken_words(chunks, text)]
        expected = [
            "Some",
            "bold",
            "words",
            "and",
            "A",
            "heading",
            "point",
            "one",
            "point",
            "two",
            "See",
            "code",
            "and",
        ]
        assert [word for word in words if word in expected] == expected
        starts = [mark.start_sample for chunk in chunks for mark in chunk.words]
        assert starts == sorted(starts)
        assert all(mark.end_sample >= mark.start_sample for chunk in chunks for mark in chunk.words)


class EndsAbruptly(SyntheticEngine):
    """Loud to the last sample, a step for each word."""

    def steps(self, prepared):
        text, rate, position = prepared.request.text, self.info.sample_rate, 0
        for index, word in enumerate(text.split()):
            begin = text.index(word, position)
            position = begin + len(word)
            mark = WordMark(begin, position, index * rate)
            yield Chunk(np.full(rate, 8000, np.int16), rate, start_sample=index * rate, words=(mark,))


async def test_the_last_word_is_marked_where_no_silence_follows_it():
    one = Synthesizer(config(), engines={"synthetic": EndsAbruptly(config())})
    await one.start()
    text = "one two three four"
    chunks, _ = await speak(one, text)
    assert spoken_words(chunks, text) == text.split()
    await one.close()


async def test_the_audio_does_not_depend_on_how_steps_are_cut(synthesizer):
    parts = [joined((await speak(await synthesizer(step_ms=ms)))[0]) for ms in (7.0, 100.0, 3000.0)]
    assert all(np.array_equal(parts[0], part) for part in parts)


async def test_the_first_segment_is_short_and_the_fast_path_can_be_switched_off(synthesizer):
    fast, _ = await speak(await synthesizer(char_s=0.06), TEXT * 3)
    slow, _ = await speak(await synthesizer(char_s=0.06, streaming={"fast_path_enabled": False}), TEXT * 3)

    def lengths(chunks):
        of = {}
        for chunk in chunks:
            of[chunk.segment_index] = of.get(chunk.segment_index, 0.0) + chunk.duration_s
        return list(of.values())

    assert lengths(fast)[0] < lengths(slow)[0]
    assert lengths(fast)[0] < max(lengths(fast)[1:])


async def test_without_incremental_generation_nothing_leaves_before_the_segment_is_whole(synthesizer):
    one = await synthesizer(streaming={"incremental_generation": False}, failure_rate=1.0, fail_at_step=3)
    with pytest.raises(EngineError):
        await speak(one)
    stream = one.stream(Utterance(TEXT))
    with pytest.raises(EngineError):
        await stream.__anext__()
    assert stream.trace.num_chunks == 0


class FailsFirst(SyntheticEngine):
    """Every first attempt at a segment fails before its audio."""

    def prepare(self, request):
        return replace(super().prepare(request), fails=request.key[2] == 0)


async def test_a_failed_step_is_tried_once_more_where_no_audio_was_sent(synthesizer):
    good, _ = await speak(await synthesizer())
    one = Synthesizer(config(), engines={"synthetic": FailsFirst(config())})
    await one.start()
    chunks, trace = await speak(one)
    await one.close()
    assert trace.num_retries == trace.num_segments > 1
    assert np.array_equal(joined(good), joined(chunks))


class PreparesAtTheSecondAttempt(SyntheticEngine):
    def prepare(self, request):
        if request.key[2] == 0:
            raise EngineError("not yet", retryable=True)
        return super().prepare(request)


async def test_a_preparation_that_fails_is_tried_once_more(synthesizer):
    good, _ = await speak(await synthesizer())
    one = Synthesizer(config(), engines={"synthetic": PreparesAtTheSecondAttempt(config())})
    await one.start()
    chunks, trace = await speak(one)
    await one.close()
    assert trace.num_retries == trace.num_segments > 1
    assert np.array_equal(joined(good), joined(chunks))


async def test_a_failure_after_audio_ends_the_stream_with_an_error_and_repeats_nothing(synthesizer):
    good, _ = await speak(await synthesizer())
    one = await synthesizer(failure_rate=1.0, fail_at_step=4)
    got = []

    async def listen(stream):
        async for chunk in stream:
            got.append(chunk)  # noqa: PERF401 (what came before the failure is wanted)

    stream = one.stream(Utterance(TEXT))
    with pytest.raises(EngineError):
        await listen(stream)
    assert 0 < len(joined(got)) < len(joined(good))
    assert np.array_equal(joined(good)[: len(joined(got))], joined(got))
    assert stream.trace.outcome == "failed"
    assert one.num_streams == 0


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"text": ""}, EmptyTextError, "empty"),
        ({"text": " \n\t "}, EmptyTextError, "empty"),
        ({"text": "x", "voice": "nobody"}, UnknownVoiceError, "nobody"),
        ({"text": "x", "language": "tlh"}, UnknownLanguageError, "tlh"),
        ({"text": "x", "engine": "gpt-9"}, UnknownModelError, "synthetic, tts-1"),
        ({"text": "x", "speed": 0.1}, RequestError, "0.25 to 4"),
        ({"text": "x", "speed": float("nan")}, RequestError, "0.25 to 4"),
        ({"text": "x", "pitch": 9.0}, RequestError, "pitch 0.5 to 2"),
    ],
)
async def test_what_cannot_be_spoken_is_refused_at_the_door(synthesizer, fields, error, message):
    one = await synthesizer()
    traces = []
    one.add_listener(traces.append)
    with pytest.raises(error, match=message):
        one.stream(Utterance(**fields))
    assert [trace.outcome for trace in traces] == ["refused"]


async def test_a_trace_keeps_nothing_of_what_a_wrong_request_said(synthesizer):
    one, traces = await synthesizer(), []
    one.add_listener(traces.append)
    for fields in ({"voice": "my secret"}, {"language": "my secret"}, {"engine": "my secret"}):
        with pytest.raises(RequestError, match="my secret"):
            one.stream(Utterance("x", **fields))
    assert [trace.error for trace in traces] == ["unknown_voice", "unknown_language", "model_not_found"]


async def test_text_of_which_nothing_is_speech_is_an_error_not_silence(synthesizer):
    one, traces = await synthesizer(), []
    one.add_listener(traces.append)
    for text in ("***", "😀😀", "<think>hidden</think>"):
        with pytest.raises(EmptyTextError, match="nothing is left"):
            await speak(one, text)
    assert [trace.outcome for trace in traces] == ["refused"] * 3, "the server did not fail"


async def test_model_names_of_openai_mean_the_default_engine(synthesizer):
    one = await synthesizer()
    for model in ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "synthetic", None):
        assert one.stream(Utterance("x", engine=model)).engine == "synthetic"


async def test_before_start_and_after_close_nothing_is_spoken():
    one = Synthesizer(config())
    with pytest.raises(NotReadyError, match="starting"):
        one.stream(Utterance("x"))
    await one.start()
    assert one.readiness.state == "ready"
    await one.close()
    with pytest.raises(NotReadyError, match="closed"):
        one.stream(Utterance("x"))


async def test_a_default_voice_that_nobody_has_is_told_at_the_start():
    one = Synthesizer(Config(engine=EngineConfig(names=("synthetic",), default_voice="nobody")))
    with pytest.raises(ConfigError, match=r"engine\.default_voice: .*'nobody'"):
        await one.start()
    assert one.readiness.state == "failed"
    await one.close()


async def test_a_default_voice_may_be_that_of_any_engine_and_nobodys_where_it_is_not_asked_for():
    for voice, check in (("en-gb", True), ("nobody", False)):
        one = Synthesizer(Config(engine=EngineConfig(names=("synthetic", "espeak"), default_voice=voice)))
        await one.start(check_default_voice=check)
        assert one.readiness.state == "ready"
        await one.close()


def test_an_engine_may_not_be_named_twice():
    with pytest.raises(ConfigError, match="twice"):
        EngineConfig(names=("espeak", "espeak"))


async def test_close_lets_running_streams_finish_and_refuses_new_ones():
    one = Synthesizer(config(rtf=0.05))
    await one.start()
    running = asyncio.create_task(speak(one))
    await asyncio.sleep(0)
    closing = asyncio.create_task(one.close(drain_s=20))
    await asyncio.sleep(0)
    with pytest.raises(NotReadyError, match="draining"):
        one.stream(Utterance("x"))
    _, trace = await running
    await closing
    assert trace.outcome == "completed"


async def test_close_cancels_what_outlasts_the_drain_limit():
    one = Synthesizer(config(rtf=0.9))
    await one.start()
    stream = one.stream(Utterance(TEXT))
    await one.close(drain_s=0.01)
    assert stream.trace.outcome == "cancelled"


class StartsBadly(SyntheticEngine):
    def start(self):
        raise OSError("no such device")


async def test_an_engine_that_cannot_start_is_what_readiness_tells():
    one = Synthesizer(config(), engines={"good": SyntheticEngine(config()), "bad": StartsBadly(config())})
    with pytest.raises(OSError, match="no such device"):
        await one.start()
    assert one.readiness.state == "failed"
    assert "no such device" in one.readiness.message
    with pytest.raises(NotReadyError, match="failed"):
        one.stream(Utterance("x"))
    await one.close()


class ClosesBadly(SyntheticEngine):
    def close(self):
        raise OSError("still busy")


async def test_an_engine_that_cannot_be_closed_does_not_keep_the_others_open(caplog):
    others = Config()
    one = Synthesizer(others, engines={"synthetic": ClosesBadly(others), "espeak": EspeakEngine(others)})
    children = len(psutil.Process().children())
    await one.start()
    await one.close()
    assert len(psutil.Process().children()) == children
    assert one.readiness.state == "closed"
    assert "still busy" in caplog.text


async def test_close_cancels_all_streams_at_once_not_one_step_after_the_other():
    one = Synthesizer(config(ttfa_ms=500.0, capacity=1))
    await one.start()
    for _ in range(9):
        one.stream(Utterance("x"))
    await one.close()
    assert one.statistics()["synthetic"].num_steps == 1


async def test_streams_beyond_the_limit_are_refused_and_traced(synthesizer):
    one = await synthesizer(streaming={"max_streams": 1}, rtf=0.5)
    stream = one.stream(Utterance(TEXT))
    with pytest.raises(OverloadedError):
        one.stream(Utterance(TEXT))
    await stream.aclose()
    assert stream.trace.outcome == "cancelled"
    assert (await speak(one, "now there is room"))[1].outcome == "completed"


async def test_every_stage_before_the_first_audio_is_on_the_trace(synthesizer):
    _, trace = await speak(await synthesizer(ttfa_ms=30.0))
    assert trace.stages_ns["model_inference"] >= 30_000_000
    assert all(trace.stages_ns[name] > 0 for name in ("queue", "text_processing", "phonemize", "audio_conversion"))


async def test_only_the_wait_for_a_lane_counts_as_queue(synthesizer):
    """Not what came before: a body that arrives slowly, a request that takes long to read."""
    one = await synthesizer()
    trace = Trace(accepted_ns=now_ns() - 3600 * 10**9)
    async with one.stream(Utterance(TEXT), trace) as stream:
        assert [chunk async for chunk in stream]
    assert 0 < trace.stages_ns["queue"] < 1800 * 10**9


async def test_a_listener_that_fails_does_not_hurt_the_stream(synthesizer, caplog):
    one = await synthesizer()
    one.add_listener(lambda trace: 1 / 0)
    assert (await speak(one))[1].outcome == "completed"
    assert "ZeroDivisionError" in caplog.text


async def test_a_long_text_costs_no_more_before_its_first_audio(synthesizer):
    one = await synthesizer("espeak")
    stream = one.stream(Utterance("word " * 20_000))
    await stream.__anext__()
    assert stream.trace.num_segments == 1
    await stream.aclose()


async def test_a_killed_worker_strikes_one_stream_at_the_most_and_no_word_is_lost_or_repeated(synthesizer):
    one = await synthesizer("espeak", streaming={"max_lead_s": 0.5})
    text = " ".join(f"number {n}," for n in range(60)) + " done."
    expected = spoken_words((await speak(one, text))[0], text)

    async def one_client():
        words = []
        try:
            async with one.stream(Utterance(text)) as stream:
                async for chunk in stream:
                    words += [text[mark.start_char : mark.end_char] for mark in chunk.words]
                    await asyncio.sleep(0)
        except EngineError:
            return "failed", words
        return "completed", words

    clients = [asyncio.create_task(one_client()) for _ in range(8)]
    while one.statistics()["espeak"].num_steps < 60:  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0.001)
    os.kill(one._roster["espeak"].engine.worker_pids()[0], signal.SIGKILL)
    endings = await asyncio.gather(*clients)
    for outcome, words in endings:
        assert words == (expected if outcome == "completed" else expected[: len(words)])
    assert sum(outcome == "failed" for outcome, _ in endings) <= 1
    assert (await speak(one, "The next one speaks."))[1].outcome == "completed"


def threads() -> int:
    """All but those that keep measurements: there are none here, servers of other tests begin theirs when they like."""
    return sum(not thread.name.startswith("measurements") for thread in threading.enumerate())


async def test_streams_that_end_anywhere_leave_nothing_behind(synthesizer):
    one = await synthesizer("espeak")
    await asyncio.gather(*(speak(one) for _ in range(8)))  # every lane has its thread
    gc.collect()
    process = psutil.Process()
    before = (process.num_fds(), threads(), len(asyncio.all_tasks()), len(process.children()))
    draw = np.random.default_rng(1)

    async def leave_at(num_chunks):
        stream = one.stream(Utterance(TEXT * 20))
        for _ in range(num_chunks):
            await stream.__anext__()
        await stream.aclose()

    for _ in range(4):
        await asyncio.gather(*(leave_at(int(n)) for n in draw.integers(0, 30, size=25)))
    assert (one.num_streams, one.statistics()["espeak"].num_busy_lanes) == (0, 0)
    assert before == (process.num_fds(), threads(), len(asyncio.all_tasks()), len(process.children()))


async def test_two_engines_side_by_side_answer_to_their_own_voices():
    one = Synthesizer(Config(engine=EngineConfig(names=("espeak", "synthetic"))))
    await one.start()
    try:
        assert [info.name for info in one.infos()] == ["espeak", "synthetic"]
        assert one.stream(Utterance("x", voice="premium")).engine == "synthetic"
        assert one.stream(Utterance("x", voice="af_heart")).engine == "espeak"
        assert one.stream(Utterance("x", voice="af_heart", engine="synthetic")).engine == "synthetic"
        assert {name for name, _ in one.voices()} == {"espeak", "synthetic"}
    finally:
        await one.close()


@pytest.mark.parametrize("origin", ["warmup", "tuner"])
async def test_what_is_spoken_to_nobody_makes_way_before_a_listener_could_be_refused(synthesizer, origin: Origin):
    one = await synthesizer(streaming={"max_streams": 1}, rtf=0.5)
    own = one.stream(Utterance("Spoken to nobody, and for long. " * 20), Trace(origin=origin))
    await anext(own)

    async with one.stream(Utterance("Hello there.")) as listened:
        assert [chunk async for chunk in listened]

    assert [chunk async for chunk in own] == []
    assert (own.is_cancelled, own.trace.outcome) == (True, "cancelled")
    assert (one.num_streams, one.num_made_way) == (0, 1)


async def test_a_listener_makes_no_way_for_another(synthesizer):
    one = await synthesizer(streaming={"max_streams": 1}, rtf=0.5)
    async with one.stream(Utterance("Somebody listens to this. " * 20)) as listened:
        await anext(listened)
        with pytest.raises(OverloadedError, match="1 stream is playing"):
            one.stream(Utterance("Hello there."))
