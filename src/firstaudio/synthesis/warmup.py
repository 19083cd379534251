"""Speaking to nobody, so that the first listener waits no longer than a later one.

Before the server says that it is ready, it asks itself for speech in the default voice, and every engine that is ready
speaks through the encoders, until two answers in a row cost no less than the ones before (or a second has passed).
After that, and whenever nobody listens: what was not done by then, engines that became ready late, the voices that
were asked for most, the phrases that are to be in the cache. Every hour the voices that are asked for most are looked
at again. A listener who comes ends the warm-up's own stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from firstaudio.audio.encode import make_encoder
from firstaudio.clock import NS_PER_MS, Clock, now_ns
from firstaudio.config import Config
from firstaudio.errors import ConfigError, FirstaudioError
from firstaudio.synthesis.casting import STAND_IN_VOICE
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

TEXT = "It is 7:30, Dr. Smith."  # two segments, and work for the normaliser
FORMATS = ("pcm", "wav", "mp3")
MAX_ANSWERS = 12  # of one engine
MAX_BEFORE_READY_S = 1.0  # of all engines; then the listeners that wait for the server are worth more
# Two answers within this of the best before them are no improvement. Source: docs/warmth.md.
NOISE_SHARE, NOISE_MS = 0.1, 0.2
REFRESH_S = 3600.0
PAUSE_S = 1.0  # without any listener, before the warm-up speaks again
MAX_PHRASES_BYTES = 1_000_000
SHOWN_CHARS = 40  # of a phrase that failed


class Asked(NamedTuple):
    """A voice that was asked for."""

    engine: str
    voice: str
    language: str


Rehearse = Callable[[str], Awaitable[float | None]]
MostAsked = Callable[[int], Awaitable[Sequence[Asked]]]
WarmUpState = Literal["off", "waiting", "running", "idle", "closed"]


@dataclass(frozen=True, slots=True)
class Warmth:
    """How the server, or one engine, was warmed.

    Attributes:
        num_answers: Spoken to nobody.
        first_ms: What the first one took to its first encoded audio.
        last_ms: What the last one took.
        has_settled: Whether the last two were no faster than those before.
    """

    num_answers: int
    first_ms: float
    last_ms: float
    has_settled: bool


@dataclass(frozen=True, slots=True)
class WarmUpStatistics:
    """How far warming has come.

    Attributes:
        state: "waiting" for the engines; "running"; "idle" until voices are looked at again.
        before_ready_ms: What it added to the start; None while nobody knows.
        server: Requests through the whole server; None before the first.
        engines: Those that were warmed in the default voice.
        voices: Those that were warmed because they are asked for.
        num_phrases: Phrases that are to be in the cache.
        num_spoken_phrases: Those that were spoken into it, or were there.
        num_failed: Answers that failed.
        problem: Why the last one failed, or why phrases are left out; empty where all is well.
    """

    state: WarmUpState
    before_ready_ms: float | None
    server: Warmth | None
    engines: dict[str, Warmth]
    voices: tuple[Asked, ...]
    num_phrases: int
    num_spoken_phrases: int
    num_failed: int
    problem: str


class WarmUp:
    """Warms a synthesizer; lives on its event loop.

    Args:
        synthesizer: Whose.
        config: Section `cache`, and the default voice.
        most_asked: Gives the voices that clients asked for most, at most so many, the most wanted first; None: nobody
            knows any.
        rehearse: Asks the whole server to speak a text in the default voice, and gives the ms to first audio, None
            where there was none; None: there is no server.
        pause_s: How long nobody must have listened before it speaks again, once the server is ready.
        refresh_s: How long after a round the next one begins.
        clock: Monotonic ns.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        config: Config,
        most_asked: MostAsked | None = None,
        rehearse: Rehearse | None = None,
        pause_s: float = PAUSE_S,
        refresh_s: float = REFRESH_S,
        clock: Clock = now_ns,
    ) -> None:
        self._synthesizer, self._config, self._most_asked = synthesizer, config, most_asked
        self._rehearse = rehearse
        self._pause_s, self._refresh_s, self._clock = pause_s, refresh_s, clock
        self._is_on = config.cache.warm_up
        self._phrases: tuple[str, ...] = ()
        self._server_costs_ms: list[float] = []
        self._costs_ms: dict[str, list[float]] = {}
        self._voices: dict[Asked, None] = {}
        self._before_ready_ms: float | None = None
        self._num_spoken = self._num_failed = 0
        self._problem = ""
        self._state: WarmUpState = "waiting"
        self._task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Future[Any]] = set()

    async def before_ready(self) -> None:
        """Warm the engines that are ready, for about a second at the most.

        Raises:
            ConfigError: The file of phrases cannot be used.
        """
        begin_ns = self._clock()
        self._phrases = await asyncio.to_thread(read_phrases, self._config)
        if self._is_on:
            self._state = "running"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MAX_BEFORE_READY_S):
                    await self._warm_default()
        self._before_ready_ms = (self._clock() - begin_ns) / NS_PER_MS

    def start(self) -> None:
        """Go on in the background, while nobody listens."""
        if self._is_on or self._phrases:
            self._task = asyncio.create_task(self._go_on(), name="warm up")
        else:
            self._state = "off"

    async def close(self) -> None:
        """Stop; returns when nothing is left running."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._closing:
            await asyncio.wait(self._closing)
        self._state = "closed"

    def statistics(self) -> WarmUpStatistics:
        """How far it has come."""
        return WarmUpStatistics(
            state=self._state,
            before_ready_ms=self._before_ready_ms,
            server=_warmth(self._server_costs_ms),
            engines={name: warmth for name, costs_ms in self._costs_ms.items() if (warmth := _warmth(costs_ms))},
            voices=tuple(self._voices),
            num_phrases=len(self._phrases),
            num_spoken_phrases=self._num_spoken,
            num_failed=self._num_failed,
            problem=self._problem,
        )

    # In the background.

    async def _go_on(self) -> None:
        await self._synthesizer.settled()
        while True:
            self._state = "running"
            try:
                await self._round()
            except Exception:  # the boundary of this task: the next round may do better
                logger.exception("warming up failed")
            self._state = "idle"
            await asyncio.sleep(self._refresh_s)

    async def _round(self) -> None:
        """Engines that were not there before, voices that have come up, phrases that are not kept."""
        if self._is_on:
            await self._warm_default()
            await self._warm_voices()
        await self._speak_phrases()

    async def _warm_default(self) -> None:
        """The way through the server, then each engine, in the default voice."""
        if self._rehearse is not None:
            await self._settle(self._server_costs_ms, lambda: self._ask_server(TEXT))
        for engine in self._ready_engines():
            utterance = Utterance(TEXT, voice=self._default_voice(engine), engine=engine, fresh=True)
            await self._settle(self._costs_ms.setdefault(engine, []), partial(self._answer, utterance))

    async def _settle(self, costs_ms: list[float], speak: Callable[[], Awaitable[float | None]]) -> None:
        """Speak until it gets no faster."""
        while len(costs_ms) < MAX_ANSWERS and not has_settled(costs_ms):
            cost_ms = await speak()
            if cost_ms is None:
                return
            costs_ms.append(cost_ms)

    def _ready_engines(self) -> list[str]:
        return [status.name for status in self._synthesizer.engine_statuses() if status.state == "ready"]

    async def _warm_voices(self) -> None:
        """Let the voices speak that are asked for most and have not spoken yet."""
        for asked in await self._wanted_voices():
            if asked not in self._voices:
                spoken = Utterance(TEXT, voice=asked.voice, language=asked.language, engine=asked.engine, fresh=True)
                if await self._answer(spoken) is not None:
                    self._voices[asked] = None

    async def _wanted_voices(self) -> Sequence[Asked]:
        num_voices = self._config.cache.warm_voices
        if self._most_asked is None or not num_voices:
            return ()
        ready = self._ready_engines()
        return [asked for asked in await self._most_asked(num_voices) if asked.engine in ready]

    async def _speak_phrases(self) -> None:
        """Speak those that are not kept, until the cache is full: more would only push out what came before."""
        self._num_spoken, evictions = 0, self._synthesizer.cache.statistics().num_evictions
        for phrase in self._phrases:
            if self._synthesizer.cache.statistics().num_evictions > evictions:
                left = len(self._phrases) - self._num_spoken
                self._problem = f"{left} of cache.phrases do not fit into cache.max_mb; raise it, or shorten the file"
                return
            utterance, whose = Utterance(phrase), f"phrase {_beginning(phrase)} of cache.phrases"
            is_there = self._synthesizer.has_cached(utterance) or await self._answer(utterance, whose) is not None
            self._num_spoken += is_there

    # Answers.

    async def _ask_server(self, text: str) -> float | None:
        """As a client would, again where somebody came who listens; None where that failed, which is noted."""
        num_made_way = self._synthesizer.num_made_way
        cost_ms = await self._ask_once(text)
        while cost_ms is None and self._synthesizer.num_made_way > num_made_way:
            num_made_way = self._synthesizer.num_made_way
            cost_ms = await self._ask_once(text)
        if cost_ms is None:
            self._num_failed += 1
            self._problem = "a request of the server's own was not answered; the log says why"
        return cost_ms

    async def _ask_once(self, text: str) -> float | None:
        assert self._rehearse is not None
        if self._task is not None:
            await self._nobody_listens()
        asking = asyncio.ensure_future(self._rehearse(text))
        try:
            await asyncio.wait([asking])
        finally:
            asking.cancel()
            self._end_later(asking)
        return asking.result()

    async def _answer(self, utterance: Utterance, whose: str = "") -> float | None:
        """Speak to nobody; ms to the first encoded audio; None where it failed, which is noted."""
        while True:
            if self._task is not None:
                await self._nobody_listens()
            try:
                cost_ms = await self._speak(utterance)
            except FirstaudioError as error:
                self._note_failure(whose or f"voice {utterance.voice!r}", error)
                return None
            if cost_ms is not None:
                return cost_ms

    async def _nobody_listens(self) -> None:
        """Wait until there was no stream for a while."""
        while True:
            await self._synthesizer.idle()
            await asyncio.sleep(self._pause_s)
            if not self._synthesizer.num_streams:
                return

    async def _speak(self, utterance: Utterance) -> float | None:
        """One answer, encoded in the usual formats; None where somebody came who listens."""
        trace = Trace(request_id="warm-up", origin="warmup", format=FORMATS[0])
        stream = self._synthesizer.stream(utterance, trace)
        encoders = [make_encoder(name, stream.sample_rate) for name in FORMATS]
        unheard = encoders  # a listener waits for the first bytes; more of them only cost time
        try:
            async for chunk in stream:
                if chunk.segment_index > 0 and not utterance.fresh:
                    break  # the first segment is kept, and that was all
                unheard = [encoder for encoder in unheard if not encoder.push(chunk.as_int16())]
                trace.first_audio_sent()
        finally:
            for encoder in encoders:
                encoder.close()
            self._end_later(asyncio.create_task(stream.aclose(), name="end a warm-up stream"))
        return None if stream.is_cancelled else trace.ttfa_ms or 0.0

    def _end_later(self, task: asyncio.Future[Any]) -> None:
        """Let a task come to its end without waiting for the engine's step that runs."""
        if not task.done():
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _note_failure(self, whose: str, error: FirstaudioError) -> None:
        self._num_failed += 1
        self._problem = f"{whose}: {error.message}"
        logger.info("warming up: %s", self._problem)

    def _default_voice(self, engine: str) -> str:
        """The default voice where the engine has it, else the engine's own."""
        voice = self._config.engine.default_voice
        known = {each.id for name, each in self._synthesizer.voices() if name == engine}
        return voice if voice in known else STAND_IN_VOICE


