"""espeak-ng as a phonemizer, with the real library and a real worker process."""

import os
import signal
import threading

import pytest

from firstaudio.config import Config
from firstaudio.config.fields import EspeakConfig
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.espeak.engine import EspeakEngine, find_library
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.espeak.process import WorkerProcess, unpack_words
from firstaudio.engines.espeak.protocol import Kind
from firstaudio.errors import ConfigError, EngineError


@pytest.fixture(scope="module")
def phonemizer():
    phonemizer = Phonemizer(EspeakConfig())
    yield phonemizer
    phonemizer.close()


def test_one_round_trip_gives_each_stretch_its_sounds(phonemizer):
    assert phonemizer.phonemize(["Hello world", "", "church"], "en-us") == ["həlˈo͡ʊ wˈɜːld", "", "t͡ʃˈɜːt͡ʃ"]


def test_nothing_asked_is_nothing_said(phonemizer):
    assert phonemizer.phonemize([], "en-us") == []


@pytest.mark.parametrize(
    ("language", "text", "ipa"),
    [("fr-fr", "bonjour", "bɔ̃ʒˈuʁ"), ("es", "año", "ˈaɲo"), ("en-gb", "bath", "bˈaθ"), ("pt-br", "olá", "olˈa")],
)
def test_languages_may_change_from_call_to_call(phonemizer, language, text, ipa):
    assert phonemizer.phonemize(["hello"], "en-us") == ["həlˈo͡ʊ"]
    assert phonemizer.phonemize([text], language) == [ipa]


def test_a_text_of_several_clauses_is_read_to_its_end(phonemizer):
    assert phonemizer.phonemize(["one. two! three, four"], "en-us") == ["wˈʌn tˈuː θɹˈiː fˈɔː͡ɹ"]


def test_an_unknown_language_is_an_error_and_the_next_call_works(phonemizer):
    with pytest.raises(EngineError, match="'xx'"):
        phonemizer.phonemize(["hello"], "xx")
    assert phonemizer.phonemize(["two"], "en-us") == ["tˈuː"]


def test_a_nul_is_refused_because_c_would_end_the_text_there(phonemizer):
    with pytest.raises(EngineError, match="NUL"):
        phonemizer.phonemize(["one\0two"], "en-us")


def test_a_worker_that_dies_is_replaced_without_a_word(phonemizer):
    phonemizer.start()
    first = phonemizer.pid
    os.kill(first, signal.SIGKILL)
    assert phonemizer.phonemize(["two"], "en-us") == ["tˈuː"]
    assert phonemizer.pid != first


def test_threads_get_their_own_answers(phonemizer):
    words = ["one", "two", "three", "four"]
    expected = {word: phonemizer.phonemize([word] * 3, "en-us") for word in words}
    heard = {word: [] for word in words}

    def ask(word):
        heard[word] = [phonemizer.phonemize([word] * 3, "en-us") for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {word: [expected[word]] * 20 for word in words}


def test_a_closed_phonemizer_starts_nothing():
    phonemizer = Phonemizer(EspeakConfig())
    phonemizer.close()
    with pytest.raises(EngineError, match="closed"):
        phonemizer.phonemize(["hello"], "en-us")
    assert phonemizer.pid is None


def test_a_library_that_is_not_there_is_named():
    phonemizer = Phonemizer(EspeakConfig(library="/nowhere/libespeak-ng.so"))
    with pytest.raises((EngineError, ConfigError), match="nowhere"):
        phonemizer.start()
    phonemizer.close()


def test_speech_and_phonemes_share_a_worker_without_changing_each_other():
    worker = WorkerProcess(*find_library(), 10.0)
    request = {"text": "Hello there.", "voice": "gmw/en-US", "rate": 175, "pitch": 50}

    def spoken():
        """Words and seconds; samples differ a little from one time to the next, phonemes between them or not."""
        frames = list(iter(worker.speak(request).next_frame, None))
        words = [at for frame in frames if frame.kind is Kind.WORDS for at, _ in unpack_words(frame.payload)]
        num_bytes = sum(len(frame.payload) for frame in frames if frame.kind is Kind.AUDIO)
        return words, round(num_bytes / 2 / 22050, 1)

    try:
        before = spoken()
        phonemes = list(iter(worker.phonemize(["bonjour"], "roa/fr").next_frame, None))
        assert [(frame.kind, frame.payload.decode()) for frame in phonemes] == [(Kind.PHONEMES, "bɔ̃ʒˈuʁ")]
        assert spoken() == before
    finally:
        worker.stop()


def test_a_voice_that_the_worker_refuses_ends_the_job_with_its_error():
    worker = WorkerProcess(*find_library(), 10.0)
    try:
        with pytest.raises(EngineError, match="no voice 'zz/zz'"):
            worker.phonemize(["hello"], "zz/zz").next_frame()
        assert worker.phonemize(["two"], "gmw/en-US").next_frame().payload.decode() == "tˈuː"
    finally:
        worker.stop()


def test_the_engine_speaks_beside_a_phonemizer(phonemizer):
    engine = EspeakEngine(Config())
    engine.start()
    try:
        phonemizer.phonemize(["bonjour"], "fr-fr")
        request = SpeakRequest("Hello.", *engine.resolve("af_heart", None))
        assert sum(chunk.num_samples for chunk in engine.steps(engine.prepare(request))) > 1000
    finally:
        engine.close()
