"""What a target can do wrong, by the name of a voice ("fault-html") or by a path ("/fault/html/v1/audio/speech")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from firstaudio.bench.reference.plan import ENDLESS_S
from firstaudio.bench.reference.sound import Kind

Breaking = Literal["end", "disconnect", "hang", "error", "refuse"]


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer that has nothing to do with the question; `status` 0 never comes."""

    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Fault:
    """How an answer differs from a good one.

    Attributes:
        sound: Kind of sound.
        audio_s: Instead of what follows from the text.
        breaks: Half-way: end as if complete, hang up, write nothing more, or say that it failed ("refuse" says so
            in place of any audio).
        content_type: Instead of the true one.
        states_rate: False: nothing tells the rate of headerless samples.
        states_length: The WAV header tells how long the audio will be, instead of "unknown".
    """

    sound: Kind = "speech"
    audio_s: float | None = None
    breaks: Breaking | None = None
    content_type: str | None = None
    states_rate: bool = True
    states_length: bool = False


HTML = b"<!DOCTYPE html><html><head><title>It works!</title></head><body><h1>It works!</h1></body></html>\n"

CANNED: dict[str, Canned] = {
    "html": Canned(body=HTML),
    "empty": Canned(content_type="audio/wav"),
    "garbage": Canned(content_type="application/json", body=b'{"success": true, "audio_data": "UklGR'),
    "unauthorized": Canned(401, "application/json", b'{"detail": "Not authenticated"}'),
    "forbidden": Canned(403, "application/json", b'{"detail": "This key may not speak"}'),
    "missing": Canned(404, "application/json", b'{"detail": "Not Found"}'),
    "error": Canned(500, "text/plain; charset=utf-8", b"Internal Server Error"),
    "hang": Canned(0),
}

FAULTS: dict[str, Fault] = {
    "half": Fault(breaks="end", states_length=True),
    "disconnect": Fault(breaks="disconnect"),
    "hang-mid": Fault(breaks="hang"),
    "fail": Fault(breaks="error"),
    "silence": Fault(sound="silence"),
    "clipped": Fault(sound="noise"),
    "endless": Fault(audio_s=ENDLESS_S),
    "short": Fault(audio_s=0.1),
    "crumb": Fault(audio_s=0.01),  # shorter than anything that counts as a sound
    "type": Fault(content_type="text/plain"),
    "no-rate": Fault(content_type="application/octet-stream", states_rate=False),
}

GOOD = Fault()
PREFIX = "fault-"


def fault_name(voice: str, path: str) -> tuple[str, str]:
    """Name of the fault that is asked for, or "", and the path without it."""
    if path.startswith("/fault/"):
        name, _, rest = path.removeprefix("/fault/").partition("/")
        return name, "/" + rest
    return (voice.removeprefix(PREFIX) if voice.startswith(PREFIX) else ""), path
