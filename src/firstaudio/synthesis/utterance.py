"""`Utterance`: everything that one request asks to be spoken."""

from __future__ import annotations

from dataclasses import dataclass

from firstaudio.engines.base import Decode

MIN_SPEED, MAX_SPEED = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """What to speak and how.

    Attributes:
        text: The original text, as the client sent it.
        voice: A voice id or alias; None takes the configured default.
        language: BCP-47 tag; None takes the voice's own.
        speed: 0.25 to 4.0.
        pitch: Factor; 1.0 is natural. The engine states its range (`EngineInfo.pitch_range`).
        engine: Engine name or model alias; None takes the default engine.
        decode: "windowed" sends audio from within a segment, "whole" only whole segments; "auto" leaves it to the
            engine and the configuration.
        word_marks: Whether an engine without word times will not do.
        fresh: Whether every segment is made for this utterance alone, as if nobody had asked for it before; nothing of
            it is kept.
        request_id: Goes through logs and traces.
    """

    text: str
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    pitch: float = 1.0
    engine: str | None = None
    decode: Decode = "auto"
    word_marks: bool = False
    fresh: bool = False
    request_id: str = ""
