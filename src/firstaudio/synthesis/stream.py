"""`SpeechStream`: what a listener holds of one utterance: its chunks, its trace, its end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Self

from firstaudio.audio.chunk import Chunk
from firstaudio.config import StreamingConfig
from firstaudio.errors import ConfigError, EngineError, FirstaudioError, RequestError
from firstaudio.synthesis.casting import Casting
from firstaudio.synthesis.prediction import Prediction
from firstaudio.synthesis.scheduled import ScheduledStream, StreamFigures
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Origin, Outcome, Trace

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """One stream that has not ended: who it is, and how it stands.

    Attributes:
        request_id: As the client or the server named it.
        engine: Who speaks.
        voice: Canonical voice id.
        origin: Who asked, as in the trace.
        num_characters: Of the text.
        figures: How it stands.
    """

    request_id: str
    engine: str
    voice: str
    origin: Origin
    num_characters: int
    figures: StreamFigures


class SpeechStream:
    """Chunks of one utterance; an async iterator and an async context manager.

    Chunks come in utterance coordinates (samples at `sample_rate`, word marks in characters of the original text).
    Leaving the iterator early must go through `aclose` (or `async with`): the lane is then free within one step.
    A FirstaudioError raised by iteration ends the stream; what was yielded before stands, nothing is repeated.

    With `engine.failover` on, an engine that fails before its first audio is replaced by the next one: until the first
    chunk has come, `engine`, `voice` and `language` may change.

    Attributes:
        asked: The utterance as it was asked for.
        streaming: How it is cut and paced.
        trace: Times and counts of this utterance, with its outcome at the end.
        engine: Name of the engine that speaks.
        voice: Canonical voice id.
        language: BCP-47 tag.
        sample_rate: In Hz, of every chunk.
        failed: Engines that have failed on this utterance, with the error's code.
        prediction: What was known of it before any work.
    """

    def __init__(
        self,
        asked: Utterance,
        streaming: StreamingConfig,
        chunks: ScheduledStream,
        trace: Trace,
        casting: Casting,
        sample_rate: int,
        prediction: Prediction,
        on_end: Callable[[SpeechStream], None],
        on_failure: Callable[[SpeechStream], bool],
    ) -> None:
        self._on_end, self._on_failure = on_end, on_failure
        self._past: list[ScheduledStream] = []
        self._held = self._cancelled = False
        self.asked, self.streaming, self.trace, self.sample_rate = asked, streaming, trace, sample_rate
        self.failed: dict[str, str] = {}
        self.prediction = prediction
        self._take(chunks, casting)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        try:
            return await self._next()
        except StopAsyncIteration:
            if self._cancelled:
                await self.aclose()
            elif not self._held:
                self._end("completed")
            raise
        except FirstaudioError as error:
            # A request may turn out to be wrong only when it is spoken: its text is nothing but markup.
            self._end("refused" if isinstance(error, RequestError) else "failed", noted(error))
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def hold(self) -> None:
        """Let the last chunk not be the end: `delivered` or `broken` is, when the client had what it gets."""
        self._held = True

    def delivered(self) -> None:
        """Everything is said and has been handed over; for a stream that was held."""
        self._end("completed")

    def cancel(self) -> None:
        """Stop within the step that runs, without waiting: who iterates comes to the end, the trace is cancelled."""
        self._cancelled = True
        self._chunks.cancel()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    @property
    def idle_since_ns(self) -> int | None:
        """Since when all is made that its reader may have before it takes more; None: something is being made."""
        return self._chunks.idle_since_ns

    def snapshot(self) -> StreamSnapshot:
        """How it stands at this moment."""
        trace = self.trace
        return StreamSnapshot(
            trace.request_id, self.engine, self.voice, trace.origin, trace.num_characters, self._chunks.figures()
        )

    def broken(self, error: FirstaudioError) -> None:
        """What was said cannot be handed over; for a stream that was held."""
        self._end("failed", noted(error))

    def switch(self, chunks: ScheduledStream, casting: Casting) -> None:
        """Go on with another engine; nothing has been heard of the one before."""
        self._past.append(self._chunks)
        self._circuit.ended(self, completed=False)
        self.trace.num_segments, self.trace.runtime, self.trace.decode, self.trace.warmth = 0, "", "", "warm"
        self._take(chunks, casting)

    async def aclose(self) -> None:
        """End the stream; returns when its lane and its engine's resources are free. Idempotent."""
        ends_here = self._finish("cancelled")
        try:
            await self._chunks.aclose()
            for chunks in self._past:
                await chunks.closed.wait()
        finally:
            if ends_here:  # only now: until its step ended, the trace was still being written
                self._on_end(self)

    def _take(self, chunks: ScheduledStream, casting: Casting) -> None:
        assert casting.utterance.voice is not None
        assert casting.utterance.language is not None
        self._chunks, self._circuit = chunks, casting.entry.circuit
        self._circuit.begin(self)
        self.engine = casting.entry.name
        self.voice, self.language = casting.utterance.voice, casting.utterance.language
        self.trace.engine, self.trace.voice, self.trace.failover = self.engine, self.voice, casting.failover
        self.trace.language = self.language

    async def _next(self) -> Chunk:
        """The next chunk; from another engine where this one fails before its first."""
        while True:
            try:
                chunk = await self._chunks.__anext__()
                if self._is_own_work:
                    self._circuit.heard(self)
                return chunk
            except (StopAsyncIteration, RequestError, ConfigError):
                raise
            except Exception as error:  # noqa: BLE001 -- an engine may raise anything; it is raised or logged
                failure = self._failure(error)
                self.failed[self.engine] = failure.code
                self._circuit.failed(self, failure.message)
                if not self._may_switch() or not self._on_failure(self):
                    raise failure from (None if failure is error else error)

    @property
    def _is_own_work(self) -> bool:
        """Whether the engine has done something for this stream; what was kept of earlier ones says nothing of it."""
        return self.trace.warmth != "cached"

    def _may_switch(self) -> bool:
        return self.trace.outcome is None and self.trace.first_chunk_ns is None

    def _failure(self, error: Exception) -> EngineError:
        """The error as the engine's; a mistake of its code goes to the log."""
        if isinstance(error, EngineError):
            return error
        logger.error(
            "request %s: the %s engine failed unexpectedly", self.trace.request_id, self.engine, exc_info=error
        )
        return EngineError(f"the {self.engine} engine failed unexpectedly")

    def _end(self, outcome: Outcome, error: str | None = None) -> None:
        if self._finish(outcome, error):
            self._on_end(self)

    def _finish(self, outcome: Outcome, error: str | None = None) -> bool:
        """Close the trace; False when it was closed already."""
        if self.trace.outcome is not None:
            return False
        if outcome != "completed" and self.trace.first_sent_ns is None and self.trace.warmth == "cached":
            self.trace.warmth = "warm"  # whatever its listener waited for, it was not what was kept
        self.trace.finish(outcome, error)
        self._circuit.ended(self, completed=outcome == "completed" and self._is_own_work)
        return True


def noted(error: FirstaudioError) -> str:
    """What the trace keeps of an error: of one that quotes the request only its code, for a trace outlives the request.

    A wrong field may hold anything, the text to be spoken too.
    """
    is_quoting = isinstance(error, RequestError) and error.param is not None
    return error.code if is_quoting else error.message
