"""A request that nobody made, through middleware, route, synthesizer and encoder: a client's is never the first."""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Scope

from firstaudio.clock import NS_PER_MS, now_ns
from firstaudio.config import Config

logger = logging.getLogger(__name__)

PATH = "/v1/audio/speech"
REQUEST_ID = "warm-up"


async def rehearse(app: ASGIApp, config: Config, text: str) -> float | None:
    """Ask the application for speech, inside the process and without a socket.

    Args:
        app: Whole, with its middleware.
        config: Its API keys.
        text: To be spoken in the default voice; nothing of it is kept.

    Returns:
        Milliseconds until the first audio; None where there was none.
    """
    body = json.dumps({"input": text, "response_format": "pcm"}).encode()
    asked = asyncio.Queue[Message]()
    asked.put_nowait({"type": "http.request", "body": body, "more_body": False})
    begin_ns, status = now_ns(), 0
    first_ns: int | None = None

    async def send(message: Message) -> None:
        nonlocal first_ns, status
        status = message.get("status", status)
        if message.get("body") and first_ns is None:
            first_ns = now_ns()

    await app(_scope(config, len(body)), asked.get, send)  # after the body the client says nothing, and stays
    if status != HTTPStatus.OK or first_ns is None:
        logger.info("a rehearsed request was answered with status %d", status)
        return None
    return (first_ns - begin_ns) / NS_PER_MS


def _scope(config: Config, num_bytes: int) -> Scope:
    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/json"),
        (b"content-length", str(num_bytes).encode()),
        (b"cache-control", b"no-cache"),
        (b"x-request-id", REQUEST_ID.encode()),
    ]
    headers += [(b"authorization", b"Bearer " + key.encode()) for key in config.server.api_keys[:1]]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        "state": {"origin": "warmup"},  # no client can write here
    }
