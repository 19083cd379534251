"""The one door to speech: `Synthesizer.stream(utterance)` gives an async iterator of chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from firstaudio.audio.chunk import Chunk
from firstaudio.config import Config
from firstaudio.engines.base import Engine, EngineInfo, Voice
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Trace


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
    An EngineError raised by iteration ends the stream; what was yielded before stands, nothing is repeated.
    """

    trace: Trace
    engine: str
    voice: str
    language: str
    sample_rate: int

    def __aiter__(self) -> AsyncIterator[Chunk]: ...
    async def __anext__(self) -> Chunk: ...
    async def aclose(self) -> None: ...


class Synthesizer:
    """Engines, their schedulers, and the streams that run."""

    def __init__(self, config: Config, engines: Mapping[str, Engine] | None = None) -> None: ...
    async def start(self) -> None:
        """Start every engine; returns when all are ready. Raises EngineError or ConfigError."""

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse new streams, let running ones finish for `drain_s` seconds, cancel the rest, stop the engines."""

    @property
    def readiness(self) -> Readiness: ...
    def infos(self) -> Sequence[EngineInfo]:
        """Every engine that runs, the default one first."""

    def voices(self) -> Sequence[tuple[str, Voice]]:
        """(engine name, voice), aliases included; the default engine's first."""

    def add_listener(self, listener: Callable[[Trace], None]) -> None:
        """Call `listener` on the event loop with each finished trace."""

    def stream(self, utterance: Utterance, trace: Trace | None = None) -> SpeechStream:
        """Begin to speak. Must be called on the event loop.

        Raises:
            RequestError: Before any work: EmptyTextError, UnknownModelError, UnknownVoiceError,
                UnknownLanguageError, OverloadedError (with `retry_after_s`), NotReadyError, or RequestError for a
                pitch or speed that the engine cannot do.
        """
