"""Audio that is made once: exact, bounded, shared by those who ask at the same time, and never kept where it failed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.chunk import Chunk
from firstaudio.config import CacheConfig, Config, EngineConfig, StreamingConfig, SyntheticConfig
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.espeak.engine import EspeakEngine
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError
from firstaudio.synthesis.cache import PhraseCache
from firstaudio.synthesis.recording import CHUNK_BYTES, JOINABLE_S, PENDING
from firstaudio.synthesis.segment_key import SegmentKey, segment_key
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Trace

TEXT = "The first clause is short, and it goes out at once. The second sentence follows while the first one plays!"
FAST = SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.02)
MB = 1_000_000
TIMEOUT_S = 20.0


def request(text, voice="default", **fields):
    return SpeakRequest(text, voice, "en-us", **fields)


def key_of(request, engine="synthetic"):
    return SegmentKey(
        engine, "", request.voice, request.language, request.speed, request.pitch, request.decode, request.text
    )


def listen(cache, engine, request, *, is_first=True, fresh=False, origin="client"):
    """(everything recorded, the replay) of one listener who hears all."""
    replay = cache.open(key_of(request), Trace(origin=origin), is_first=is_first, fresh=fresh)
    try:
        assert replay.begin(engine, request)
        return hear(replay), replay
    finally:
        replay.close()


def hear(replay):
    """The rest, waiting for other lanes where they are at work."""
    heard = []
    while (recorded := replay.take()) is not None:
        if recorded is not PENDING:
            heard.append(recorded)
            continue
        free = threading.Event()
        replay.when_free(free.set)
        assert free.wait(TIMEOUT_S)
    return heard


def same(recorded, chunks):
    """Sample for sample, place for place, word for word."""
    assert len(recorded) == len(chunks)
    for each, chunk in zip(recorded, chunks, strict=True):
        assert each.chunk.pcm.dtype == chunk.pcm.dtype
        assert np.array_equal(each.chunk.pcm, chunk.pcm)
        places = [(one.sample_rate, one.start_sample, one.words) for one in (each.chunk, chunk)]
        assert places[0] == places[1]


def config(cache=None, **synthetic):
    return Config(
        engine=EngineConfig(names=("synthetic",), default_voice="default"),
        synthetic=replace(FAST, **synthetic),
        cache=CacheConfig(**(cache or {})),
    )


@pytest.fixture
async def speaker():
    """Makes synthesizers and closes them."""
    made = []

    async def make(engine=None, settings=None):
        settings = settings or config()
        made.append(Synthesizer(settings, {"synthetic": engine or Counting(settings)}))
        await made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def speak(one, text=TEXT, **fields):
    async with one.stream(Utterance(text, **fields)) as stream:
        return [chunk async for chunk in stream], stream.trace


def joined(chunks):
    return np.concatenate([chunk.pcm for chunk in chunks])


class Counting(SyntheticEngine):
    """Counts what it is asked for, and the iterators that were closed before their end."""

    def __init__(self, config=None):
        super().__init__(config or Config(synthetic=FAST))
        self.texts, self.num_steps, self.num_broken_off = [], 0, 0

    def prepare(self, request):
        self.texts.append(request.text)
        return super().prepare(request)

    def steps(self, prepared):
        try:
            for chunk in super().steps(prepared):
                self.num_steps += 1
                yield chunk
        except GeneratorExit:
            self.num_broken_off += 1
            raise


# Exact.


@given(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=60),
    st.sampled_from([0.25, 0.5, 1.0, 1.7]),
    st.sampled_from([0.7, 1.0, 1.5]),
)
def test_a_hit_is_what_the_engine_gives(text, speed, pitch):
    engine, cache = SyntheticEngine(Config(synthetic=FAST)), PhraseCache(MB * 10)
    asked = request(text, speed=speed, pitch=pitch)
    first, made = listen(cache, engine, asked)
    again, kept = listen(cache, engine, asked)
    assert (made.was_kept, made.is_own, kept.was_kept, kept.is_own) == (False, True, True, False)
    same(first, list(engine.steps(engine.prepare(asked))))
    same(again, list(engine.steps(engine.prepare(asked))))


class Raw(SyntheticEngine):
    """Gives what it is told to."""

    def __init__(self, pieces):
        super().__init__(Config(synthetic=FAST))
        self.pieces = pieces

    def steps(self, prepared):
        for piece in self.pieces:
            yield Chunk(piece, 8000)


@given(st.sampled_from([np.int16, np.float32]), st.lists(st.binary(min_size=4, max_size=64), min_size=1, max_size=5))
def test_samples_are_kept_bit_for_bit_in_the_width_that_the_engine_gives_them(width, given):
    pieces = [np.frombuffer(bits[: len(bits) // 4 * 4], width) for bits in given]
    cache = PhraseCache(MB)
    listen(cache, Raw(pieces), request("Any."))
    kept, replay = listen(cache, Raw([]), request("Any."))
    assert replay.was_kept
    assert [(one.chunk.pcm.dtype, one.chunk.pcm.tobytes()) for one in kept] == [(p.dtype, p.tobytes()) for p in pieces]
    assert cache.statistics().num_bytes == sum(piece.nbytes + CHUNK_BYTES for piece in pieces)


@pytest.fixture(scope="module")
def espeak():
    engine = EspeakEngine(Config())
    engine.start()
    yield engine
    engine.close()


class Spy:
    """An engine that keeps a copy of what it gives. espeak-ng never breathes twice in the same way."""

    def __init__(self, engine):
        self._engine, self.given = engine, []

    def prepare(self, request):
        return self._engine.prepare(request)

    def steps(self, prepared):
        for chunk in self._engine.steps(prepared):
            self.given.append(chunk.with_pcm(chunk.pcm.copy()))
            yield chunk


WORDS = st.lists(
    st.sampled_from(["Yes", "no", "the", "quick", "fox,", "42", "jumps.", "over!", "Überall?", "naïve", "日本", "x"]),
    min_size=1,
)


@settings(max_examples=25, deadline=None)
@given(WORDS, st.sampled_from(["af_heart", "alloy", "en-gb", "de"]), st.sampled_from([0.4, 1.0, 2.0]))
def test_a_hit_is_what_espeak_gave_and_the_words_that_it_would_give(espeak, words, voice, speed):
    voice, language = espeak.resolve(voice, None)
    asked = SpeakRequest(" ".join(words), voice, language, speed)
    cache, spy = PhraseCache(MB * 10), Spy(espeak)
    listen(cache, spy, asked)
    list(espeak.steps(espeak.prepare(replace(asked, text="Something else, in between.", pitch=1.4))))
    again, kept = listen(cache, spy, asked)
    assert kept.was_kept
    same(again, spy.given)
    anew = list(espeak.steps(espeak.prepare(asked)))
    assert spans(anew) == spans([each.chunk for each in again])


def spans(chunks):
    return [(mark.start_char, mark.end_char) for chunk in chunks for mark in chunk.words]


async def test_a_cached_answer_is_the_same_speech_and_says_that_it_was_cached(speaker):
    one = await speaker()
    first, trace = await speak(one)
    again, cached = await speak(one)
    assert np.array_equal(joined(first), joined(again))
    assert [chunk.words for chunk in first] == [chunk.words for chunk in again]
    assert (trace.warmth, cached.warmth) == ("cold", "cached")
    assert cached.runtime == trace.runtime
    assert cached.audio_s == trace.audio_s


async def test_only_the_first_segment_is_kept(speaker):
    engine = Counting()
    one = await speaker(engine)
    await speak(one)
    num_segments = len(engine.texts)
    await speak(one)
    assert num_segments > 1
    assert engine.texts == engine.texts[:num_segments] + engine.texts[1:num_segments]
    assert one.cache.statistics().num_entries == 1


async def test_no_stage_claims_inference_for_what_was_kept(speaker):
    one = await speaker(settings=config(ttfa_ms=3.0))
    _, made = await speak(one, "Hello there.")
    _, kept = await speak(one, "Hello there.")
    assert made.stages_ns["model_inference"] >= 3_000_000
    assert (kept.stages_ns["model_inference"], kept.stages_ns["phonemize"]) == (0, 0)


async def test_what_was_kept_teaches_nothing_of_the_engine(speaker):
    one = await speaker(settings=config(ttfa_ms=5.0))
    await speak(one, "Hello there.")
    entry = one._roster["synthetic"]
    before = (
        one.statistics()["synthetic"].first_step_s,
        entry.figures.cost.predict_s(1.0),
        entry.figures.rate("af_heart").factor,
    )
    for _ in range(3):
        await speak(one, "Hello there.")
    after = (
        one.statistics()["synthetic"].first_step_s,
        entry.figures.cost.predict_s(1.0),
        entry.figures.rate("af_heart").factor,
    )
    assert before == after


@pytest.mark.parametrize(
    "change",
    [
        {"voice": "premium"},
        {"speed": 1.1},
        {"pitch": 1.1},
        {"decode": "whole"},
        {"text": "Hello where."},
        {"fresh": True},
    ],
)
async def test_whatever_changes_the_sound_is_made_anew(speaker, change):
    engine = Counting()
    one = await speaker(engine)
    await speak(one, "Hello there.", voice="default")
    _, trace = await speak(one, **({"text": "Hello there.", "voice": "default"} | change))
    assert trace.warmth == "warm"
    assert len(engine.texts) == 2


async def test_audio_does_not_outlive_what_an_engine_says_of_itself(speaker):
    engine = Counting()
    one = await speaker(engine)
    for identity in ("model 1", "model 2", "model 2"):
        engine.identity = identity
        _, trace = await speak(one, "Hello there.")
    assert trace.warmth == "cached"
    assert len(engine.texts) == 2


async def test_what_is_fresh_is_neither_taken_nor_kept_nor_shared(speaker):
    engine = Counting()
    one = await speaker(engine)
    await asyncio.gather(*(speak(one, "Hello there.", fresh=True) for _ in range(3)))
    assert len(engine.texts) == 3
    statistics = one.cache.statistics()
    assert (statistics.num_entries, statistics.num_misses, statistics.num_shared) == (0, 0, 0)


def test_kept_samples_cannot_be_written_to_and_hold_no_larger_array():
    engine, cache = SyntheticEngine(Config(synthetic=FAST)), PhraseCache(MB * 10)
    listen(cache, engine, request("Hello there, all of you."))
    recorded, _ = listen(cache, engine, request("Hello there, all of you."))
    assert len(recorded) > 1
    for each in recorded:
        base = each.chunk.pcm.base
        assert not each.chunk.pcm.flags.writeable
        assert base.nbytes == each.chunk.pcm.nbytes
        with pytest.raises(ValueError, match="read-only"):
            each.chunk.pcm[0] = 1


# Bounded.


@given(st.lists(st.integers(0, 12), max_size=40), st.integers(0, 60_000))
def test_what_is_kept_never_takes_more_than_it_may_and_the_oldest_goes_first(asked, max_bytes):
    engine, cache = SyntheticEngine(Config(synthetic=FAST)), PhraseCache(max_bytes)
    order = []
    for number in asked:
        text = "x" * (number + 1)
        listen(cache, engine, request(text))
        order = [each for each in order if each != text] + [text]
        statistics = cache.statistics()
        assert statistics.num_bytes <= max_bytes == statistics.max_bytes
        assert (statistics.num_bytes == 0) == (statistics.num_entries == 0)
        kept = [key.text for key in cache._kept]
        assert kept == [each for each in order if each in kept]
    statistics = cache.statistics()
    assert statistics.num_hits + statistics.num_misses == len(asked)


def test_counts_are_of_what_happened():
    engine, asked = Counting(), [request(text) for text in ("one", "two", "one", "three", "one")]
    cache = PhraseCache(MB)
    for each in asked:
        listen(cache, engine, each)
    found = cache.statistics()
    assert (found.num_hits, found.num_misses, found.num_entries, found.num_evictions) == (2, 3, 3, 0)
    cache = PhraseCache(found.num_bytes - 1)  # one byte too few for all three
    for each in asked:
        listen(cache, engine, each)
    assert (cache.statistics().num_entries, cache.statistics().num_evictions) == (2, 1)
    assert listen(cache, engine, request("one"))[1].was_kept
    cache.clear()
    assert not listen(cache, engine, request("one"))[1].was_kept


@pytest.mark.parametrize("origin", ["benchmark", "tuner"])
def test_what_no_client_asks_for_pushes_nothing_out_and_is_not_counted(origin):
    engine, cache = Counting(), PhraseCache(MB)
    listen(cache, engine, request("one"))
    listen(cache, engine, request("two"))
    before, order = cache.statistics(), list(cache._kept)

    assert listen(cache, engine, request("one"), origin=origin)[1].was_kept
    assert not listen(cache, engine, request("three"), origin=origin)[1].was_kept
    assert (cache.statistics(), list(cache._kept)) == (before, order)


def test_the_warm_up_s_phrases_are_kept_and_are_no_misses():
    engine, cache = Counting(), PhraseCache(MB)
    listen(cache, engine, request("one"), origin="warmup")

    assert (cache.statistics().num_entries, cache.statistics().num_misses) == (1, 0)


@pytest.mark.parametrize("ends_first", ["benchmark", "client"])
def test_what_a_client_joins_of_a_benchmark_is_kept(ends_first):
    engine, cache, wish = SyntheticEngine(Config(synthetic=FAST)), PhraseCache(MB), request("word " * 60)
    replays = {
        origin: cache.open(key_of(wish), Trace(origin=origin), is_first=True) for origin in ("benchmark", "client")
    }
    for replay in replays.values():
        replay.begin(engine, wish)
    replays.pop(ends_first).close()
    (other,) = replays.values()
    heard = hear(other)
    other.close()

    again, replay = listen(cache, engine, wish)
    assert replay.was_kept
    same(again, [each.chunk for each in heard])


def test_a_segment_that_is_larger_than_all_may_be_is_counted_and_not_kept():
    engine, cache = Counting(), PhraseCache(5000)
    listen(cache, engine, request("so long a text that it can never be kept"))
    found = cache.statistics()
    assert (found.num_entries, found.num_bytes, found.num_too_large, found.num_evictions) == (0, 0, 1, 0)


# Shared.


def test_listeners_take_turns_with_the_engine_and_all_hear_everything():
    engine, cache = Counting(), PhraseCache(MB, share_running=True)
    asked = request("A sentence for two, which has some steps.")
    listeners = [cache.open(key_of(asked), Trace(), is_first=False) for _ in range(3)]
    for each in listeners:
        each.begin(engine, asked)
    heard = [[] for _ in listeners]
    order = [0, 1, 1, 1, 0, 2]
    while True:
        before = [len(each) for each in heard]
        for index in order:
            heard[index] += [recorded for recorded in [listeners[index].take()] if recorded is not None]
        if before == [len(each) for each in heard]:
            break
    plain = list(SyntheticEngine(Config(synthetic=FAST)).steps(engine.prepare(asked)))
    for each in heard:
        same(each, plain)
    assert engine.num_steps == len(plain)
    assert cache.statistics().num_shared == 2
    assert [each.is_own for each in listeners] == [False, False, False]


def test_who_asked_first_may_go_away_and_the_others_hear_on():
    engine, cache = Counting(), PhraseCache(MB)
    asked = request("A sentence for two, which has some steps.")
    first, second = (cache.open(key_of(asked), Trace(), is_first=True) for _ in range(2))
    first.begin(engine, asked)
    second.begin(engine, asked)
    assert first.take()
    first.close()
    first.close()
    assert engine.num_broken_off == 0
    same(hear(second), list(SyntheticEngine(Config(synthetic=FAST)).steps(engine.prepare(asked))))
    second.close()
    assert listen(cache, engine, asked)[1].was_kept


def test_a_synthesis_that_nobody_hears_any_more_is_broken_off_and_not_kept():
    engine, cache = Counting(), PhraseCache(MB)
    asked = request("A sentence for two, which has some steps.")
    listeners = [cache.open(key_of(asked), Trace(), is_first=True) for _ in range(2)]
    for each in listeners:
        each.begin(engine, asked)
        assert each.take()
    for each in listeners:
        assert engine.num_broken_off == 0
        each.close()
    assert engine.num_broken_off == 1
    assert cache.statistics().num_entries == 0
    assert not listen(cache, engine, asked)[1].was_kept


class Gated(Counting):
    """Waits in its second step until it is let go."""

    def __init__(self):
        super().__init__()
        self.reached, self.gate = threading.Event(), threading.Event()

    def steps(self, prepared):
        for index, chunk in enumerate(super().steps(prepared)):
            if index == 1:
                self.reached.set()
                assert self.gate.wait(TIMEOUT_S)
            yield chunk


def test_a_listener_on_another_lane_hears_what_is_there_and_waits_for_the_rest():
    engine, cache = Gated(), PhraseCache(MB)
    asked, traces = request("A sentence for two, which has some steps."), [Trace(), Trace()]
    first, second = (cache.open(key_of(asked), trace, is_first=True) for trace in traces)
    with ThreadPoolExecutor(2) as lanes:
        first.begin(engine, asked)
        slow = lanes.submit(hear, first)
        assert engine.reached.wait(TIMEOUT_S)
        second.begin(engine, asked)
        heard = [second.take()]  # while the engine's step is running
        rest = lanes.submit(hear, second)
        engine.gate.set()
        same(heard + rest.result(TIMEOUT_S), [each.chunk for each in slow.result(TIMEOUT_S)])
    assert len(engine.texts) == 1
    assert traces[1].stages_ns["phonemize"] == 0


async def test_simultaneous_requests_cost_one_synthesis(speaker):
    engine = Counting(config(ttfa_ms=2.0))
    one = await speaker(engine)
    answers = await asyncio.gather(*(speak(one, "Hello there.") for _ in range(6)))
    assert all(np.array_equal(joined(answers[0][0]), joined(chunks)) for chunks, _ in answers)
    assert engine.texts == ["Hello there."]
    found = one.cache.statistics()
    assert (found.num_misses, found.num_shared + found.num_hits) == (1, 5)


async def test_sharing_can_be_switched_off(speaker):
    engine = Counting()
    one = await speaker(engine, config({"share_running": False, "max_mb": 0.0}))
    await asyncio.gather(*(speak(one, "Hello there.") for _ in range(4)))
    assert len(engine.texts) == 4
    assert one.cache.statistics().num_shared == one.cache.statistics().num_entries == 0


class Endless(Counting):
    def steps(self, prepared):
        for index in range(40):
            yield Chunk(np.full(self.info.sample_rate // 4, index, np.int16), self.info.sample_rate)


def test_a_later_segment_that_nobody_joined_is_let_go_as_it_is_taken():
    engine, cache = Endless(), PhraseCache(MB)
    asked = request("a long sentence")
    first = cache.open(key_of(asked), Trace(), is_first=False)
    first.begin(engine, asked)
    taken = [first.take()]
    while (held := len(first._recording._recorded)) == len(taken):
        taken.append(first.take())
    assert held == 0
    assert 0.25 * len(taken) == pytest.approx(JOINABLE_S + 0.25)
    second = cache.open(key_of(asked), Trace(), is_first=False)
    assert cache.statistics().num_shared == 0
    assert len(taken + hear(first)) == 40
    first.close()
    second.close()


def test_a_later_segment_that_was_joined_is_held_for_the_slower_one():
    engine, cache = Endless(), PhraseCache(MB)
    asked = request("a long sentence")
    fast, slow = (cache.open(key_of(asked), Trace(), is_first=False) for _ in range(2))
    fast.begin(engine, asked)
    heard = hear(fast)
    assert len(heard) == 40
    same(hear(slow), [each.chunk for each in heard])


def test_what_is_forgotten_while_it_is_made_is_not_kept():
    engine, cache = Counting(), PhraseCache(MB)
    asked = request("Hello there, all of you.")
    first = cache.open(key_of(asked), Trace(), is_first=True)
    first.begin(engine, asked)
    assert first.take()
    cache.clear()
    assert hear(first)
    first.close()
    assert cache.statistics().num_entries == 0
    assert not listen(cache, engine, asked)[1].was_kept


# Failures.


class Fails(Counting):
    """Fails at a step, the first `num_failures` times."""

    def __init__(self, at, num_failures=1):
        super().__init__()
        self.at, self.left = at, num_failures

    def steps(self, prepared):
        for index, chunk in enumerate(super().steps(prepared)):
            if index == self.at and self.left:
                self.left -= 1
                raise EngineError("no more", retryable=True)
            yield chunk


def test_a_failure_belongs_to_all_who_listen_and_to_nobody_after_them():
    engine, cache = Fails(at=1), PhraseCache(MB)
    asked = request("A sentence for two, which has some steps.")
    ahead, behind, late = (cache.open(key_of(asked), Trace(), is_first=True) for _ in range(3))
    for each in (ahead, behind, late):
        each.begin(engine, asked)
    assert ahead.take()
    assert behind.take()
    for each in (ahead, behind):
        with pytest.raises(EngineError, match="no more"):
            each.take()
    with pytest.raises(EngineError, match="no more"):
        late.take()  # nothing of it was heard: begins anew, and not with a piece of what failed
    anew = cache.open(key_of(asked), Trace(), is_first=True)  # while they have not left yet
    anew.begin(engine, asked)
    assert anew.take()
    anew.close()
    for each in (ahead, behind, late):
        each.close()
    assert cache.statistics().num_entries == 0
    recorded, again = listen(cache, engine, asked)
    assert again.is_own
    same(recorded, list(SyntheticEngine(Config(synthetic=FAST)).steps(engine.prepare(asked))))


class CannotPrepare(Counting):
    def prepare(self, request):
        super().prepare(request)
        raise EngineError("no")


def test_a_failed_preparation_is_told_to_everybody():
    engine, cache = CannotPrepare(), PhraseCache(MB)
    listeners = [cache.open(key_of(request("x")), Trace(), is_first=True) for _ in range(2)]
    for each in listeners:
        with pytest.raises(EngineError, match="no"):
            each.begin(engine, request("x"))
        each.close()
    assert len(engine.texts) == 1
    assert cache._running == {}


async def test_all_who_shared_a_failure_try_once_more_and_succeed(speaker):
    engine = Fails(at=0)
    one = await speaker(engine)
    good, _ = await speak(await speaker(), "Hello there.")
    answers = await asyncio.gather(*(speak(one, "Hello there.") for _ in range(3)))
    assert all(np.array_equal(joined(good), joined(chunks)) for chunks, _ in answers)
    assert sum(trace.num_retries for _, trace in answers) >= 1


async def test_a_segment_that_always_fails_is_never_kept(speaker):
    engine = Fails(at=3, num_failures=100)
    one = await speaker(engine)
    for _ in range(2):
        with pytest.raises(EngineError):
            await speak(one)
    assert one.cache.statistics().num_entries == 0
    assert one.cache._running == {}


async def test_a_cancelled_stream_leaves_nothing_running(speaker):
    engine = Counting(config(rtf=0.2))
    one = await speaker(engine, replace(config(), streaming=StreamingConfig(max_lead_s=0.2)))
    stream = one.stream(Utterance(TEXT))
    await anext(stream)
    await stream.aclose()
    assert one.cache._running == {}


# Openings.


async def test_it_is_known_beforehand_whether_a_text_begins_with_what_was_kept(speaker):
    one = await speaker()
    await speak(one)
    engine = one._roster["synthetic"].engine
    spoken = Utterance(TEXT, voice="default", language="en-us", engine="synthetic")
    assert segment_key(engine, spoken, TEXT).text == TEXT
    assert one.has_cached(Utterance(TEXT))
    assert not one.has_cached(Utterance(TEXT[:-1]))
    assert TEXT not in str(list(one.cache._openings))
    traces = [(await speak(one, text))[1] for text in (TEXT, TEXT.replace("The", "Thy"))]
    assert [trace.warmth for trace in traces] == ["cached", "warm"]


def test_the_opening_of_a_text_is_remembered_only_where_its_first_segment_is_kept():
    cache, engine = PhraseCache(0), SyntheticEngine(config())
    asked = request("Nobody is to keep this.")
    listen(cache, engine, asked)
    cache.note_opening(key_of(asked), key_of(asked))
    assert not cache.expects(key_of(asked))
    assert not cache._openings
