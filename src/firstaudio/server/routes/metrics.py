"""`GET /metrics`: for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from firstaudio.server.openapi import problems
from firstaudio.server.service import service_of

router = APIRouter(tags=["monitoring"])

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Every metric; the Accept header chooses the format.",
        "content": {"text/plain": _TEXT, "application/openmetrics-text": _TEXT},
    }
}


@router.get("/metrics", summary="Show metrics", response_class=Response, responses={**_CONTENT, **problems(401)})
async def show_metrics(request: Request) -> Response:
    """Counters and histograms of finished requests, gauges of this moment, in Prometheus's text or as OpenMetrics."""
    body, content_type = await service_of(request).telemetry.metrics.render(request.headers.get("accept", ""))
    return Response(body, media_type=content_type, headers={"Cache-Control": "no-store"})
