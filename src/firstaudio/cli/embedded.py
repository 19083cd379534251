"""Speech without a server: a `Synthesizer` on an event loop of its own thread, driven from synchronous code.

The caller may block (a slow disk, a sound card, a reader of a pipe) without holding up the scheduler, and Ctrl-C
arrives where the caller is.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from anyio.from_thread import BlockingPortal, start_blocking_portal

from firstaudio.audio.chunk import Chunk
from firstaudio.config import Config
from firstaudio.engines.base import Engine, EngineInfo, Voice
from firstaudio.errors import ConfigError, EngineError, NotReadyError
from firstaudio.synthesis.narration import PATIENCE, Patience, narrated
from firstaudio.synthesis.stream import SpeechStream
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance


class Speech:
    """Chunks of one utterance, as a synchronous iterator; raises what the stream raises.

    Attributes:
        stream: The stream itself, for its trace and what it resolved.
        audio_s: Length of the chunks so far, in seconds.
    """

    def __init__(self, portal: BlockingPortal, stream: SpeechStream) -> None:
        self._portal = portal
        self.stream = stream
        self.audio_s = 0.0

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        chunk = self._portal.call(self._next)
        if chunk is None:
            raise StopIteration
        self.audio_s += chunk.duration_s
        return chunk

    async def _next(self) -> Chunk | None:
        return await anext(self.stream, None)


class EmbeddedSynthesizer:
    """A started `Synthesizer`, for one thread; made by `embedded`."""

    def __init__(self, portal: BlockingPortal, synthesizer: Synthesizer) -> None:
        self._portal = portal
        self._synthesizer = synthesizer

    def infos(self) -> Sequence[EngineInfo]:
        """See `Synthesizer.infos`."""
        return self._synthesizer.infos()

    def voices(self) -> Sequence[tuple[str, Voice]]:
        """See `Synthesizer.voices`."""
        return self._synthesizer.voices()

    @contextmanager
    def speak(self, utterance: Utterance) -> Iterator[Speech]:
        """Begin to speak; leaving the block ends the speech. Raises what `Synthesizer.stream` raises."""
        stream = self._portal.call(self._synthesizer.stream, utterance)
        try:
            yield Speech(self._portal, stream)
        finally:
            self._portal.call(stream.aclose)


@contextmanager
def embedded(
    config: Config,
    engines: Mapping[str, Engine] | None = None,
    *,
    check_default_voice: bool = True,
    talk: Callable[[str], None] | None = None,
    patience: Patience = PATIENCE,
) -> Iterator[EmbeddedSynthesizer]:
    """Start the engines and wait for all of them; stop them when the block is left.

    With `engine.failover` on, one that cannot start is reported in the log, and the others speak.

    Args:
        config: The whole configuration.
        engines: See `Synthesizer`.
        check_default_voice: See `Synthesizer.start`.
        talk: Told what the start is doing when it is not quick; None: nobody is.
        patience: When `talk` is told.

    Raises:
        ConfigError: An engine is unknown.
        NotReadyError: An engine cannot start or lacks something, or no engine has the default voice.
    """
    with ExitStack() as stack:
        with _interrupt_later():
            portal = stack.enter_context(start_blocking_portal())
        synthesizer = Synthesizer(config, engines)
        try:
            try:
                portal.call(partial(_start, synthesizer, check_default_voice, talk or _say_nothing, patience))
            except EngineError as error:
                raise NotReadyError(f"cannot start: {error.message}; firstaudio doctor tells more") from error
            except ConfigError as error:
                raise NotReadyError(f"cannot start: {error.message}") from error
            yield EmbeddedSynthesizer(portal, synthesizer)
        finally:
            portal.call(synthesizer.close)


async def _start(
    synthesizer: Synthesizer, check_default_voice: bool, talk: Callable[[str], None], patience: Patience
) -> None:
    async with narrated(lambda: synthesizer.readiness, talk, patience):
        await synthesizer.start(check_default_voice=check_default_voice, wait_for_all=True)


def _say_nothing(_: str) -> None:
    """For whoever talks to nobody."""


@contextmanager
def _interrupt_later() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block: a portal that is interrupted while it starts never ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupts:
            signal.raise_signal(signal.SIGINT)
