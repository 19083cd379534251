"""The espeak engine with the real library and real worker processes."""

import os
import signal
import threading

import numpy as np
import psutil
import pytest

from firstaudio.config import Config, EspeakConfig
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.espeak import process as worker_process
from firstaudio.engines.espeak.engine import PITCH_FACTORS, EspeakEngine, find_library
from firstaudio.engines.espeak.process import WorkerProcess
from firstaudio.engines.espeak.voices import ALIASES
from firstaudio.errors import (
    ConfigError,
    EngineError,
    StepTimeoutError,
    UnknownLanguageError,
    UnknownVoiceError,
    WorkerDiedError,
)
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

OPENAI_VOICES = [
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx"),
    *("nova", "sage", "shimmer", "verse", "marin", "cedar"),
]
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it runs away."


@pytest.fixture(scope="module")
def espeak():
    engine = EspeakEngine(Config())
    engine.start()
    yield engine
    engine.close()


def request(engine, text, voice="af_heart", language=None, **more):
    return SpeakRequest(text, *engine.resolve(voice, language), **more)


def speak(engine, text, voice="af_heart", language=None, **more):
    return list(engine.steps(engine.prepare(request(engine, text, voice, language, **more))))


def duration_s(chunks):
    return sum(chunk.duration_s for chunk in chunks)


def loudness(chunks):
    return float(np.abs(np.concatenate([chunk.pcm for chunk in chunks]).astype(float)).max())


def words(chunks):
    return [(mark.start_char, mark.end_char) for chunk in chunks for mark in chunk.words]


def test_chunks_are_contiguous_int16_at_the_native_rate(espeak):
    chunks = speak(espeak, SENTENCE)
    assert {chunk.sample_rate for chunk in chunks} == {22050}
    assert {chunk.pcm.dtype for chunk in chunks} == {np.dtype(np.int16)}
    assert [chunk.start_sample for chunk in chunks[1:]] == [chunk.end_sample for chunk in chunks[:-1]]


def test_the_first_chunk_does_not_wait_for_the_segment(espeak):
    assert speak(espeak, SENTENCE * 5)[0].duration_s == pytest.approx(0.060, abs=0.001)


@pytest.mark.parametrize("voice", [*OPENAI_VOICES, "af_heart", "default"])
def test_the_names_of_other_systems_speak(espeak, voice):
    assert loudness(speak(espeak, "Hello.", voice)) > 1000


def test_aliases_are_distinct_personas():
    assert len({(alias.variant, alias.language) for alias in ALIASES.values()}) == len(ALIASES)


def test_every_listed_voice_speaks(espeak):
    silent = [v.id for v in espeak.voices() if loudness(speak(espeak, "5 papa 7", v.id)) < 500]
    assert silent == []
    assert len(espeak.info.languages) > 100


def test_an_alias_speaks_any_language(espeak):
    assert espeak.resolve("alloy", "fr") == ("fr-fr+f2", "fr-fr")
    assert espeak.resolve("Alloy", "pt-BR") == ("pt-br+f2", "pt-br")
    assert duration_s(speak(espeak, "Bonjour tout le monde", "alloy", "fr")) > 0.8


def test_every_voice_speaks_the_language_that_it_is_listed_with(espeak):
    voices = [voice for voice in espeak.voices() if voice.alias_of is None]
    assert [espeak.resolve(v.id, v.language) for v in voices] == [(v.id, v.language) for v in voices]


def test_a_voice_may_carry_a_variant(espeak):
    assert espeak.resolve("en-US+F3", None) == ("en-us+f3", "en-us")
    assert espeak.resolve("en", "en-us") == ("en-us", "en-us")


@pytest.mark.parametrize(
    ("voice", "language", "error", "message"),
    [
        ("nvoa", None, UnknownVoiceError, "did you mean 'nova'"),
        ("de-at", None, UnknownVoiceError, "did you mean 'de'"),
        (
            "nope",
            None,
            UnknownVoiceError,
            "^no voice 'nope'; `firstaudio voices` or GET /v1/audio/voices lists them all$",
        ),
        ("en-us+zzz", None, UnknownVoiceError, "variants: adam"),
        ("alloy", "xx", UnknownLanguageError, "no language 'xx'"),
        ("alloy", "en-zz", UnknownLanguageError, "en-us"),
        ("fr", "de", UnknownLanguageError, "leave the language out"),
        ("", None, UnknownVoiceError, "no voice ''"),
    ],
)
def test_unknown_names_are_refused_with_the_next_step(espeak, voice, language, error, message):
    with pytest.raises(error, match=message):
        espeak.resolve(voice, language)


