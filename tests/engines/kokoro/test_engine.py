"""The engine on the small model: real phonemes, real graphs, speech that nobody could understand."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, islice, pairwise, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.config import CacheConfig, Config, EngineConfig, KokoroConfig, ModelConfig
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.kokoro import loading
from firstaudio.engines.kokoro.engine import KokoroEngine, Prepared
from firstaudio.engines.kokoro.fidelity import Comparison, Distance, Verdict, distance
from firstaudio.engines.kokoro.phonemes import Sound
from firstaudio.engines.kokoro.runtimes.cost import Cost
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.engines.kokoro.statistics import measure_statistics
from firstaudio.engines.kokoro.vocabulary import IDS
from firstaudio.errors import ConfigError, EngineError, RequestError, UnknownLanguageError, UnknownVoiceError
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody has ever asked it why."
LONG = "Call me on Tuesday, not before. " * 157  # 5024 characters
VERDICT = Verdict(
    Comparison("windowed", (Distance(0.2, 30.0, 0.1),)),
    None,
    Comparison("seeds", (Distance(0.7, 20.0),)),
    ("af_heart",),
    "2026-01-02T03:04:05",
)


def config_of(tools: SimpleNamespace, folder: Path, **kokoro: Any) -> Config:
    own = {"runtimes": ("onnxruntime-cpu",), "num_threads": 1, "g2p": "espeak"} | kokoro
    files = {"model": str(tools.MODEL), "voices": str(tools.VOICES)}
    return Config(
        engine=EngineConfig(names=("kokoro",)),
        cache=CacheConfig(max_mb=0, share_running=False),
        kokoro=KokoroConfig(**(files | own)),
        model=ModelConfig(folder=str(folder)),
    )


@pytest.fixture(scope="module")
def config(tools: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return config_of(tools, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def whole(config: Config) -> Iterator[KokoroEngine]:
    """Nobody has measured this model."""
    engine = KokoroEngine(config)
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def windowed(kokoro: Any, tools: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KokoroEngine]:
    """`af_heart` was measured on `SENTENCE`, and a verdict allows windows."""
    config = config_of(tools, tmp_path_factory.mktemp("measured"))
    engine = KokoroEngine(config)
    engine.start()
    with engine._keeper.use() as loaded:
        model = loaded.model
        runs = engine._tokens.runs(SENTENCE, "en-us")
        features = [model.decoder.features(run.ids, kokoro.style(len(run.ids)), 1.0) for run in runs]
        measured = measure_statistics(
            [lambda each=each: (kokoro.statistics(each), each.num_frames) for each in features]
        )
        model.voices.put(tools.VOICE, measured)
        VERDICT.save(model.pieces.folder)
    engine.close()
    engine = KokoroEngine(config)
    engine.start()
    yield engine
    engine.close()


def request(engine: KokoroEngine, text: str, voice: str = "af_heart", language: str | None = None, **more: Any) -> Any:
    return SpeakRequest(text, *engine.resolve(voice, language), **more)


def speak(engine: KokoroEngine, text: str, voice: str = "af_heart", **more: Any) -> list[Any]:
    return list(engine.steps(engine.prepare(request(engine, text, voice, **more))))


def joined(chunks: list[Any]) -> Any:
    return np.concatenate([chunk.pcm for chunk in chunks])


def fingerprint(chunks: list[Any]) -> str:
    """Equal where every sample is."""
    return hashlib.sha256(joined(chunks).tobytes()).hexdigest()


_SPOKEN: dict[str, str] = {}


def spoken_once(engine: KokoroEngine, decode: Any) -> str:
    """What `SENTENCE` is when nothing has happened before."""
    if decode not in _SPOKEN:
        _SPOKEN[decode] = fingerprint(speak(engine, SENTENCE, decode=decode))
    return _SPOKEN[decode]


def marks_of(chunks: list[Any]) -> list[Any]:
    return [mark for chunk in chunks for mark in chunk.words]


def check_marks(chunks: list[Any], text: str) -> None:
    marks = marks_of(chunks)
    length = sum(len(chunk.pcm) for chunk in chunks)
    assert all(0 <= mark.start_sample < mark.end_sample <= length for mark in marks)
    assert all(a.end_sample <= b.start_sample and a.end_char <= b.start_char for a, b in pairwise(marks))
    words = [text[mark.start_char : mark.end_char] for mark in marks]
    assert words == text.replace(",", "").replace(".", "").split()


# What it says of itself.


def test_it_says_what_it_can_and_why_it_does_so(whole: KokoroEngine, windowed: KokoroEngine):
    assert (whole.info.name, whole.info.sample_rate, whole.info.incremental) == ("kokoro", 24_000, False)
    assert windowed.info.incremental
    assert whole.info.word_timing
    assert whole.info.expected_rtf > 0
    assert "en-us" in whole.info.languages
    assert (whole.status()["decode"], windowed.status()["decode"]) == ("whole", "windowed")
    assert "models optimize" in whole.status()["decode_reason"]
    assert whole.windows_reason.endswith("run `firstaudio models optimize` and start again")
    assert windowed.windows_reason == ""
    assert windowed.status()["is_loaded"]
    assert windowed.progress()[0] > 0.5


def test_every_voice_and_alias_can_be_resolved(whole: KokoroEngine):
    for voice in whole.voices():
        name, language = whole.resolve(voice.id, None)
        assert name == (voice.alias_of or voice.id)
        assert language == voice.language


def test_unknown_voices_and_languages_are_refused(whole: KokoroEngine):
    with pytest.raises(UnknownVoiceError):
        whole.resolve("nobody", None)
    with pytest.raises(UnknownVoiceError):
        whole.resolve("af_heart+nobody", None)
    with pytest.raises(UnknownLanguageError):
        whole.resolve("af_heart", "tlh")


def test_an_engine_that_never_started_can_be_closed(config: Config):
    engine = KokoroEngine(config)
    assert engine.status() == {}
    engine.close()
    engine.close()


@pytest.mark.parametrize("broken", [{"model": "nowhere.onnx"}, {"voices": "nowhere.bin"}, {"runtimes": ("abacus",)}])
def test_files_and_settings_that_are_wrong_are_said_at_the_start(
    tools: SimpleNamespace, tmp_path: Path, broken: dict[str, Any]
):
    engine = KokoroEngine(config_of(tools, tmp_path, **broken))
    try:
        with pytest.raises(ConfigError, match=r"nowhere|abacus"):
            engine.start()
    finally:
        engine.close()


# Speech.


def test_a_start_tells_what_is_measured_and_a_later_load_tells_nothing(config: Config, whole: KokoroEngine):
    starting = KokoroEngine(config)
    starting._tell("measuring runtimes: loading onnxruntime-cpu", 0, 3)
    whole._tell("measuring runtimes: loading onnxruntime-cpu", 0, 3)

    assert starting.progress()[1] == "measuring runtimes: loading onnxruntime-cpu"
    assert whole.progress() == (1.0, "ready")


def test_the_letters_that_others_call_languages_by_are_understood(whole: KokoroEngine):
    assert whole.resolve("af_heart", "b") == ("af_heart", "en-gb")


@pytest.mark.parametrize("text", ["Hi", "OK", "7"])
@pytest.mark.parametrize("engine", ["whole", "windowed"])
def test_short_texts_speak(request: pytest.FixtureRequest, engine: str, text: str):
    chunks = speak(request.getfixturevalue(engine), text)
    assert 0.1 < sum(chunk.duration_s for chunk in chunks) < 3
    assert np.ptp(joined(chunks)) > 0
    assert [(mark.start_char, mark.end_char) for mark in marks_of(chunks)] == [(0, len(text))]


def test_windows_say_what_the_whole_says(windowed: KokoroEngine):
    """The statistics are those of the sentence, so that nothing but the way differs."""
    parts = speak(windowed, SENTENCE)
    expected = joined(speak(windowed, SENTENCE, decode="whole"))
    assert len(parts) > 3
    found = joined(parts)
    assert found.shape == expected.shape
    joins = [join for join in accumulate(len(part.pcm) for part in parts) if 0 < join < len(found)]
    assert Comparison("windowed", (distance(expected, found, joins),)).passes


def test_what_was_done_is_said_beside_the_audio(windowed: KokoroEngine):
    for decode, said in (("auto", "windowed"), ("windowed", "windowed"), ("whole", "whole")):
        prepared = windowed.prepare(request(windowed, SENTENCE, decode=decode))
        assert list(windowed.steps(prepared))
        assert (prepared.decode, prepared.runtime) == (said, "onnxruntime-cpu")


async def test_a_segment_too_short_for_windows_says_that_it_was_whole(door: Synthesizer, windowed: KokoroEngine):
    """From the engine to the trace, from which headers and measurements are made."""
    prepared = windowed.prepare(request(windowed, "Oh"))
    assert sum(chunk.num_samples for chunk in windowed.steps(prepared)) < 16 * 600
    assert prepared.decode == "whole"
    await door.start()
    async with door.stream(Utterance("Oh", voice="af_heart")) as stream:
        assert [chunk async for chunk in stream]
    await door.close()
    assert stream.trace.decode == "whole"


def test_the_same_request_gives_the_same_audio(windowed: KokoroEngine):
    np.testing.assert_array_equal(joined(speak(windowed, SENTENCE)), joined(speak(windowed, SENTENCE)))


def test_chunks_follow_each_other(windowed: KokoroEngine):
    chunks = speak(windowed, SENTENCE)
    assert [chunk.start_sample for chunk in chunks] == [0, *accumulate(len(chunk.pcm) for chunk in chunks)][:-1]
    assert {chunk.sample_rate for chunk in chunks} == {24_000}


@pytest.mark.parametrize("decode", ["windowed", "whole"])
def test_every_word_is_marked_in_order_and_inside_the_audio(windowed: KokoroEngine, decode: Any):
    check_marks(speak(windowed, SENTENCE, decode=decode), SENTENCE)


def test_words_of_a_segment_of_several_runs_go_on_where_the_run_before_ended(whole: KokoroEngine):
    text = "Nobody asked the captain about the weather. " * 20
    prepared = whole.prepare(request(whole, text))
    assert len(prepared.runs) > 1
    check_marks(list(whole.steps(prepared)), text)


def test_a_voice_that_nobody_measured_is_decoded_whole_unless_windows_are_asked_for(windowed: KokoroEngine):
    prepared = windowed.prepare(request(windowed, SENTENCE, "af_bella"))
    assert prepared.decode == "whole"
    with pytest.raises(RequestError, match=r"'af_bella' cannot be decoded in windows: .*models optimize") as caught:
        windowed.prepare(request(windowed, SENTENCE, "af_bella", decode="windowed"))
    assert caught.value.param == "decode"


def test_a_blend_speaks_as_neither_of_its_voices(whole: KokoroEngine):
    lengths = {voice: joined(speak(whole, SENTENCE, voice)) for voice in ("af_heart", "bm_george")}
    blend = request(whole, SENTENCE, "af_heart(2)+bm_george(1)")
    assert blend.voice == "af_heart(0.6667)+bm_george(0.3333)"
    found = joined(list(whole.steps(whole.prepare(blend))))
    assert np.isfinite(found).all()
    assert all(len(found) != len(each) or np.abs(found - each).max() > 0.01 for each in lengths.values())


def test_speed_changes_the_length(whole: KokoroEngine):
    slow, fast = (sum(len(chunk.pcm) for chunk in speak(whole, SENTENCE, speed=speed)) for speed in (0.5, 2.0))
    assert slow > 2 * fast


def test_five_thousand_characters_at_once_are_spoken_in_runs(whole: KokoroEngine):
    prepared = whole.prepare(request(whole, LONG))
    num_tokens = [len(run.ids) for run in prepared.runs]
    assert sum(num_tokens) > 4000
    assert max(num_tokens) <= 510
    steps = whole.steps(prepared)
    spoken = [chunk for chunk in [next(steps) for _ in range(4)] if chunk.num_samples]  # words come behind the audio
    steps.close()
    assert len(spoken) == 2
    assert all(chunk.duration_s > 1 for chunk in spoken)


def test_a_text_without_a_sound_has_no_chunks(whole: KokoroEngine):
    assert speak(whole, "...") == []


@settings(max_examples=12, deadline=None)
@given(num_steps=st.integers(0, 40), decode=st.sampled_from(["windowed", "whole"]))
def test_a_segment_that_is_left_after_any_step_leaves_nothing_and_the_next_is_as_ever(
    windowed: KokoroEngine, num_steps: int, decode: Any
):
    left = windowed.steps(windowed.prepare(request(windowed, SENTENCE * 3, decode=decode)))
    num_taken = sum(1 for _ in islice(left, num_steps))
    left.close()
    assert num_taken <= num_steps
    assert windowed._keeper._num_users == 0
    assert all(each["num_queued"] == 0 for each in windowed.status()["sessions"])
    assert fingerprint(speak(windowed, SENTENCE, decode=decode)) == spoken_once(windowed, decode)


def test_two_segments_may_take_turns(windowed: KokoroEngine):
    texts = (SENTENCE, "Another one that is spoken at the very same time, step by step.")
    expected = [joined(speak(windowed, text)) for text in texts]
    open_ = [windowed.steps(windowed.prepare(request(windowed, text))) for text in texts]
    found: list[list[Any]] = [[], []]
    while any(open_):
        for index, steps in enumerate(open_):
            chunk = None if steps is None else next(steps, None)
            if chunk is None:
                open_[index] = None
            else:
                found[index].append(chunk)
    for chunks, whole in zip(found, expected, strict=True):
        np.testing.assert_array_equal(joined(chunks), whole)


def test_a_model_that_was_unloaded_is_loaded_again(tools: SimpleNamespace, config: Config):
    engine = KokoroEngine(replace(config, kokoro=replace(config.kokoro, unload_after_s=3600.0)))
    engine.start()
    try:
        before = joined(speak(engine, "Hi"))
        engine._keeper._expire()  # what its timer does
        assert not engine.status()["is_loaded"]
        assert engine.status()["sessions"] == []
        np.testing.assert_array_equal(joined(speak(engine, "Hi")), before)
        assert engine.status()["is_loaded"]
    finally:
        engine.close()


# What reaches the model.


class Noting:
    """A session that keeps what it was given."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs
        self.tokens: list[int] = []

    def run(self, inputs: Any) -> Any:
        tokens = inputs["tokens"][0].tolist()
        assert (tokens[0], tokens[-1]) == (0, 0)
        self.tokens += tokens[1:-1]
        return self._session.run(inputs)


