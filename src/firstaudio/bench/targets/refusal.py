"""An answer other than success, as one sentence: what the server says itself, and what to do."""

from __future__ import annotations

import json
import re
from typing import Any

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError

MAX_SAID_CHARS = 200
TAG = re.compile(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>")
KINDS = {
    401: FailureKind.UNAUTHORIZED,
    403: FailureKind.UNAUTHORIZED,
    404: FailureKind.NOT_FOUND,
    405: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    429: FailureKind.REFUSED,
    503: FailureKind.REFUSED,
    504: FailureKind.TIMEOUT,
}
NEXT_STEP = {
    FailureKind.UNAUTHORIZED: "state a token that it accepts",
    FailureKind.NOT_FOUND: "correct the path, model or voice; `firstaudio bench discover` finds them",
    FailureKind.TIMEOUT: "it gave up by itself: lower the load, or look into its log",
    FailureKind.REFUSED: "it has no room: lower the concurrency or the rate, or wait until it is ready",
}


def raise_for_status(exchange: Exchange, peer: str) -> None:
    """Nothing for a success.

    Raises:
        SpeakError: Any other status.
    """
    status = exchange.status
    if status is None or 200 <= status < 300:
        return
    kind = KINDS.get(status, FailureKind.HTTP_ERROR)
    body = said(b"".join(exchange.pieces))
    told = f": {body}" if body else " without a word"
    step = NEXT_STEP.get(kind) or _next_step(status, exchange.headers)
    raise SpeakError(kind, f"{peer} answered HTTP {status}{told}; {step}")


def said(body: bytes) -> str:
    """What an error body says, in one line: the message of OpenAI's or FastAPI's shape, else its text."""
    text = body.decode("utf-8", "replace")
    try:
        message = _message(json.loads(text))
    except (ValueError, RecursionError):
        message = TAG.sub(" ", text)
    line = " ".join((message or text).split())
    return line if len(line) <= MAX_SAID_CHARS else line[: MAX_SAID_CHARS - 3] + "..."


def _message(document: Any) -> str | None:
    """The first message that is found, outermost fields first."""
    if isinstance(document, str):
        return document
    if isinstance(document, list):
        return "; ".join(m for m in map(_message, document) if m) or None
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("msg"), str):  # one entry of a FastAPI validation error
        where = ".".join(map(str, document.get("loc", ())))
        return f"{where}: {document['msg']}" if where else document["msg"]
    found = (_message(document[key]) for key in ("error", "detail", "message", "title", "reason") if document.get(key))
    return next((message for message in found if message), None)


def _next_step(status: int, headers: dict[str, str]) -> str:
    if 300 <= status < 400:
        return f"it redirects to {headers.get('location', 'nowhere')}: write that URL instead"
    return "correct the request" if status < 500 else "look into its log"
