"""`GET /ttfa-performance/investigation`: why requests miss their target."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from firstaudio.server.openapi import problems
from firstaudio.server.query import once
from firstaudio.server.schemas.investigation import InvestigationReport
from firstaudio.server.schemas.performance import PerformanceQuery
from firstaudio.server.service import service_of

router = APIRouter(tags=["performance"], dependencies=[Depends(once)])


@router.get("/ttfa-performance/investigation", summary="Investigate missed targets", responses=problems(400, 401))
async def show_investigation(
    request: Request, response: Response, query: Annotated[PerformanceQuery, Query()]
) -> InvestigationReport:
    """What the requests that missed the target have in common, which stage grew in them, and what to do about it.

    Of clients' requests in the last `window_s` seconds; `status` is no_data where there are none.
    """
    response.headers["Cache-Control"] = "no-store"
    service = service_of(request)
    found, is_complete = await service.telemetry.investigate(query.window_s)
    plain = await asyncio.to_thread(found.as_dict)
    return InvestigationReport.model_validate({**plain, "window_s": query.window_s, "is_complete": is_complete})
