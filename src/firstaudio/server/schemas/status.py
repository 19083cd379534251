"""What the server tells of itself: `/status`, `/session-status`, `/startup-progress`.

Sections that a part of the server fills in as it sees fit are objects of any shape; docs/monitoring.md tells of each.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from firstaudio.server.schemas.speech import EngineHealth

Section = dict[str, Any]
State = Literal["starting", "ready", "failed", "draining", "closed"]
Risk = Literal["low", "medium", "high"]


class SchedulerFigures(BaseModel):
    """Streams and lanes of one engine at this moment; counts are since it became ready."""

    num_streams: int
    num_unstarted: int = Field(description="Streams that no audio was made for yet.")
    num_waiting: int = Field(description="Streams whose next step waits for a lane.")
    num_parked: int = Field(description="Streams that need nothing now.")
    num_joined: int = Field(description="Streams that wait for another one's step, or for the model.")
    num_lanes: int = Field(description="Steps that can run at the same time.")
    num_busy_lanes: int
    num_steps: int
    num_opened: int = Field(description="Streams that were accepted.")
    num_refused: int = Field(description="Streams that there was no room for.")
    peak_streams: int
    peak_busy_lanes: int
    busy_s: float = Field(description="Time that the lanes have worked, all together.")
    age_s: float
    unread_s: float = Field(description="Audio that no reader has taken yet.")
    least_lead_s: float | None = Field(description="Audio ahead of the listener who runs dry first; null: nobody.")
    rtf: float = Field(description="Running seconds of work per second of audio.")
    first_step_s: float = Field(description="Running seconds of work until first audio.")


class EngineInfoReport(BaseModel):
    """What an engine can do."""

    description: str
    sample_rate: int
    num_languages: int = Field(description="GET /v1/capabilities lists them.")
    num_lanes: int
    incremental: bool
    word_timing: bool
    pitch_range: tuple[float, float] | None


class EngineReport(EngineHealth):
    """One engine."""

    start_ms: float | None = Field(description="What its start took; null while it starts.")
    model_loaded: bool = Field(
        description="Whether what it speaks with is in memory: not while it starts, nor after it was let go."
    )
    info: EngineInfoReport | None = Field(description="What it can do; null before it is ready.")
    scheduler: SchedulerFigures | None = Field(description="Its streams and lanes; null before it is ready.")
    report: Section | None = Field(
        description="What it tells of itself: its model, what runs it and why that, each session; null: nothing."
    )


class ProcessReport(BaseModel):
    """One process of the server."""

    pid: int
    name: str
    rss_mb: float


class MemoryReport(BaseModel):
    """What the server and its workers hold, in MB of 10^6 bytes; shared pages count in each."""

    rss_mb: float
    processes: list[ProcessReport] = Field(description="The server itself first.")
    benchmark_rss_mb: float = Field(description="What a benchmark that it runs holds beside that; 0 without one.")


class HardwareReport(BaseModel):
    """The machine, as far as the server may use it."""

    platform: str
    processor: str
    architecture: str
    num_cores: int = Field(description="Physical cores that the server may use.")
    flags: list[str] | None = Field(description="Arithmetic that the processor has; null: the system does not tell.")
    has_bf16: bool | None
    is_apple: bool
    memory_mb: float


class StatusReport(BaseModel):
    """Everything that the server knows of itself. What nobody knows is null."""

    service: str
    version: str
    status: State
    progress: float = Field(ge=0, le=1)
    message: str
    started_at: int = Field(description="Seconds since 1970.")
    uptime_s: float
    model_loaded: bool = Field(description="Whether the first engine's model is in memory; of each, see `engines`.")
    onnx_providers: list[str] = Field(description="What runs models here now, by the names of the header X-Runtime.")
    engines: list[EngineReport]
    session_utilization: dict[str, float | None] = Field(
        description="Share of each engine's lanes that worked, since it was ready."
    )
    hardware: HardwareReport
    versions: dict[str, str] = Field(description="Python, and the packages that matter.")
    memory: MemoryReport
    startup_timings: dict[str, float | None] = Field(
        description="Milliseconds of each part of the start; `engines` holds `warm_up`, `total` all but `process`."
    )
    cold_start_warmup: Section = Field(description="What was spoken to nobody before the first request.")
    tts_processing: dict[str, Section] = Field(description="Caches, by name.")
    prediction: Section = Field(description="How well TTFA is predicted before any work.")
    performance: Section | None = Field(description="What clients' latest requests took.")
    alerts: Section | None
    benchmarks: Section | None
    scheduled_benchmark: Section | None
    real_time_optimization: Section | None = Field(description="The tuner.")
    telemetry: dict[str, Any] = Field(description="Where measurements are kept, and what else observes.")


class SessionReport(BaseModel):
    """A session of an engine's model; for an engine that tells of none, its lanes together."""

    engine: str
    piece: str | None = Field(description="The part of the model that it runs; null: the engine tells of none.")
    name: str
    is_stand_by: bool | None = Field(description="Whether it works only where those before it cannot.")
    is_loaded: bool | None = Field(description="Whether it is in memory; a stand-by is loaded when it is needed.")
    num_runs: int = Field(description="Steps that it did.")
    num_failures: int | None
    num_queued: int | None = Field(description="Steps that run on it or wait for it.")
    busy_s: float | None
    share_of_runs: float | None = Field(description="Of the steps of the same piece; null before the first.")
    last_failure: str | None
    retired: str | None = Field(description="Why it is not used any more; null while it is.")


class SessionHealth(BaseModel):
    """Whether listeners wait for one another."""

    concurrent_segments_active: int = Field(description="Steps that run now.")
    peak_concurrent: int = Field(description="Most steps at the same time, of any engine.")
    total_requests: int = Field(description="Streams that were accepted, and those that there was no room for.")
    blocking_risk: Risk = Field(
        description=(
            "high: a listener has nothing ahead, or a stream without audio waits while every lane works; medium: every "
            "lane of an engine works; low: else."
        )
    )


class SessionStatus(BaseModel):
    """What works now, and what has worked."""

    status: State
    uptime_s: float
    session_utilization: dict[str, float | None]
    sessions: list[SessionReport]
    health_check: SessionHealth


class StartingEngine(EngineHealth):
    """How far an engine's start has come."""

    start_ms: float | None = Field(description="What its start took; null while it starts.")


class StartupProgress(BaseModel):
    """How far the start has come, and what its parts took."""

    status: State
    progress: float = Field(ge=0, le=1)
    message: str
    engines: list[StartingEngine]
    startup_timings: dict[str, float | None] = Field(
        description="Milliseconds of each part of the start; null while it has not ended."
    )