def _beginning(phrase: str) -> str:
    """Enough of a phrase to find it in its file."""
    return repr(phrase if len(phrase) <= SHOWN_CHARS else f"{phrase[:SHOWN_CHARS]}...")


def _warmth(costs_ms: Sequence[float]) -> Warmth | None:
    if not costs_ms:
        return None
    return Warmth(len(costs_ms), costs_ms[0], costs_ms[-1], has_settled(costs_ms))


def has_settled(costs_ms: Sequence[float]) -> bool:
    """Whether the last two are no faster than the best of those before, beyond noise."""
    if len(costs_ms) < 3:  # two, and one before them
        return False
    best = min(costs_ms[:-2])
    return min(costs_ms[-2:]) >= best - max(NOISE_MS, best * NOISE_SHARE)


def read_phrases(config: Config) -> tuple[str, ...]:
    """The lines of `cache.phrases`, each once, blank ones left out; none where no file is named.

    Raises:
        ConfigError: It cannot be read, is no UTF-8, is too large, or there is no room for phrases at all.
    """
    name = config.cache.phrases
    if not name:
        return ()
    if not config.cache.max_mb:
        raise ConfigError("cache.phrases names a file, but cache.max_mb is 0 and keeps nothing; raise it")
    try:
        data = Path(name).read_bytes()
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cache.phrases: {name} cannot be read: {error}; give a text file, a phrase per line"
        ) from error
    if len(data) > MAX_PHRASES_BYTES:
        raise ConfigError(f"cache.phrases: {name} has {len(data)} bytes; at most {MAX_PHRASES_BYTES} are spoken")
    return _unique(line.strip() for line in text.splitlines())


def _unique(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for line in lines if line))
