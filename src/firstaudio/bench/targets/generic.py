"""Any HTTP endpoint: method, path and body as templates, and where in the answer the audio is.

Without a body template the request is `{"text": ..., "voice": ..., "speed": ..., "language": ..., "model": ...}`, of
which only what is stated is sent. A path that mentions `{text}` needs no body: `GET /api/tts?text={text}`.
"""

from __future__ import annotations

from typing import Any

from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.connection import Origin
from firstaudio.bench.targets.request import Asker, JsonAsker, TargetAsker, endpoint
from firstaudio.bench.targets.template import check_complete, filled, filled_target, mentioned, values_of
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

DEFAULT_BODY = {"text": "{text}", "voice": "{voice}", "speed": "{speed}", "language": "{language}", "model": "{model}"}
SSE = "sse:audio"
EXPECTED = 'write "body", "json:<field>" or "sse:<field>"'


def make(spec: TargetSpec) -> tuple[Asker, Reading]:
    """How to ask, and how to read the answer.

    Raises:
        BenchError: The text has no place in the request, or the place of the audio is not understood.
    """
    origin, target = endpoint(spec, "")
    return _asker(spec, origin, target), _reading(spec)


def _asker(spec: TargetSpec, origin: Origin, target: str) -> Asker:
    in_path = mentioned(target)
    if spec.body is None and "text" in in_path:
        return TargetAsker(spec, origin, lambda utterance: _target(target, utterance, spec.model, in_path))
    if spec.body is None and spec.method.upper() == "GET":
        raise BenchError("a GET request has no body: put {text} into the path, as /api/tts?text={text}")
    body = DEFAULT_BODY if spec.body is None else spec.body
    places = in_path | mentioned(body)
    if "text" not in places:
        raise BenchError('the body has no place for the text: add "{text}" to it')
    if in_path:
        return JsonAsker(
            spec,
            origin,
            lambda utterance: _target(target, utterance, spec.model, places),
            lambda utterance: _body(spec, body, utterance, places),
        )
    return JsonAsker(spec, origin, target, lambda utterance: _body(spec, body, utterance, places))


def _target(template: str, utterance: Utterance, model: str | None, places: frozenset[str]) -> str:
    check_complete(utterance, places)
    return filled_target(template, values_of(utterance, model))


def _body(spec: TargetSpec, template: Any, utterance: Utterance, places: frozenset[str]) -> Any:
    check_complete(utterance, places)
    values = values_of(utterance, spec.model)
    if spec.body is None and utterance.speed == 1.0:
        values = {**values, "speed": None}
    return filled(template, values)


def _reading(spec: TargetSpec) -> Reading:
    audio = spec.audio or (SSE if spec.delivery == "sse" else "body")
    envelope, _, field = audio.partition(":")
    if audio != "body" and (envelope not in ("json", "sse") or not field):
        raise BenchError(f"{audio!r} does not say where the audio is: {EXPECTED}")
    if spec.delivery == "sse" and envelope != "sse":
        raise BenchError(f"with delivery sse the audio is in events, not in {audio!r}: write sse:<field>")
    if audio == "body":
        return Reading(container=spec.container, sample_rate=spec.sample_rate)
    return Reading("json" if envelope == "json" else "sse", field, "error", spec.container, spec.sample_rate)
