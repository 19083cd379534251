"""One client's websocket: connecting, receiving an answer, and telling when and how it has ended."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.http11 import Response
from websockets.protocol import State

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.intake import MAX_BODY_BYTES, Intake
from firstaudio.bench.targets.refusal import raise_for_status
from firstaudio.bench.targets.wire import crossed
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns

CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
MAX_LATE_MESSAGES = 64
NORMAL_CLOSE = (1000, 1001, 1005)  # RFC 6455: normal, going away, without a code
TRY_AGAIN_LATER = 1013

# Parsing a long message costs time that the next one's stamp would have to bear: one that holds none of these keys
# can neither end nor fail the answer. Base64 has no quotes, so audio never matches.
_MAY_MATTER = re.compile(r'"(?:is_?final|final|done|finished|type|event|status|error)"', re.IGNORECASE)
_FLAGS = ("isFinal", "is_final", "final", "done", "finished")
_NAMES = ("type", "event", "status")
_ENDS = re.compile(r"(?:.*[._\-:\s])?(?:done|end|ended|complete|completed|finished|eos)", re.IGNORECASE)
_PARTS = re.compile(r"word|sentence|segment|chunk|phoneme|viseme|item|part", re.IGNORECASE)
_BARE_ENDS = ("end", "eos", "done", "[done]", "finished")


class Dialogue(Protocol):
    """What a kind of websocket target says."""

    @property
    def reusable(self) -> bool:
        """Whether one connection serves several requests."""
        ...

    def url(self, utterance: Utterance) -> str:
        """Where to connect for it."""
        ...

    async def talk(self, socket: ClientConnection, utterance: Utterance, intake: Intake) -> None:
        """Send the request, set `sent_ns`, and receive the answer by `receive`."""
        ...


class MessageChannel:
    """One client's way to a websocket target.

    Args:
        spec: Of the target; its headers, timeout and `verify_tls` count.
        headers: Sent with the handshake.
        dialogue: What is said.
    """

    def __init__(self, spec: TargetSpec, headers: Mapping[str, str], dialogue: Dialogue) -> None:
        self._spec, self._headers, self._dialogue = spec, headers, dialogue
        self._socket: ClientConnection | None = None

    async def connect(self, url: str) -> None:
        """Connect anew. Raises SpeakError."""
        self._drop()
        self._socket = await _connect(url, self._headers, self._spec)

    async def speak(self, utterance: Utterance, exchange: Exchange) -> None:
        """See `Channel.speak`.

        A request on a kept connection that the target closes at once, without an error and before it answers
        anything, is sent once more on a new one: the close may have been underway when the request left.
        """
        url = self._dialogue.url(utterance)
        try:
            reused = await self._usable()
            if not reused:
                await self._connect_for(url, exchange)
            if not await self._talk(utterance, exchange, last_try=not reused):
                await self._connect_for(url, exchange)
                await self._talk(utterance, exchange, last_try=True)
        except BaseException:
            self._drop()
            raise
        if not self._dialogue.reusable:
            await self.close()

    async def close(self) -> None:
        """Close the connection properly. Idempotent."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def _connect_for(self, url: str, exchange: Exchange) -> None:
        await self.connect(url)
        exchange.connected_ns = now_ns()

    async def _talk(self, utterance: Utterance, exchange: Exchange, *, last_try: bool) -> bool:
        """Whether the answer is there; False if the connection was closed at once and may be tried again."""
        assert self._socket is not None
        try:
            await self._dialogue.talk(self._socket, utterance, Intake(exchange))
        except ConnectionClosed as closed:
            is_harmless = closed.rcvd is None or int(closed.rcvd.code) in NORMAL_CLOSE
            if not last_try and not exchange.pieces and is_harmless and crossed(exchange):
                return False
            exchange.last_byte_ns = _ended_by(closed)
        return True

    async def _usable(self) -> bool:
        if self._socket is None or self._socket.state is not State.OPEN:
            return False
        try:
            await _discard_late(self._socket)
        except ConnectionClosed:
            return False
        return True

    def _drop(self) -> None:
        """Throw the connection away without a goodbye: whatever was underway must not reach the next request."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.transport.abort()


async def receive(socket: ClientConnection, intake: Intake) -> None:
    """Collect messages to the one that ends the answer, by the rule of `has_ended`.

    Raises:
        SpeakError: A message says that the target failed, or is text but not JSON.
        ConnectionClosed: The target closed the connection; whether that is an end, its code says.
    """
    while True:
        message = await socket.recv()
        at_ns = now_ns()
        if isinstance(message, bytes):
            intake.take(message, at_ns)
            continue
        told = _told(message)
        if told is None or told:
            intake.take(message.encode(), at_ns)
        if told is not None and has_ended(told, message):
            intake.exchange.last_byte_ns = at_ns
            return


def has_ended(told: Mapping[str, Any], message: str = "") -> bool:
    """Whether a text message ends the answer.

    It does when `isFinal`, `is_final`, `final`, `done` or `finished` is true; or when `type`, `event` or `status` is,
    or ends in, "done", "end", "ended", "complete", "completed", "finished" or "eos" (as "audio.done") and speaks of
    the whole answer, not of a word, sentence, segment, chunk or other part; or when the message is nothing but such a
    word ("END").

    Args:
        told: The message's JSON object; empty for a bare word.
        message: As it came.
    """
    if not told:
        return message.strip().lower() in _BARE_ENDS
    if any(told.get(flag) is True for flag in _FLAGS):
        return True
    names = (told.get(name) for name in _NAMES)
    return any(isinstance(n, str) and _ENDS.fullmatch(n) and not _PARTS.search(n) for n in names)


def failure_in(told: Mapping[str, Any]) -> str | None:
    """What a text message says of the target's failure, in its `error`, or by a `type` that is or ends in "error"."""
    error = told.get("error")
    names = [str(told.get(name, "")).lower() for name in _NAMES]
    if not error and not any(name == "error" or name.endswith((".error", "_error")) for name in names):
        return None
    if isinstance(error, Mapping):
        error = error.get("message") or json.dumps(error)
    said = [str(told[key]) for key in ("message", "detail", "reason") if told.get(key)]
    return ": ".join([*([str(error)] if error and error is not True else []), *said]) or json.dumps(dict(told))[:200]


