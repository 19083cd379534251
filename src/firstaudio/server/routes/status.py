"""What the server is, what works in it, how far its start has come."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from firstaudio.server import status
from firstaudio.server.openapi import problems
from firstaudio.server.schemas.status import SessionStatus, StartupProgress, StatusReport
from firstaudio.server.service import service_of

router = APIRouter(tags=["monitoring"])


@router.get("/status", summary="Show status", responses=problems(401))
async def show_status(request: Request, response: Response) -> StatusReport:
    """Everything that the server knows of itself; always 200. `/health` and `/ready` are for probes."""
    response.headers["Cache-Control"] = "no-store"
    return await status.status_report(service_of(request))


@router.get("/session-status", summary="Show sessions", responses=problems(401))
async def show_session_status(request: Request, response: Response) -> SessionStatus:
    """What runs now and what has run, by session, and whether listeners wait for one another."""
    response.headers["Cache-Control"] = "no-store"
    return await status.session_status(service_of(request))


@router.get("/startup-progress", summary="Show how the server starts", responses=problems(401))
async def show_startup_progress(request: Request, response: Response) -> StartupProgress:
    """How far each engine has come, and what each part of the start took; always 200."""
    response.headers["Cache-Control"] = "no-store"
    return status.startup_progress(service_of(request))
