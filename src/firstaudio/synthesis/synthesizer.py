"""The one door to speech: `Synthesizer.stream(utterance)` gives an async iterator of chunks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from firstaudio.audio.chunk import Chunk
from firstaudio.config import Config
from firstaudio.engines.base import Engine, EngineInfo, Voice
from firstaudio.engines.registry import create
from firstaudio.errors import (
    ConfigError,
    EmptyTextError,
    EngineError,
    FirstaudioError,
    NotReadyError,
    RequestError,
    UnknownLanguageError,
    UnknownModelError,
    UnknownVoiceError,
)
from firstaudio.synthesis.scheduler import ScheduledStream, SchedulerStatistics, StepScheduler
from firstaudio.synthesis.utterance import MAX_SPEED, MIN_SPEED, Utterance
from firstaudio.synthesis.work import EngineFigures, UtteranceWork
from firstaudio.trace import Outcome, Trace

logger = logging.getLogger(__name__)

# Model names that existing clients send; each means: whatever engine is the default.
DEFAULT_MODEL_NAMES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be served. `progress` is 0..1."""

    state: Literal["starting", "ready", "failed", "draining", "closed"]
    progress: float
    message: str


class SpeechStream:
    """Chunks of one utterance; an async iterator and an async context manager.

    Chunks come in utterance coordinates (samples at `sample_rate`, word marks in characters of the original text).
    Leaving the iterator early must go through `aclose` (or `async with`): the lane is then free within one step.
    A FirstaudioError raised by iteration ends the stream; what was yielded before stands, nothing is repeated.

    Attributes:
        trace: Times and counts of this utterance, with its outcome at the end.
        engine: Name of the engine that speaks.
        voice: Canonical voice id.
        language: BCP-47 tag.
        sample_rate: In Hz, of every chunk.
    """

    def __init__(
        self,
        chunks: ScheduledStream,
        trace: Trace,
        engine: str,
        sample_rate: int,
        utterance: Utterance,
        on_end: Callable[[SpeechStream], None],
    ) -> None:
        assert utterance.voice is not None
        assert utterance.language is not None
        self._chunks, self._on_end = chunks, on_end
        self.trace = trace
        self.engine, self.sample_rate = engine, sample_rate
        self.voice, self.language = utterance.voice, utterance.language

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        try:
            return await self._chunks.__anext__()
        except StopAsyncIteration:
            self._end("completed")
            raise
        except FirstaudioError as error:
            self._end("failed", error.message)
            raise
        except Exception as error:
            self._end("failed", repr(error))
            logger.exception("request %s: the %s engine failed unexpectedly", self.trace.request_id, self.engine)
            raise EngineError(f"the {self.engine} engine failed unexpectedly") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; returns when its lane and its engine's resources are free. Idempotent."""
        self._end("cancelled")
        await self._chunks.aclose()

    def _end(self, outcome: Outcome, error: str | None = None) -> None:
        if self.trace.outcome is None:
            self.trace.finish(outcome, error)
            self._on_end(self)


