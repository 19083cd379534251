"""What decides the sound of a segment: where two keys are the same, the audio of one is that of the other."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from firstaudio.engines.base import Decode, Engine
from firstaudio.synthesis.utterance import Utterance

OPENING_CHARS = 512  # of a text, which decide what its first segment is


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """All that decides how a segment sounds.

    Attributes:
        engine: Its name in the configuration.
        identity: What the engine says of itself beside its name: another model, another voices file.
        voice: As the engine resolved it.
        language: As the engine resolved it.
        speed: As asked for.
        pitch: As asked for.
        decode: As asked for.
        text: Of the segment, normalised; for `PhraseCache.expects` a digest of the beginning of a text.
    """

    engine: str
    identity: str
    voice: str
    language: str
    speed: float
    pitch: float
    decode: Decode
    text: str


def segment_key(engine: Engine, utterance: Utterance, text: str) -> SegmentKey:
    """The key of a segment of an utterance, with the voice and language that the engine resolved."""
    assert utterance.voice is not None
    assert utterance.language is not None
    return SegmentKey(
        utterance.engine or engine.info.name,
        str(getattr(engine, "identity", "")),
        utterance.voice,
        utterance.language,
        utterance.speed,
        utterance.pitch,
        utterance.decode,
        text,
    )


def opening_key(engine: Engine, utterance: Utterance) -> SegmentKey:
    """What the beginning of an utterance is remembered by, before anybody has cut it into segments; not its text."""
    opening = utterance.text[:OPENING_CHARS].encode("utf-8", "surrogatepass")
    return segment_key(engine, utterance, blake2b(opening, digest_size=16).hexdigest())