@pytest.mark.parametrize(
    ("num_phonemes", "decode"),
    [*product((1, 510, 511), ("windowed", "whole")), (5000, "windowed")],
)
def test_every_token_reaches_the_model_exactly_once(
    windowed: KokoroEngine, monkeypatch: pytest.MonkeyPatch, num_phonemes: int, decode: Any
):
    """The sounds differ from place to place, so that none could take another one's place."""
    symbols = [symbol for symbol in IDS if symbol.isascii() and symbol.isalpha()]
    words = "".join(" " if index % 7 == 3 else symbols[index * index % len(symbols)] for index in range(num_phonemes))
    text = "x" * 10
    sound = Sound(0, len(text), words, "word", False)
    monkeypatch.setattr(windowed._tokens._espeak, "sounds", lambda *_: [sound])
    model = windowed._keeper.peek().model
    front = Noting(model.decoder._front)
    monkeypatch.setattr(model.decoder, "_front", front)
    prepared = windowed.prepare(request(windowed, text, decode=decode))
    assert len(prepared.runs) == -(-num_phonemes // 510)
    steps = windowed.steps(prepared)
    if num_phonemes > 1020:  # a run's first step has run its front, and the rest of the run is speech like any other
        steps = first_of_each_run(windowed, prepared)
    assert sum(chunk.num_samples for chunk in steps) > 0
    assert tuple(front.tokens) == windowed._tokens.vocabulary.encode(words)


def first_of_each_run(engine: KokoroEngine, prepared: Prepared) -> Iterator[Any]:
    for run in prepared.runs:
        steps = engine.steps(Prepared(prepared.request, [run], prepared.windowed))
        yield next(steps)
        steps.close()


def test_a_run_for_each_dialect_speaks_the_same_audio(tools: SimpleNamespace, tmp_path: Path, whole: KokoroEngine):
    """The files differ in names, types and outputs; what is heard does not."""
    expected = fingerprint(speak(whole, SENTENCE))
    for dialect in ("input_ids", "int_speed", "long_speed"):
        model = tmp_path / f"{dialect}.onnx"
        model.write_bytes(tools.dialects[dialect](tools.load(tools.MODEL)).SerializeToString())
        engine = KokoroEngine(config_of(tools, tmp_path, model=str(model)))
        engine.start()
        try:
            assert engine.status()["cut_problem"] == ""
            chunks = speak(engine, SENTENCE)
            assert fingerprint(chunks) == expected
            check_marks(chunks, SENTENCE)
        finally:
            engine.close()


# Sessions that fail in mid-stream.


class Device:
    """Runtime with a session whose faults are set while it runs."""

    name = "fake-gpu"

    def __init__(self, faulty: Any) -> None:
        self._faulty = faulty
        self.sessions: list[Any] = []

    def load(self, model: Path, shapes: Any = None) -> Any:
        self.sessions.append(self._faulty(OrtRuntime("cpu", num_threads=1).load(model)))
        return self.sessions[-1]

    def fails(self, fault: str, *, after: int) -> None:
        """From now on: so many sound runs, then a fault."""
        session = self.sessions[-1]
        session.faults[session.num_runs + after] = fault


@pytest.fixture
def device(tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device(tools.Faulty)
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [device])
    return device


@pytest.fixture
def on_device(windowed: KokoroEngine, device: Device) -> Iterator[KokoroEngine]:
    """Decodes windows on the device; the processor stands by."""
    engine = KokoroEngine(windowed._config)
    close = engine.close  # a test may take it away
    engine.start()
    yield engine
    close()


def stand_by_of(engine: KokoroEngine) -> Any:
    """The session of windows that takes over from the device."""
    [window] = [each for each in engine._keeper.peek().model._loaded if each.name == "window"]
    return window._router._board.sessions[1]


@pytest.mark.parametrize("fault", ["raise", "nan", "constant"])
@pytest.mark.parametrize("step", [0, 2])
async def test_a_session_that_fails_in_mid_stream_is_retired_and_no_audio_is_lost(
    on_device: KokoroEngine, device: Device, windowed: KokoroEngine, fault: str, step: int
):
    device.fails(fault, after=step)
    prepared = on_device.prepare(request(on_device, SENTENCE))
    runtimes = []
    chunks = []
    for chunk in on_device.steps(prepared):
        chunks.append(chunk)
        runtimes.append(prepared.runtime)
    assert runtimes[: step + 1] == ["fake-gpu"] * step + ["onnxruntime-cpu"]
    assert set(runtimes[step:]) == {"onnxruntime-cpu"}
    np.testing.assert_allclose(joined(chunks), joined(speak(windowed, SENTENCE)), atol=1e-6)
    check_marks(chunks, SENTENCE)
    fast, stand_by = (each for each in on_device.status()["sessions"] if each["piece"] == "window")
    assert (fast["name"], fast["num_failures"], stand_by["retired"]) == ("fake-gpu", 1, None)
    assert fast["retired"]["reason"] == fast["last_failure"] != ""
    assert on_device.status()["runtimes"] == ["onnxruntime-cpu"]


async def test_where_no_session_is_left_the_error_says_what_each_of_them_said(
    on_device: KokoroEngine, device: Device, monkeypatch: pytest.MonkeyPatch
):
    stand_by = stand_by_of(on_device)
    broken = device._faulty(stand_by.session, {0: "nan"})
    monkeypatch.setattr(stand_by, "session", broken)
    device.fails("raise", after=1)
    steps = on_device.steps(on_device.prepare(request(on_device, SENTENCE)))
    assert next(steps).num_samples
    with pytest.raises(
        EngineError,
        match="no session could run a step of the window: fake-gpu: it fell over; onnxruntime-cpu: its output was not",
    ) as caught:
        list(steps)
    assert caught.value.retryable
    assert on_device._keeper._num_users == 0
    assert joined(speak(on_device, SENTENCE)).size  # a step that fails everywhere is held against nobody


async def test_a_stream_whose_first_step_fails_everywhere_is_begun_again_and_is_whole(
    on_device: KokoroEngine, device: Device, windowed: KokoroEngine, monkeypatch: pytest.MonkeyPatch
):
    stand_by = stand_by_of(on_device)
    monkeypatch.setattr(stand_by, "session", device._faulty(stand_by.session, {0: "raise"}))
    door = Synthesizer(on_device._config, {"kokoro": shared(on_device, monkeypatch)})
    await door.start()
    device.fails("raise", after=0)
    async with door.stream(Utterance(SENTENCE, voice="af_heart")) as stream:
        chunks = [chunk async for chunk in stream]
    await door.close()
    assert stream.trace.num_retries == 1
    check_marks(chunks, SENTENCE)


class Meeting:
    """Devices whose first step, once they are awaited, does not end before the others' has begun."""

    barrier: threading.Barrier | None = None


class MeetingDevice:
    """A runtime, and its one session."""

    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()

    def __init__(self, name: str, meeting: Meeting) -> None:
        self.name, self._meeting, self._has_met = name, meeting, False

    def load(self, model: Path, shapes: Any = None) -> MeetingDevice:
        self._session = OrtRuntime("cpu", num_threads=1).load(model)
        return self

    def run(self, inputs: Any) -> Any:
        if self._meeting.barrier is not None and not self._has_met:
            self._has_met = True
            self._meeting.barrier.wait(20)
        return self._session.run(inputs)


async def test_two_devices_that_were_named_run_steps_at_the_same_time(
    windowed: KokoroEngine, monkeypatch: pytest.MonkeyPatch
):
    meeting = Meeting()
    devices = [MeetingDevice("fake-gpu", meeting), MeetingDevice("fake-neural", meeting)]
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: devices)
    named = replace(windowed._config.kokoro, runtimes=("fake-gpu", "fake-neural"))
    engine = KokoroEngine(replace(windowed._config, kokoro=named))
    door = Synthesizer(engine._config, {"kokoro": engine})
    await door.start()
    assert engine.info.num_lanes == 2
    [window] = [each for each in engine._keeper.peek().model._loaded if each.name == "window"]
    for session in window._router._board.sessions:
        session.cost = Cost()  # as long as nobody knows, the idle one is taken
    meeting.barrier = threading.Barrier(2)

    async def speak_all(text: str) -> str:
        async with door.stream(Utterance(text, voice="af_heart")) as stream:
            assert [chunk async for chunk in stream]
        return stream.trace.runtime

    async with asyncio.timeout(60):
        ran = await asyncio.gather(speak_all(SENTENCE), speak_all("Another one that is spoken at the very same time."))
    await door.close()
    assert {name for names in ran for name in names.split(",")} == {"fake-gpu", "fake-neural"}
    assert not meeting.barrier.broken


