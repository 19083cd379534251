"""Endpoints that may speak, before they have been tried: those of well-known servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firstaudio.bench.spec import TargetSpec

USUAL_PATHS = {"openai": "/v1/audio/speech", "torch": "/synthesize"}
MARY = "INPUT_TYPE=TEXT&OUTPUT_TYPE=AUDIO&AUDIO=WAVE_FILE&LOCALE=en_US&INPUT_TEXT={text}&VOICE={voice}"
COQUI = "text={text}&speaker_id={voice}&language_id={language}"
TEXT_BODY = {"text": "{text}", "voice": "{voice}", "speed": "{speed}", "language": "{language}"}
ELEVENLABS_BODY = {"text": "{text}", "model_id": "{model}"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An endpoint to try.

    Attributes:
        spec: How.
        found_by: "OpenAPI" or "known path".
        format_field: Name of the body's field that chooses the format; None: there is none.
        voices: Those that the schema lists.
    """

    spec: TargetSpec
    found_by: str = "known path"
    format_field: str | None = None
    voices: tuple[str, ...] = field(default=())

    @property
    def place(self) -> tuple[str, str]:
        """Method and path, without a query: what is tried once."""
        path = self.spec.path or USUAL_PATHS.get(self.spec.kind, "/")
        return self.spec.method.upper(), path.partition("?")[0]


def known(url: str, token: str | None) -> list[Candidate]:
    """Endpoints of servers that many people run, best known first."""

    def generic(path: str, body: Mapping[str, Any] | None, method: str = "POST") -> Candidate:
        return Candidate(TargetSpec("http", url, path=path, body=body, method=method, token=token))

    elevenlabs = generic("/v1/text-to-speech/{voice}", ELEVENLABS_BODY)
    if token:
        elevenlabs = Candidate(elevenlabs.spec.replace(token=None, headers={"xi-api-key": token}))
    return [
        Candidate(TargetSpec("openai", url, token=token), format_field="response_format"),
        Candidate(TargetSpec("torch", url, token=token)),
        generic("/tts", TEXT_BODY),
        generic("/synthesize", TEXT_BODY),
        generic("/v1/tts", TEXT_BODY),
        generic("/api/tts", TEXT_BODY),
        generic("/speak", TEXT_BODY),
        elevenlabs,
        generic("/api/tts?" + COQUI, None, "GET"),
        generic("/tts?text={text}&voice={voice}", None, "GET"),
        generic("/process?" + MARY, None, "GET"),
        generic("/", {"text": "{text}", "voice": "{voice}"}),  # Piper
    ]
