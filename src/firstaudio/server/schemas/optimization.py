"""Shapes of `/benchmarks/optimization/*`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from firstaudio.server.schemas.performance import RecommendationEntry

Value = bool | int | float
# Of whatever type it is sent, the setting itself says what it takes: the union would only name its last member.
AnyValue = Annotated[
    Any, WithJsonSchema({"anyOf": [{"type": kind} for kind in ("boolean", "integer", "number", "null")]})
]


class StreamingSettings(BaseModel):
    """How utterances are cut and paced from now on, outside an experiment."""

    fast_path_enabled: bool
    incremental_generation: bool
    first_chunk_target_ms: int
    target_buffer_ms: int
    min_chunk_size_ms: int
    max_chunk_size_ms: int
    first_segment_s: float
    max_lead_s: float


class StreamingOptimization(BaseModel):
    """What is being served, and how."""

    active_requests: int = Field(description="Streams that have not ended.")
    config: StreamingSettings


class PerformanceStats(BaseModel):
    """What the last requests of clients took, since this server started; null where there were none."""

    ttfa_average: float | None = Field(description="Mean time to first audio in ms, cached answers left out.")
    ttfa_target: float = Field(description="In ms.")
    success_rate: float | None = Field(description="0..1: completed, of those that were completed or failed.")
    target_rate: float | None = Field(description="0..1: with a time to first audio within the target.")
    ttfa_median: float | None = Field(description="In ms; null below 6 answers.")
    num_requests: int
    num_measured: int = Field(description="Requests behind ttfa_average.")


class ArmCounts(BaseModel):
    """What went wrong in one arm of an experiment."""

    assigned: int
    failed: int
    stalled: int = Field(description="Answers in which a listener who plays at once hears a gap.")
    left: int = Field(description="Listeners who went before the first audio.")


class ExperimentEntry(BaseModel):
    """An experiment that runs: arm a has what holds, arm b what is tried."""

    id: str
    setting: str
    current: Value
    candidate: Value
    moves: str = Field(description="The metric that is to become less.")
    guards: list[str] = Field(description="Metrics that must not become worse.")
    unit: Literal["utterance", "window"] = Field(description="What is given one arm.")
    reason: str
    begun_at: float = Field(description="Seconds since 1970.")
    progress: float | None = Field(description="0..1 of the answers or the time that it may take.")
    num_rounds: int = Field(description="Pairs of answers, or of windows, that can be compared so far.")
    max_rounds: int
    max_s: float
    num_looks: int = Field(description="How often the data were judged so far.")
    counts: dict[str, ArmCounts]


class KnobEntry(BaseModel):
    """A setting that experiments may turn."""

    setting: str
    value: Value
    candidates: list[Value] = Field(description="What would be tried next.")
    moves: str
    guards: list[str]
    unit: Literal["utterance", "window"]
    why: str


class ChangedEntry(BaseModel):
    """A setting that is not as configured, because an experiment found better."""

    setting: str
    configured: Value
    value: Value


class DecisionEntry(BaseModel):
    """What was decided, and why."""

    at: float = Field(description="Seconds since 1970.")
    experiment: str
    setting: str
    current: Value
    candidate: Value
    action: str = Field(description="recommended, kept, left, stopped, rolled_back, abandoned or reset.")
    verdict: str
    sentence: str
    evidence: dict[str, Any]


class TunerState(BaseModel):
    """What the tuner does."""

    state: Literal["off", "observing", "experimenting", "cooling_down"]
    applies: bool = Field(description="Whether it keeps what is better; else it recommends it.")
    idle_traffic: bool = Field(description="Whether it speaks to itself while nobody listens.")
    remark: str = Field(description="Why it is doing that.")
    cool_down_s: float = Field(description="Until it may begin another experiment.")
    on_probation: str | None = Field(description="A setting that was kept and is still watched.")
    num_own_texts: int
    problem: str | None = Field(description="Why decisions are not kept on disk.")
    failure: str | None = Field(description="What went wrong in the tuner itself last time.")


class OptimizationStatus(BaseModel):
    """What is being optimised, on what grounds."""

    streaming_optimization: StreamingOptimization
    performance_stats: PerformanceStats
    fast_path_requests: int = Field(description="Of clients, since the start, that began with a short first segment.")
    recent_requests: list[str] = Field(description="Ids of clients' last requests, the newest first.")
    recommendations: list[RecommendationEntry]
    tuner: TunerState
    experiments: list[ExperimentEntry] = Field(description="The one that runs, if one does.")
    knobs: list[KnobEntry]
    changed: list[ChangedEntry]
    decisions: list[DecisionEntry] = Field(description="The newest first; more lie in the state folder.")


class TriggerRequest(BaseModel):
    """What to try; without anything the tuner chooses."""

    model_config = ConfigDict(extra="forbid", strict=True)

    setting: str | None = Field(None, description="As in the configuration, such as streaming.min_chunk_size_ms.")
    value: AnyValue = Field(None, description="The present value compares it with itself; null: the tuner chooses.")


class TriggerAnswer(BaseModel):
    """What is tried now."""

    message: str
    experiment: ExperimentEntry | None = Field(description="null: there is nothing to try, the message says why.")
    status_endpoint: str


class ResetAnswer(BaseModel):
    """Settings are as configured."""

    message: str
    ended: str | None = Field(description="The experiment that ran and was ended; null: none ran.")
    restored: list[ChangedEntry] = Field(description="Settings that were not as configured, and stand so again.")
    decision: DecisionEntry | None = Field(description="null: no setting was different.")
