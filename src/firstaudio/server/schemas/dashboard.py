"""What the dashboard is told once a second."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class StreamNow(BaseModel):
    """One stream that has not ended."""

    request_id: str
    engine: str
    voice: str
    origin: Literal["client", "benchmark", "tuner", "warmup"]
    num_characters: int
    state: Literal["ready", "running", "parked", "joined", "made"] = Field(
        description="Waits for a lane; a step is on a lane; waits for its reader; waits for a step of another stream "
        "that speaks the same, or for the engine's model; needs no further step."
    )
    age_s: float = Field(description="Since it was lined up.")
    due_s: float | None = Field(description="Until its next chunk is wanted; negative: overdue; null: none is to come.")
    lead_s: float | None = Field(
        description="Audio that a listener has ahead who plays at once; negative: a gap; null: before the first audio."
    )
    unread_s: float = Field(description="Audio that is made and that its reader has not taken.")
    remaining_s: float = Field(description="Audio that is still to be made; an estimate.")
    stalled_s: float = Field(description="Gaps that such a listener has heard.")


class EngineNow(BaseModel):
    """One engine."""

    name: str
    state: Literal["starting", "ready", "resting", "failed"]
    message: str
    lanes: dict[str, int | float | None] | None = Field(description="Figures of its lanes; null until it is ready.")
    report: dict[str, Any] | None = Field(description="What it tells of itself: choices and reasons; null: nothing.")


class PercentileNow(BaseModel):
    """One percentile of TTFA."""

    name: str
    value_ms: float | None = Field(description="Null where there are fewer than `needs` requests.")
    needs: int


class BinNow(BaseModel):
    """Requests whose TTFA lay in [low_ms, high_ms)."""

    low_ms: float
    high_ms: float
    n: int


class TtfaNow(BaseModel):
    """First audio of the last minutes, by who asked; cached answers are a group of their own."""

    origin: str
    is_cached: bool
    n: int
    num_met: int = Field(description="Requests that met the target.")
    met_low: float = Field(description="Lower end of the 95 % interval of their share.")
    met_high: float = Field(description="Upper end.")
    percentiles: list[PercentileNow]
    bins: list[BinNow] = Field(description="Equally wide on a logarithmic axis; without the empty ones.")


class SlotNow(BaseModel):
    """Requests that ended within some seconds."""

    ago_s: float = Field(description="The end of the slot before now; 0: it is running.")
    seconds: float = Field(description="Its length.")
    audio_s: float = Field(description="Audio of clients' requests that ended in it.")
    outcomes: dict[str, int] = Field(description="How many of clients' ended how.")
    other_audio_s: float = Field(description="Audio of benchmarks and the tuner.")
    other_outcomes: dict[str, int] = Field(description="Theirs.")


class RequestNow(BaseModel):
    """One request that has ended."""

    at: float = Field(description="When it ended, in seconds since 1970.")
    request_id: str
    outcome: str
    origin: str
    engine: str
    voice: str
    warmth: str
    text_class: str
    num_characters: int
    error: str | None
    ttfa_ms: float | None
    category: str | None
    bottleneck: str | None
    audio_s: float
    num_stalls: int
    predicted_ttfa_ms: float | None
    first_audio_ms: dict[str, float] = Field(description="Stages until the first audio.")


class DashboardSnapshot(BaseModel):
    """What the server does at one moment."""

    at: float = Field(description="In seconds since 1970.")
    version: str
    uptime_s: float
    state: Literal["starting", "ready", "failed", "draining", "closed"]
    message: str
    is_measured: bool = Field(description="Whether requests are measured (telemetry.enabled).")
    ttfa_target_ms: float
    max_lead_s: float = Field(description="Unread audio from which on a stream is parked.")
    num_streams: int
    streams: list[StreamNow] = Field(description="The most urgent ones, the earliest deadline first.")
    engines: list[EngineNow]
    ttfa: list[TtfaNow]
    ttfa_window_s: float = Field(description="How far back `ttfa` reaches: since the start, at most ten minutes.")
    throughput: list[SlotNow] = Field(description="The last minutes, the oldest slot first.")
    recent: list[RequestNow] = Field(description="The last requests, the newest first.")
    sections: dict[str, Any] = Field(description="Sections of `GET /status`; null: nothing is known.")
