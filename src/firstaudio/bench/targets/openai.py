"""OpenAI's `POST /v1/audio/speech`, as the request that asks for one utterance.

Extensions, sent only where a user wants them: `"stream": false` for a whole file (firstaudio, Kokoro-FastAPI; OpenAI
itself always streams) and `language`. Servers that refuse unknown fields say so, others ignore them.
"""

from __future__ import annotations

from typing import Any

from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.request import Asker, JsonAsker, endpoint
from firstaudio.bench.utterance import Utterance

PATH = "/v1/audio/speech"
MODEL = "tts-1"
SSE_MODEL = "gpt-4o-mini-tts"  # tts-1 and tts-1-hd ignore stream_format and send plain audio


def make(spec: TargetSpec) -> tuple[Asker, Reading]:
    """How to ask, and how to read the answer."""
    origin, target = endpoint(spec, PATH)
    fixed: dict[str, Any] = {"model": spec.model or (SSE_MODEL if spec.delivery == "sse" else MODEL)}
    fixed["response_format"] = spec.container
    if spec.delivery == "sse":
        fixed["stream_format"] = "sse"
    if spec.delivery == "whole":
        fixed["stream"] = False
    reading = Reading(container=spec.container, sample_rate=spec.sample_rate)
    if spec.delivery == "sse":
        reading = Reading("sse", "audio", "error", spec.container, spec.sample_rate)
    return JsonAsker(spec, origin, target, lambda utterance: {**fixed, **_asked(utterance)}), reading


def _asked(utterance: Utterance) -> dict[str, Any]:
    fields = {"input": utterance.text, "voice": utterance.voice, "language": utterance.language}
    stated = {name: value for name, value in fields.items() if value is not None}
    return stated if utterance.speed == 1.0 else {**stated, "speed": utterance.speed}
