"""`Measurement`: one finished trace as a row of numbers and names; no text of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firstaudio.clock import NS_PER_MS
from firstaudio.slo import Category, category
from firstaudio.trace import STAGES, Stage, Trace


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one utterance took.

    Attributes:
        timestamp: When it was accepted, in seconds since 1970.
        request_id: As the client or the server named it.
        outcome: "completed", "cancelled", "failed" or "refused".
        origin: "client", "benchmark", "tuner" or "warmup".
        run: Id of the benchmark that asked; empty for others.
        arm: Arm of the tuner's experiment; empty where none ran.
        engine: Who spoke, or was to speak; empty for a request that was refused before that was settled.
        voice: Canonical id, likewise.
        language: BCP-47 tag, likewise.
        runtime: What executed the engine's steps.
        decode: "windowed" or "whole"; empty where the engine has no windows.
        warmth: "cold", "warm" or "cached", as in the trace; empty for a refused request.
        format: Of the audio, as asked for.
        delivery: "audio", "sse", "whole", as asked for.
        text_class: "short", "medium", "long", "complex"; empty for a request that was refused before.
        num_characters: Of the text.
        speed: Speaking speed.
        num_ahead: Streams that were there when it came.
        num_segments: Of the text.
        num_retries: Segments begun once more.
        num_stalls: Gaps of a listener who plays at once.
        failover: Who was asked for and could not speak; None: nobody.
        error: Why it failed or was refused, a wrong request by its code alone; None where it did not.
        ttfa_ms: Accept to first audio handed to the client; None without audio.
        ttgp_ms: Accept to the earliest press of "play" that never stalls; None without audio.
        duration_ms: Accept to end.
        audio_s: Audio that was made.
        rtf: Processing time over audio: accept to end, less what was only waited for the client to take what was made;
            None without audio.
        predicted_ttfa_ms: What was predicted before any work; None where nothing was known.
        first_audio_ms: Stages until the first audio, in ms: the parts of TTFA; empty without audio.
        stages_ms: Stages of the whole utterance, in ms.
    """

    timestamp: float
    request_id: str
    outcome: str
    origin: str
    run: str
    arm: str
    engine: str
    voice: str
    language: str
    runtime: str
    decode: str
    warmth: str
    format: str
    delivery: str
    text_class: str
    num_characters: int
    speed: float
    num_ahead: int
    num_segments: int
    num_retries: int
    num_stalls: int
    failover: str | None
    error: str | None
    ttfa_ms: float | None
    ttgp_ms: float | None
    duration_ms: float
    audio_s: float
    rtf: float | None
    predicted_ttfa_ms: float | None
    first_audio_ms: Mapping[Stage, float] = field(default_factory=dict)
    stages_ms: Mapping[Stage, float] = field(default_factory=dict)

    @property
    def category(self) -> Category | None:
        """What its TTFA is called; None without audio."""
        return None if self.ttfa_ms is None else category(self.ttfa_ms)

    @property
    def preroll_ms(self) -> float | None:
        """The buffer with which a listener hears no gap; None without audio."""
        return None if self.ttgp_ms is None or self.ttfa_ms is None else max(0.0, self.ttgp_ms - self.ttfa_ms)

    @property
    def bottleneck(self) -> Stage | None:
        """The stage with the largest share of TTFA; None without audio."""
        return bottleneck(self.first_audio_ms)


def bottleneck(first_audio_ms: Mapping[Stage, float]) -> Stage | None:
    """The stage with the largest share of TTFA, the earlier one of equals; None where nothing took time."""
    if not any(first_audio_ms.values()):
        return None
    return max(STAGES, key=lambda stage: first_audio_ms.get(stage, 0.0))


def measure(trace: Trace, ended_at: float) -> Measurement:
    """The row of a finished trace.

    Args:
        trace: With an outcome.
        ended_at: When it finished, in seconds since 1970.
    """
    assert trace.outcome is not None, "the trace is not finished"
    assert trace.finished_ns is not None
    duration_ms = (trace.finished_ns - trace.accepted_ns) / NS_PER_MS
    return Measurement(
        timestamp=ended_at - duration_ms / 1000,
        request_id=trace.request_id,
        outcome=trace.outcome,
        origin=trace.origin,
        run=trace.run,
        arm=trace.arm,
        engine=trace.engine,
        voice=trace.voice,
        language=trace.language,
        runtime=trace.runtime,
        decode=trace.decode,
        warmth=trace.warmth,
        format=trace.format,
        delivery=trace.delivery,
        text_class=trace.text_class,
        num_characters=trace.num_characters,
        speed=trace.speed,
        num_ahead=trace.num_ahead,
        num_segments=trace.num_segments,
        num_retries=trace.num_retries,
        num_stalls=trace.num_stalls,
        failover=trace.failover,
        error=trace.error,
        ttfa_ms=trace.ttfa_ms,
        ttgp_ms=trace.ttgp_ms,
        duration_ms=duration_ms,
        audio_s=trace.audio_s,
        rtf=trace.rtf,
        predicted_ttfa_ms=trace.predicted_ttfa_ms,
        first_audio_ms=_in_ms(trace.first_audio_stages_ns or {}),
        stages_ms=_in_ms(trace.stages_ns),
    )


def _in_ms(stages_ns: Mapping[Stage, int]) -> dict[Stage, float]:
    return {stage: ns / NS_PER_MS for stage, ns in stages_ns.items()}
