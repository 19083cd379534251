"""From the bytes of a request to a `SpeechOrder`: everything checked, aliases merged, nothing started."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from firstaudio.config import ServerConfig
from firstaudio.engines.base import Decode
from firstaudio.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    EmptyTextError,
    RequestError,
    TextTooLongError,
    UnknownFormatError,
    UnsupportedMediaTypeError,
)
from firstaudio.server.foreign_fields import advice_for
from firstaudio.server.problems import shorten
from firstaudio.server.schemas.speech import (
    FORMAT_NAMES,
    MAX_NAME_CHARS,
    PITCH_RANGE,
    SPEED_RANGE,
    FormatName,
    SpeechRequest,
    VoiceReference,
)
from firstaudio.synthesis.utterance import Utterance

Delivery = Literal["audio", "sse", "whole"]

# OpenAI's own tts-1 models ignore `sse`, and LiveKit's plugin relies on getting raw audio from these two.
RAW_ONLY_MODELS = frozenset({"tts-1", "tts-1-hd"})

# Text makes a body long, structure makes it slow: 1 MiB of `[],[],[]` keeps the parser, and with it the event loop,
# busy for 130 ms, 1 MiB of one string for 3 ms. So long bodies are looked at before they are parsed.
LONG_BODY_BYTES = 16_384
MAX_STRINGS = 1_000
MAX_STRUCTURE_BYTES = 16_384
_JSON_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)

_NAME = f"a string of at most {MAX_NAME_CHARS} characters"
_FORMAT = f"one of {', '.join(FORMAT_NAMES)}"
_ALLOWED = {
    "input": "a string",
    "text": "a string",
    "model": f"{_NAME}; GET /v1/models lists them",
    "voice": f'{_NAME}, or an object {{"id": ...}}; GET /v1/audio/voices lists them',
    "language": f"a BCP-47 tag such as en-us, {_NAME}",
    "lang": f"a BCP-47 tag such as en-us, {_NAME}",
    "instructions": "a string",
    "response_format": _FORMAT,
    "format": _FORMAT,
    "speed": f"a number from {SPEED_RANGE[0]} to {SPEED_RANGE[1]}",
    "pitch": f"a number from {PITCH_RANGE[0]} to {PITCH_RANGE[1]}",
    "decode": f"one of {', '.join(get_args(Decode))}",
    "stream_format": "audio or sse",
    "stream": "true or false",
    "word_timestamps": "true or false",
}


@dataclass(frozen=True, slots=True)
class SpeechOrder:
    """What one request asks for, aliases merged and defaults filled in.

    Attributes:
        text: The text as the client sent it.
        model: As the client named it; None takes the default engine.
        voice: Voice id; None takes the default voice.
        language: BCP-47 tag; None takes the voice's own.
        speed: Factor.
        pitch: Factor.
        decode: How segments are decoded.
        format: The audio format.
        delivery: Raw audio as it comes, events as they come, or everything at once.
        word_timestamps: Whether events carry word times.
        ignored_fields: Fields that the client sent and that have no effect.
    """

    text: str
    model: str | None
    voice: str | None
    language: str | None
    speed: float
    pitch: float
    decode: Decode
    format: FormatName
    delivery: Delivery
    word_timestamps: bool
    ignored_fields: tuple[str, ...]

    def utterance(self, request_id: str) -> Utterance:
        """The part of the order that the synthesizer executes."""
        return Utterance(
            text=self.text,
            voice=self.voice,
            language=self.language,
            speed=self.speed,
            pitch=self.pitch,
            engine=self.model,
            decode=self.decode,
            word_marks=self.word_timestamps,
            request_id=request_id,
        )


async def read_body(request: Request, limits: ServerConfig) -> bytes:
    """The body of a JSON request.

    Raises:
        UnsupportedMediaTypeError: The body is declared to be something else than plain JSON.
        BodyTooLargeError: It is longer than `limits.max_body_bytes`, declared or counted.
        BodyTimeoutError: It did not arrive completely within `limits.body_timeout_s`.
        starlette.requests.ClientDisconnect: The client went away.
    """
    _check_media_type(request)
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limits.max_body_bytes:
        raise _too_large(limits.max_body_bytes)
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            return await _collect(request, limits.max_body_bytes)
    except TimeoutError:
        raise BodyTimeoutError(
            f"the body did not arrive completely within {limits.body_timeout_s:g} s; check that it is as long as its "
            "Content-Length says and send it again, or raise server.body_timeout_s on the server"
        ) from None


def read_order(body: bytes, limits: ServerConfig) -> SpeechOrder:
    """Parse and check the body of a speech request.

    Raises:
        RequestError: Names the field, what it may be, and what to do next.
    """
    wish = _parse(body)
    unknown = tuple(wish.model_extra or ())
    if unknown and limits.unknown_fields == "reject":
        raise RequestError(
            f"unknown field {shorten(unknown[0])}; {advice_for(unknown[0], _ALLOWED)}. "
            f"Known fields: {', '.join(_ALLOWED)}",
            param=unknown[0][:MAX_NAME_CHARS],
        )
    ignored = [*unknown, *(["instructions"] if wish.instructions else [])]
    delivery = _delivery(wish)
    if wish.stream_format == "sse" and delivery == "audio":
        ignored.append("stream_format")
    return SpeechOrder(
        text=_text(wish, limits.max_input_chars),
        model=wish.model,
        voice=wish.voice.id if isinstance(wish.voice, VoiceReference) else wish.voice,
        language=_merge(wish, "language", "lang"),
        speed=1.0 if wish.speed is None else wish.speed,
        pitch=1.0 if wish.pitch is None else wish.pitch,
        decode=wish.decode or "auto",
        format=_merge(wish, "response_format", "format") or "mp3",
        delivery=delivery,
        word_timestamps=bool(wish.word_timestamps),
        ignored_fields=tuple(ignored),
    )


async def _collect(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _check_media_type(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "application/json").partition(";")
    media_type = media_type.strip().lower()
    if media_type != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", media_type):
        raise UnsupportedMediaTypeError(
            f"the body must be JSON, not {shorten(media_type)}; send the header Content-Type: application/json"
        )
    charset = re.search(r"charset=\"?([\w-]+)", parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaTypeError(f"the body must be encoded in UTF-8, not {shorten(charset[1])}")
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise UnsupportedMediaTypeError(f"the body must not be compressed, not even with {shorten(encoding)}")


def _too_large(max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"the body is longer than {max_bytes} bytes; send the text in several requests, "
        "or raise server.max_body_bytes on the server"
    )


def _parse(body: bytes) -> SpeechRequest:
    if len(body) > LONG_BODY_BYTES and _is_mostly_structure(body):
        raise RequestError("the body holds too many values; send one object with the fields of a speech request")
    try:
        return SpeechRequest.model_validate_json(body)
    except ValidationError as error:
        raise _request_error(error.errors(include_url=False, include_context=False)) from None


def _is_mostly_structure(body: bytes) -> bool:
    num_strings = (body.count(b'"') - body.count(b'\\"')) // 2
    return num_strings > MAX_STRINGS or len(_JSON_STRING.sub(b"", body)) > MAX_STRUCTURE_BYTES


def _request_error(errors: Iterable[ErrorDetails]) -> RequestError:
    first = next(iter(errors))
    if not first["loc"]:
        if first["type"] == "json_invalid":
            return RequestError(f"the body is not valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
        return RequestError('the body must be a JSON object such as {"input": "Hello world!"}')
    field = str(first["loc"][0])
    kind = UnknownFormatError if field in ("response_format", "format") else RequestError
    return kind(f"{field} must be {_ALLOWED[field]}; it is {shorten(first['input'])}", param=field)


def _merge(wish: SpeechRequest, name: str, alias: str) -> Any:
    """The value of a field or of its short name; both only when they agree."""
    value, short = getattr(wish, name), getattr(wish, alias)
    if value is not None and short is not None and value != short:
        raise RequestError(f"{name} and {alias} mean the same and differ; send only {name}", param=alias)
    return short if value is None else value


def _text(wish: SpeechRequest, max_chars: int) -> str:
    text: str | None = _merge(wish, "input", "text")
    param = "input" if wish.text is None else "text"
    if text is None:
        raise RequestError("input is missing; put the text to speak there", param="input")
    if not text.strip():
        raise EmptyTextError(f"{param} holds nothing to speak; send at least one word", param=param)
    if len(text) > max_chars:
        raise TextTooLongError(
            f"{param} has {len(text)} characters and may have {max_chars}; send it in several requests, "
            "or raise server.max_input_chars on the server",
            param=param,
        )
    return text


def _delivery(wish: SpeechRequest) -> Delivery:
    if wish.stream is False and wish.stream_format == "sse":
        raise RequestError("stream: false and stream_format: sse contradict each other; leave one out", param="stream")
    events = wish.stream_format == "sse" and wish.model not in RAW_ONLY_MODELS
    if wish.word_timestamps and not events:
        raise RequestError(
            "word_timestamps travel in events: send stream_format: sse and a model other than tts-1 and tts-1-hd",
            param="word_timestamps",
        )
    if wish.stream is False:
        return "whole"
    return "sse" if events else "audio"
