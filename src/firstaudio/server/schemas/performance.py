"""What clients got: measurements one by one, and what they say together."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from firstaudio.slo import Category, InvestigationCategory
from firstaudio.telemetry.summary.trend import Direction
from firstaudio.trace import Origin, Outcome, Stage, TextClass, Warmth

MAX_MEASUREMENTS = 1000
DEFAULT_MEASUREMENTS = 50
MAX_WINDOW_S = 366 * 86_400.0
DEFAULT_WINDOW_S = 86_400.0
MAX_NAME_CHARS = 128

StoreState = Literal["ok", "memory_only", "disabled"]


_NO_TIME = PydanticCustomError(
    "time", "this is no time; send seconds since 1970, or a date and time as 2030-01-31T12:00:00Z"
)


def _seconds(value: Any) -> Any:
    """Seconds since 1970 from such a number or from a date and time; UTC where that names no offset."""
    if not isinstance(value, str):
        return value
    try:
        seconds = float(value)
    except ValueError:
        seconds = _moment(value)
    if not math.isfinite(seconds):
        raise _NO_TIME
    return seconds


def _moment(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _NO_TIME from None


Since = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | datetime),
    Field(description="Seconds since 1970, or a date and time as ISO 8601 has it (UTC where it names no offset)."),
]


class MeasurementQuery(BaseModel):
    """Which measurements."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(DEFAULT_MEASUREMENTS, ge=1, le=MAX_MEASUREMENTS, description="How many at most.")
    since: Since | None = Field(None, description="Not those that were accepted before.")
    voice: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="Of this voice alone, or of those it is another name for.",
    )
    origin: Literal[Origin, "all"] = Field("all", description="Who asked.")


class PerformanceQuery(BaseModel):
    """Of which time."""

    model_config = ConfigDict(extra="forbid")

    window_s: float = Field(
        DEFAULT_WINDOW_S, gt=0, le=MAX_WINDOW_S, allow_inf_nan=False, description="How far to look back, in seconds."
    )


class Timings(BaseModel):
    """Times in ms from the moment of acceptance; the stages are those until the first audio."""

    ttfa_ms: float | None = Field(description="Until the first audio was handed to the connection; null without audio.")
    ttgp_ms: float | None = Field(description='Until the earliest press of "play" that never stalls.')
    preroll_ms: float | None = Field(description="The buffer with which a listener hears no gap.")
    total_ms: float = Field(description="Until everything was handed over.")
    queue_ms: float | None
    text_processing_ms: float | None
    phonemize_ms: float | None
    model_inference_ms: float | None
    audio_conversion_ms: float | None
    chunk_delivery_ms: float | None


class RequestPerformance(BaseModel):
    """How one request did."""

    target_ttfa_ms: float
    achieved_target: bool | None = Field(
        description="Whether audio came within the target; a failure never did. Null for a refused request, and for "
        "a client that left before that could be told."
    )
    category: Category | None = Field(description="Of the TTFA; null without audio.")
    bottlenecks: list[Stage] = Field(description="The stage with the largest share of TTFA; none without audio.")
    provider_used: str = Field(description="What ran the engine's steps, or else the engine; empty: nobody.")
    predicted_ttfa_ms: float | None = Field(description="As it was predicted before any work.")


class MeasurementDetails(BaseModel):
    """The rest of what is known of one request."""

    outcome: Outcome
    error: str | None
    origin: Origin
    run: str = Field(description="Id of the benchmark that asked; empty for others.")
    arm: str = Field(description="Arm of the tuner's experiment; empty where none ran.")
    engine: str = Field(description="Who spoke, or was to speak; empty: refused before that was settled.")
    runtime: str
    decode: str
    warmth: Warmth | Literal[""] = Field(description="Empty for a refused request.")
    language: str
    format: str = Field(description="As asked for.")
    delivery: str = Field(description="As asked for.")
    text_class: TextClass | Literal[""]
    failover: str | None
    num_ahead: int = Field(description="Streams that were there when it came.")
    num_segments: int
    num_retries: int
    num_stalls: int = Field(description="Gaps of a listener who plays at once.")
    audio_s: float
    rtf: float | None = Field(
        description="Processing time over audio: until everything was handed over, less what was only waited for the "
        "client to take what was made."
    )
    stages_ms: dict[Stage, float] = Field(description="Stages of the whole request.")


class MeasurementEntry(BaseModel):
    """One request; no text of the user's."""

    request_id: str
    timestamp: float = Field(description="When it was accepted, in seconds since 1970.")
    text_length: int = Field(description="In characters.")
    voice: str
    speed: float
    timings: Timings
    performance: RequestPerformance
    details: MeasurementDetails


class MeasurementList(BaseModel):
    """Requests, the newest first."""

    measurements: list[MeasurementEntry]
    count: int
    limit: int
    status: StoreState = Field(description="memory_only: they will not outlive the server; `problem` says why.")
    problem: str | None


