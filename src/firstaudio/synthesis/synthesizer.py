"""The one door to speech: `Synthesizer.stream(utterance)` gives an async iterator of chunks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from firstaudio.clock import now_ns
from firstaudio.config import Config, StreamingConfig
from firstaudio.engines.base import Engine, EngineInfo, Voice
from firstaudio.engines.registry import create
from firstaudio.errors import (
    ConfigError,
    EmptyTextError,
    NotReadyError,
    RequestError,
)
from firstaudio.synthesis.cache import BYTES_PER_MB, PhraseCache
from firstaudio.synthesis.casting import DEFAULT_MODEL_NAMES, Casting, cast
from firstaudio.synthesis.prediction import Prediction, Predictor
from firstaudio.synthesis.roster import EngineStatus, Entry, Priority, Roster, failure_message
from firstaudio.synthesis.scheduled import ScheduledStream
from firstaudio.synthesis.scheduler import SchedulerStatistics
from firstaudio.synthesis.segment_key import opening_key
from firstaudio.synthesis.stream import SpeechStream, StreamSnapshot, noted
from firstaudio.synthesis.utterance import MAX_SPEED, MIN_SPEED, Utterance
from firstaudio.synthesis.work import UtteranceWork
from firstaudio.text.classify import text_class
from firstaudio.trace import Trace

__all__ = ["DEFAULT_MODEL_NAMES", "Readiness", "Synthesizer"]

logger = logging.getLogger(__name__)

TO_NOBODY = ("warmup", "tuner")
"""Origins of streams that make way for a listener."""
Phase = Literal["starting", "ready", "failed", "draining", "closed"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be served. `progress` is 0..1: the share of the engines' start that is done."""

    state: Phase
    progress: float
    message: str


