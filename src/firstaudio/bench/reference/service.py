"""The reference server's HTTP routes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from firstaudio.bench.reference.asks import AskError, HttpAsk, read_http_ask, read_json
from firstaudio.bench.reference.faults import CANNED, FAULTS, GOOD, Canned, Fault, fault_name
from firstaudio.bench.reference.figures import Figures
from firstaudio.bench.reference.http import JSON, HttpConnection, Request, as_json, error_body
from firstaudio.bench.reference.plan import ENDLESS_S, Plan
from firstaudio.bench.reference.sinks import Answer, Events, Json, Streamed, Whole
from firstaudio.bench.reference.stage import Row, Sink, Stage, make_performance

MODEL = "reference"
VOICES = ("alto", "tenor", "slow10")
SPEECH_PATHS = ("/v1/audio/speech", "/tts", "/synthesize")
RETRY_AFTER_S = 1


class Service:
    """Answers requests of all connections.

    Args:
        stage: Where answers are performed.
        freeze: Makes the whole server stand still for some seconds.
    """

    def __init__(self, stage: Stage, freeze: Callable[[float], None]) -> None:
        self._stage, self._freeze = stage, freeze
        self._ids = itertools.count(1)

    def handle(self, request: Request, connection: HttpConnection) -> None:
        """Answer, now or in time."""
        name, path = fault_name("", request.path)
        try:
            if path not in ("/health", "/truth", "/freeze"):
                authorize(self._stage.figures, request.headers)
            if path in SPEECH_PATHS:
                return self._speech(request, connection, path, name)
            document = self._document(request, path)
        except AskError as error:
            return connection.respond(error.status, JSON, error_body(error.message, error.param))
        return connection.respond(200, JSON, as_json(document))

    def _document(self, request: Request, path: str) -> Any:
        if request.method == "GET":
            match path:
                case "/health":
                    return {"status": "ok"}
                case "/truth":
                    return self._stage.to_json(_count(request.query.get("n", "1000")))
                case "/openapi.json":
                    return openapi()
                case "/v1/models":
                    return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "firstaudio"}]}
                case "/v1/audio/voices":
                    return {"voices": [{"id": voice, "name": voice.capitalize()} for voice in VOICES]}
        elif request.method == "POST" and path == "/freeze":
            self._freeze(_count(request.query.get("ms", "1000")) / 1000)
            return {"status": "ok"}
        raise AskError(404, f"nothing is at {request.method} {path}; see /openapi.json")

    def _speech(self, request: Request, connection: HttpConnection, path: str, fault: str) -> None:
        if request.method != "POST":
            raise AskError(405, f"{path} takes POST, not {request.method}")
        asked = read_http_ask(read_json(request.body))
        fault = fault or fault_name(asked.ask.voice, "")[0]
        if fault in CANNED:
            return _canned(connection, CANNED[fault])
        if fault and fault not in FAULTS:
            raise AskError(400, f"no fault {fault!r}; there are {', '.join((*CANNED, *FAULTS))}", "voice")
        if not self._stage.has_room:
            self._stage.num_refused += 1
            busy = error_body(f"the line is full: come back in {RETRY_AFTER_S} s")
            return connection.respond(429, JSON, busy, {"Retry-After": str(RETRY_AFTER_S)})
        return self._perform(request, connection, asked, FAULTS.get(fault, GOOD), path == "/synthesize")

    def _perform(
        self, request: Request, connection: HttpConnection, asked: HttpAsk, fault: Fault, in_json: bool
    ) -> None:
        if in_json and fault.audio_s == ENDLESS_S:
            raise AskError(400, "an endless answer has to be streamed: ask at /v1/audio/speech")
        if fault.breaks == "error" and not asked.events:  # nothing else could say so in the middle of audio
            fault = replace(fault, breaks="refuse")
        request_id = request.headers.get("x-request-id") or f"request-{next(self._ids)}"
        container = "wav" if in_json else "pcm" if not fault.states_rate else asked.container
        ask = replace(asked.ask, streams=asked.ask.streams and not in_json)

        def sink_for(plan: Plan, row: Row) -> Sink:
            answer = Answer(connection, plan, fault, row, container)
            kind = Json if in_json else Events if asked.events else Whole if plan.whole else Streamed
            return kind(answer)

        performance = make_performance(self._stage, ask, fault, request.accepted_ns, request_id, sink_for)
        connection.when_lost = performance.cancel
        self._stage.enter(performance)


def authorize(figures: Figures, headers: Any) -> None:
    """Raises AskError for a request without the token, if there is one."""
    given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("xi-api-key", "")
    if figures.token and given != figures.token:
        raise AskError(403 if given else 401, "this server wants 'Authorization: Bearer TOKEN' with the right token")


def openapi() -> dict[str, Any]:
    """What the server offers, for those who look before they ask."""
    text, voice = {"type": "string"}, {"type": "string", "enum": list(VOICES)}
    formats = {"type": "string", "enum": ["wav", "pcm"]}
    speech = {"input": text, "voice": voice, "model": text, "response_format": formats, "speed": {"type": "number"}}
    speech |= {"stream": {"type": "boolean"}, "stream_format": {"type": "string", "enum": ["audio", "sse"]}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "firstaudio reference server", "version": "1"},
        "paths": {
            "/v1/audio/speech": _operation("Speak, as OpenAI's API does", speech, "input", "audio/wav"),
            "/tts": _operation("Speak", {"text": text, "voice": voice}, "text", "audio/wav"),
            "/synthesize": _operation(
                "Synthesize speech, as torch-inference does", {"model_name": text, "inputs": text}, "inputs", JSON
            ),
        },
    }


def _operation(summary: str, properties: dict[str, Any], required: str, content_type: str) -> dict[str, Any]:
    schema = {"type": "object", "required": [required], "properties": properties}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
            "responses": {"200": {"description": "Audio", "content": {content_type: {}}}},
        }
    }


def _canned(connection: HttpConnection, canned: Canned) -> None:
    if canned.status:
        connection.respond(canned.status, canned.content_type, canned.body)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise AskError(400, f"expected a whole number, got {text!r}")
    return int(text)
