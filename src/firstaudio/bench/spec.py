"""A target as data: what a user states about the system that is to be measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Kind = Literal["openai", "http", "torch", "websocket", "elevenlabs", "wyoming", "command"]
Delivery = Literal["stream", "whole", "sse"]
KINDS: tuple[Kind, ...] = ("openai", "http", "torch", "websocket", "elevenlabs", "wyoming", "command")
SECRET = "***"

# Names of what must not be saved. A header is hidden too often rather than too seldom; a field of a body is part of
# what was measured (`max_tokens`), and only hidden by a name that leaves no doubt.
_HEADER = re.compile(r"auth|key|token|cookie|secret|pass|session|sign", re.IGNORECASE)
_NAME = r"(?:(?:[\w-]*[_-])?(?:key|token|secret|password|passwd|signature)|apikey|accesskey|auth|authorization)"
_FIELD = re.compile(_NAME, re.IGNORECASE)
_QUERY = re.compile(rf"(?<=[?&])({_NAME})=[^&#\s]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the audio lies in what arrives.

    Attributes:
        envelope: "raw": the body is the audio. "sse": base64 in a field of each event's JSON. "json": base64 in a
            field of one JSON document. "messages": each piece is one message, binary ones are audio, text ones are
            JSON with base64 in a field.
        audio_field: Dotted path of that field, as "audio" or "result.audio_data".
        error_field: Dotted path of what says that the target failed, though its transport did not; None: none.
        container: "wav", "mp3", "opus", "aac", "flac", "pcm" (headerless s16le); None: told by the first bytes.
        sample_rate: Of headerless samples, stated by the *user*; None: the response must state it.
    """

    envelope: Literal["raw", "sse", "json", "messages"] = "raw"
    audio_field: str = "audio"
    error_field: str | None = None
    container: str | None = None
    sample_rate: int | None = None


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """Everything needed to make a target; picklable, and JSON but for its secrets.

    Attributes:
        kind: Which protocol it speaks.
        url: Of the server: `http(s)://`, `ws(s)://`, `tcp://host:port` for Wyoming; empty for a command.
        name: What reports call it; made from kind and host when empty.
        path: Path of the endpoint under `url`; None: the usual one of the kind.
        method: HTTP method of kind "http".
        headers: Sent with every request.
        token: Bearer token (ElevenLabs: `xi-api-key`); never saved.
        model: The target's model name; None: the usual one of the kind, or none.
        delivery: How the answer comes: streamed audio, a whole file, or server-sent events.
        container: What to ask for: "wav", "mp3", ...; also what the answer must be.
        sample_rate: Of headerless samples, stated by the user, in Hz.
        body: Kind "http" and "websocket": JSON template in which {text}, {voice}, {speed}, {language}, {model} stand
            for themselves.
        audio: Kinds "http" and "websocket": where the audio is: "body", "json:<dotted path>", "sse:<dotted path>",
            "messages:<dotted path>".
        command: Kind "command": program and arguments, with the same placeholders; without {text} it gets the text on
            standard input. It writes audio to standard output.
        tokens_per_s: Kinds "elevenlabs" and "wyoming": send the text word piece by word piece at this rate, as a
            language model would; None: at once.
        connections: "warm": one kept connection per client. "cold": a new one for each request, and its making counts.
        timeout_s: For one request, from dispatch to its last byte.
        verify_tls: Whether certificates are checked.
    """

    kind: Kind
    url: str = ""
    name: str = ""
    path: str | None = None
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None
    model: str | None = None
    delivery: Delivery = "stream"
    container: str = "wav"
    sample_rate: int | None = None
    body: Mapping[str, Any] | None = None
    audio: str | None = None
    command: tuple[str, ...] = ()
    tokens_per_s: float | None = None
    connections: Literal["warm", "cold"] = "warm"
    timeout_s: float = 60.0
    verify_tls: bool = True

    def replace(self, **changes: Any) -> TargetSpec:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def public(self) -> dict[str, Any]:
        """As JSON, for files: tokens, and headers, fields and query parameters that look like one, are `SECRET`."""
        shown = asdict(self)
        shown["token"] = SECRET if self.token else None
        shown["headers"] = {name: SECRET if _HEADER.search(name) else value for name, value in self.headers.items()}
        shown["url"] = without_secrets(self.url)
        shown["path"] = None if self.path is None else without_secrets(self.path)
        shown["body"] = _hidden(shown["body"])
        return shown


def without_secrets(text: str) -> str:
    """A URL, a path or a JSON document as it was typed, secrets replaced by `SECRET`."""
    try:
        document = json.loads(text)
    except ValueError:
        return _QUERY.sub(rf"\1={SECRET}", text)
    hidden = _hidden(document)
    return text if hidden == document else json.dumps(hidden, ensure_ascii=False)


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {n: SECRET if isinstance(v, str) and _is_secret(n, v) else _hidden(v) for n, v in value.items()}
    return [_hidden(each) for each in value] if isinstance(value, list) else value


def _is_secret(name: str, value: str) -> bool:
    return _FIELD.fullmatch(name) is not None and not value.startswith("{")  # a placeholder is none
