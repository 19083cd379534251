"""What surrounds every request: its id, its line in the log, API keys, CORS, and the last net for our own mistakes.

Plain ASGI, so that nothing here holds back or copies a chunk of audio.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firstaudio.clock import NS_PER_MS, now_ns
from firstaudio.errors import ForeignPageError, NotReadyError, RequestError, UnauthorizedError
from firstaudio.server import logs
from firstaudio.server.dashboard.assets import PARTS
from firstaudio.server.problems import respond, respond_unexpected

logger = logging.getLogger("firstaudio.server")

REQUEST_ID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
# LiveKit opens its connection ahead of time with GET <base url>/, without a key.
# The dashboard's page asks for a key itself, and what it shows needs one.
OPEN_PATHS = frozenset({"/", "/v1/", "/health", "/ready", "/dashboard", *(f"/dashboard/{part}" for part in PARTS)})
PROBE_PATHS = frozenset({"/health", "/ready", "/metrics"})  # asked again and again: no line of the log at info
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CLIENT_GONE = 499  # nginx's number, in the log only: there was nobody to send a status to
MAX_LOGGED_PATH = 200


class RequestContext:
    """Gives each request an id, answers HEAD as GET without a body, logs the request, catches what nobody caught.

    Args:
        app: What is inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        with logs.request(request_id):
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        begin_ns = now_ns()
        inner = dict(scope)
        inner["state"] = {**scope.get("state", {}), "request_id": request_id, "accepted_ns": begin_ns}
        if scope["method"] == "HEAD":
            inner["method"] = "GET"  # the protocol server drops the body
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(raw=message["headers"])["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(inner, receive, send_with_id)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            if _is_rehearsal(scope):
                raise  # whoever asked has called it off
            # Else only a shutdown that waits no longer cancels requests, and this is where the request's task ends:
            # raised on, it would be logged as a failure. The protocol server closes the connection of an unfinished
            # response.
            logger.warning("cut off by the shutdown id=%s", request_id)
            if not status:
                await respond(NotReadyError("the server is shutting down"))(inner, receive, send_with_id)
        except Exception:  # the boundary of the request: nothing may reach the client but our own error shape
            logger.exception("unexpected failure id=%s", request_id)
            if not status:
                await respond_unexpected(request_id)(inner, receive, send_with_id)
        finally:
            _log(scope, status or CLIENT_GONE, begin_ns, request_id)


class ApiKeys:
    """Lets only those in who carry a known key, but for the paths that probes and prewarming clients ask.

    Args:
        app: What is inside.
        keys: Every accepted key.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 401."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._knows(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        error = UnauthorizedError("this server asks for an API key; send the header Authorization: Bearer <key>")
        await respond(error)(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        sent = key.strip().encode("latin-1")  # the bytes as they came
        # Every key is compared in full, so the time tells nothing about which one was close.
        matches = [hmac.compare_digest(sent, known) for known in self._keys]
        return scheme.lower() == "bearer" and any(matches)


class OwnPages:
    """Refuses what a web page of a foreign origin would have done here.

    A browser sends such a request without asking whether it may, as long as it needs no header or body of its own: any
    page could start a benchmark on the machine of whoever looks at it. Programs send neither header.

    Args:
        app: What is inside.
        origins: From which pages may act here, as for CORS.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 403."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or not self._is_foreign(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        error = ForeignPageError(
            "a page of another origin may not do this; add its origin to server.cors_origins if it should"
        )
        await respond(error)(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return False
        if site := headers.get("sec-fetch-site"):
            return site not in ("same-origin", "none")
        return origin.partition("://")[2] != headers.get("host")


class Cors(CORSMiddleware):
    """Starlette's, but for the shape in which it refuses."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks whether a page may call."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        reason = bytes(answer.body).decode()
        refusal = respond(RequestError(f"{reason}; pages of the origins in server.cors_origins may GET and POST here"))
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        refusal.headers.update(kept)
        return refusal


def _request_id(sent: str | None) -> str:
    """The client's own id where it is harmless in a header and a log, else a new one."""
    return sent if sent is not None and REQUEST_ID.fullmatch(sent) else uuid4().hex


def _is_rehearsal(scope: Scope) -> bool:
    """Whether nobody asked but the server itself, while it warms up."""
    return bool(scope.get("state", {}).get("origin") == "warmup")


def _log(scope: Scope, status: int, begin_ns: int, request_id: str) -> None:
    """One line per request; without the query, which may hold text of the user's."""
    method, path, ms = scope["method"], scope["path"][:MAX_LOGGED_PATH], (now_ns() - begin_ns) / NS_PER_MS
    logger.log(
        logging.DEBUG if path in PROBE_PATHS or _is_rehearsal(scope) else logging.INFO,
        "request method=%s path=%r status=%d ms=%.1f id=%s",
        method,
        path,
        status,
        ms,
        request_id,
        extra=logs.facts("request", method=method, path=path, status=status, ms=round(ms, 1)),
    )