def websocket_url(url: str) -> str:
    """The same address with a websocket's scheme."""
    return re.sub(r"^http", "ws", url.strip()).rstrip("/")


def _told(message: str) -> Mapping[str, Any] | None:
    """The object of a text message that may matter; None for one that cannot; empty for a bare end word."""
    if message.strip().lower() in _BARE_ENDS:
        return {}
    if not _MAY_MATTER.search(message) and message.lstrip()[:1] == "{":
        return None
    try:
        told = json.loads(message)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise SpeakError(
            FailureKind.PROTOCOL,
            f"a text message is no JSON object: {message[:80]!r}; audio is expected in JSON or binary",
        )
    if (failure := failure_in(told)) is not None:
        raise SpeakError(FailureKind.TARGET_ERROR, f"the target says: {failure}")
    return told or None


def _ended_by(closed: ConnectionClosed) -> int:
    """When the answer ended by a close that is no failure. Raises SpeakError for one that is."""
    at_ns = now_ns()
    if closed.rcvd is None:
        raise SpeakError(
            FailureKind.DISCONNECTED, "the connection broke without a close: look at the server's log"
        ) from closed
    code, reason = int(closed.rcvd.code), closed.rcvd.reason
    if code in NORMAL_CLOSE:
        return at_ns
    kind = FailureKind.REFUSED if code == TRY_AGAIN_LATER else FailureKind.TARGET_ERROR
    raise SpeakError(kind, f"the target closed with code {code}: {reason or 'it gives no reason'}") from closed


async def _discard_late(socket: ClientConnection) -> None:
    """Pass over what came after the end of the last answer; statistics may, audio may not."""
    for _ in range(MAX_LATE_MESSAGES):
        try:
            async with asyncio.timeout(0):
                late = await socket.recv()
        except TimeoutError:
            return
        if isinstance(late, bytes):
            raise SpeakError(
                FailureKind.PROTOCOL,
                "audio came after the message that ended the last answer: its end was not understood, "
                "so this target cannot be measured over one connection",
            )
    raise SpeakError(FailureKind.PROTOCOL, f"more than {MAX_LATE_MESSAGES} messages came after the last answer's end")


async def _connect(url: str, headers: Mapping[str, str], spec: TargetSpec) -> ClientConnection:
    try:
        return await connect(
            url,
            additional_headers=dict(headers),
            proxy=None,  # the target is measured, not what lies before it
            compression=None,  # audio does not shrink, and inflating it would cost the client
            open_timeout=min(CONNECT_TIMEOUT_S, spec.timeout_s),
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # a server that is too busy to answer pings is slow, not gone
            max_size=MAX_BODY_BYTES,
            max_queue=None,  # the client never holds the server back
            ssl=_tls(spec) if urlsplit(url).scheme == "wss" else None,
        )
    except InvalidStatus as error:
        raise_for_status(_as_exchange(error.response), url)
        raise SpeakError(FailureKind.PROTOCOL, f"{url} answers, but not as a websocket: check the path") from error
    except (InvalidHandshake, InvalidURI, EOFError) as error:
        raise SpeakError(FailureKind.PROTOCOL, f"{url} does not speak websocket: {error}; check the path") from error
    except ssl.SSLError as error:
        raise SpeakError(
            FailureKind.UNREACHABLE, f"no secure connection to {url}: {error}; check its certificate"
        ) from error
    except (OSError, TimeoutError) as error:
        why = str(error) or "it does not answer"
        raise SpeakError(FailureKind.UNREACHABLE, f"cannot connect to {url}: {why}; is the server running?") from error


def _as_exchange(response: Response) -> Exchange:
    """A refused handshake, in the shape in which answers of HTTP servers are explained."""
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    return Exchange(status=response.status_code, headers=headers, pieces=[bytes(response.body or b"")])


def _tls(spec: TargetSpec) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not spec.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
