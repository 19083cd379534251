"""The reference server's websockets: one JSON message in and audio out, and ElevenLabs' `stream-input`."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from firstaudio.bench.reference.asks import AskError, read_ask, read_json
from firstaudio.bench.reference.plan import Ask
from firstaudio.bench.reference.relay import BrokenOffError, Relay
from firstaudio.bench.reference.service import authorize
from firstaudio.bench.reference.sinks import FAILS, wav_header
from firstaudio.bench.reference.stage import Stage
from firstaudio.clock import now_ns

STREAM_INPUT = re.compile(r"/v1/text-to-speech/([^/]+)/stream-input")
CLOSE_CODES: dict[int, CloseCode] = {HTTPStatus.TOO_MANY_REQUESTS: CloseCode.TRY_AGAIN_LATER}
MAX_MESSAGE_BYTES = 1 << 20

Wrap = Callable[[bytes], str | bytes]


async def listen(stack: AsyncExitStack, stage: Stage, host: str, port: int) -> int:
    """Listen until the stack closes; the port."""

    def check(connection: ServerConnection, request: Request) -> Response | None:
        try:
            authorize(stage.figures, {name.lower(): value for name, value in request.headers.raw_items()})
        except AskError as error:
            return connection.respond(HTTPStatus(error.status), error.message + "\n")
        return None

    ids = itertools.count(1)
    server = await serve(
        lambda connection: _Dialogue(stage, connection, f"ws-{next(ids)}").run(),
        host,
        port,
        process_request=check,
        compression=None,
        ping_interval=None,
        max_size=MAX_MESSAGE_BYTES,
    )
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


class _Dialogue:
    """One connection."""

    def __init__(self, stage: Stage, connection: ServerConnection, name: str) -> None:
        self._stage, self._socket, self._name = stage, connection, name
        assert connection.request is not None
        self._address = urlsplit(connection.request.path)

    async def run(self) -> None:
        """To the end of the connection."""
        try:
            if found := STREAM_INPUT.fullmatch(self._address.path):
                await self._stream_input(unquote(found[1]))
            else:
                async for message in self._socket:
                    await self._answer(message)
        except AskError as error:
            if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                await self._socket.send(json.dumps({"error": error.message}))
            await self._socket.close(CLOSE_CODES.get(error.status, CloseCode.POLICY_VIOLATION), error.message)
        except ConnectionClosed:
            return

    async def _answer(self, message: str | bytes) -> None:
        """A raw exchange: a WAV in binary messages (`response_format` pcm: no header), then `{"done": true}`."""
        accepted_ns = now_ns()
        document = read_json(message if isinstance(message, bytes) else message.encode())
        header = b"" if document.get("response_format") == "pcm" else wav_header(self._stage.figures.sample_rate, None)
        headers = iter((header,))
        await self._perform(
            read_ask(document), accepted_ns, lambda pcm: next(headers, b"") + pcm, json.dumps({"done": True})
        )

    async def _stream_input(self, voice: str) -> None:
        """Text in pieces; synthesis starts when the text has ended, so TTFA counts from `{"text": ""}`."""
        if self._output_format() != f"pcm_{self._stage.figures.sample_rate}":
            raise AskError(400, f"output_format is pcm_{self._stage.figures.sample_rate} here")
        texts, speed, ended = [], 1.0, False
        while not ended:
            document = read_json(await self._socket.recv(decode=False))
            accepted_ns = now_ns()
            speed = (document.get("voice_settings") or {}).get("speed", speed)
            texts.append(document.get("text") or "")
            ended = document.get("text") == ""
        ask = read_ask({"text": "".join(texts).strip(), "voice": voice, "speed": speed})
        await self._perform(ask, accepted_ns, _in_json, json.dumps({"isFinal": True}))
        await self._socket.close()

    def _output_format(self) -> str:
        return parse_qs(self._address.query).get("output_format", ["mp3_44100_128"])[-1]

    async def _perform(self, ask: Ask, accepted_ns: int, wrap: Wrap, end: str) -> None:
        relay = Relay(self._stage, ask, accepted_ns, self._name)
        try:
            async with aclosing(relay.pieces()) as pieces:
                async for pcm in pieces:
                    await self._socket.send(wrap(pcm))
            await self._socket.send(end)
        except BrokenOffError as broken:
            await self._break_off(broken.breaks, end)

    async def _break_off(self, breaks: str, end: str) -> None:
        if breaks == "disconnect":
            self._socket.transport.abort()
        elif breaks == "hang":
            await self._socket.wait_closed()
        else:
            await self._socket.send(end if breaks == "end" else json.dumps({"error": FAILS}))


def _in_json(pcm: bytes) -> str:
    message: dict[str, Any] = {"audio": base64.b64encode(pcm).decode(), "isFinal": None}
    return json.dumps(message)
