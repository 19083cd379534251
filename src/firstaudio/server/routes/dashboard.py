"""`/dashboard`: the page, the files it is made of, and what it is fed with."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from firstaudio.errors import NotFoundError
from firstaudio.server.dashboard.assets import PAGE, PARTS, asset
from firstaudio.server.dashboard.feed import FeedResponse
from firstaudio.server.openapi import problems
from firstaudio.server.problems import shorten
from firstaudio.server.schemas.dashboard import DashboardSnapshot
from firstaudio.server.service import service_of

router = APIRouter(tags=["dashboard"])

POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"


@router.get("/dashboard", include_in_schema=False)
async def show_page(request: Request) -> Response:
    """The page; it asks for a key itself, so that it opens without one."""
    return _file(request, PAGE)


@router.get("/dashboard/snapshot", summary="Show what the server does now", responses=problems(401))
async def show_snapshot(request: Request) -> DashboardSnapshot:
    """What the dashboard is told once a second: streams, first audio and throughput of the last ten minutes."""
    return await service_of(request).dashboard.snapshot()


@router.get("/dashboard/events", include_in_schema=False)
async def show_events(request: Request) -> Response:
    """A snapshot a second as server-sent events, without an end."""
    feed = service_of(request).dashboard.feed
    feed.require_room()
    return FeedResponse(feed)


@router.get("/dashboard/{name}", include_in_schema=False)
async def show_part(request: Request, name: str) -> Response:
    """A file that the page refers to."""
    if name not in PARTS:
        raise NotFoundError(f"the dashboard has no part {shorten(name)}; open /dashboard")
    return _file(request, name)


def _file(request: Request, name: str) -> Response:
    """The file, or 304 where the browser has it; asked for each time, so that an update is seen at once."""
    file = asset(name)
    headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
        "ETag": file.etag,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)
