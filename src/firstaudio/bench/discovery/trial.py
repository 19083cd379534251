"""Trying an endpoint: does it speak, where in its answer is the audio, does it stream."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from firstaudio.bench.exchange import Exchange, Failure, FailureKind
from firstaudio.bench.load.client import Client
from firstaudio.bench.reading.read import Heard, read
from firstaudio.bench.record import OK
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

SHORT_TEXT = "Hi."
LONG_TEXT = (
    "This text is longer than a greeting. A server that streams sends its first sentence while it still works on the "
    "others. A server that does not stream sends all of it at the end."
)
STREAMING_SHARE = 0.2  # of the whole time, that passes after a tenth of the audio is there
TOO_QUICK_MS = 20.0  # below, network and scheduling decide what comes when
FEW_PIECES = 3
MIN_BASE64_CHARS = 64
RAW = re.compile(r"audio/(x-)?(pcm|l16|raw)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt.

    Attributes:
        spec: As tried, completed by what the answer showed: container, and where the audio is.
        voice: As tried.
        exchange: What came.
        heard: What was understood of it.
    """

    spec: TargetSpec
    voice: str | None
    exchange: Exchange
    heard: Heard

    @property
    def works(self) -> bool:
        """Whether it spoke; samples whose rate only a person can state count."""
        return self.heard.outcome in (OK, FailureKind.NO_SAMPLE_RATE)


async def attempt(spec: TargetSpec, voice: str | None, text: str = SHORT_TEXT, container: str | None = None) -> Trial:
    """Speak once and understand whatever comes; never raises for anything that a server does.

    Args:
        spec: How to ask.
        voice: With which voice.
        text: What.
        container: What the answer must be; None: whatever it is, it will be noted.
    """
    utterance, exchange = Utterance(text, voice=voice), Exchange()
    try:
        target = make_target(spec)
    except BenchError as error:
        exchange.failure = Failure(FailureKind.PROTOCOL, error.message)
        return Trial(spec, voice, exchange, Heard(outcome=FailureKind.PROTOCOL, message=error.message))
    await Client(target, 0, timeout_s=spec.timeout_s, cold=True).request(utterance, exchange)
    found = _located(spec, exchange, target.reading)
    raw = RAW.match(exchange.headers.get("content-type", "")) is not None
    reading = replace(found, container=container or ("pcm" if raw and found.envelope == "raw" else None))
    heard = read(exchange, reading, utterance)
    return Trial(_completed(spec, reading, heard), voice, exchange, heard)


def _completed(spec: TargetSpec, reading: Reading, heard: Heard) -> TargetSpec:
    container = heard.container or reading.container or spec.container
    if spec.kind != "http" or reading.envelope == "raw":
        return spec.replace(container=container)
    return spec.replace(container=container, audio=f"{reading.envelope}:{reading.audio_field}")


def _located(spec: TargetSpec, exchange: Exchange, reading: Reading) -> Reading:
    """Where the audio is; of kinds that leave it open, found in the answer."""
    if spec.kind != "http" or spec.audio is not None or exchange.failure is not None:
        return reading
    body = b"".join(exchange.pieces)
    if "event-stream" in exchange.headers.get("content-type", "") or body.startswith((b"data:", b"event:", b":")):
        field = next((name for event in _events(body) if (name := audio_field(event))), "audio")
        return replace(reading, envelope="sse", audio_field=field, error_field="error")
    if body[:1] in (b"{", b"["):
        field = audio_field(_json(body)) or "audio"
        return replace(reading, envelope="json", audio_field=field, error_field="error")
    return reading


def audio_field(document: Any, path: str = "") -> str | None:
    """Dotted path of the longest string that is base64; None where there is none."""
    found = max(_base64_fields(document, path), default=(0, ""))
    return found[1] or None


def _base64_fields(value: Any, path: str) -> Iterator[tuple[int, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _base64_fields(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _base64_fields(inner, f"{path}.{number}" if path else str(number))
    elif isinstance(value, str) and len(value) >= MIN_BASE64_CHARS:
        try:
            base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
        except (binascii.Error, ValueError):
            return
        yield len(value), path


def _events(body: bytes) -> Iterator[Any]:
    for line in body.splitlines():
        if line.startswith(b"data:"):
            yield _json(line[5:])


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def streams(exchange: Exchange, heard: Heard) -> tuple[bool | None, str]:
    """Whether audio came while the rest was still being made, and how that was seen; None: it cannot be told."""
    arrivals = [(chunk[0], chunk[2]) for chunk in heard.chunks if chunk[2]]
    if exchange.sent_ns is None or not arrivals:
        return None, "no audio came"
    if "content-length" in exchange.headers:
        return False, "its length was stated before its first byte"
    if exchange.last_byte_ns is None:
        return True, "audio came, though the answer was never complete"
    total_ms = (exchange.last_byte_ns - exchange.sent_ns) / 1e6
    after_ms = (exchange.last_byte_ns - _tenth_ns(arrivals)) / 1e6
    seen = (
        f"{len(arrivals)} pieces; a tenth of the audio was there {after_ms:.0f} ms before the end of {total_ms:.0f} ms"
    )
    if total_ms < TOO_QUICK_MS:
        return (True if len(arrivals) >= FEW_PIECES else None), f"{seen}: too quick to tell by time"
    return after_ms >= STREAMING_SHARE * total_ms, seen


def _tenth_ns(arrivals: list[tuple[int, int]]) -> int:
    """When a tenth of all samples had arrived."""
    total, before = sum(samples for _, samples in arrivals), 0
    for at, samples in arrivals:
        before += samples
        if before * 10 >= total:
            return at
    return arrivals[-1][0]