# When it starts.


def test_an_engine_that_cannot_start_leaves_no_worker_and_no_thread(tools: SimpleNamespace, tmp_path: Path):
    threads = set(threading.enumerate())
    engine = KokoroEngine(config_of(tools, tmp_path, model="nowhere.onnx"))
    with pytest.raises(ConfigError):
        engine.start()
    broken = KokoroEngine(config_of(tools, tmp_path, runtimes=("abacus",)))
    with pytest.raises(ConfigError):
        broken.start()
    assert (engine._tokens._phonemizer.pid, broken._tokens._phonemizer.pid) == (None, None)
    assert set(threading.enumerate()) == threads


def test_windows_for_everybody_are_refused_where_nobody_was_measured(tools: SimpleNamespace, tmp_path: Path):
    engine = KokoroEngine(config_of(tools, tmp_path, decode="windowed"))
    with pytest.raises(ConfigError, match=r"kokoro\.decode is windowed, but no voice .*models optimize"):
        engine.start()


def test_voices_that_go_without_windows_are_named(windowed: KokoroEngine, whole: KokoroEngine, caplog: Any):
    voices = {voice.id for voice in windowed.voices() if voice.alias_of is None}
    assert set(windowed.status()["voices_decoded_whole"]) == voices - {"af_heart"}
    assert whole.status()["voices_decoded_whole"] == []
    config = replace(windowed._config, kokoro=replace(windowed._config.kokoro, decode="windowed"))
    engine = KokoroEngine(config)
    engine.start()
    engine.close()
    assert "voices are decoded whole, because nobody has measured them: " in caplog.text