def test_words_are_marked_at_their_characters_and_in_order(espeak):
    text = "naïve café, Ürümqi is 3.14 über"
    chunks = speak(espeak, text)
    spoken = [text[a:b] for a, b in words(chunks)]
    assert spoken[:4] == ["naïve", "café", "Ürümqi", "is"]
    starts = [mark.start_sample for chunk in chunks for mark in chunk.words]
    assert starts == sorted(starts)
    assert len(set(words(chunks))) == len(words(chunks))


@pytest.mark.parametrize(
    ("text", "language"), [("half ½", "en-us"), ("{한국어IV", "el"), ("ß 1,000,000 < world \uffff - 100% “ नमस्ते", "om")]
)
def test_marks_stay_within_the_text_and_in_order_where_the_library_spells(espeak, text, language):
    chunks = speak(espeak, text, language=language, speed=4.0)
    marks = [mark for chunk in chunks for mark in chunk.words]
    assert all(0 <= mark.start_char < mark.end_char <= len(text) for mark in marks)
    assert [mark.start_char for mark in marks] == sorted({mark.start_char for mark in marks})
    starts = [mark.start_sample for mark in marks]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("unit", "language", "counts"),
    [
        ("x", None, (16, 400)),
        ("w", None, (16, 400)),
        ("7", None, (24, 400)),
        ("ha", None, (30, 200)),
        ("か", "ja", (50, 390)),
        ("中文字词", "zh", (20, 98)),
        ("3497 ", None, (10, 79)),
        ("www ", None, (10, 99)),
        ("I ", None, (3, 60)),
    ],
)
async def test_nothing_is_lost_of_what_the_library_would_cut_off(unit, language, counts):
    one = Synthesizer(Config())
    await one.start()
    lengths = []
    for count in counts:
        async with one.stream(Utterance(unit * count, voice="alloy", language=language)) as stream:
            lengths.append(sum([chunk.duration_s async for chunk in stream]) / count)
    await one.close()
    assert lengths[1] > 0.8 * lengths[0]


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 1.5, 2.0, 3.0, 4.0])
def test_speed_is_honoured_over_the_whole_range(espeak, speed):
    natural = duration_s(speak(espeak, SENTENCE))
    assert duration_s(speak(espeak, SENTENCE, speed=speed)) == pytest.approx(natural / speed, rel=0.12)


def test_words_move_with_a_stretched_tempo(espeak):
    chunks = speak(espeak, SENTENCE, speed=0.25)
    starts = [mark.start_sample for chunk in chunks for mark in chunk.words]
    assert len(starts) == len(SENTENCE.split())
    assert starts[-1] < sum(chunk.num_samples for chunk in chunks)
    assert starts[-1] > 0.8 * sum(chunk.num_samples for chunk in chunks)


@pytest.mark.parametrize("factor", PITCH_FACTORS)
def test_pitch_is_honoured_over_the_stated_range(espeak, factor):
    natural = fundamental_hz(speak(espeak, "Mary had a little lamb whose fleece was white as snow", "default"))
    raised = fundamental_hz(
        speak(espeak, "Mary had a little lamb whose fleece was white as snow", "default", pitch=factor)
    )
    assert raised / natural == pytest.approx(factor, rel=0.08)


