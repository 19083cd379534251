"""What a server tells of itself: its description, voices, models, health."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from firstaudio.bench.exchange import FailureKind, SpeakError
from firstaudio.bench.targets.connection import fetch
from firstaudio.errors import BenchError

OPENAPI_PATHS = ("/openapi.json", "/swagger.json", "/api/openapi.json", "/v1/openapi.json")
VOICE_PATHS = ("/v1/audio/voices", "/v1/voices", "/voices", "/api/voices", "/speakers")
MODEL_PATHS = ("/v1/models", "/models", "/api/models")
OTHER_PATHS = ("/", "/docs", "/health", "/v1/capabilities")
LINKED = re.compile(r"""url:\s*['"]([^'"]+\.json)['"]""")  # what Swagger UI and Redoc pages load
LISTS = ("voices", "data", "speakers", "models", "items", "results")
IDS = ("id", "voice_id", "key", "name", "model_id", "model_name")
AT_ONCE = 4
DEAD = (FailureKind.UNREACHABLE, FailureKind.PROTOCOL, FailureKind.TIMEOUT)


@dataclass(slots=True)
class Catalogue:
    """What was found by asking.

    Attributes:
        statuses: Of each path that was asked and answered.
        openapi: The server's description; empty without one.
        voices: Ids, in the server's order.
        models: Ids.
        server: The header of that name.
        engine: The best name of what speaks; None without any.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    openapi: Mapping[str, Any] = field(default_factory=dict)
    voices: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    server: str | None = None
    engine: str | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The document; None for anything but a successful JSON answer."""
        try:
            return json.loads(self.body) if self.status == 200 else None
        except (ValueError, RecursionError):
            return None


async def look(url: str, headers: Mapping[str, str], timeout_s: float, verify_tls: bool = True) -> Catalogue:
    """Ask for everything that servers tell of themselves.

    Raises:
        BenchError: Nobody answers there.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def get(path: str) -> _Page | None:
        async with gate:
            try:
                return _Page(*await fetch("GET", url + path, headers, timeout_s=timeout_s, verify_tls=verify_tls))
            except SpeakError as error:
                if path == "/" and error.failure.kind in DEAD:
                    raise BenchError(error.failure.message) from error
                return None

    pages = {"/": await get("/")}  # alone: a server that is not there is told of once
    paths = [p for p in (*OPENAPI_PATHS, *VOICE_PATHS, *MODEL_PATHS, *OTHER_PATHS) if p not in pages]
    pages |= dict(zip(paths, await asyncio.gather(*map(get, paths)), strict=True))
    answered = {path: page for path, page in pages.items() if page is not None}
    description = await _linked(url, answered, get)
    return _catalogue({**answered, **description})


async def _linked(url: str, pages: Mapping[str, _Page], get: Any) -> dict[str, _Page]:
    """The description that the documentation page loads, where the usual paths have none."""
    if any(_is_openapi(page.json) for page in pages.values()) or "/docs" not in pages:
        return {}
    links = LINKED.findall(pages["/docs"].body.decode("utf-8", "replace"))
    paths = [urljoin(url + "/docs", link).removeprefix(url) for link in links[:1]]
    return {path: page for path in paths if path.startswith("/") and (page := await get(path)) is not None}


def _catalogue(pages: Mapping[str, _Page]) -> Catalogue:
    documents = {path: page.json for path, page in pages.items()}
    openapi: Mapping[str, Any] = next((document for document in documents.values() if _is_openapi(document)), {})
    voices = next((found for path in VOICE_PATHS if (found := ids(documents.get(path)))), ())
    models = next((found for path in MODEL_PATHS if (found := ids(documents.get(path)))), ())
    statuses = {path: page.status for path, page in pages.items()}
    server = next((page.headers["server"] for page in pages.values() if "server" in page.headers), None)
    return Catalogue(statuses, openapi, voices, models, server, _engine(documents, openapi, models))


def _engine(documents: Mapping[str, Any], openapi: Mapping[str, Any], models: tuple[str, ...]) -> str | None:
    """The first name that the server gives itself, from the most to the least telling place."""
    capabilities, health = documents.get("/v1/capabilities"), documents.get("/health")
    for document in (capabilities, health):
        for key in ("engine", "engines", "engine_name", "model"):
            value = document.get(key) if isinstance(document, dict) else None
            if found := ids(value) or ((value,) if isinstance(value, str) else ()):
                return ", ".join(found)
    info = openapi.get("info")
    title = info.get("title") if isinstance(info, Mapping) else None
    return title if isinstance(title, str) and title else next(iter(models), None)


def ids(document: Any) -> tuple[str, ...]:
    """Names out of a list of names, a list of objects with ids, an object of either, or an object by name."""
    if isinstance(document, dict):
        inner = next((document[key] for key in LISTS if isinstance(document.get(key), (list, dict))), None)
        if inner is not None:
            return ids(inner)
        named = document and all(isinstance(value, dict) for value in document.values())
        return tuple(document) if named else ()
    if not isinstance(document, list):
        return ()
    return tuple(dict.fromkeys(name for entry in document if (name := _id(entry))))


def _id(entry: Any) -> str | None:
    if isinstance(entry, dict):
        return next((str(entry[key]) for key in IDS if isinstance(entry.get(key), (str, int))), None)
    return entry if isinstance(entry, str) else None


def _is_openapi(document: Any) -> bool:
    return isinstance(document, dict) and ("openapi" in document or "swagger" in document) and "paths" in document
