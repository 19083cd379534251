"""The tuner over HTTP: `GET /benchmarks/optimization/status`, and two ways to interfere."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from firstaudio.errors import RequestError
from firstaudio.server.openapi import problems
from firstaudio.server.schemas.optimization import (
    DecisionEntry,
    ExperimentEntry,
    OptimizationStatus,
    PerformanceStats,
    ResetAnswer,
    StreamingOptimization,
    StreamingSettings,
    TriggerAnswer,
    TriggerRequest,
    TunerState,
)
from firstaudio.server.schemas.performance import RecommendationEntry
from firstaudio.server.service import Service, service_of
from firstaudio.telemetry.advice.advise import advise_optimization
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.summary.summary import Summary, summarise
from firstaudio.telemetry.tuner.telling import as_dict, recommendations

router = APIRouter(prefix="/benchmarks/optimization", tags=["benchmarks"])

STATUS_PATH = "/benchmarks/optimization/status"
NUM_RECENT = 20


@router.get("/status", summary="Show what is optimised", responses=problems(401))
async def show_optimization(request: Request, response: Response) -> OptimizationStatus:
    """How utterances are cut and paced, what that brings, what is being tried, and every decision with its evidence.

    Figures are of clients' requests since the server started, the last 500 of them.
    """
    service = service_of(request)
    response.headers["Cache-Control"] = "no-store"
    tuner = service.telemetry.tuner
    status = tuner.status()
    rows = [row for row in tuner.rows() if row.origin == "client"]
    summary = await asyncio.to_thread(summarise, rows, service.config.telemetry.ttfa_target_ms)
    told = as_dict(status)
    return OptimizationStatus(
        streaming_optimization=StreamingOptimization(
            active_requests=service.synthesizer.num_streams,
            config=StreamingSettings.model_validate(asdict(status.streaming)),
        ),
        performance_stats=_stats(summary),
        fast_path_requests=status.num_fast_path,
        recent_requests=_recent(rows),
        recommendations=[
            *(RecommendationEntry(**each.as_dict()) for each in recommendations(status)),
            *await _advice(service, summary, status.num_fast_path),
        ],
        tuner=TunerState(
            applies=service.config.tuner.apply,
            idle_traffic=service.config.tuner.idle_traffic,
            **{name: told[name] for name in TunerState.model_fields if name in told},
        ),
        experiments=told["experiments"],
        knobs=told["knobs"],
        changed=told["changed"],
        decisions=told["decisions"],
    )


@router.post("/trigger", status_code=202, summary="Try a setting now", responses=problems(400, 401, 409))
async def trigger_optimization(
    request: Request, response: Response, wish: Annotated[TriggerRequest | None, Body()] = None
) -> TriggerAnswer:
    """Begin an experiment without waiting for a reason or for the cool-down; 409 while one runs.

    202 names what is tried. 200 says why there is nothing to try.
    """
    tuner = service_of(request).telemetry.tuner
    wish = wish or TriggerRequest()
    if wish.setting is None and wish.value is not None:
        raise RequestError("a value needs the setting that is to have it: name one in `setting`", param="setting")
    found = await asyncio.to_thread(tuner.trigger, wish.setting, wish.value)
    if isinstance(found, str):
        response.status_code = 200
        return TriggerAnswer(message=f"nothing to try: {found}", experiment=None, status_endpoint=STATUS_PATH)
    experiment = _running(as_dict(tuner.status()), found.id)
    message = f"trying {found.knob.setting} = {str(found.value).lower()} instead of {str(found.current).lower()}"
    return TriggerAnswer(message=message, experiment=experiment, status_endpoint=STATUS_PATH)


@router.post("/reset", summary="Go back to the configured settings", responses=problems(401))
async def reset_optimization(request: Request) -> ResetAnswer:
    """Undo whatever experiments have changed, and end the one that runs."""
    tuner = service_of(request).telemetry.tuner
    before = tuner.status()  # nothing comes between: there is no await
    decision = await tuner.reset()
    ended = None if before.experiment is None else before.experiment.id
    settings = "every setting is as configured" if decision is None else decision.sentence
    return ResetAnswer(
        message=f"no experiment ran; {settings}" if ended is None else f"ended experiment {ended}; {settings}",
        ended=ended,
        restored=as_dict(before)["changed"],
        decision=None if decision is None else DecisionEntry.model_validate(asdict(decision)),
    )


def _stats(summary: Summary) -> PerformanceStats:
    return PerformanceStats(
        ttfa_average=summary.ttfa.mean,
        ttfa_target=summary.target_ms,
        success_rate=summary.success.value,
        target_rate=summary.attainment.value,
        ttfa_median=summary.ttfa.percentiles.get("p50"),
        num_requests=summary.num_requests,
        num_measured=summary.ttfa.n - summary.ttfa.num_failed,
    )


def _recent(rows: list[Measurement]) -> list[str]:
    return [row.request_id for row in rows[: -NUM_RECENT - 1 : -1]]


async def _advice(service: Service, summary: Summary, num_fast_path: int) -> list[RecommendationEntry]:
    context = await service.telemetry.context()
    return [RecommendationEntry(**each.as_dict()) for each in advise_optimization(summary, num_fast_path, context)]


def _running(told: dict[str, Any], wanted: str) -> ExperimentEntry | None:
    """The experiment as the status shows it; None where it has ended already."""
    found = [each for each in told["experiments"] if each["id"] == wanted]
    return ExperimentEntry.model_validate(found[0]) if found else None
