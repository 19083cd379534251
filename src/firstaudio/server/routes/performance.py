"""What the server measured of its clients' requests: `GET /ttfa-measurements` and `GET /ttfa-performance`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from firstaudio.server.openapi import problems
from firstaudio.server.query import once
from firstaudio.server.schemas.performance import (
    Achievement,
    MeasurementDetails,
    MeasurementEntry,
    MeasurementList,
    MeasurementQuery,
    Monitoring,
    PerformanceQuery,
    PerformanceReport,
    RecommendationEntry,
    RequestPerformance,
    StoreState,
    SummaryEntry,
    Timings,
    TimingStats,
    TtfaPerformance,
)
from firstaudio.server.service import Service, service_of
from firstaudio.slo import CATEGORIES
from firstaudio.telemetry.advice.advise import advise
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.summary.figures import Share
from firstaudio.telemetry.summary.summary import Summary, meets
from firstaudio.trace import STAGES

router = APIRouter(tags=["performance"], dependencies=[Depends(once)])

OPTIMAL_TTFA_MS, CRITICAL_TTFA_MS = CATEGORIES[0][0], CATEGORIES[-1][0]


@router.get("/ttfa-measurements", summary="List measurements", responses=problems(400, 401))
async def list_measurements(
    request: Request, response: Response, query: Annotated[MeasurementQuery, Query()]
) -> MeasurementList:
    """The last requests, the newest first, each with its times; whoever asked, unless `origin` says who.

    They outlive the server as far as `telemetry.max_rows` and `telemetry.max_age_days` let them.
    """
    service = service_of(request)
    response.headers["Cache-Control"] = "no-store"
    origin = None if query.origin == "all" else query.origin
    voice = None if query.voice is None else _voices(service, query.voice)
    rows = await service.telemetry.store.recent(query.limit, since=query.since, voice=voice, origin=origin)
    target_ms = service.config.telemetry.ttfa_target_ms
    return MeasurementList(
        measurements=await asyncio.to_thread(lambda: [_entry(row, target_ms) for row in rows]),
        count=len(rows),
        limit=query.limit,
        status=_state(service),
        problem=service.telemetry.store.problem or None,
    )


@router.get("/ttfa-performance", summary="Show performance", responses=problems(400, 401))
async def show_performance(
    request: Request, response: Response, query: Annotated[PerformanceQuery, Query()]
) -> PerformanceReport:
    """What clients got in the last `window_s` seconds: times, targets, stages, trend, and what to do about it.

    Requests of benchmarks, of the tuner and of the warm-up are not in it. An answer may be a second old,
    or some seconds where many requests are to be looked at.
    """
    service = service_of(request)
    response.headers["Cache-Control"] = "no-store"
    window = await service.telemetry.summaries.of_window(query.window_s)
    summary = window.summary
    return PerformanceReport(
        ttfa_performance=TtfaPerformance(
            target_ttfa_ms=summary.target_ms,
            performance=_achievement(summary),
            timing_stats_ms=_timing_stats(summary),
            recommendations=await _recommendations(service, summary),
        ),
        monitoring=Monitoring(
            active=service.config.telemetry.enabled,
            target_ttfa_ms=summary.target_ms,
            optimal_ttfa_ms=OPTIMAL_TTFA_MS,
            critical_threshold_ms=CRITICAL_TTFA_MS,
        ),
        summary=SummaryEntry.model_validate(window.as_dict()),
        status=_state(service),
        problem=service.telemetry.store.problem or None,
    )


def _voices(service: Service, name: str) -> set[str]:
    """The voice itself, and those of any engine that it is another name for."""
    return {name} | {voice.alias_of for _, voice in service.synthesizer.voices() if voice.id == name and voice.alias_of}


def _state(service: Service) -> StoreState:
    if not service.config.telemetry.enabled:
        return "disabled"
    return "memory_only" if service.telemetry.store.is_memory_only else "ok"


def _achievement(summary: Summary) -> Achievement:
    return Achievement(
        total_requests=summary.num_requests,
        successful_requests=summary.success.num,
        success_rate_percent=_percent(summary.success),
        target_achievement_rate_percent=_percent(summary.attainment),
        recent_trend=summary.trend.direction,
    )


def _percent(share: Share) -> float | None:
    return None if share.value is None else 100 * share.value


def _timing_stats(summary: Summary) -> TimingStats:
    ttfa = summary.ttfa
    return TimingStats(
        average=ttfa.mean,
        min=ttfa.min,
        max=ttfa.max,
        n=ttfa.n,
        recent_values=list(summary.recent_ms),
        **ttfa.percentiles,
    )


async def _recommendations(service: Service, summary: Summary) -> list[RecommendationEntry]:
    context = await service.telemetry.context()
    return [RecommendationEntry(**each.as_dict()) for each in advise(summary, context)]


def _entry(measurement: Measurement, target_ms: float) -> MeasurementEntry:
    return MeasurementEntry(
        request_id=measurement.request_id,
        timestamp=measurement.timestamp,
        text_length=measurement.num_characters,
        voice=measurement.voice,
        speed=measurement.speed,
        timings=_timings(measurement),
        performance=_performance(measurement, target_ms),
        details=MeasurementDetails.model_validate(_details(measurement)),
    )


def _timings(measurement: Measurement) -> Timings:
    return Timings(
        ttfa_ms=measurement.ttfa_ms,
        ttgp_ms=measurement.ttgp_ms,
        preroll_ms=measurement.preroll_ms,
        total_ms=measurement.duration_ms,
        **{f"{stage}_ms": measurement.first_audio_ms.get(stage) for stage in STAGES},
    )


def _performance(measurement: Measurement, target_ms: float) -> RequestPerformance:
    return RequestPerformance(
        target_ttfa_ms=target_ms,
        achieved_target=meets(measurement, target_ms),
        category=measurement.category,
        bottlenecks=[] if measurement.bottleneck is None else [measurement.bottleneck],
        provider_used=measurement.runtime or measurement.engine,
        predicted_ttfa_ms=measurement.predicted_ttfa_ms,
    )


def _details(measurement: Measurement) -> dict[str, Any]:
    return {name: value for name, value in asdict(measurement).items() if name in MeasurementDetails.model_fields}
