"""Measurements as tests want them."""

from collections.abc import Callable
from typing import Any

import pytest

from firstaudio.telemetry.measurement import Measurement

USUAL: dict[str, Any] = {
    "timestamp": 1_000_000.0,
    "request_id": "id",
    "outcome": "completed",
    "origin": "client",
    "run": "",
    "arm": "",
    "engine": "synthetic",
    "voice": "alloy",
    "language": "en-us",
    "runtime": "",
    "decode": "",
    "warmth": "warm",
    "format": "pcm",
    "delivery": "audio",
    "text_class": "short",
    "num_characters": 60,
    "speed": 1.0,
    "num_ahead": 0,
    "num_segments": 1,
    "num_retries": 0,
    "num_stalls": 0,
    "failover": None,
    "error": None,
    "ttfa_ms": 100.0,
    "ttgp_ms": 120.0,
    "duration_ms": 500.0,
    "audio_s": 2.0,
    "rtf": 0.25,
    "predicted_ttfa_ms": None,
}
SILENT = {"ttfa_ms": None, "ttgp_ms": None, "audio_s": 0.0, "rtf": None}


def make(**changes: Any) -> Measurement:
    """A usual measurement, or one without audio where `ttfa_ms` is None; all of TTFA is inference unless given."""
    values = USUAL | (SILENT if changes.get("ttfa_ms", 0.0) is None else {}) | changes
    stages = {} if values["ttfa_ms"] is None else {"model_inference": values["ttfa_ms"]}
    return Measurement(**({"first_audio_ms": stages, "stages_ms": stages} | values))


@pytest.fixture(scope="session")
def measurement() -> Callable[..., Measurement]:
    return make