class FigureSet(BaseModel):
    """A sample; failures are infinite in it."""

    n: int
    num_failed: int
    mean: float | None = Field(description="Of the finite ones, as `min` and `max`.")
    min: float | None
    max: float | None
    percentiles: dict[str, float | None] = Field(
        description="p50, p90, p95, p99; null below 6, 36, 72, 368 measurements, or where failures reach it."
    )
    intervals: dict[str, tuple[float, float] | None] = Field(description="95 % intervals of the percentiles.")


class ShareEntry(BaseModel):
    """How many of how many."""

    num: int
    n: int
    value: float | None
    interval: tuple[float, float] | None = Field(description="95 %, by Wilson.")


class ForecastEntry(BaseModel):
    """From when on the typical TTFA misses the target, if it goes on as it did."""

    target_ms: float
    missed_from: float = Field(description="Seconds since 1970.")
    low: float = Field(description="The earliest, 95 %; it may lie before now.")
    high: float | None = Field(description="The latest; null where it is farther ahead than was looked back.")
    n: int = Field(description="Measurements, or runs.")


class TrendEntry(BaseModel):
    """Where TTFA went while the time passed: a Theil-Sen line."""

    direction: Direction
    n: int
    span_s: float = Field(description="Between the first and the last measurement.")
    change_ms: float | None = Field(description="Over that time.")
    low_ms: float | None = Field(description="Lower end of its 95 % interval.")
    high_ms: float | None
    forecast: ForecastEntry | None = Field(
        description="Null unless the line certainly leads to the target, before as much time has passed again."
    )


class StageEntry(BaseModel):
    """One stage until the first audio."""

    ms: FigureSet
    share: float = Field(description="Of all TTFA.")


class GroupEntry(BaseModel):
    """Requests that have something in common."""

    num_requests: int
    ttfa: FigureSet
    attainment: ShareEntry
    category: Category | None


class SummaryEntry(BaseModel):
    """What the requests of clients say together. Cached answers are in `by_warmth` and in no other figure of time."""

    window_s: float
    is_complete: bool = Field(description="False: more requests came than are looked at, and these are the newest.")
    target_ms: float
    since: float | None = Field(description="When the first request was accepted, in seconds since 1970.")
    until: float | None
    num_requests: int
    outcomes: dict[Outcome, int]
    num_abandoned: int = Field(description="Clients that left before any audio.")
    success: ShareEntry = Field(description="Completed, of those that were completed or failed.")
    success_alert: str | None = Field(description="Where success certainly lies too low.")
    ttfa: FigureSet
    ttgp: FigureSet
    preroll: FigureSet
    rtf: FigureSet
    attainment: ShareEntry = Field(description="Within the target.")
    short_attainment: ShareEntry = Field(description="Texts below 50 characters within 400 ms.")
    miss_rate: float | None
    category: Category | None
    investigation_category: InvestigationCategory
    recent_ms: list[float]
    trend: TrendEntry
    stages: dict[Stage, StageEntry]
    other_ms: float | None = Field(description="Mean TTFA that no stage explains.")
    bottleneck: Stage | None
    by_text_class: dict[TextClass, GroupEntry]
    by_engine: dict[str, GroupEntry]
    by_warmth: dict[Warmth, GroupEntry]
    audio_s: float
    num_stalled: int
    num_retried: int
    num_failed_over: int
    prediction: FigureSet = Field(description="Size of the error of the predicted TTFA, in ms.")


class Achievement(BaseModel):
    """Whether requests were served, and whether in time: two different things."""

    total_requests: int
    successful_requests: int
    success_rate_percent: float | None = Field(description="Completed, of those that were completed or failed.")
    target_achievement_rate_percent: float | None = Field(description="With TTFA within the target.")
    recent_trend: Direction


class TimingStats(BaseModel):
    """TTFA of synthesised audio, in ms."""

    average: float | None
    min: float | None
    max: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    n: int
    recent_values: list[float] = Field(description="The newest first.")


class RecommendationEntry(BaseModel):
    """One thing to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    message: str
    action: str


class TtfaPerformance(BaseModel):
    """How soon clients heard something."""

    target_ttfa_ms: float
    performance: Achievement
    timing_stats_ms: TimingStats
    recommendations: list[RecommendationEntry]


class Monitoring(BaseModel):
    """What is held to what."""

    active: bool
    target_ttfa_ms: float
    optimal_ttfa_ms: float = Field(description="Below it, TTFA is excellent.")
    critical_threshold_ms: float = Field(description="From it on, TTFA is critical.")


class PerformanceReport(BaseModel):
    """How soon clients heard something, over a window of time."""

    ttfa_performance: TtfaPerformance
    monitoring: Monitoring
    summary: SummaryEntry
    status: StoreState = Field(description="memory_only: older requests may be missing; `problem` says why.")
    problem: str | None