class Synthesizer:
    """Engines, their schedulers, and the streams that run.

    Args:
        config: The whole configuration.
        engines: Engines by name, not started; None makes those that `config.engine.names` lists.
        priority: For comparison in benchmarks only, see `StepScheduler`.
    """

    def __init__(
        self,
        config: Config,
        engines: Mapping[str, Engine] | None = None,
        priority: Callable[[ScheduledStream], float] | None = None,
    ) -> None:
        self._config = config
        self._engines = dict(engines) if engines is not None else {n: create(n, config) for n in config.engine.names}
        self._priority = priority
        self._schedulers: dict[str, StepScheduler] = {}
        self._figures: dict[str, EngineFigures] = {}
        self._streams: set[SpeechStream] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._listeners: list[Callable[[Trace], None]] = []
        self._readiness = Readiness("starting", 0.0, "not started")

    async def start(self, *, check_default_voice: bool = True) -> None:
        """Start every engine; returns when all are ready.

        Args:
            check_default_voice: Whether it is an error that no engine has `config.engine.default_voice`; False where
                nobody will ask for it.

        Raises:
            EngineError: An engine cannot start.
            ConfigError: An engine lacks something, or no engine has the default voice.
        """
        for index, (name, engine) in enumerate(self._engines.items()):
            self._readiness = Readiness("starting", index / len(self._engines), f"starting the {name} engine")
            try:
                await asyncio.to_thread(engine.start)
            except Exception as error:
                message = error.message if isinstance(error, FirstaudioError) else f"the {name} engine: {error!r}"
                self._readiness = Readiness("failed", index / len(self._engines), message)
                raise
            info = engine.info
            self._schedulers[name] = StepScheduler(
                info.num_lanes, self._config.streaming, info.expected_rtf, priority=self._priority
            )
            self._figures[name] = EngineFigures(info)
        if check_default_voice:
            self._check_default_voice()
        self._readiness = Readiness("ready", 1.0, "ready")

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse new streams, let running ones finish for `drain_s` seconds, cancel the rest, stop the engines."""
        self._readiness = Readiness("draining", 1.0, "shutting down")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), drain_s)
        await asyncio.gather(*(stream.aclose() for stream in self._streams))
        for scheduler in self._schedulers.values():
            await scheduler.close()
        for name, engine in self._engines.items():
            try:
                await asyncio.to_thread(engine.close)
            except Exception:  # the others are closed all the same
                logger.exception("the %s engine could not be closed", name)
        self._readiness = Readiness("closed", 1.0, "closed")

    @property
    def readiness(self) -> Readiness:
        """Whether `stream` may be called, and how far the start has come."""
        return self._readiness

    @property
    def num_streams(self) -> int:
        """Streams that have not ended."""
        return len(self._streams)

    def infos(self) -> Sequence[EngineInfo]:
        """Every engine that runs, the default one first."""
        return [self._engines[name].info for name in self._schedulers]

    def voices(self) -> Sequence[tuple[str, Voice]]:
        """(engine name, voice), aliases included; the default engine's first."""
        return [(name, voice) for name in self._schedulers for voice in self._engines[name].voices()]

    def statistics(self) -> dict[str, SchedulerStatistics]:
        """Figures of this moment, by engine name."""
        return {name: scheduler.statistics() for name, scheduler in self._schedulers.items()}

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
                UnknownLanguageError, OverloadedError (with `retry_after_s`), NotReadyError, or RequestError for a
                pitch or speed that the engine cannot do.
        """
        trace = trace or Trace(request_id=utterance.request_id)
        trace.num_characters = len(utterance.text)
        try:
            name, resolved = self._resolve(utterance)
            trace.engine, trace.voice = name, resolved.voice or ""
            native_rate = self._engines[name].info.sample_rate
            rate = native_rate if output_rate is None else output_rate(native_rate)
            work = UtteranceWork(
                self._engines[name], resolved, self._config.streaming, self._figures[name], trace, rate
            )
            chunks = self._schedulers[name].open(work, work.remaining_s())
        except RequestError as error:
            trace.finish("refused", error.message)
            self._tell(trace)
            raise
        stream = SpeechStream(chunks, trace, name, rate, resolved, self._on_end)
        self._streams.add(stream)
        self._idle.clear()
        return stream

    def _resolve(self, utterance: Utterance) -> tuple[str, Utterance]:
        """The engine's name, and the utterance with the voice and language as that engine calls them."""
        if self._readiness.state != "ready":
            raise NotReadyError(f"the server is {self._readiness.state}: {self._readiness.message}; try again shortly")
        if not utterance.text.strip():
            raise EmptyTextError("the text is empty; send at least one word", param="input")
        if not MIN_SPEED <= utterance.speed <= MAX_SPEED:
            raise RequestError(f"speed must be {MIN_SPEED} to {MAX_SPEED}, got {utterance.speed:g}", param="speed")
        name, voice, language = self._find_voice(utterance)
        bounds = self._engines[name].info.pitch_range or (1.0, 1.0)
        if not bounds[0] <= utterance.pitch <= bounds[1]:
            raise RequestError(
                f"the {name} engine does pitch {bounds[0]:g} to {bounds[1]:g}, got {utterance.pitch:g}", param="pitch"
            )
        return name, replace(utterance, voice=voice, language=language, engine=name)

    def _check_default_voice(self) -> None:
        """Raise ConfigError where requests that name no voice could never be served."""
        try:
            self._find_voice(Utterance(""))
        except RequestError as error:
            message = f"engine.default_voice: {error.message}"
            self._readiness = Readiness("failed", 1.0, message)
            raise ConfigError(message) from error

    def _find_voice(self, utterance: Utterance) -> tuple[str, str, str]:
        """(engine, voice, language): the engine that was asked for, else the first that has the voice."""
        voice = utterance.voice or self._config.engine.default_voice
        names = self._engine_names(utterance.engine)
        first_error: RequestError | None = None
        for name in names:
            try:
                return name, *self._engines[name].resolve(voice, utterance.language)
            except (UnknownVoiceError, UnknownLanguageError) as error:
                first_error = first_error or error
        assert first_error is not None
        raise first_error

    def _engine_names(self, asked: str | None) -> list[str]:
        if asked is None or asked in DEFAULT_MODEL_NAMES:
            return list(self._schedulers)
        if asked not in self._schedulers:
            known = ", ".join([*self._schedulers, *DEFAULT_MODEL_NAMES])
            raise UnknownModelError(f"no model {asked[:80]!r}; use one of {known}", param="model")
        return [asked]

    def _on_end(self, stream: SpeechStream) -> None:
        self._streams.discard(stream)
        if not self._streams:
            self._idle.set()
        self._tell(stream.trace)

    def _tell(self, trace: Trace) -> None:
        for listener in self._listeners:
            try:
                listener(trace)
            except Exception:  # a listener's failure is its own, not the stream's
                logger.exception("a listener of finished traces failed")
