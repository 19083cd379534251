"""A websocket that takes one JSON message and answers with audio, as binary messages or base64 inside of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection

from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.intake import Intake
from firstaudio.bench.targets.messages import MessageChannel, receive, websocket_url
from firstaudio.bench.targets.template import check_complete, filled, filled_target, mentioned, values_of
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

DEFAULT_BODY = {"text": "{text}", "voice": "{voice}"}
DEFAULT_FIELD = "audio"


class WebsocketTarget:
    """One message asks, messages answer, and the end is told by `messages.has_ended` or by the server's close.

    The connection is kept for the next request as long as the server leaves it open.

    Args:
        spec: Of kind "websocket". `body` is the message, `audio` is "messages" or "messages:<dotted path>".

    Raises:
        BenchError: The spec asks for what this kind cannot do.
    """

    def __init__(self, spec: TargetSpec) -> None:
        if spec.tokens_per_s is not None:
            raise BenchError("a raw websocket has no way to send text in pieces: use kind 'elevenlabs' or 'wyoming'")
        self._spec = spec
        self._body: Mapping[str, Any] = DEFAULT_BODY if spec.body is None else spec.body
        if "text" not in mentioned(self._body):
            raise BenchError('the body template never sends the text: put "{text}" where it belongs')
        self._reading = Reading("messages", _field(spec), container=spec.container, sample_rate=spec.sample_rate)

    @property
    def reading(self) -> Reading:
        """Each piece is one message."""
        return self._reading

    async def open(self) -> MessageChannel:
        """Connect. Raises SpeakError."""
        token = {"Authorization": f"Bearer {self._spec.token}"} if self._spec.token else {}
        channel = MessageChannel(self._spec, {**token, **self._spec.headers}, _Ask(self._spec, self._body))
        if not mentioned(self._spec.path or ""):
            await channel.connect(websocket_url(self._spec.url) + (self._spec.path or ""))
        return channel

    async def close(self) -> None:
        """Nothing is shared."""


class _Ask:
    """The dialogue: one message."""

    def __init__(self, spec: TargetSpec, body: Mapping[str, Any]) -> None:
        self._spec, self._body = spec, body
        self._told = mentioned(body) | mentioned(spec.path or "")
        self.reusable = not mentioned(spec.path or "")

    def url(self, utterance: Utterance) -> str:
        """With the placeholders of the path filled in."""
        return websocket_url(self._spec.url) + filled_target(
            self._spec.path or "", values_of(utterance, self._spec.model)
        )

    async def talk(self, socket: ClientConnection, utterance: Utterance, intake: Intake) -> None:
        """Ask and receive."""
        check_complete(utterance, self._told)
        message = json.dumps(filled(self._body, values_of(utterance, self._spec.model)), ensure_ascii=False)
        intake.exchange.sent_ns = now_ns()
        await socket.send(message)
        await receive(socket, intake)


def _field(spec: TargetSpec) -> str:
    where, _, path = (spec.audio or "messages").partition(":")
    if where != "messages":
        raise BenchError(f"audio {spec.audio!r} is not for a websocket: write 'messages' or 'messages:<dotted path>'")
    return path or DEFAULT_FIELD
