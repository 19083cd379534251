"""Why requests miss their target."""

from __future__ import annotations

from pydantic import BaseModel, Field

from firstaudio.server.schemas.performance import RecommendationEntry
from firstaudio.slo import InvestigationCategory
from firstaudio.telemetry.misses.investigation import Status
from firstaudio.telemetry.misses.patterns import Dimension
from firstaudio.trace import Stage


class MissGroupEntry(BaseModel):
    """Requests with something in common."""

    dimension: Dimension
    name: str
    n: int
    num_missed: int
    share: float = Field(description="Of misses, 0 to 1.")
    low: float = Field(description="Lower end of its 95 % interval.")
    high: float
    more: float | None = Field(description="Less the share of all other requests; null where there are none.")
    more_low: float | None = Field(description="Lower end of its interval, all groups looked at together.")
    stands_out: bool


class MissStageEntry(BaseModel):
    """One stage until the first audio, in missed requests and in those in time."""

    stage: Stage
    missed_ms: float | None = Field(description="Its mean; null where none of them had audio.")
    met_ms: float | None
    difference_ms: float | None = Field(description="Null where either are fewer than 6.")
    low_ms: float | None = Field(description="Lower end of its 95 % interval.")
    high_ms: float | None
    has_grown: bool


class InvestigationReport(BaseModel):
    """Why requests miss the target: what they have in common, and which stage grew in them."""

    status: Status
    category: InvestigationCategory
    target_ms: float
    n: int = Field(description="Requests of which it is known whether they met the target, cached ones left out.")
    num_missed: int
    num_failed: int = Field(description="Of the missed, those that failed.")
    miss_rate: float | None
    miss_rate_interval: tuple[float, float] | None
    mean_ms: float | None
    window_s: float = Field(description="How far back it was asked to look, in seconds.")
    observed_s: float | None = Field(description="From the first request found to the last, in seconds; null: none.")
    bottleneck: Stage | None = Field(description="The stage with the largest part of the missed requests' TTFA.")
    grown_stage: Stage | None = Field(description="The stage that grew most in missed requests.")
    pattern: str
    groups: list[MissGroupEntry]
    stages: list[MissStageEntry]
    recommendations: list[RecommendationEntry]
    is_complete: bool = Field(description="Whether every request of the window was looked at, or the newest of them.")
