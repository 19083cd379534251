"""A Wyoming server: events of JSON and PCM over one TCP connection (or a Unix socket)."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Callable
from urllib.parse import urlsplit

from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from firstaudio.bench.exchange import Exchange, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.intake import Intake, require_told
from firstaudio.bench.targets.pacing import alongside, cut, paced
from firstaudio.bench.targets.wire import crossed
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it tries audioop, and does without where there is none
    from wyoming.audio import AudioChunk, AudioFormat, AudioStart, AudioStop
    from wyoming.info import Describe, Info

CONNECT_TIMEOUT_S = 10.0
MAX_LINE_BYTES = 2**20
SAMPLE_WIDTH = 2  # what Wyoming calls width 4 is int32, which no known server sends

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
IsType = Callable[[str], bool]


class WyomingTarget:
    """A server that speaks the Wyoming protocol.

    The text goes out in one `synthesize` event. With `tokens_per_s` it goes piece by piece in `synthesize-chunk`
    events, if the server says that it supports this, and `sent_ns` is when the *first* piece was handed over: the
    server may speak before it knows the whole text, and TTFA counts from the first token.

    Args:
        spec: Of kind "wyoming", with a `tcp://host:port` or `unix:///path` URL.

    Raises:
        BenchError: The URL or rate cannot be used.
    """

    def __init__(self, spec: TargetSpec) -> None:
        if spec.tokens_per_s is not None and spec.tokens_per_s <= 0:
            raise BenchError(f"tokens_per_s must be positive, not {spec.tokens_per_s:g}")
        self._spec = spec
        self._address = _parse(spec.url)
        self._knows_streaming = False
        self._describing = asyncio.Lock()

    @property
    def reading(self) -> Reading:
        """Raw samples; their format is in the events."""
        return Reading("raw", container="pcm")

    async def open(self) -> WyomingChannel:
        """Connect, and once ask whether text may come in pieces if it will. Raises SpeakError."""
        streams = await _connect(self._spec.url, self._address, self._spec.timeout_s)
        if self._spec.tokens_per_s is not None:
            async with self._describing:
                try:
                    await self._ask_for_streaming(streams)
                except BaseException:
                    _abort(streams)
                    raise
        return WyomingChannel(self._spec, self._address, streams)

    async def close(self) -> None:
        """Nothing is shared."""

    async def _ask_for_streaming(self, streams: Streams) -> None:
        if self._knows_streaming:
            return
        async with asyncio.timeout(self._spec.timeout_s):
            info = await describe(streams)
        if not any(program.supports_synthesize_streaming for program in info.tts):
            message = (
                f"{self._spec.url} does not take text in pieces (supports_synthesize_streaming): drop tokens_per_s"
            )
            raise SpeakError(FailureKind.PROTOCOL, message)
        self._knows_streaming = True


class WyomingChannel:
    """One client's connection; kept for the next request as long as the server keeps it."""

    def __init__(self, spec: TargetSpec, address: tuple[str, int] | str, streams: Streams) -> None:
        self._spec, self._address = spec, address
        self._streams: Streams | None = streams

    async def speak(self, utterance: Utterance, exchange: Exchange) -> None:
        """See `Channel.speak`.

        A request on a kept connection that the server closes at once, before it answers anything, is sent once more on
        a new one: the close may have been underway when the request left.

        Raises:
            SpeakError: Also when the last answer went on behind the event that ends one.
        """
        told = "language" if utterance.voice is None else "voice"  # a voice's name overrides its language
        require_told({told}, utterance, "Wyoming has no field for it")
        try:
            reused = self._streams is not None and await _is_silent(self._streams[0])
            if not reused:
                await self._connect(exchange)
            if not await self._talk(utterance, exchange, last_try=not reused):
                await self._connect(exchange)
                await self._talk(utterance, exchange, last_try=True)
        except BaseException:
            self._drop()
            raise

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def _connect(self, exchange: Exchange) -> None:
        self._drop()
        exchange.sent_ns = None
        self._streams = await _connect(self._spec.url, self._address, self._spec.timeout_s)
        exchange.connected_ns = now_ns()

    async def _talk(self, utterance: Utterance, exchange: Exchange, *, last_try: bool) -> bool:
        """Whether the answer is there; False if the connection was closed at once and may be tried again."""
        assert self._streams is not None
        reader, writer = self._streams
        try:
            if self._spec.tokens_per_s is None:
                exchange.sent_ns = now_ns()
                await async_write_event(Synthesize(utterance.text, _voice(utterance)).event(), writer)
                await _receive(reader, Intake(exchange), AudioStop.is_type)
            else:
                await alongside(
                    _send_paced(writer, utterance, exchange, self._spec.tokens_per_s),
                    _receive(reader, Intake(exchange), SynthesizeStopped.is_type),
                )
        except (ConnectionError, EOFError) as error:
            if not last_try and not exchange.pieces and crossed(exchange):
                return False
            message = f"the connection broke before the answer's end ({error}): look into the server's log"
            raise SpeakError(FailureKind.DISCONNECTED, message) from error
        return True

    def _drop(self) -> None:
        """Throw the connection away: whatever was underway must not reach the next request."""
        if self._streams is not None:
            _abort(self._streams)
        self._streams = None


