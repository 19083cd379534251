"""TTFA before any work: the line is the one that was measured, and the queue is the one that comes true."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.audio.chunk import Chunk
from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.config import Config, EngineConfig, StreamingConfig, SyntheticConfig
from firstaudio.engines.base import EngineInfo
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.synthesis.prediction import MIN_LEARNED, NUM_ERRORS, Line, Prediction, Predictor, wait_s
from firstaudio.synthesis.scheduler import Backlog, StepScheduler
from firstaudio.synthesis.step import StepResult
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Trace

IDLE = Backlog(1, [], [])
RATE = 8000


def info(**fields):
    return EngineInfo("synthetic", RATE, ("en-us",), 1, True, True, None, 0.1, **fields)


class Answers:
    """Answers whose true TTFA is a + b * tokens + queue."""

    def __init__(self, a_ms=20.0, b_ms=0.5):
        self.a_ms, self.b_ms = a_ms, b_ms
        self.predictor = Predictor()

    def true_ms(self, prediction):
        return self.a_ms + self.b_ms * prediction.tokens

    def predict(self, text, backlog=IDLE, is_cached=False, delivery="audio", speed=1.0, **fields):
        trace = Trace(clock=lambda: 1, format="pcm", delivery=delivery, engine="synthetic")
        utterance = Utterance(text, engine="synthetic", speed=speed)
        return self.predictor.predict(utterance, info(**fields), trace, backlog, is_cached=is_cached)

    def answer(self, text, queue_ms=0.0, took_ms=None, warmth="warm", engine="synthetic", origin="client", **fields):
        prediction = self.predict(text, **fields)
        if took_ms is None:
            took_ms = self.true_ms(prediction)
        now = [1]
        trace = Trace(clock=lambda: now[0], format="pcm", engine=engine, warmth=warmth, origin=origin)
        trace.add("queue", round(queue_ms * NS_PER_MS))
        now[0] += round((took_ms + queue_ms) * NS_PER_MS)
        trace.first_audio_sent()
        self.predictor.observe(prediction, trace)
        return prediction


# The line.


@given(
    st.floats(0.0, 1000.0),
    st.floats(0.0, 20.0),
    st.lists(st.floats(5.0, 120.0), min_size=4, max_size=60).filter(lambda xs: np.ptp(xs) > 10),
)
def test_a_line_is_found_exactly(a, b, xs):
    line = Line()
    for x in xs:
        line.observe(x, a + b * x)
    assert line.slope == pytest.approx(b, abs=1e-4 * (1 + a + b))
    assert line.at(60.0) == pytest.approx(a + 60.0 * b, rel=1e-4, abs=1e-3)


@given(st.lists(st.tuples(st.floats(1.0, 100.0), st.floats(0.0, 100.0)), min_size=1, max_size=50))
def test_a_line_never_falls_and_stays_near_what_it_has_seen(seen):
    line = Line()
    for x, y in seen:
        line.observe(x, y)
    assert line.slope >= 0.0
    assert line.at(50.0) <= line.at(51.0)


def test_texts_of_one_length_give_a_median_and_no_slope():
    line = Line()
    for y in (10.0, 12.0, 20.0) * 50:
        line.observe(30.0, y)
    assert line.slope == 0.0
    assert line.at(300.0) == pytest.approx(12.0)


def test_a_long_tail_does_not_lift_the_line():
    line = Line()
    for number in range(200):
        line.observe(20.0 + number % 7, 100.0 if number % 4 == 0 else 10.0)
    assert line.at(23.0) == pytest.approx(10.0, abs=2.0)


def test_what_was_long_ago_fades():
    line = Line()
    for y in [100.0] * 100 + [10.0] * 200:
        line.observe(30.0, y)
    assert line.at(30.0) == pytest.approx(10.0, abs=0.5)


# The queue.


@given(
    st.integers(1, 4),
    st.lists(st.floats(0.0, 5.0), max_size=4),
    st.lists(st.floats(0.0, 5.0), max_size=12),
)
def test_a_newcomer_waits_for_the_first_lane_that_is_free(num_lanes, running_s, waiting_s):
    running_s = running_s[:num_lanes]
    waited_s = wait_s(Backlog(num_lanes, running_s, waiting_s))
    assert 0.0 <= waited_s <= (sum(running_s) + sum(waiting_s)) + 1e-9
    if len(running_s) + len(waiting_s) < num_lanes:
        assert waited_s == 0.0
    if num_lanes == 1:
        assert waited_s == pytest.approx(sum(running_s) + sum(waiting_s))
    assert waited_s <= wait_s(Backlog(num_lanes, running_s, [*waiting_s, 1.0]))


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


class Work:
    """One step of half a second; notes when it began."""

    def __init__(self, clock, gate):
        self.clock, self.gate, self.began_s = clock, gate, None

    def step(self, _lead_s, _crowded):
        assert self.gate.wait(20)
        self.began_s = self.clock.now / NS_PER_S
        self.clock.now += NS_PER_S // 2
        return StepResult([Chunk(np.zeros(RATE // 2, np.int16), RATE)], True, 0.0)

    def close(self):
        pass


async def test_the_queue_that_is_predicted_is_the_queue_that_comes_true():
    clock, gate, streaming = Clock(), threading.Event(), StreamingConfig(max_wait_ms=10_000)
    one = StepScheduler(1, streaming, 0.1, clock, expected_first_step_s=0.5)
    works, predicted_s, streams = [], [], []
    for _ in range(4):
        predicted_s.append(wait_s(one.backlog(streaming)))
        works.append(Work(clock, gate))
        streams.append(one.open(works[-1], 0.5))
    gate.set()
    for stream in streams:
        assert [chunk async for chunk in stream]
    assert [work.began_s for work in works] == predicted_s == [0.0, 0.5, 1.0, 1.5]
    await one.close()


async def test_what_a_running_step_has_done_is_not_waited_for_again():
    clock, gate, streaming = Clock(), threading.Event(), StreamingConfig()
    one = StepScheduler(1, streaming, 0.1, clock, expected_first_step_s=0.5)
    stream = one.open(Work(clock, gate), 0.5)
    clock.now = NS_PER_S // 5
    assert wait_s(one.backlog(streaming)) == pytest.approx(0.3)
    clock.now = 3 * NS_PER_S
    assert wait_s(one.backlog(streaming)) == 0.0
    gate.set()
    assert [chunk async for chunk in stream]
    await one.close()


async def test_streams_whose_readers_have_enough_are_not_waited_for():
    clock, gate, streaming = Clock(), threading.Event(), StreamingConfig(max_lead_s=0.1)
    gate.set()
    one = StepScheduler(1, streaming, 0.1, clock)

    class Longer(Work):
        def step(self, lead_s, crowded):
            return super().step(lead_s, crowded)._replace(done=False, remaining_s=9.0)

    stream = one.open(Longer(clock, gate), 10.0)
    first = await anext(stream)  # and another one is made, which nobody reads
    while one.statistics().num_parked == 0:  # noqa: ASYNC110 (a step that ends is no event)
        await asyncio.sleep(0)
    assert first.duration_s > streaming.max_lead_s
    assert wait_s(one.backlog(streaming)) == 0.0
    await stream.aclose()
    await one.close()


# Both together.


def test_nothing_is_predicted_before_enough_is_known():
    answers = Answers()
    predictions = [answers.answer(f"{'x' * 20}, and on.").ttfa_ms for _ in range(MIN_LEARNED + 1)]
    assert predictions[:-1] == [None] * MIN_LEARNED
    assert predictions[-1] is not None


def test_an_engine_that_states_what_to_expect_is_believed_until_it_is_measured():
    answers = Answers(a_ms=500.0, b_ms=0.0)
    expected = {"expected_startup_s": 0.1, "expected_startup_rtf": 0.3}
    first = answers.answer("Fifteen letters, no more.", **expected)
    assert first.ttfa_ms == pytest.approx(100 + 300 * first.tokens / 15.0)
    for _ in range(MIN_LEARNED):
        answers.answer("Fifteen letters, no more.", **expected)
    assert answers.predict("Fifteen letters, no more.", **expected).ttfa_ms == pytest.approx(500.0)


@given(st.floats(0.0, 500.0), st.floats(0.0, 5.0), st.lists(st.integers(0, 2000), min_size=8, max_size=40))
def test_a_known_line_is_learned_with_whatever_queue_there_was(a_ms, b_ms, queues_ms):
    answers = Answers(a_ms, b_ms)
    for number, queue_ms in enumerate(queues_ms):
        answers.answer(f"{'x' * (10 + 7 * (number % 9))}, and on.", queue_ms=queue_ms)
    found = answers.predict("This is the first clause, and on.", Backlog(1, [0.25], [0.5, 0.25]))
    assert found.wait_ms == 1000.0
    assert found.ttfa_ms == pytest.approx(answers.true_ms(found) + 1000.0, rel=1e-3, abs=0.5)


def test_answers_from_kept_audio_have_a_line_of_their_own():
    answers = Answers()
    for _ in range(MIN_LEARNED):
        answers.answer("Hello there, you.", took_ms=300.0)
        answers.answer("Hello there, you.", took_ms=2.0, warmth="cached", is_cached=True)
    assert answers.predict("Hello there, you.").ttfa_ms == pytest.approx(300.0)
    assert answers.predict("Hello there, you.", is_cached=True).ttfa_ms == pytest.approx(2.0)


def test_a_whole_answer_waits_for_the_whole_text():
    answers = Answers(a_ms=0.0, b_ms=2.0)
    for number in range(1, 9):
        answers.answer("A sentence of some length. " * number, delivery="whole")
    found = answers.predict("A sentence of some length. " * 20, delivery="whole")
    assert found.tokens == 27 * 20
    assert found.ttfa_ms == pytest.approx(2.0 * 27 * 20, rel=1e-3)
    assert answers.predict("A sentence of some length.").ttfa_ms is None


def test_a_whole_answer_that_was_kept_was_not_foreseen_and_teaches_nothing():
    answers = Answers(a_ms=100.0, b_ms=0.0)
    for _ in range(MIN_LEARNED):
        answers.answer("Hello there, you.", delivery="whole")
    for _ in range(20):
        answers.answer("Hello there, you.", took_ms=1.0, warmth="cached", delivery="whole", is_cached=True)
    assert answers.predict("Hello there, you.", delivery="whole", is_cached=True).ttfa_ms == pytest.approx(100.0)
    found = answers.predictor.statistics()
    assert (found.made.n, found.cached.n) == (0, 0)


@pytest.mark.parametrize("fields", [{"warmth": "cold"}, {"engine": "other"}, {"origin": "warmup"}])
def test_what_says_nothing_of_later_answers_teaches_nothing(fields):
    answers = Answers()
    for _ in range(MIN_LEARNED):
        answers.answer("Hello there, you.")
    for _ in range(20):
        answers.answer("Hello there, you.", took_ms=9000.0, **fields)
    found = answers.predict("Hello there, you.")
    assert found.ttfa_ms == pytest.approx(answers.true_ms(found))
    assert answers.predictor.statistics().made.n == 0


def test_faster_speech_is_less_work_for_the_first_clause():
    answers = Answers()
    assert answers.predict("Hello there, you.", speed=2.0).tokens == answers.predict("Hello there, you.").tokens / 2


def test_no_more_of_a_text_is_read_than_a_first_clause_can_be():
    answers = Answers()
    assert answers.predict("x" * 100_000).tokens == 90
    assert answers.predict("Well, this goes on, and on.").tokens == len("Well, this goes on, ")
    assert answers.predict("今天天气很好、我们去公园。").tokens > 20


# How far off it was.


def test_errors_are_those_of_the_latest_and_kept_answers_are_judged_apart():
    answers = Answers(a_ms=100.0, b_ms=0.0)
    empty = answers.predictor.statistics()
    assert (empty.made.n, empty.made.median_absolute_error_ms, empty.made.bias_ms) == (0, None, None)
    for _ in range(MIN_LEARNED):
        answers.answer("Hello there, you.")
    answers.answer("Hello there, you.", took_ms=90.0)
    found = answers.predictor.statistics()
    assert (found.made.n, found.cached.n) == (1, 0)
    assert found.made.median_absolute_error_ms == pytest.approx(10.0)
    assert found.made.bias_ms == pytest.approx(10.0)
    for _ in range(NUM_ERRORS + 10):
        answers.answer("Hello there, you.", took_ms=100.0)
    found = answers.predictor.statistics()
    assert found.made.n == NUM_ERRORS
    assert found.made.median_absolute_error_ms == pytest.approx(0.0, abs=0.5)
    assert found.num_learned == {"synthetic": MIN_LEARNED + 1 + NUM_ERRORS + 10}


async def test_the_synthesizer_notes_its_prediction_in_every_trace_and_learns_from_it():
    config = Config(engine=EngineConfig(names=("synthetic",)), synthetic=SyntheticConfig(ttfa_ms=1.0, rtf=0.0))
    one = Synthesizer(config, {"synthetic": SyntheticEngine(config)})
    await one.start()
    noted = []
    for number in range(MIN_LEARNED + 2):  # the first is cold
        trace = Trace(format="pcm", delivery="audio")
        async with one.stream(Utterance(f"Number {number} of some, and the rest."), trace) as stream:
            assert isinstance(stream.prediction, Prediction)
            async for _ in stream:
                trace.first_audio_sent()
        noted.append(trace.predicted_ttfa_ms)
    await one.close()
    assert noted[: MIN_LEARNED + 1] == [None] * (MIN_LEARNED + 1)
    assert noted[-1] > 0
    assert one.predictor.statistics().made.n == 1
