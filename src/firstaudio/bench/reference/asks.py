"""What clients ask for, from JSON bodies of every dialect that is spoken here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firstaudio.bench.reference.plan import Ask

MAX_CHARS = 20_000
TEXT_FIELDS = ("input", "text", "inputs")


class AskError(Exception):
    """Raised for a request that cannot be understood."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param


@dataclass(frozen=True, slots=True)
class HttpAsk:
    """An ask and how the answer should come."""

    ask: Ask
    container: str = "wav"
    events: bool = False


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises AskError."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise AskError(400, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise AskError(400, "the body must be a JSON object with the text in 'input'")
    return document


def read_http_ask(document: Mapping[str, Any]) -> HttpAsk:
    """From a body of OpenAI's, torch-inference's or a simpler shape. Raises AskError."""
    container = document.get("response_format", document.get("format", "wav"))
    if container not in ("wav", "pcm"):
        raise AskError(400, f"response_format is 'wav' or 'pcm' here, not {container!r}", "response_format")
    streams = document.get("stream", True)
    if not isinstance(streams, bool):
        raise AskError(400, f"stream is true or false, not {streams!r}", "stream")
    return HttpAsk(read_ask(document, streams), container, document.get("stream_format", "audio") == "sse")


def read_ask(document: Mapping[str, Any], streams: bool = True) -> Ask:
    """Text, voice and speed. Raises AskError."""
    name = next((name for name in TEXT_FIELDS if name in document), "input")
    text, voice, speed = document.get(name), document.get("voice") or "", document.get("speed", 1.0)
    if not isinstance(text, str) or not text.strip():
        raise AskError(400, f"{name} must be the text to speak", name)
    if len(text) > MAX_CHARS:
        raise AskError(400, f"{name} may have {MAX_CHARS} characters, not {len(text)}", name)
    if isinstance(voice, dict):
        voice = voice.get("id", "")
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
        raise AskError(400, f"speed is a number from 0.25 to 4, not {speed!r}", "speed")
    return Ask(text, str(voice), float(speed), streams)
