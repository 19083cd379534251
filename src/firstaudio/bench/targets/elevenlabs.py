"""The ElevenLabs `stream-input` websocket: text goes in piece by piece while audio comes out."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from firstaudio.bench.exchange import Exchange, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.intake import Intake
from firstaudio.bench.targets.messages import MessageChannel, receive, websocket_url
from firstaudio.bench.targets.pacing import alongside, cut, paced
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

DEFAULT_URL = "wss://api.elevenlabs.io"
DEFAULT_PATH = "/v1/text-to-speech/{voice}/stream-input"
DEFAULT_RATE = 24_000
ENCODED = {"mp3": "mp3_44100_128", "opus": "opus_48000_64"}
_FORMAT = re.compile(r"(pcm|mp3|opus)_(\d+)(?:_\d+)?")


class ElevenLabsTarget:
    """A server that speaks the ElevenLabs websocket protocol.

    Each utterance has a connection of its own, because the voice is part of the address and the end of the text ends
    the connection; the time to connect is before `sent` and so outside of TTFA.

    With `tokens_per_s` the text goes in word piece by word piece, and `sent_ns` is when the *first* piece was handed
    over: the target may speak before it knows the whole text, and TTFA counts from the first token. Without it
    `sent_ns` belongs to the message with the whole text.

    Args:
        spec: Of kind "elevenlabs". Container "pcm" (or "wav", whose samples it holds: the protocol has no WAV) asks for
            `pcm_<sample_rate or 24000>`, "mp3" and "opus" for those. A `path` with `output_format=` in its query
            decides itself.

    Raises:
        BenchError: The protocol has no such format, or the URL or rate cannot be used.
    """

    def __init__(self, spec: TargetSpec) -> None:
        if spec.tokens_per_s is not None and spec.tokens_per_s <= 0:
            raise BenchError(f"tokens_per_s must be positive, not {spec.tokens_per_s:g}")
        self._spec = spec
        self._format = _output_format(spec)
        container, rate = _parse_format(self._format)
        self._stated = PcmFormat(rate) if container == "pcm" else None
        self._reading = Reading("messages", "audio", container=container)

    @property
    def reading(self) -> Reading:
        """Base64 in each message's `audio`."""
        return self._reading

    async def open(self) -> MessageChannel:
        """A channel; it connects with its first utterance, whose voice it must know."""
        key = {"xi-api-key": self._spec.token} if self._spec.token else {}
        return MessageChannel(
            self._spec, {**key, **self._spec.headers}, _StreamInput(self._spec, self._format, self._stated)
        )

    async def close(self) -> None:
        """Nothing is shared."""


class _StreamInput:
    """The dialogue: begin, text, end of text; audio meanwhile."""

    reusable = False

    def __init__(self, spec: TargetSpec, output_format: str, stated: PcmFormat | None) -> None:
        self._spec, self._format, self._stated = spec, output_format, stated

    def url(self, utterance: Utterance) -> str:
        """With the voice in the path; model, format and language in the query."""
        if utterance.voice is None and "{voice}" in (self._spec.path or DEFAULT_PATH):
            raise SpeakError(FailureKind.PROTOCOL, "the ElevenLabs address holds a voice: name one")
        path = (self._spec.path or DEFAULT_PATH).replace("{voice}", quote(utterance.voice or "", safe=""))
        query = {"model_id": self._spec.model, "output_format": self._format, "language_code": utterance.language}
        given = parse_qs(urlsplit(path).query)
        added = urlencode({name: value for name, value in query.items() if value and name not in given})
        joint = "" if not added else "&" if given else "?"
        return websocket_url(self._spec.url or DEFAULT_URL) + path + joint + added

    async def talk(self, socket: ClientConnection, utterance: Utterance, intake: Intake) -> None:
        """Send the text, whole or paced, and receive until `isFinal` or a close."""
        intake.exchange.stated = self._stated
        await alongside(self._send(socket, utterance, intake.exchange), receive(socket, intake))

    async def _send(self, socket: ClientConnection, utterance: Utterance, exchange: Exchange) -> None:
        """A connection that closes meanwhile is for the receiver to judge: it knows what came before."""
        exchange.sent_ns = None
        with contextlib.suppress(ConnectionClosed):
            await socket.send(json.dumps(_begin(utterance)))
            async for piece in self._pieces(utterance.text):
                message = json.dumps({"text": piece}, ensure_ascii=False)
                exchange.sent_ns = exchange.sent_ns or now_ns()
                await socket.send(message)
            await socket.send('{"text": ""}')

    async def _pieces(self, text: str) -> AsyncIterator[str]:
        spoken = text if text.endswith(" ") else text + " "  # the protocol wants each text to end in a space
        if self._spec.tokens_per_s is None:
            yield spoken
            return
        async for piece in paced(cut(spoken), self._spec.tokens_per_s):
            yield piece


def _begin(utterance: Utterance) -> dict[str, Any]:
    settings = {} if utterance.speed == 1.0 else {"voice_settings": {"speed": utterance.speed}}
    return {"text": " ", **settings}


def _output_format(spec: TargetSpec) -> str:
    given = parse_qs(urlsplit(spec.path or "").query).get("output_format")
    if given:
        return given[-1]
    if spec.container in ("pcm", "wav"):
        return f"pcm_{spec.sample_rate or DEFAULT_RATE}"
    if spec.container in ENCODED:
        return ENCODED[spec.container]
    raise BenchError(f"the ElevenLabs protocol has no {spec.container}: ask for pcm, {' or '.join(ENCODED)}")


def _parse_format(name: str) -> tuple[str, int]:
    found = _FORMAT.fullmatch(name)
    if found is None:
        raise BenchError(f"output_format {name!r} cannot be read: use pcm_24000, mp3_44100_128, opus_48000_64 or alike")
    return found[1], int(found[2])
