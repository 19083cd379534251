import numpy as np
import pytest

from firstaudio.clock import now_ns
from firstaudio.config import Config, SyntheticConfig
from firstaudio.engines import synthetic
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError, UnknownLanguageError, UnknownVoiceError


def engine(**figures) -> SyntheticEngine:
    return SyntheticEngine(Config(synthetic=SyntheticConfig(**{"ttfa_ms": 0.0, "rtf": 0.0} | figures)))


def speak(instance, text="some words here", **request):
    return list(instance.steps(instance.prepare(SpeakRequest(text, "default", "en-us", **request))))


def test_the_audio_is_a_function_of_the_text():
    first, again = (np.concatenate([chunk.pcm for chunk in speak(engine(step_ms=ms))]) for ms in (100, 37))
    assert np.array_equal(first, again)
    assert len(first) == len("some words here") * round(0.06 * 24000)


def test_chunks_are_contiguous_and_words_start_where_their_characters_sound():
    chunks = speak(engine())
    assert [c.start_sample for c in chunks[1:]] == [c.end_sample for c in chunks[:-1]]
    marks = [(m.start_char, m.end_char, m.start_sample) for c in chunks for m in c.words]
    assert marks == [(0, 4, 0), (5, 10, 5 * 1440), (11, 15, 11 * 1440)]


def test_speed_shortens_and_pitch_raises():
    assert sum(c.num_samples for c in speak(engine(), speed=2.0)) == len("some words here") * 720
    assert not np.array_equal(speak(engine(), pitch=2.0)[0].pcm, speak(engine())[0].pcm)


def test_it_never_delivers_earlier_than_it_states():
    begin = now_ns()
    chunks = speak(engine(ttfa_ms=20.0, rtf=0.05))
    stated_s = 0.020 + 0.05 * sum(c.duration_s for c in chunks[1:])
    assert (now_ns() - begin) / 1e9 >= stated_s


class FakeClock:
    """Time passes only where the engine waits for it."""

    def __init__(self, monkeypatch) -> None:
        self.ns = 1
        monkeypatch.setattr(synthetic, "now_ns", lambda: self.ns)
        monkeypatch.setattr(synthetic, "_sleep_until", self.sleep_until)

    def sleep_until(self, at_ns: int) -> None:
        self.ns = max(self.ns, at_ns)

    def took_ms(self, work) -> float:
        begin = self.ns
        work()
        return (self.ns - begin) / 1e6


@pytest.mark.parametrize(
    ("slow", "expected"), [("none", (0, 10, 0)), ("phonemize", (20, 10, 0)), ("model_inference", (0, 30, 0))]
)
def test_the_slow_stage_and_no_other_takes_longer(monkeypatch, slow: str, expected: tuple[float, ...]):
    """In ms: preparation, the first step, the others."""
    clock, instance = FakeClock(monkeypatch), engine(ttfa_ms=10.0, slow_stage=slow, slow_ms=20.0)
    prepared = []
    preparation = clock.took_ms(
        lambda: prepared.append(instance.prepare(SpeakRequest("some words here", "default", "en-us")))
    )
    chunks = instance.steps(prepared[0])
    assert (preparation, clock.took_ms(lambda: next(chunks)), clock.took_ms(lambda: list(chunks))) == expected


def test_failures_are_drawn_by_the_seed_and_a_retry_draws_again():
    failing = engine(failure_rate=0.5, seed=3)
    outcomes = []
    for attempt in range(40):
        try:
            speak(failing, key=(1, 0, attempt))
            outcomes.append(True)
        except EngineError:
            outcomes.append(False)
    assert 5 < sum(outcomes) < 35
    with pytest.raises(EngineError) as failure:
        speak(engine(failure_rate=1.0))
    assert failure.value.retryable


def test_it_fails_at_the_step_that_is_configured():
    instance = engine(failure_rate=1.0, fail_at_step=2)
    iterator = instance.steps(instance.prepare(SpeakRequest("some words here", "default", "en-us")))
    assert [next(iterator).num_samples, next(iterator).num_samples] == [2400, 2400]
    with pytest.raises(EngineError):
        next(iterator)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownVoiceError, match="nobody"):
        engine().resolve("nobody", None)
    with pytest.raises(UnknownLanguageError, match="fr"):
        engine().resolve("default", "fr")
    assert engine().resolve("premium", "en-US") == ("premium", "en-us")


def test_no_text_makes_no_audio():
    assert speak(engine(), text="") == []
