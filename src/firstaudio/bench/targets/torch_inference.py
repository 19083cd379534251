"""torch-inference's `POST /synthesize`: JSON with base64 WAV in `audio_data`; failures come as HTTP 200.

Without a model the voice is its name: `--voice speecht5_tts` is what its own tools call the model.
"""

from __future__ import annotations

from typing import Any

from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.request import Asker, JsonAsker, endpoint
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

PATH = "/synthesize"
MODEL = "default"


def make(spec: TargetSpec) -> tuple[Asker, Reading]:
    """How to ask, and how to read the answer.

    Raises:
        BenchError: The specification asks for what the protocol does not have.
    """
    if spec.delivery == "sse":
        raise BenchError("torch-inference sends one JSON document, no events: write delivery whole")
    origin, target = endpoint(spec, PATH)
    reading = Reading("json", "audio_data", "error", spec.container, spec.sample_rate)
    return JsonAsker(spec, origin, target, lambda utterance: _asked(utterance, spec.model)), reading


def _asked(utterance: Utterance, model: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"model_name": model or utterance.voice or MODEL, "inputs": utterance.text}
    if model is not None and utterance.voice is not None:
        fields["voice"] = utterance.voice
    if utterance.language is not None:
        fields["language"] = utterance.language
    return fields if utterance.speed == 1.0 else {**fields, "speed": utterance.speed}
