"""Endpoints that may speak, out of a server's own description (OpenAPI 3, Swagger 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from firstaudio.bench.discovery.candidate import Candidate
from firstaudio.bench.spec import TargetSpec

SPEECH = re.compile(r"tts|text.?to.?speech|speech|synth|speak|vocali[sz]|say\b", re.IGNORECASE)
OTHER = re.compile(
    r"transcri|recogn|\bstt\b|\basr\b|speech.?to.?text|clone|upload|batch|jobs?\b|delete|train|translat|status|stats|"
    r"bench|cancel|timestamp|captioned|websocket|download|/(voices?|models?|speakers?|languages?|health)/?$",
    re.IGNORECASE,
)
# Names of one thing, the commonest first.
NAMES: dict[str, tuple[str, ...]] = {
    "text": ("input", "text", "inputs", "prompt", "sentence", "message", "content", "utterance", "q"),
    "voice": ("voice", "voice_id", "voice_name", "speaker", "speaker_id", "speaker_name"),
    "speed": ("speed", "speaking_rate"),
    "language": ("language", "lang", "language_id", "language_code", "locale"),
    "model": ("model", "model_id", "model_name"),
}
FORMATS = ("response_format", "format", "output_format", "audio_format")
MAX_DEPTH = 16  # of references to references
Json = Mapping[str, Any]


def candidates(document: Json, url: str, token: str | None) -> list[Candidate]:
    """Operations that look as if they spoke a text, OpenAI's first."""
    found = []
    prefix = _prefix(document)
    for path, operations in _mapping(document.get("paths")).items():
        path = prefix + str(path)
        for method in ("post", "get"):
            operation = _mapping(_mapping(operations).get(method))
            if operation and _speaks(path, operation):
                candidate = _candidate(document, path, method.upper(), operation, TargetSpec("http", url, token=token))
                found += [candidate] if candidate else []
    return sorted(found, key=lambda candidate: ("openai", "torch", "http").index(candidate.spec.kind))


def _prefix(document: Json) -> str:
    """What all paths begin with."""
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else {}
    stated = document.get("basePath") or _mapping(first).get("url") or ""
    return urlsplit(str(stated)).path.rstrip("/")


def _speaks(path: str, operation: Json) -> bool:
    told = " ".join((path, str(operation.get("operationId", "")), str(operation.get("summary", ""))))
    return SPEECH.search(told) is not None and OTHER.search(path) is None


def _candidate(document: Json, path: str, method: str, operation: Json, base: TargetSpec) -> Candidate | None:
    properties = _body_properties(document, operation)
    query, target = _query(document, operation), _template_path(path)
    if target is None:
        return None
    body, format_field = _body_template(properties, _required(document, operation))
    voices = _enum(document, next((properties[n] for n in NAMES["voice"] if n in properties), {}))
    if path.endswith("/audio/speech") and "input" in properties:
        return Candidate(base.replace(kind="openai", path=path), "OpenAPI", "response_format", voices)
    if path.endswith("/synthesize") and {"model_name", "inputs"} <= set(properties):
        return Candidate(base.replace(kind="torch", path=path), "OpenAPI", None, voices)
    if "{text}" in query:
        return Candidate(base.replace(method=method, path=target + query, body=body or None), "OpenAPI")
    if method == "GET" or "{text}" not in body.values():
        return None
    return Candidate(base.replace(path=target + query, body=body), "OpenAPI", format_field, voices)


def _template_path(path: str) -> str | None:
    """The path with our placeholders; None where it has a parameter that is not known."""
    known = {name: what for what, names in NAMES.items() for name in names}
    parameters = re.findall(r"\{([^}]*)\}", path)
    if not set(parameters) <= set(known):
        return None
    return re.sub(r"\{([^}]*)\}", lambda m: "{" + known[m[1]] + "}", path)