async def describe(streams: Streams) -> Info:
    """What the server says of itself.

    Raises:
        SpeakError: It does not answer as a Wyoming server does.
    """
    reader, writer = streams
    try:
        await async_write_event(Describe().event(), writer)
        while True:
            event, _ = await _next_event(reader)
            if Info.is_type(event.type):
                return Info.from_event(event)
    except (ConnectionError, EOFError, KeyError, TypeError) as error:
        raise SpeakError(
            FailureKind.PROTOCOL, f"the server does not describe itself ({error!r}): is it Wyoming?"
        ) from error


async def _send_paced(
    writer: asyncio.StreamWriter, utterance: Utterance, exchange: Exchange, rate_per_s: float
) -> None:
    """A connection that breaks meanwhile is for the receiver to judge: it knows what came before."""
    with contextlib.suppress(ConnectionError):
        await async_write_event(SynthesizeStart(_voice(utterance)).event(), writer)
        async for piece in paced(cut(utterance.text), rate_per_s):
            exchange.sent_ns = exchange.sent_ns or now_ns()
            await async_write_event(SynthesizeChunk(piece).event(), writer)
        await async_write_event(SynthesizeStop().event(), writer)


async def _receive(reader: asyncio.StreamReader, intake: Intake, is_end: IsType) -> None:
    """Collect audio to the event that ends the answer; events of other kinds are not for us."""
    while True:
        event, at_ns = await _next_event(reader)
        if AudioChunk.is_type(event.type):
            _state(intake.exchange, AudioChunk.from_event(event))
            intake.take(event.payload or b"", at_ns)
        elif AudioStart.is_type(event.type):
            _state(intake.exchange, AudioStart.from_event(event))
        elif Error.is_type(event.type):
            raise SpeakError(FailureKind.TARGET_ERROR, f"the server says: {_said(event)}")
        elif is_end(event.type):
            intake.exchange.last_byte_ns = at_ns
            return


async def _is_silent(reader: asyncio.StreamReader) -> bool:
    """Whether a kept connection is open and nothing came behind the last answer. Raises SpeakError for audio.

    Other events may have come; they can be half there, so that a new connection is better than reading on.
    """
    try:
        async with asyncio.timeout(0):
            late = await reader.read(MAX_LINE_BYTES)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    if b'"audio-' in late:
        raise SpeakError(
            FailureKind.PROTOCOL,
            "audio came behind the event that ended the last answer: its end was not understood, "
            "so this target cannot be measured over one connection",
        )
    return False


async def _next_event(reader: asyncio.StreamReader) -> tuple[Event, int]:
    """The next event, and when it had been read. Raises EOFError, and SpeakError for what is no event."""
    try:
        event = await async_read_event(reader)
    except (KeyError, TypeError, AttributeError) as error:
        raise SpeakError(FailureKind.PROTOCOL, f"what came is no Wyoming event ({error!r}): check the port") from error
    at_ns = now_ns()
    if event is None and reader.at_eof():
        raise EOFError("closed by the server")
    if event is None:
        raise SpeakError(FailureKind.PROTOCOL, "what came is no Wyoming event: check the port")
    return event, at_ns


def _state(exchange: Exchange, said: AudioFormat) -> None:
    """Note the format; the first one holds for the whole answer."""
    found = PcmFormat(said.rate, said.width, said.channels)
    if said.width != SAMPLE_WIDTH:
        message = f"samples of {said.width} bytes cannot be read: let the server send 2 bytes (int16)"
        raise SpeakError(FailureKind.WRONG_FORMAT, message)
    if exchange.stated is not None and exchange.stated != found:
        message = f"the format changes within one answer, from {exchange.stated} to {found}"
        raise SpeakError(FailureKind.PROTOCOL, message)
    exchange.stated = found


def _said(event: Event) -> str:
    code = event.data.get("code")
    return str(event.data.get("text") or "nothing of what went wrong") + (f" ({code})" if code else "")


def _voice(utterance: Utterance) -> SynthesizeVoice | None:
    if utterance.voice is None and utterance.language is None:
        return None
    return SynthesizeVoice(name=utterance.voice, language=utterance.language)


def _parse(url: str) -> tuple[str, int] | str:
    """Host and port, or the path of a Unix socket."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return parts.path
    with contextlib.suppress(ValueError):
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise BenchError(f"{url!r} is no address of a Wyoming server: write tcp://host:port or unix:///path")


async def _connect(url: str, address: tuple[str, int] | str, timeout_s: float) -> Streams:
    try:
        async with asyncio.timeout(min(timeout_s, CONNECT_TIMEOUT_S)):
            if isinstance(address, str):
                return await asyncio.open_unix_connection(address, limit=MAX_LINE_BYTES)
            return await asyncio.open_connection(*address, limit=MAX_LINE_BYTES)
    except (OSError, TimeoutError) as error:
        message = f"cannot connect to {url}: {str(error) or 'it does not answer'}; is the server running?"
        raise SpeakError(FailureKind.UNREACHABLE, message) from error


def _abort(streams: Streams) -> None:
    streams[1].transport.abort()