def fundamental_hz(chunks, rate=22050, window=1200):
    """Median over voiced windows of the autocorrelation's peak between 55 and 400 Hz."""
    pcm = np.concatenate([chunk.pcm for chunk in chunks]).astype(float)
    found = []
    for begin in range(0, len(pcm) - window, window // 2):
        piece = pcm[begin : begin + window] - pcm[begin : begin + window].mean()
        correlation = np.correlate(piece, piece, "full")[window - 1 :]
        peak = rate // 400 + int(correlation[rate // 400 : rate // 55].argmax())
        if correlation[0] > 1e8 and correlation[peak] > 0.5 * correlation[0]:
            found.append(rate / peak)
    return float(np.median(found))


def test_streams_may_pause_anywhere_while_others_advance(espeak):
    text = "one two three four five six seven " * 10
    iterators = [espeak.steps(espeak.prepare(request(espeak, f"{text} {n}"))) for n in range(6)]
    marks = [[] for _ in iterators]
    live = set(range(6))
    while live:
        for n in sorted(live):
            chunk = next(iterators[n], None)
            if chunk is None:
                live.discard(n)
            else:
                marks[n] += [(mark.start_char, mark.end_char) for mark in chunk.words]
    assert [len(m) for m in marks] == [71] * 6


def test_closing_an_iterator_frees_the_worker(espeak):
    iterator = espeak.steps(espeak.prepare(request(espeak, "word " * 3000)))
    next(iterator)
    iterator.close()
    assert loudness(speak(espeak, "next")) > 1000


def test_a_killed_worker_fails_its_job_retryably_and_is_replaced(espeak):
    iterators = [espeak.steps(espeak.prepare(request(espeak, "word " * 2000))) for _ in range(2)]
    for iterator in iterators:
        next(iterator)
    before = espeak.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    outcomes = []
    for iterator in iterators:
        try:
            outcomes.append(len(words(list(iterator))))
        except EngineError as error:
            outcomes.append(error.retryable)
    assert sorted(outcomes, key=repr) in ([1999, True], [2000, True])
    assert loudness(speak(espeak, "next")) > 1000
    after = espeak.worker_pids()
    assert len(set(before) & set(after)) == 1
    assert not psutil.pid_exists(before[0])


def test_text_that_c_cannot_hold_is_an_error_not_a_truncation(espeak):
    with pytest.raises(EngineError, match="NUL"):
        speak(espeak, "before\0after")
    with pytest.raises(EngineError):
        speak(espeak, "lone \ud800 surrogate")
    assert loudness(speak(espeak, "next")) > 1000


class Impatient:
    """Stands in for a worker's poll: whatever the time limit, it is over at once and nothing was said."""

    def __init__(self):
        self.limits_ms = []

    def poll(self, limit_ms):
        self.limits_ms.append(limit_ms)
        return []


def test_a_silent_worker_is_stopped_after_the_time_limit():
    engine = EspeakEngine(Config(espeak=EspeakConfig(num_workers=1, step_timeout_s=7.5)))
    engine.start()
    try:
        (worker,) = engine._pool._workers
        worker._poll = Impatient()
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(StepTimeoutError, match=r"7\.5 s"):
            speak(engine, "hello")
        assert worker._poll.limits_ms == [7500]
        assert loudness(speak(engine, "hello")) > 1000
        assert engine.worker_pids() != [worker.pid]
    finally:
        engine.close()


@pytest.fixture
def new_worker():
    workers = []

    def start():
        workers.append(WorkerProcess(*find_library(), 10.0))
        workers[-1].wait_ready()
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


def say(worker, text):
    job = worker.speak({"text": text, "voice": "gmw/en-US", "rate": 175, "pitch": 50})
    return iter(job.next_frame, None)


def test_a_job_that_comes_too_late_for_a_worker_does_not_reach_its_successor(new_worker):
    worker = new_worker()
    worker.stop(kill=True)
    successor = new_worker()
    with pytest.raises(WorkerDiedError):
        say(worker, "hello")
    assert len(list(say(successor, "hello"))) > 1


def test_a_worker_is_out_of_reach_of_the_terminals_signals_from_its_first_moment(new_worker):
    assert os.getpgid(new_worker().pid) != os.getpgid(0)


def test_a_worker_is_not_stopped_under_the_hands_of_a_thread_that_reads_from_it(new_worker, monkeypatch):
    worker, reads, errors = new_worker(), threading.Event(), []
    gate = threading.Event()

    def slow_read(fd, num_bytes, read=os.read):
        reads.set()
        assert gate.wait(10)
        return read(fd, num_bytes)

    def listen():
        try:
            list(say(worker, "hello " * 2000))
        except (EngineError, OSError) as error:
            errors.append(error)

    monkeypatch.setattr(worker_process.os, "read", slow_read)
    threads = [threading.Thread(target=listen), threading.Thread(target=worker.stop, kwargs={"kill": True})]
    threads[0].start()
    assert reads.wait(10)
    threads[1].start()
    threads[1].join(0.1)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in errors] == [WorkerDiedError]


def test_close_leaves_no_process_thread_or_file():
    process = psutil.Process()
    children, num_files, threads = set(process.children()), process.num_fds(), set(threading.enumerate())
    engine = EspeakEngine(Config())
    engine.start()
    assert len(set(process.children()) - children) == 2
    engine.close()
    assert set(process.children()) <= children
    assert set(threading.enumerate()) <= threads
    assert process.num_fds() <= num_files


def test_a_missing_library_says_what_to_do():
    with pytest.raises(EngineError, match="cannot start"):
        EspeakEngine(Config(espeak=EspeakConfig(library="/nonexistent/libespeak-ng.so"))).start()


def test_no_library_at_all_names_the_packages(monkeypatch):
    import sys

    from firstaudio.engines.espeak import engine

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(engine.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(ConfigError, match="pip install espeakng-loader"):
        engine.find_library()
