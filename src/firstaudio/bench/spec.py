"""A target as data: what a user states about the system that is to be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Kind = Literal["openai", "http", "torch", "websocket", "elevenlabs", "wyoming", "command"]
Delivery = Literal["stream", "whole", "sse"]
KINDS: tuple[Kind, ...] = ("openai", "http", "torch", "websocket", "elevenlabs", "wyoming", "command")
SECRET = "***"


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
        """As JSON, for files: tokens, and headers that look like one, are replaced by `SECRET`."""
        secret = ("authorization", "key", "token", "cookie", "secret")
        shown = asdict(self)
        shown["token"] = SECRET if self.token else None
        shown["headers"] = {k: SECRET if any(s in k.lower() for s in secret) else v for k, v in self.headers.items()}
        return shown