def _body_template(properties: Json, required: frozenset[str]) -> tuple[dict[str, Any], str | None]:
    """A body with placeholders for what we know and the schema's own examples for the rest that it demands."""
    body: dict[str, Any] = {}
    for what, names in NAMES.items():
        name = next((n for n in names if n in properties and _may_be_text(properties[n], what)), None)
        if name is not None:
            body[name] = "{" + what + "}"
    for name in sorted(required - set(body)):
        body[name] = _example(_mapping(properties.get(name)))
    chosen = next((name for name in FORMATS if name in properties), None)
    return {name: value for name, value in body.items() if value is not None}, chosen


def _query(document: Json, operation: Json) -> str:
    """A query with placeholders; empty where no parameter takes the text."""
    parameters = [_resolved(document, p) for p in operation.get("parameters") or [] if isinstance(p, Mapping)]
    query = {str(p.get("name")): p for p in parameters if p.get("in") == "query"}
    parts = []
    for what, names in NAMES.items():
        name = next((n for n in names if n in query), None)
        if name is not None:
            parts.append(f"{quote(name)}={{{what}}}")
    return "?" + "&".join(parts) if any(part.endswith("{text}") for part in parts) else ""


def _body_schema(document: Json, operation: Json) -> Json:
    body = _resolved(document, _mapping(operation.get("requestBody")))
    content = _mapping(body.get("content"))
    schema = next((_mapping(c).get("schema") for kind, c in content.items() if "json" in kind), None)
    if schema is None:  # Swagger 2
        parameters = [_mapping(p) for p in operation.get("parameters") or []]
        schema = next((p.get("schema") for p in parameters if p.get("in") == "body"), None)
    return _resolved(document, _mapping(schema))


def _body_properties(document: Json, operation: Json) -> dict[str, Json]:
    return {
        str(name): _resolved(document, value)
        for name, value in _properties(document, _body_schema(document, operation))
    }


def _properties(document: Json, schema: Json, depth: int = 0) -> Iterator[tuple[str, Json]]:
    """Of the schema and of all that it is made of."""
    yield from (
        (name, value) for name, value in _mapping(schema.get("properties")).items() if isinstance(value, Mapping)
    )
    for part in _parts(document, schema) if depth < MAX_DEPTH else ():
        yield from _properties(document, part, depth + 1)


def _required(document: Json, operation: Json) -> frozenset[str]:
    schema = _body_schema(document, operation)
    return frozenset(map(str, schema.get("required") or ()))


def _parts(document: Json, schema: Json) -> list[Json]:
    combined = [part for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key) or ()]
    return [_resolved(document, part) for part in combined if isinstance(part, Mapping)]


def _resolved(document: Json, schema: Json) -> Json:
    """What a reference leads to; an empty schema where it leads nowhere."""
    for _ in range(MAX_DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = document
        for step in reference.removeprefix("#/").split("/"):
            schema = _mapping(schema.get(step.replace("~1", "/").replace("~0", "~")))
    return {}


def _may_be_text(schema: Json, what: str) -> bool:
    """Whether a value of ours fits: numbers for the speed, text for all else."""
    types = {schema.get("type"), *(_mapping(part).get("type") for part in schema.get("anyOf") or ())} - {None, "null"}
    return not types or bool(types & ({"number", "integer"} if what == "speed" else {"string"}))


def _enum(document: Json, schema: Json, depth: int = 0) -> tuple[str, ...]:
    """The names that a schema allows."""
    own = tuple(value for value in schema.get("enum") or () if isinstance(value, str))
    if own or depth == MAX_DEPTH:
        return own
    return next((found for part in _parts(document, schema) if (found := _enum(document, part, depth + 1))), ())


def _example(schema: Json) -> Any:
    """A value that the schema itself suggests; None where it suggests none."""
    suggested = [schema.get("default"), schema.get("example")]
    for key in ("examples", "enum"):
        values = schema.get(key)
        suggested += values[:1] if isinstance(values, list) else []
    return next((value for value in suggested if value is not None), None)


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}
