"""Envelopes: from the pieces that came off the wire to pieces of audio with the same arrivals.

Every machine here is fed piece by piece and gives each audio byte with the piece that completes it, so that the
arrival of the first one is known even where all of the audio lies in one JSON document.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from firstaudio.bench.exchange import Failure, FailureKind, SpeakError
from firstaudio.bench.reading.jsonaudio import Base64Text, JsonAudio
from firstaudio.bench.reading.sse import SseEnvelope
from firstaudio.bench.reading.target_error import at_path, quote, target_error
from firstaudio.bench.spec import Reading


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """Audio as it arrived.

    Attributes:
        pieces: One for each piece of the body, empty where it brought no audio.
        failure: Why this is not all, or not audio.
    """

    pieces: tuple[bytes, ...]
    failure: Failure | None = None


class Envelope(Protocol):
    """Takes the audio out of a body."""

    def feed(self, piece: bytes) -> bytes:
        """Audio bytes that became known with this piece. Raises SpeakError."""
        ...

    def finish(self) -> Failure | None:
        """What is wrong with the body as a whole."""
        ...


def unwrap(pieces: Sequence[bytes], reading: Reading) -> Unwrapped:
    """The audio in each piece, up to the first failure."""
    envelope = _envelope(reading)
    audio = [b""] * len(pieces)
    try:
        for index, piece in enumerate(pieces):
            audio[index] = envelope.feed(piece)
    except SpeakError as error:
        return Unwrapped(tuple(audio), error.failure)
    return Unwrapped(tuple(audio), envelope.finish())


def _envelope(reading: Reading) -> Envelope:
    match reading.envelope:
        case "raw":
            return _Raw(reading.error_field)
        case "sse":
            return SseEnvelope(reading.audio_field, reading.error_field)
        case "json":
            return _Document(reading.audio_field, reading.error_field)
        case "messages":
            return _Messages(reading.audio_field, reading.error_field)


class _Raw:
    """The body is the audio; a server that fails in the middle of it may say so in a last piece."""

    def __init__(self, error_field: str | None) -> None:
        self._error_field = error_field or "error"
        self._last = b""

    def feed(self, piece: bytes) -> bytes:
        self._last = piece or self._last
        return piece

    def finish(self) -> Failure | None:
        document = _json_object(self._last)
        return None if document is None else target_error(document, self._error_field)


class _Document:
    """One JSON document."""

    def __init__(self, audio_field: str, error_field: str | None) -> None:
        self._audio_field, self._error_field = audio_field, error_field
        self._scanner = JsonAudio(audio_field)
        self._body, self._audio = bytearray(), bytearray()
        self._error: ValueError | None = None

    def feed(self, piece: bytes) -> bytes:
        """Base64 that is none is judged in `finish`: the document may explain itself."""
        self._body += piece
        if self._error:
            return b""
        try:
            audio = self._scanner.feed(piece)
        except ValueError as error:
            self._error, audio = error, b""
        self._audio += audio
        return audio

    def finish(self) -> Failure | None:
        if not self._body:
            return None
        try:
            document = json.loads(self._body)
        except ValueError as error:
            begins = f"it begins with {quote(bytes(self._body))!r}"
            return Failure(FailureKind.PROTOCOL, f"the answer is not a JSON document ({error}); {begins}")
        return target_error(document, self._error_field) or self._verified(document)

    def _verified(self, document: object) -> Failure | None:
        text = at_path(document, self._audio_field)
        if not isinstance(text, str):
            return Failure(FailureKind.PROTOCOL, f"no text at {self._audio_field!r}; {_fields(document)}")
        if self._error:
            message = f"{self._audio_field!r} is not base64 ({self._error}): {quote(text)!r}"
            return Failure(FailureKind.PROTOCOL, message)
        if Base64Text().feed(text.encode()) != self._audio:
            return Failure(FailureKind.PROTOCOL, f"the document has {self._audio_field!r} more than once")
        return None


class _Messages:
    """Each piece is a message: binary audio, or JSON with base64 in a field."""

    def __init__(self, audio_field: str, error_field: str | None) -> None:
        self._audio_field, self._error_field = audio_field, error_field

    def feed(self, piece: bytes) -> bytes:
        document = _json_object(piece)
        if document is None:
            return piece
        failure = target_error(document, self._error_field)
        if failure:
            raise SpeakError(failure.kind, failure.message)
        text = at_path(document, self._audio_field)
        return self._decoded(text) if isinstance(text, str) else b""

    def finish(self) -> Failure | None:
        return None

    def _decoded(self, text: str) -> bytes:
        try:
            return Base64Text().feed(text.encode())
        except ValueError as error:
            message = f"{self._audio_field!r} of a message is not base64 ({error}): {quote(text)!r}"
            raise SpeakError(FailureKind.PROTOCOL, message) from error


def _json_object(piece: bytes) -> dict[str, object] | None:
    """The JSON object that a message is; None for audio, which no brace makes into JSON."""
    if not piece.lstrip().startswith(b"{"):
        return None
    try:
        document = json.loads(piece)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _fields(document: object) -> str:
    if not isinstance(document, dict):
        return f"the document is a {type(document).__name__}"
    return f"the document has the fields: {', '.join(map(str, document)) or 'none'}"