# Through the one door.


def shared(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> KokoroEngine:
    """Started and closed by somebody else."""
    monkeypatch.setattr(engine, "start", lambda: None)
    monkeypatch.setattr(engine, "close", lambda: None)
    return engine


@pytest.fixture
def door(windowed: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> Synthesizer:
    """On an engine that others go on using."""
    return Synthesizer(windowed._config, {"kokoro": shared(windowed, monkeypatch)})


@pytest.mark.parametrize("decode", ["windowed", "whole"])
async def test_what_is_streamed_is_what_is_collected(door: Synthesizer, windowed: KokoroEngine, decode: Any):
    """One segment: its audio, but for the silence around it, sample for sample."""
    text = "Nobody asked."
    await door.start()
    async with door.stream(Utterance(text, voice="af_heart", decode=decode)) as stream:
        streamed = joined([chunk async for chunk in stream])
    await door.close()
    assert stream.trace.num_segments == 1
    assert stream.trace.decode == decode
    collected = joined(speak(windowed, text, decode=decode))
    assert len(streamed) > 0.9 * len(collected)
    begin = next(at for at in range(len(collected)) if np.array_equal(collected[at : at + 64], streamed[:64]))
    np.testing.assert_array_equal(streamed, collected[begin : begin + len(streamed)])


async def test_the_synthesizer_speaks_a_long_text_from_its_first_window_on(door: Synthesizer):
    await door.start()
    async with door.stream(Utterance(LONG, voice="af_heart")) as stream:
        first = await anext(stream)
        assert 0 < first.duration_s < 1
        chunks = [first, *[await anext(stream) for _ in range(30)]]
    assert [chunk.start_sample for chunk in chunks] == [0, *accumulate(len(chunk.pcm) for chunk in chunks)][:-1]
    assert stream.trace.decode == "windowed"
    await door.close()


async def test_all_of_a_text_comes_out_with_all_of_its_words(door: Synthesizer):
    text = LONG[:640]
    await door.start()
    async with door.stream(Utterance(text, voice="af_heart", word_marks=True)) as stream:
        chunks = [chunk async for chunk in stream]
    await door.close()
    check_marks(chunks, text)
    assert stream.trace.outcome == "completed"


@pytest.mark.parametrize("num_chunks", [1, 2, 3])
async def test_a_listener_who_leaves_frees_the_engine(door: Synthesizer, windowed: KokoroEngine, num_chunks: int):
    await door.start()
    async with door.stream(Utterance(LONG, voice="af_heart")) as stream:
        for _ in range(num_chunks):
            await anext(stream)
    assert windowed._keeper._num_users == 0
    async with door.stream(Utterance("Hi", voice="af_heart")) as stream:
        assert [chunk async for chunk in stream]
    await door.close()


async def test_several_voices_speak_at_the_same_time(door: Synthesizer):
    await door.start()

    async def spoken(voice: str) -> float:
        async with door.stream(Utterance(SENTENCE, voice=voice)) as stream:
            return sum([chunk.duration_s async for chunk in stream])

    lengths = await asyncio.gather(*(spoken(voice) for voice in ("af_heart", "af_bella", "af_heart+bm_george")))
    assert min(lengths) > 1
    await door.close()


async def test_what_cannot_be_done_is_a_request_error_before_any_audio(door: Synthesizer):
    await door.start()
    for utterance in (Utterance("Hi", voice="nobody"), Utterance("Hi", voice="af_heart", pitch=1.2)):
        with pytest.raises(RequestError):
            door.stream(utterance)
    await door.close()
