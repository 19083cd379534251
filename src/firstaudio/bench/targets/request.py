"""From an utterance to the bytes of a request; all that does not change is encoded once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.connection import Origin, request_head, split_url, with_body
from firstaudio.bench.utterance import Utterance


class Asker(Protocol):
    """Makes requests to one server."""

    @property
    def origin(self) -> Origin:
        """The server."""
        ...

    def request(self, utterance: Utterance) -> bytes:
        """A whole HTTP request. Raises SpeakError for an utterance that the request cannot carry."""
        ...


class JsonAsker:
    """Requests with a JSON body.

    Args:
        spec: Method, headers, token.
        origin: The server.
        target: Path and query, or what makes it for each utterance.
        body: Makes the document.
    """

    def __init__(
        self,
        spec: TargetSpec,
        origin: Origin,
        target: str | Callable[[Utterance], str],
        body: Callable[[Utterance], Any],
    ) -> None:
        self.origin = origin
        self._spec = spec
        self._target = target
        self._body = body
        self._head = self._head_for(target if isinstance(target, str) else "/")

    def request(self, utterance: Utterance) -> bytes:
        """Encode it."""
        head = self._head if isinstance(self._target, str) else self._head_for(self._target(utterance))
        document = json.dumps(self._body(utterance), ensure_ascii=False, separators=(",", ":"))
        return with_body(head, document.encode("utf-8", "surrogatepass"))

    def _head_for(self, target: str) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "*/*", **headers_of(self._spec)}
        return request_head(self._spec.method.upper(), target, self.origin, headers)


class TargetAsker:
    """Requests without a body: the text is in the request target."""

    def __init__(self, spec: TargetSpec, origin: Origin, target: Callable[[Utterance], str]) -> None:
        self.origin = origin
        self._spec = spec
        self._target = target
        request_head(spec.method.upper(), "/", origin, headers_of(spec))  # a bad header is found out now

    def request(self, utterance: Utterance) -> bytes:
        """Encode it."""
        target = self._target(utterance)
        head = request_head(self._spec.method.upper(), target, self.origin, {"Accept": "*/*", **headers_of(self._spec)})
        return with_body(head, None if self._spec.method.upper() in ("GET", "HEAD") else b"")


def headers_of(spec: TargetSpec) -> dict[str, str]:
    """The user's header fields, and the token as a bearer unless they authorise already."""
    headers = dict(spec.headers)
    if spec.token is not None and "authorization" not in {name.lower() for name in headers}:
        headers["Authorization"] = f"Bearer {spec.token}"
    return headers


def endpoint(spec: TargetSpec, usual: str) -> tuple[Origin, str]:
    """The server and the request target: the stated path under the URL, else the usual one.

    A URL that already ends in a part of the path, as OpenAI's base URLs end in `/v1`, is understood.

    Raises:
        BenchError: The URL is none.
    """
    origin, base = split_url(spec.url, spec.verify_tls)
    if spec.path is None and not usual:
        return origin, base or "/"
    base, path = base.rstrip("/"), "/" + (usual if spec.path is None else spec.path).lstrip("/")
    borders = [n for n in range(len(path), 0, -1) if n == len(path) or path[n] == "/"]
    overlap = next((n for n in borders if base.endswith(path[:n])), 0)
    return origin, base + path[overlap:]
