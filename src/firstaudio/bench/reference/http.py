"""HTTP/1.1 without a framework: a parser, a queue of one, and writes that leave at once."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httptools

from firstaudio.bench.reference.outlet import Outlet
from firstaudio.clock import now_ns

MAX_BODY_BYTES = 1 << 20
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has been read to its end; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    accepted_ns: int
    keep_alive: bool


class HttpConnection(asyncio.Protocol):
    """One client. Answers its requests one after the other, in order.

    Args:
        handle: Called with each request; it must in the end call `respond` or `done`, or leave the client hanging.
    """

    def __init__(self, handle: Callable[[Request, HttpConnection], None]) -> None:
        self._handle = handle
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[Request] = deque()
        self._current: Request | None = None
        self._read_ns = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._refused = False
        self.when_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.outlet = Outlet(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """The client has gone."""
        self._requests.clear()
        if self.when_lost is not None:
            self.when_lost()

    def data_received(self, data: bytes) -> None:
        """Stamped before anything else: this may be the last byte of a request."""
        self._read_ns = now_ns()
        if self._refused:  # whatever follows what could not be read
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"this is not HTTP/1.1 as this server speaks it: {error}")
            return

    def on_message_begin(self) -> None:
        """Parser: a request begins."""
        self._url, self._headers, self._body = b"", {}, bytearray()

    def on_url(self, url: bytes) -> None:
        """Parser: a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        if self._headers.get("expect", "").lower() == "100-continue" and name.lower() == b"expect":
            self.outlet.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Parser: a piece of the body."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MAX_BODY_BYTES} bytes")

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        if self._refused:
            return
        parts = urlsplit(self._url.decode("latin-1"))
        method, keep = self._parser.get_method().decode(), self._parser.should_keep_alive()
        query = dict(parse_qsl(parts.query))
        request = Request(method, parts.path, query, self._headers, bytes(self._body), self._read_ns, keep)
        self._requests.append(request)
        self._next()

    def respond(
        self, status: int, content_type: str = JSON, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Write a whole response."""
        self.outlet.write(response(status, content_type, body, headers))
        self.done()

    def done(self) -> None:
        """The response has been written to its end."""
        current, self._current, self.when_lost = self._current, None, None
        if current is not None and not current.keep_alive:
            self._requests.clear()
            self.outlet.close()
        else:
            self._next()

    def _next(self) -> None:
        if self._current is None and self._requests:
            self._current = self._requests.popleft()
            self._handle(self._current, self)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self._refused:
            return
        self._refused = True
        self._requests.clear()
        self.outlet.write(response(status, JSON, error_body(message), {"Connection": "close"}))
        self.outlet.close()


def head(status: int, content_type: str, headers: Mapping[str, str]) -> bytes:
    """Status line and headers with the empty line."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response(status: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A response whose length is known."""
    return head(status, content_type, {**(headers or {}), "Content-Length": str(len(body))}) + body


def chunk(data: bytes) -> bytes:
    """A piece of a body whose length is not known; no bytes are no chunk (an empty one would end the body)."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST_CHUNK = b"0\r\n\r\n"


def error_body(message: str, param: str | None = None) -> bytes:
    """An error in OpenAI's shape."""
    return as_json({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}})


def as_json(document: Any) -> bytes:
    """Compact."""
    return json.dumps(document, separators=(",", ":")).encode()