class Synthesizer:
    """Engines, their schedulers, and the streams that run.

    Args:
        config: The whole configuration.
        engines: Engines by name, not started; None makes those that `config.engine.names` lists.
        priority: For comparison in benchmarks only, see `StepScheduler`.

    Attributes:
        streaming: How utterances are cut and paced from now on; at first as configured.
        assign: Gives each new utterance its own, and may note in the trace why; at first it gives `streaming`.
        num_made_way: Streams that nobody listened to and that were ended for a listener.
        cache: Audio of first segments, and segments that several streams listen to.
        predictor: What it says of TTFA before any work, and how far off it was.
    """

    def __init__(
        self, config: Config, engines: Mapping[str, Engine] | None = None, priority: Priority | None = None
    ) -> None:
        self._config = config
        engines = engines if engines is not None else {n: create(n, config) for n in config.engine.names}
        self._roster = Roster(engines, rests=config.engine.failover)
        self._priority = priority
        self._starting: dict[asyncio.Task[None], Entry] = {}
        self._streams: set[SpeechStream] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._listeners: list[Callable[[Trace], None]] = []
        self.streaming = config.streaming
        self.assign: Callable[[Utterance, Trace], StreamingConfig] = lambda _utterance, _trace: self.streaming
        self.cache = PhraseCache(round(config.cache.max_mb * BYTES_PER_MB), share_running=config.cache.share_running)
        self.predictor = Predictor()
        self.num_made_way = 0
        self._phase: Phase = "starting"
        self._is_warming = False
        self._failure = ""

    async def start(
        self,
        *,
        check_default_voice: bool = True,
        wait_for_all: bool = False,
        warm_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Start every engine, all at the same time; returns when requests can be served.

        That is when all are ready; with `engine.failover` on, when the first one is. The others go on starting, and new
        utterances go to them as soon as they are ready; one that cannot start is reported, and the others serve.

        Args:
            check_default_voice: Whether it is an error that no engine has `config.engine.default_voice`; False where
                nobody will ask for it.
            wait_for_all: Whether to return only when every engine is ready or has failed, for a process that speaks
                once and would never see a late engine.
            warm_up: Done when engines are ready and before anybody else may speak; streams whose trace says "warmup"
                are served while it runs. What it raises fails the start.

        Raises:
            EngineError: An engine cannot start; with `engine.failover` on, no engine can.
            ConfigError: An engine lacks something, or no engine has the default voice.
        """
        streaming, failover = self._config.streaming, self._config.engine.failover
        self._starting = {
            asyncio.create_task(entry.start(streaming, self._priority), name=f"start {entry.name}"): entry
            for entry in self._roster
        }
        try:
            await self._wait_for_engines(needs_all=not failover, wait_for_all=wait_for_all)
            if check_default_voice and (lack := self._lack_of_default_voice()):
                raise ConfigError(lack)
            if warm_up is not None:
                await self._warm(warm_up)
        except Exception as error:
            self._failure = self._reason(error)
            self._set_phase("failed")
            raise
        self._set_phase("ready")

    async def settled(self) -> None:
        """Wait until no engine is starting any more."""
        if self._starting:
            await asyncio.wait(self._starting)

    async def idle(self) -> None:
        """Wait until no stream runs."""
        await self._idle.wait()

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse new streams, let running ones finish for `drain_s` seconds, cancel the rest, stop the engines."""
        self._phase = "draining"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._idle.wait()
        await asyncio.gather(*(stream.aclose() for stream in self._streams))
        await self.settled()  # a start cannot be called off
        for entry in self._roster.ready():
            await entry.scheduler.close()
        for entry in self._roster:
            try:
                await asyncio.to_thread(entry.engine.close)
            except Exception:  # the others are closed all the same
                logger.exception("the %s engine could not be closed", entry.name)
        self._phase = "closed"

    @property
    def readiness(self) -> Readiness:
        """Whether `stream` may be called, and how far the start has come."""
        messages = {
            "starting": self._starting_message,
            "ready": str(self._roster),
            "failed": self._failure,
            "draining": "shutting down",
            "closed": "closed",
        }
        progress = 1.0 if self._phase in ("draining", "closed") else self._roster.progress
        return Readiness(self._phase, progress, messages[self._phase])

    @property
    def num_streams(self) -> int:
        """Streams that have not ended."""
        return len(self._streams)

    @property
    def num_listeners(self) -> int:
        """Those of them that somebody listens to."""
        return sum(stream.trace.origin not in TO_NOBODY for stream in self._streams)

    def engine_statuses(self) -> Sequence[EngineStatus]:
        """How far each engine has come, the default one first."""
        return [entry.status for entry in self._roster]

    def infos(self) -> Sequence[EngineInfo]:
        """Every engine that is ready, the default one first."""
        return [entry.engine.info for entry in self._roster.ready()]

    def voices(self) -> Sequence[tuple[str, Voice]]:
        """(engine name, voice), aliases included, of the engines that are ready; the default engine's first."""
        return [(entry.name, voice) for entry in self._roster.ready() for voice in entry.engine.voices()]

    def statistics(self) -> dict[str, SchedulerStatistics]:
        """Figures of this moment, by name of the engines that are ready."""
        return {entry.name: entry.scheduler.statistics() for entry in self._roster.ready()}

    def snapshot(self) -> list[StreamSnapshot]:
        """Every stream that has not ended, the one whose next chunk is due first first, those that are made last."""
        snapshots = [stream.snapshot() for stream in self._streams]
        return sorted(snapshots, key=lambda s: (s.figures.due_s is None, s.figures.due_s or 0.0, s.request_id))

    def engine_reports(self) -> dict[str, Mapping[str, Any] | None]:
        """What each engine tells of itself (`status`), by name; None where it tells nothing. Blocks: for a thread."""
        return {entry.name: entry.report() for entry in self._roster}

    def add_listener(self, listener: Callable[[Trace], None]) -> None:
        """Call `listener` on the event loop with each finished trace."""
        self._listeners.append(listener)

    def stream(
        self, utterance: Utterance, trace: Trace | None = None, output_rate: Callable[[int], int] | None = None
    ) -> SpeechStream:
        """Begin to speak. Must be called on the event loop.

        Args:
            utterance: What to speak and how.
            trace: Begun where the request was accepted; None begins one here.
            output_rate: The sample rate in Hz that is wanted for an engine's own; None keeps the engine's.

        Raises:
            RequestError: Before any work: EmptyTextError, UnknownModelError, UnknownVoiceError,
                UnknownLanguageError, OverloadedError (with `retry_after_s`), NotReadyError, or RequestError for what
                the engine cannot do (speed, pitch, decode, word times).
        """
        trace = trace or Trace(request_id=utterance.request_id)
        trace.num_characters, trace.speed = len(utterance.text), utterance.speed
        trace.text_class, trace.num_ahead = text_class(utterance.text), self.num_listeners
        try:
            self._check(utterance, trace)
            casting = cast(utterance, self._roster, self._config)
            trace.engine, trace.voice = casting.entry.name, casting.utterance.voice or ""
            native_rate = casting.entry.engine.info.sample_rate
            rate = native_rate if output_rate is None else output_rate(native_rate)
            self._clear_the_way(trace)
            streaming = self.assign(utterance, trace)
            prediction = self._predict(casting, streaming, trace)
            chunks = self._open(casting, streaming, trace, rate, now_ns())
        except RequestError as error:
            trace.finish("refused", noted(error))
            self._tell(trace)
            raise
        stream = SpeechStream(
            utterance, streaming, chunks, trace, casting, rate, prediction, self._on_end, self._fail_over
        )
        self._streams.add(stream)
        self._idle.clear()
        return stream

    def _clear_the_way(self, trace: Trace) -> None:
        """End what is spoken to nobody, before it could keep a listener out."""
        if trace.origin in TO_NOBODY:
            return
        for stream in self._streams:
            if stream.trace.origin in TO_NOBODY and not stream.is_cancelled:
                stream.cancel()
                self.num_made_way += 1

    def has_cached(self, utterance: Utterance) -> bool:
        """Whether the first segment of an utterance is known to be kept. Raises RequestError where nobody can speak."""
        casting = cast(utterance, self._roster, self._config)
        return self.cache.expects(opening_key(casting.entry.engine, casting.utterance))

    # Starting.

    async def _wait_for_engines(self, *, needs_all: bool, wait_for_all: bool) -> None:
        """Return when enough engines are ready; raise the error of one that is needed and cannot start."""
        waiting: set[asyncio.Task[None]] = set(self._starting)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for entry in map(self._starting.__getitem__, done):
                if entry.error is not None:
                    self._report(entry, entry.error, needed=needs_all)
            if not (needs_all or wait_for_all) and self._roster.ready():
                break
        for task in waiting:
            task.add_done_callback(self._late)
        errors = [entry.error for entry in self._roster if entry.error is not None]
        if not self._roster.ready():
            raise errors[0]

    async def _warm(self, warm_up: Callable[[], Awaitable[None]]) -> None:
        self._is_warming = True
        try:
            await warm_up()
        finally:
            self._is_warming = False

    @property
    def _starting_message(self) -> str:
        """What the start is at."""
        if self._is_warming:
            return "warming up"
        return str(self._roster) if self._starting else "not started"

    def _late(self, task: asyncio.Task[None]) -> None:
        """An engine has come to the end of its start while others serve."""
        entry = self._starting[task]
        if entry.error is not None:
            self._report(entry, entry.error, needed=False)
        else:
            logger.info("the %s engine is ready: %s", entry.name, self._roster)
        if lack := self._lack_of_default_voice():
            logger.error("%s", lack)

    def _report(self, entry: Entry, error: Exception, *, needed: bool) -> None:
        if needed:
            raise error
        logger.error("the %s engine cannot start, the others speak: %s", entry.name, failure_message(entry.name, error))

    def _reason(self, error: Exception) -> str:
        """Why the start has failed."""
        names = [entry.name for entry in self._roster if entry.error is error]
        return failure_message(names[0] if names else "default", error)

    def _lack_of_default_voice(self) -> str:
        """Why requests that name no voice can never be served; empty where they can, or while nobody knows."""
        try:
            cast(Utterance(""), self._roster, self._config)
        except NotReadyError:
            return ""  # an engine that still starts may have it
        except RequestError as error:
            return f"engine.default_voice: {error.message}"
        return ""

    def _set_phase(self, phase: Phase) -> None:
        if self._phase == "starting":  # else it is being closed
            self._phase = phase

    # Streams.

    def _check(self, utterance: Utterance, trace: Trace) -> None:
        """Raise RequestError for what no engine could speak, or not now."""
        may_warm = self._phase == "starting" and self._is_warming and trace.origin == "warmup"
        if self._phase != "ready" and not may_warm:
            raise NotReadyError(f"the server is {self._phase}: {self.readiness.message}; try again shortly")
        if not utterance.text.strip():
            raise EmptyTextError("the text is empty; send at least one word", param="input")
        if not MIN_SPEED <= utterance.speed <= MAX_SPEED:
            raise RequestError(f"speed must be {MIN_SPEED} to {MAX_SPEED}, got {utterance.speed:g}", param="speed")

    def _predict(self, casting: Casting, streaming: StreamingConfig, trace: Trace) -> Prediction:
        """What its TTFA will be; also noted in the trace."""
        entry, utterance = casting.entry, casting.utterance
        is_cached = not utterance.fresh and self.cache.expects(opening_key(entry.engine, utterance))
        backlog = entry.scheduler.backlog(streaming)
        asleep_s = getattr(entry.engine, "asleep_s", 0.0)
        prediction = self.predictor.predict(
            utterance, entry.engine.info, trace, backlog, is_cached=is_cached, asleep_s=asleep_s
        )
        trace.predicted_ttfa_ms = prediction.ttfa_ms
        return prediction

    def _open(
        self, casting: Casting, streaming: StreamingConfig, trace: Trace, rate: int, waiting_since_ns: int
    ) -> ScheduledStream:
        """Line the utterance up at its engine. Raises OverloadedError."""
        entry = casting.entry
        work = UtteranceWork(
            entry.engine,
            casting.utterance,
            streaming,
            entry.figures,
            trace,
            rate,
            waiting_since_ns=waiting_since_ns,
            cache=self.cache,
        )
        return entry.scheduler.open(work, work.remaining_s(), streaming)

    def _fail_over(self, stream: SpeechStream) -> bool:
        """Let another engine speak, where that is wanted and one can; False leaves the failure to the listener."""
        if not self._config.engine.failover:
            return False
        try:
            casting = cast(stream.asked, self._roster, self._config, stream.failed)
            chunks = self._open(casting, stream.streaming, stream.trace, stream.sample_rate, now_ns())
        except RequestError as error:
            logger.warning("request %s: nobody can stand in: %s", stream.trace.request_id, noted(error))
            return False
        logger.warning("request %s: %s speaks for %s", stream.trace.request_id, casting.entry.name, stream.engine)
        stream.switch(chunks, casting)
        return True

    def _on_end(self, stream: SpeechStream) -> None:
        self._streams.discard(stream)
        if not self._streams:
            self._idle.set()
        self.predictor.observe(stream.prediction, stream.trace)
        self._tell(stream.trace)

    def _tell(self, trace: Trace) -> None:
        for listener in self._listeners:
            try:
                listener(trace)
            except Exception:  # a listener's failure is its own, not the stream's
                logger.exception("a listener of finished traces failed")
