"""The protocol between the scheduler and whatever synthesises speech."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from firstaudio.audio.chunk import Chunk

Decode = Literal["auto", "windowed", "whole"]
Waiting = Callable[[Callable[[], object]], None]
"""Takes what is to be called, which must not block, once and on any thread, and maybe at once."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A persona that can be asked for by name.

    Attributes:
        id: The name that requests use.
        name: The name for people.
        language: BCP-47 tag of the language that it speaks when the request names none.
        gender: "female", "male" or "neutral".
        alias_of: The voice that really speaks, when `id` is another name for it.
    """

    id: str
    name: str
    language: str
    gender: str = "neutral"
    alias_of: str | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine can do.

    Attributes:
        name: The engine's name in the registry, also accepted as a model name.
        sample_rate: Native rate in Hz of every chunk.
        languages: BCP-47 tags.
        num_lanes: Steps that may run at the same time, each on a thread of its own.
        incremental: Whether a segment yields several steps under decode "auto", the first one early.
        word_timing: Whether chunks carry word marks.
        pitch_range: Lowest and highest `SpeakRequest.pitch`; None where it cannot be changed.
        expected_rtf: Seconds of work per second of audio on one lane, until measured.
        description: One line for people.
        expected_startup_s: Seconds of work before a segment's first chunk, preparation and first window included, until
            measured; 0 for it and `expected_startup_rtf`: the start-up is neither measured nor planned for.
        expected_startup_rtf: What each second of the segment's audio adds to that.
    """

    name: str
    sample_rate: int
    languages: tuple[str, ...]
    num_lanes: int
    incremental: bool
    word_timing: bool
    pitch_range: tuple[float, float] | None
    expected_rtf: float
    description: str = ""
    expected_startup_s: float = 0.0
    expected_startup_rtf: float = 0.0


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    """One segment to be spoken.

    Attributes:
        text: The segment's text, normalised, not empty.
        voice: A voice id that `Engine.resolve` returned.
        language: A language that goes with it, as `Engine.resolve` returned it.
        speed: 0.25 to 4.0; 1.0 is natural.
        pitch: Factor within `EngineInfo.pitch_range`; 1.0 is natural.
        key: Identifies segment and attempt (utterance seed, index, attempt) for deterministic engines.
        decode: Whether an engine that can do both gives the segment in windows or whole.
    """

    text: str
    voice: str
    language: str
    speed: float = 1.0
    pitch: float = 1.0
    key: tuple[int, int, int] = (0, 0, 0)
    decode: Decode = "auto"


class Engine(Protocol):
    """Turns one segment into chunks, a step at a time.

    All methods are synchronous and may be called from any thread; `start`, `prepare`, and `next()` on what `steps`
    returned may block (on a lane, never on the event loop). One iterator is used by one thread at a time, but not
    always by the same one. Different iterators run at the same time on different lanes, and an iterator may be left
    unfinished for any time while others advance.

    What an engine may tell besides. What `prepare` returns may have attributes `runtime: str` (what executed the latest
    step, one name without commas, such as "openvino-cpu-bf16"), `decode: str` ("windowed" or "whole", as it really was)
    and `cold: bool` (something had to be loaded for this segment), read after every step. The engine may have a method
    `progress() -> tuple[float, str]` (share of `start` that is done, 0..1; what it is doing), called on the event loop
    while `start` runs: it must not block. It may have an attribute `identity: str` that changes when the same request
    comes to sound different (another model has been loaded): audio that was kept from before is not heard any more.
    It may have an attribute `windows_reason: str`, read where somebody asks for windows and `info.incremental` is off:
    why there are none and what would bring them, for the sentence "... gives only whole segments here: {reason}".
    An engine that gives up its model while nobody speaks has a method `awaken() -> Waiting | None`, which must not
    block: None where it can speak at once; else it has begun to load, and what is returned takes whom to tell when that
    has ended, well or not. It then has an attribute `asleep_s: float`: how long that took the last time, in seconds; 0
    while it can speak at once.
    """

    @property
    def info(self) -> EngineInfo:
        """What this engine can do; constant after `start`."""
        ...

    def start(self) -> None:
        """Load and warm everything; blocks until the engine can speak. Raises EngineError or ConfigError."""
        ...

    def voices(self) -> Sequence[Voice]:
        """Every voice, aliases included."""
        ...

    def resolve(self, voice: str, language: str | None) -> tuple[str, str]:
        """The canonical voice id and language for what a request asked.

        Raises:
            UnknownVoiceError: No such voice.
            UnknownLanguageError: No such language, or this voice does not speak it.
        """
        ...

    def prepare(self, request: SpeakRequest) -> Any:
        """Text to whatever the engine decodes from (phonemes, tokens).

        Raises:
            EngineError: It failed.
            RequestError: The request asks for what this voice cannot have, which only now is known.
        """
        ...

    def steps(self, prepared: Any) -> Iterator[Chunk]:
        """Chunks of the segment, contiguous from sample 0, native rate, word marks in segment coordinates.

        Each `next()` costs tens of milliseconds at the most where `info.incremental` is true. `close()` on the
        iterator (it is a generator) cancels: the lane's resources are free when it returns. Raises EngineError.
        """
        ...

    def close(self) -> None:
        """Stop workers and release memory; idempotent."""
        ...
