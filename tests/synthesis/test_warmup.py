"""Speaking to nobody: until it gets no faster, never in a listener's way, and without a start that hangs."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.config import CacheConfig, Config, EngineConfig, SyntheticConfig
from firstaudio.engines.espeak.engine import EspeakEngine
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import ConfigError, EngineError, NotReadyError
from firstaudio.synthesis import warmup
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.synthesis.warmup import MAX_ANSWERS, Asked, WarmUp, has_settled, read_phrases

FAST = SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.02)
TIMEOUT_S = 20.0


def config(names=("synthetic",), synthetic=FAST, **cache):
    return Config(
        engine=EngineConfig(names=names, default_voice="premium", failover=len(names) > 1),
        synthetic=synthetic,
        cache=CacheConfig(**cache),
    )


class Listening(SyntheticEngine):
    """Knows in which voices it has spoken what."""

    def __init__(self, config=None):
        super().__init__(config or Config(synthetic=FAST))
        self.spoken = []

    def prepare(self, request):
        self.spoken.append((request.voice, request.text))
        return super().prepare(request)

    @property
    def voices_spoken(self):
        return list(dict.fromkeys(voice for voice, _ in self.spoken))


class Warmed:
    """A synthesizer and its warm-up, with every trace that ended."""

    def __init__(self, settings, engines=None, **fields):
        self.engine = Listening()
        self.synthesizer = Synthesizer(settings, engines or {"synthetic": self.engine})
        self.warm_up = WarmUp(self.synthesizer, settings, pause_s=0.0, **fields)
        self.traces = []
        self.synthesizer.add_listener(self.traces.append)

    async def start(self):
        await self.synthesizer.start(warm_up=self.warm_up.before_ready)
        self.warm_up.start()
        return self

    async def round(self):
        """Wait until the round in the background is over."""
        await eventually(lambda: self.warm_up.statistics().state in ("idle", "off"))
        return self.warm_up.statistics()

    async def close(self):
        await self.warm_up.close()
        await self.synthesizer.close()


async def eventually(condition):
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 (the state of a warm-up is no event)
            await asyncio.sleep(0.001)


@pytest.fixture
async def warmed():
    made = []

    def make(settings=None, engines=None, **fields):
        made.append(Warmed(settings or config(), engines, **fields))
        return made[-1]

    yield make
    for one in made:
        await one.close()
    others = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    assert not [task for task in others if "warm" in task.get_name()]


# When it is enough.


@pytest.mark.parametrize(
    ("costs_ms", "expected"),
    [
        ([], False),
        ([5.0, 5.0], False),
        ([9.0, 3.0, 3.0], False),
        ([9.0, 3.0, 3.0, 3.0], True),
        ([3.0, 3.0, 3.0], True),
        ([3.0, 9.0, 9.0], True),
        ([30.0, 30.0, 26.9], False),
        ([30.0, 30.0, 27.1], True),
        ([0.5, 0.5, 0.31], True),
    ],
)
def test_it_is_enough_when_two_answers_are_no_faster_than_those_before(costs_ms, expected):
    assert has_settled(costs_ms) == expected


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=8), st.floats(0.01, 1e4))
def test_equal_answers_always_end_it_soon(before, cost_ms):
    assert has_settled([*before, *[cost_ms] * 3])


# Before the server is ready.


async def test_an_engine_speaks_in_the_default_voice_until_it_gets_no_faster(warmed):
    one = await warmed().start()
    found = one.warm_up.statistics().engines["synthetic"]
    assert 3 <= found.num_answers <= MAX_ANSWERS
    assert found.has_settled or found.num_answers == MAX_ANSWERS
    assert one.engine.voices_spoken == ["premium"]
    assert {(trace.origin, trace.outcome) for trace in one.traces} == {("warmup", "completed")}
    assert [trace.warmth for trace in one.traces] == ["cold"] + ["warm"] * (len(one.traces) - 1)
    assert one.synthesizer.cache.statistics().num_entries == 0
    assert one.warm_up.statistics().before_ready_ms > 0


async def test_what_is_spoken_is_encoded_until_a_listener_would_hear_it(warmed, monkeypatch):
    encoders = []

    class Counting:
        def __init__(self, name, sample_rate):
            self.gives = [b"", b"audio", b"more"] if name == "mp3" else [b"audio", b"more"]
            self.num_pushes = 0
            encoders.append(self)

        def push(self, pcm):
            self.num_pushes += 1
            return self.gives.pop(0)

        def close(self):
            pass

    monkeypatch.setattr(warmup, "make_encoder", Counting)
    one = await warmed().start()
    assert one.warm_up.statistics().problem == ""
    assert [encoder.num_pushes for encoder in encoders] == [1, 1, 2] * (len(encoders) // 3)


async def test_nobody_else_is_served_before_it_is_over(warmed):
    one, refused = warmed(), []

    async def rehearse(_text):
        with pytest.raises(NotReadyError, match="starting: warming up"):
            one.synthesizer.stream(Utterance("Hello."))
        refused.append(one.synthesizer.readiness.state)
        return 1.0

    one.warm_up._rehearse = rehearse
    await one.start()
    assert refused[0] == "starting"
    async with one.synthesizer.stream(Utterance("Hello.")) as stream:
        assert [chunk async for chunk in stream]
    assert stream.trace.warmth == "warm"


async def test_an_engine_that_lacks_the_default_voice_speaks_in_its_own(warmed):
    settings = config(("synthetic", "espeak"))
    espeak = EspeakEngine(settings)
    one = await warmed(settings, {"synthetic": Listening(), "espeak": espeak}).start()
    assert set((await one.round()).engines) == {"synthetic", "espeak"}
    own_voice, _ = espeak.resolve("default", None)
    assert {trace.voice for trace in one.traces if trace.engine == "espeak"} == {own_voice}


class Gated(SyntheticEngine):
    """Says nothing until it is let go."""

    def __init__(self):
        super().__init__(Config(synthetic=FAST))
        self.gate = threading.Event()

    def steps(self, prepared):
        assert self.gate.wait(TIMEOUT_S)
        yield from super().steps(prepared)


async def test_an_engine_that_says_nothing_does_not_hold_up_the_start(warmed, monkeypatch):
    monkeypatch.setattr(warmup, "MAX_BEFORE_READY_S", 0.01)
    engine = Gated()
    one = await warmed(engines={"synthetic": engine}).start()
    assert one.synthesizer.readiness.state == "ready"
    assert one.warm_up.statistics().engines == {}
    engine.gate.set()
    assert (await one.round()).engines["synthetic"].num_answers >= 3  # made up for, in the background


class Fails(SyntheticEngine):
    def steps(self, prepared):
        raise EngineError("out of memory")


async def test_an_engine_that_fails_is_reported_and_the_server_starts(warmed):
    one = await warmed(engines={"synthetic": Fails(Config(synthetic=FAST))}).start()
    assert one.synthesizer.readiness.state == "ready"
    found = await one.round()
    assert found.num_failed >= 1
    assert found.problem == "voice 'premium': out of memory"
    assert found.engines == {}


async def test_it_can_be_switched_off(warmed):
    one = await warmed(config(warm_up=False)).start()
    assert one.engine.spoken == []
    assert (await one.round()).state == "off"
    async with one.synthesizer.stream(Utterance("Hello.")) as stream:
        assert [chunk async for chunk in stream]
    assert stream.trace.warmth == "cold"


async def test_the_whole_server_is_asked_first(warmed):
    asked = []

    async def rehearse(text):
        asked.append(text)
        return 5.0

    one = await warmed(rehearse=rehearse).start()
    assert asked == [warmup.TEXT] * 3
    assert one.warm_up.statistics().server == warmup.Warmth(3, 5.0, 5.0, has_settled=True)


async def test_a_server_that_does_not_answer_itself_is_reported(warmed):
    async def rehearse(_text):
        return None

    one = await warmed(rehearse=rehearse).start()
    found = await one.round()
    assert (found.server, found.num_failed) == (None, 2)
    assert "not answered" in found.problem


# In the background.


async def test_voices_that_are_asked_for_are_warmed_once_and_later_ones_when_they_come_up(warmed):
    asked = [Asked("synthetic", "fast", "en-us"), Asked("elsewhere", "amy", "en-gb")]

    async def most_asked(num_voices):
        return asked[:num_voices]

    one = await warmed(config(warm_voices=3), most_asked=most_asked).start()
    await one.round()
    assert one.engine.voices_spoken == ["premium", "fast"]
    assert one.warm_up.statistics().voices == (asked[0],)
    before = len(one.engine.spoken)
    asked.insert(0, Asked("synthetic", "alloy", "en-us"))
    await one.warm_up._round()
    assert [voice for voice, _ in one.engine.spoken[before:]] == ["alloy"] * (len(one.engine.spoken) - before)
    assert one.warm_up.statistics().voices == (asked[1], asked[0])


async def test_a_voice_that_is_gone_is_reported_and_the_others_are_warmed(warmed):
    async def most_asked(_):
        return [Asked("synthetic", "gone", "en-us"), Asked("synthetic", "fast", "en-us")]

    one = await warmed(most_asked=most_asked).start()
    found = await one.round()
    assert [asked.voice for asked in found.voices] == ["fast"]
    assert "gone" in found.problem


async def test_it_waits_while_somebody_listens(warmed):
    engine = Gated()
    one = warmed(config(warm_voices=0), {"synthetic": engine})
    one.warm_up._is_on = False
    one.warm_up._phrases = ("Hello there.",)
    await one.synthesizer.start()
    stream = one.synthesizer.stream(Utterance("Somebody listens."))
    one.warm_up.start()
    for _ in range(20):
        await asyncio.sleep(0)
    assert one.synthesizer.num_streams == 1
    engine.gate.set()
    async with stream:
        assert [chunk async for chunk in stream]
    assert (await one.round()).num_spoken_phrases == 1


async def test_a_listener_who_comes_ends_its_own_stream_and_it_begins_again_later(warmed):
    engine = Gated()
    one = warmed(config(warm_voices=0), {"synthetic": engine})
    one.warm_up._is_on, one.warm_up._phrases = False, ("Hello there.",)
    await one.synthesizer.start()
    one.warm_up.start()
    await eventually(lambda: one.synthesizer.num_streams == 1)
    stream = one.synthesizer.stream(Utterance("Somebody listens."))
    engine.gate.set()
    async with stream:
        assert [chunk async for chunk in stream]
    assert (await one.round()).num_spoken_phrases == 1
    assert [trace.outcome for trace in one.traces if trace.origin == "warmup"] == ["cancelled", "completed"]


async def test_phrases_are_spoken_into_the_cache_and_answered_from_it(warmed, tmp_path):
    file = tmp_path / "phrases.txt"
    file.write_text("Please hold the line.\n\n  How may I help you?  \nPlease hold the line.\n", encoding="utf-8")
    one = await warmed(config(phrases=str(file))).start()
    found = await one.round()
    assert (found.num_phrases, found.num_spoken_phrases, found.problem) == (2, 2, "")
    spoken = len(one.engine.spoken)
    async with one.synthesizer.stream(Utterance("How may I help you?")) as stream:
        assert [chunk async for chunk in stream]
    assert stream.trace.warmth == "cached"
    num_traces = len(one.traces)
    await one.warm_up._round()
    assert (len(one.engine.spoken), len(one.traces)) == (spoken, num_traces)  # what is there is not spoken again
    assert one.warm_up.statistics().num_spoken_phrases == 2


@pytest.mark.parametrize(
    ("phrase", "named"), [("\N{GRINNING FACE}", "'\N{GRINNING FACE}'"), ("*" * 80, f"'{'*' * 40}...'")]
)
async def test_a_phrase_that_cannot_be_spoken_is_named(warmed, tmp_path, phrase, named):
    file = tmp_path / "phrases.txt"
    file.write_text(f"Please hold the line.\n{phrase}\nGood morning.\n", encoding="utf-8")
    one = await warmed(config(phrases=str(file))).start()
    found = await one.round()
    assert (found.num_phrases, found.num_spoken_phrases, found.num_failed) == (3, 2, 1)
    assert found.problem.startswith(f"phrase {named} of cache.phrases: ")


async def test_phrases_that_do_not_fit_are_counted_and_push_nothing_out_for_ever(warmed, tmp_path):
    file = tmp_path / "phrases.txt"
    file.write_text("\n".join(f"Phrase number {number}." for number in range(50)), encoding="utf-8")
    one = await warmed(config(phrases=str(file), max_mb=0.1)).start()
    found = await one.round()
    assert 0 < found.num_spoken_phrases < 50
    assert f"{50 - found.num_spoken_phrases} of cache.phrases do not fit" in found.problem


def test_a_file_of_phrases_that_cannot_be_used_is_told_at_the_start(tmp_path):
    file = tmp_path / "phrases.txt"
    with pytest.raises(ConfigError, match=r"cache\.phrases: .* cannot be read"):
        read_phrases(config(phrases=str(file)))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_phrases(config(phrases=str(file)))
    file.write_bytes(b"x" * (warmup.MAX_PHRASES_BYTES + 1))
    with pytest.raises(ConfigError, match="1000001 bytes"):
        read_phrases(config(phrases=str(file)))
    with pytest.raises(ConfigError, match=r"cache\.max_mb is 0"):
        read_phrases(config(phrases=str(file), max_mb=0.0))
    assert read_phrases(config()) == ()


async def test_a_mistake_in_a_round_does_not_end_the_rounds(warmed, caplog):
    async def most_asked(_):
        raise RuntimeError("no such table")

    one = await warmed(most_asked=most_asked).start()
    assert (await one.round()).state == "idle"
    assert "warming up failed" in caplog.text
