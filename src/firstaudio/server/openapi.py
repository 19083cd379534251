"""What the generated OpenAPI document cannot know by itself: error responses, binary bodies, keys."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firstaudio import __version__
from firstaudio.audio.encode import FORMATS
from firstaudio.config import ServerConfig
from firstaudio.server.middleware import OPEN_PATHS
from firstaudio.server.schemas.speech import ErrorEnvelope, SpeechEvent, SpeechRequest

DESCRIPTION = """
Text to speech that starts speaking at once, behind OpenAI's interface.

Every error has OpenAI's shape, and its message says what to do next. Every response carries `X-Request-ID`: the
client's own where it sent one.
"""

_PROBLEMS = {
    400: "The request cannot be served as it is; `param` names the field.",
    401: "API keys are on, and the request carries none that is known.",
    403: "A web page of another origin may not do this.",
    404: "There is nothing by that name.",
    408: "The body did not arrive in time.",
    409: "What is going on now does not let it happen.",
    413: "The body is longer than the server accepts.",
    415: "The body is not plain JSON.",
    429: "One more stream would make listeners stutter; Retry-After says when to come back.",
    500: "The engine failed before the first audio.",
    503: "The engines are starting, a worker died, or the server is shutting down; Retry-After says when to come back.",
}
# Named, not as a model: of each declaration FastAPI would make a validator that nobody needs.
_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
_SPEECH_HEADERS: dict[str, str] = {
    "X-Engine": "The engine that speaks.",
    "X-Voice": "The voice that speaks, aliases resolved.",
    "X-Language": "The language that is spoken.",
    "X-Sample-Rate": "Sample rate of the audio in Hz.",
    "X-Runtime": "What decodes the audio, in order of use; absent where the engine tells none.",
    "X-Decode": "windowed or whole, as it was; absent where the engine has no windows.",
    "X-Warmth": "cached: all that its first audio needs was kept; cold: the engine had to load something; else warm.",
    "X-Failover": "Engines that were passed over, each with the reason; absent where nobody was.",
    "X-Ignored-Fields": "Fields of the request that have no effect, if there are any.",
    "Server-Timing": (
        "Milliseconds until the first audio: ttfa, and its parts queue, text_processing, phonemize, model_inference, "
        "audio_conversion, chunk_delivery."
    ),
}
_EVENTS = (
    "data: "
    + '{"type":"speech.audio.words","words":[{"text":"Hello","start_char":0,"end_char":5,"start_s":0.0,"end_s":0.3}]}'
    + '\n\ndata: {"type":"speech.audio.delta","audio":"<base64>"}'
    + '\n\ndata: {"type":"speech.audio.done","usage":{"input_tokens":5,"output_tokens":25,"total_tokens":30}}\n\n'
)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declarations of error responses for a route."""
    return {
        status: {
            "description": _PROBLEMS[status],
            "content": _PROBLEM,
            **({"headers": _RETRY_AFTER} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def _speech_content() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = {audio.media_type.partition(";")[0]: binary for audio in FORMATS.values()}
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": "#/components/schemas/SpeechEvent"},
    }
    events = {
        "schema": {"type": "object", "description": "One event.", "properties": {"data": data}, "required": ["data"]},
        "examples": {"events": {"summary": "The body", "value": _EVENTS}},
    }
    return {**content, "text/event-stream": events}


SPEECH_OPERATION: dict[str, Any] = {
    "responses": {
        200: {
            "description": "Speech. The headers leave with the first audio.",
            "content": _speech_content(),
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _SPEECH_HEADERS.items()
            },
        },
        **problems(400, 401, 403, 404, 408, 413, 415, 429, 500, 503),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SpeechRequest"}}},
        }
    },
}


def install(app: FastAPI, config: ServerConfig) -> None:
    """Make `app.openapi`, and the path that shows it, describe what the server really does."""
    one_at_a_time = Lock()

    def openapi() -> dict[str, Any]:
        with one_at_a_time:
            if app.openapi_schema is None:
                app.openapi_schema = _document(app, config)
            return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    _show_from_thread(app)


def _show_from_thread(app: FastAPI) -> None:
    """Have the document made in a thread: that takes a fifth of a second, and streams go on meanwhile."""
    theirs = next(route for route in app.routes if isinstance(route, Route) and route.path == app.openapi_url)

    async def show_document(request: Request) -> Response:
        await asyncio.to_thread(app.openapi)
        return cast(Response, await theirs.endpoint(request))

    app.routes.remove(theirs)
    app.add_route(theirs.path, show_document, include_in_schema=False)


def _document(app: FastAPI, config: ServerConfig) -> dict[str, Any]:
    document = get_openapi(title="firstaudio", version=__version__, description=DESCRIPTION, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_speech_schemas(config))
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # FastAPI's; ours is 400
            if config.api_keys and path not in OPEN_PATHS:
                operation["security"] = [{"bearer": []}]
    if config.api_keys:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return document


def _speech_schemas(config: ServerConfig) -> dict[str, Any]:
    """What operations refer to and FastAPI does not see."""
    template = "#/components/schemas/{model}"
    request = SpeechRequest.model_json_schema(ref_template=template)
    if config.unknown_fields == "ignore":
        request["additionalProperties"] = True
    event = TypeAdapter(SpeechEvent).json_schema(ref_template=template)
    error = ErrorEnvelope.model_json_schema(ref_template=template)
    named = {"SpeechRequest": request, "SpeechEvent": event, "ErrorEnvelope": error}
    return {name: each for schema in named.values() for name, each in schema.pop("$defs").items()} | named
