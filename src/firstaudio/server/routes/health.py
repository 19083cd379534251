"""Whether the server lives and can speak, and what it is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from firstaudio import __version__
from firstaudio.server.problems import UNAVAILABLE_RETRY_S
from firstaudio.server.schemas.speech import EngineHealth, HealthReport, ServiceCard
from firstaudio.server.service import service_of

router = APIRouter(tags=["health"])

LINKS = {
    "speech": "/v1/audio/speech",
    "voices": "/v1/audio/voices",
    "models": "/v1/models",
    "capabilities": "/v1/capabilities",
    "health": "/health",
    "ready": "/ready",
    "status": "/status",
    "metrics": "/metrics",
    "dashboard": "/dashboard",
    "benchmarks": "/benchmarks/status",
    "ttfa_performance": "/ttfa-performance",
    "documentation": "/docs",
    "openapi": "/openapi.json",
}

_BY_ACCEPT = {"Vary": "Accept"}
_TO_THE_DASHBOARD: dict[int | str, dict[str, Any]] = {307: {"description": "A browser asks: see the dashboard."}}
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": HealthReport, "description": "Not now; the report says why, Retry-After when to ask again."}
}


@router.get("/", summary="Show what answers here", response_model=ServiceCard, responses=_TO_THE_DASHBOARD)
async def show_service(request: Request) -> Response:
    """Name, version and links; asks nothing of the engines, so that clients can open a connection ahead of time.

    A browser, whose `Accept` names text/html before application/json, is sent to the dashboard.
    """
    if _wants_a_page(request.headers.get("accept", "")):
        return RedirectResponse("dashboard", 307, headers=_BY_ACCEPT)
    return Response(_card().model_dump_json(), media_type="application/json", headers=_BY_ACCEPT)


@router.get("/v1/", include_in_schema=False)
async def show_base() -> ServiceCard:
    """The same for clients that know only the base of OpenAI's paths."""
    return _card()


@router.get("/health", summary="Show health", responses=_NOT_READY)
async def show_health(request: Request, response: Response) -> HealthReport:
    """200 once requests are served, also while running streams are being finished; 503 with progress before.

    With `engine.failover` on, that is when the first engine is ready; `engines` tells of each.
    """
    return _report(request, response, healthy=("ready", "draining"))


@router.get("/ready", summary="Show readiness", responses=_NOT_READY)
async def show_readiness(request: Request, response: Response) -> HealthReport:
    """200 while new speech requests are accepted."""
    return _report(request, response, healthy=("ready",))


def _card() -> ServiceCard:
    return ServiceCard(service="firstaudio", version=__version__, links=LINKS)


def _wants_a_page(accept: str) -> bool:
    """Whether a browser asks: it names text/html first of all; programs name JSON, or take anything."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return "text/html" in kinds and "application/json" not in kinds[: kinds.index("text/html")]


def _report(request: Request, response: Response, healthy: tuple[str, ...]) -> HealthReport:
    synthesizer = service_of(request).synthesizer
    readiness = synthesizer.readiness
    if readiness.state not in healthy:
        response.status_code = 503
        response.headers["Retry-After"] = str(UNAVAILABLE_RETRY_S)
    response.headers["Cache-Control"] = "no-store"
    return HealthReport(
        status=readiness.state,
        progress=readiness.progress,
        message=readiness.message,
        version=__version__,
        engines=[
            EngineHealth(name=engine.name, state=engine.state, progress=engine.progress, message=engine.message)
            for engine in synthesizer.engine_statuses()
        ],
    )
