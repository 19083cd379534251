"""Every error that leaves the server has one shape, OpenAI's: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from firstaudio.errors import (
    BodyTimeoutError,
    EngineError,
    FirstaudioError,
    OverloadedError,
    RequestError,
    UnauthorizedError,
    outside,
)

UNAVAILABLE_RETRY_S = 1
MAX_ECHO_CHARS = 60


def shorten(value: object) -> str:
    """A value of the client's as it may stand in a message: quoted, one line, never long."""
    text = repr(value)
    return text if len(text) <= MAX_ECHO_CHARS else text[:MAX_ECHO_CHARS] + "..."


def envelope(message: str, *, kind: str, code: str, param: str | None = None) -> dict[str, Any]:
    """The body of an error response."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def describe(error: FirstaudioError) -> dict[str, Any]:
    """The body of the response to `error`."""
    param = error.param if isinstance(error, RequestError) else None
    next_step = error.next_step if isinstance(error, EngineError) else ""
    message = f"{error.message}; {next_step}" if next_step else error.message
    return envelope(message, kind=outside(error).openai_type, code=error.code, param=param)


def respond(error: FirstaudioError) -> Response:
    """The response to `error`, with the headers that its status asks for."""
    headers = {}
    status = outside(error).http_status
    if isinstance(error, OverloadedError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(UNAVAILABLE_RETRY_S)
    elif isinstance(error, BodyTimeoutError):
        headers["Connection"] = "close"  # the rest of the body would stand before the next request
    elif isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(describe(error), status, headers)


def respond_unexpected(request_id: str) -> Response:
    """The response to a mistake of our own: the log knows the rest under `request_id`."""
    message = f"the server made a mistake; its log says more under request id {request_id}"
    return JSONResponse(envelope(message, kind="server_error", code="internal_error"), 500)


def install(app: FastAPI) -> None:
    """Give every exception that a route may raise the one shape."""
    app.add_exception_handler(FirstaudioError, _on_own)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)


async def _on_own(_: Request, error: Exception) -> Response:
    assert isinstance(error, FirstaudioError)
    return respond(error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = shorten(request.url.path)
    messages = {
        404: f"there is nothing at {path}; GET /openapi.json lists every path",
        405: f"{request.method} is not possible at {path}; the Allow header names the methods that are",
    }
    codes = {404: "not_found", 405: "method_not_allowed"}
    message = messages.get(error.status_code, HTTPStatus(error.status_code).phrase)
    code = codes.get(error.status_code, "http_error")
    return JSONResponse(envelope(message, kind="invalid_request_error", code=code), error.status_code, error.headers)


def _field(place: Sequence[str | int]) -> str | None:
    """The field that an error is about; "body" where it is about no field of it.

    Args:
        place: Part of the request, field, and what pydantic knows beyond: the type that was tried, a position.
    """
    if not place:
        return None
    part, *inside = place
    return inside[0] if inside and isinstance(inside[0], str) else str(part)


async def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = _field(first["loc"])
    if first["type"] == "extra_forbidden":
        return respond(RequestError(f"there is no parameter {shorten(name)} here; leave it out", param=name))
    return respond(RequestError(f"{name}: {first['msg']}, got {shorten(first['input'])}", param=name))
