"""The ASGI application: `create_app`, and `app` for `uvicorn firstaudio.server.app:app`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from firstaudio import __version__
from firstaudio.config import Config, load
from firstaudio.engines.base import Engine
from firstaudio.server import openapi, problems
from firstaudio.server.middleware import ApiKeys, Cors, OwnPages, RequestContext
from firstaudio.server.rehearsal import rehearse
from firstaudio.server.routes import (
    benchmarks,
    catalogue,
    dashboard,
    health,
    investigation,
    metrics,
    optimization,
    performance,
    speech,
    status,
)
from firstaudio.server.service import Service
from firstaudio.synthesis.synthesizer import Synthesizer

EXPOSED_HEADERS = (
    "X-Request-ID",
    "Server-Timing",
    "X-Engine",
    "X-Voice",
    "X-Language",
    "X-Sample-Rate",
    "X-Runtime",
    "X-Decode",
    "X-Warmth",
    "X-Failover",
    "X-Ignored-Fields",
    "Retry-After",
)


def create_app(config: Config | None = None, engines: Mapping[str, Engine] | None = None) -> FastAPI:
    """An application that has started nothing: its one lifespan starts the engines, in the background.

    Args:
        config: None loads it from file and environment.
        engines: Engines by name, not started; None makes those that the configuration names.

    Raises:
        ConfigError: The configuration cannot be loaded, or names an engine that does not exist.
    """
    config = load() if config is None else config
    synthesizer = Synthesizer(config, engines)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        rehearsal = partial(rehearse, app, config)
        app.state.service = service = Service(config, synthesizer, getattr(app.state, "url", None), rehearsal)
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(title="firstaudio", version=__version__, lifespan=lifespan, redoc_url=None)
    app.state.config = config
    problems.install(app)
    openapi.install(app, config.server)
    for routes in (speech, catalogue, health, metrics, dashboard, performance, investigation, status, optimization):
        app.include_router(routes.router)
    app.include_router(benchmarks.router)
    _surround(app, config)
    return app


def _surround(app: FastAPI, config: Config) -> None:
    """Add what every request passes, the innermost first. No compression: it would hold the audio back."""
    if config.server.api_keys:
        app.add_middleware(ApiKeys, keys=config.server.api_keys)
    app.add_middleware(OwnPages, origins=config.server.cors_origins)
    app.add_middleware(RequestContext)
    if config.server.cors_origins:
        app.add_middleware(
            Cors,
            allow_origins=config.server.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )


def __getattr__(name: str) -> Any:
    """`app`, made when it is asked for: importing this module reads no file and no environment."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = create_app()
    return globals()["app"]
