"""The ASGI responses that speak: audio as it is made, or the whole of it at once.

Both hold to four rules. The headers leave with the first audio, so a failure before it has a true status. A client
that goes away ends the stream at once. A failure after the first audio never looks like a clean end. Whatever happens,
the stream is closed when the response ends.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, BinaryIO
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from firstaudio.audio.encode import Encoder
from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.errors import EmptyTextError, EngineError, FirstaudioError, NotReadyError
from firstaudio.server import logs
from firstaudio.server.framing import Framing
from firstaudio.server.spool import Spool
from firstaudio.synthesis.stream import SpeechStream
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]

READ_BYTES = 262_144
MAX_NAMED_FIELDS = 20


class SpeechResponse(Response, ABC):
    """Base: owns the stream, and delivers until all is said, something fails, or nobody listens.

    Args:
        stream: Begun and unread; this response closes it.
        media_type: Of the body.
        sample_rate: Of the audio that is sent, in Hz.
        ignored_fields: Fields of the request that have no effect.
    """

    def __init__(self, stream: SpeechStream, media_type: str, sample_rate: int, ignored_fields: Sequence[str]) -> None:
        super().__init__()
        self._stream, self._trace = stream, stream.trace
        self._own_headers: Headers = [
            (b"content-type", media_type.encode("latin-1")),
            (b"cache-control", b"no-store, no-transform"),
            (b"x-accel-buffering", b"no"),  # nginx would hold the audio back
            (b"x-sample-rate", str(sample_rate).encode()),
        ]
        if ignored_fields:
            names = ", ".join(quote(name[:64]) for name in ignored_fields[:MAX_NAMED_FIELDS])
            self._own_headers.append((b"x-ignored-fields", names.encode("ascii")))
        self.raw_headers = self._own_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's signature)
        """Deliver. Raises FirstaudioError only before the first byte."""
        delivery = asyncio.create_task(self._deliver(send))
        departure = asyncio.create_task(_departure(receive))
        try:
            await asyncio.wait((delivery, departure), return_when=asyncio.FIRST_COMPLETED)
        finally:
            departure.cancel()
            delivery.cancel()
            await asyncio.wait((delivery, departure))
            await self._stream.aclose()
            self._release()
            self._log()
        if not delivery.cancelled():
            delivery.result()

    @abstractmethod
    async def _deliver(self, send: Send) -> None:
        """Send headers and body."""

    def _release(self) -> None:
        """Free what delivery held; it has ended."""

    def _check_complete(self, num_samples: int) -> None:
        """Raise unless the stream ended because everything was said, and was audible."""
        if self._trace.outcome == "cancelled":
            raise NotReadyError("the server is shutting down and broke the speech off; try again shortly")
        if not num_samples:
            raise EmptyTextError("the text holds nothing that can be spoken; send at least one word", param="input")

    async def _start(self, send: Send, extra: Headers | None = None) -> None:
        timing = (b"server-timing", server_timing(self._trace))
        headers = [*self._own_headers, *self._speakers(), timing, *(extra or [])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    def _speakers(self) -> Headers:
        """Who speaks and what runs: settled only when the first audio is there."""
        stream, trace = self._stream, self._trace
        headers = [
            (b"x-engine", _header(stream.engine)),
            (b"x-voice", _header(stream.voice)),
            (b"x-language", _header(stream.language)),
        ]
        told = ((b"x-runtime", trace.runtime), (b"x-decode", trace.decode), (b"x-warmth", trace.warmth))
        headers += [(name, _header(value)) for name, value in told if value]
        if trace.failover is not None:
            headers.append((b"x-failover", trace.failover.encode("ascii")))  # encoded where it was made
        return headers

    async def _send(self, send: Send, message: Message, audio_ns: int = 0) -> None:
        """Hand bytes with so much audio to the transport; waits while the client reads too slowly."""
        begin_ns = self._trace.clock()
        try:
            await send(message)
        finally:
            self._trace.handed_over(begin_ns, self._stream.idle_since_ns)
        self._trace.sent(audio_ns)

    def _log(self) -> None:
        trace = self._trace
        logger.log(
            logging.DEBUG if trace.origin == "warmup" else logging.INFO,
            "speech outcome=%s engine=%s voice=%s characters=%d audio_s=%.3f ttfa_ms=%s rtf=%s%s id=%s",
            trace.outcome,
            trace.engine,
            trace.voice,
            trace.num_characters,
            trace.audio_s,
            "-" if trace.ttfa_ms is None else f"{trace.ttfa_ms:.1f}",
            "-" if trace.rtf is None else f"{trace.rtf:.4f}",
            "".join(f" {name}={value}" for name, value in _what_ran(trace) if value),
            trace.request_id,
            extra=_facts(trace),
        )


class StreamedResponse(SpeechResponse):
    """Sends every chunk when it is made.

    Args:
        stream: As for the base.
        encoder: Fresh, for PCM at the stream's rate.
        framing: Audio or events.
        ignored_fields: As for the base.
    """

    def __init__(
        self, stream: SpeechStream, encoder: Encoder, framing: Framing, ignored_fields: Sequence[str] = ()
    ) -> None:
        super().__init__(stream, framing.media_type, encoder.output_rate, ignored_fields)
        stream.hold()
        self._encoder, self._framing = encoder, framing
        self._started = False
        self._held_ns = 0

    async def _deliver(self, send: Send) -> None:
        try:
            await self._speak(send)
        except Exception as error:  # the boundary of this task: from here on only the body can tell
            if not self._started:
                raise
            await self._fail(send, error)

    def _release(self) -> None:
        self._encoder.close()

    async def _speak(self, send: Send) -> None:
        num_samples = 0
        async for chunk in self._stream:
            num_samples += chunk.num_samples
            with self._trace.stage("audio_conversion"):
                data = self._framing.audio(self._encoder.push(chunk.as_int16()), chunk.words)
            await self._body(send, data, round(chunk.duration_s * NS_PER_S))
        self._check_complete(num_samples)
        with self._trace.stage("audio_conversion"):
            tail = self._framing.audio(self._encoder.finish(), ())
        tail += self._framing.end(num_samples / self._stream.sample_rate)
        if not self._trace.sent_audio_ns:  # the last bytes hold the first audio
            await self._body(send, tail)
            tail = b""
        await self._send(send, {"type": "http.response.body", "body": tail, "more_body": False})
        self._stream.delivered()

    async def _body(self, send: Send, data: bytes, audio_ns: int = 0) -> None:
        self._held_ns += audio_ns  # by the encoder, until bytes leave that hold audio
        if not data:
            return
        if not self._started:
            await self._start(send)
            self._started = True
        if self._encoder.has_audio:
            audio_ns, self._held_ns = self._held_ns, 0
        else:
            audio_ns = 0
        await self._send(send, {"type": "http.response.body", "body": data, "more_body": True}, audio_ns)

    async def _fail(self, send: Send, error: Exception) -> None:
        """Tell the client in the body, or else by a body without an end.

        The protocol server closes the connection of a response that returns before its end, and the client knows that
        it did not get everything.
        """
        if not isinstance(error, FirstaudioError):
            logger.error("unexpected failure after the first audio id=%s", self._trace.request_id, exc_info=error)
            error = EngineError("the server made a mistake in the middle of the speech")
        else:
            logger.warning("failed after the first audio: %s id=%s", error.message, self._trace.request_id)
        self._stream.broken(error)
        data = self._framing.failure(error)
        if data is not None:
            await send({"type": "http.response.body", "body": data, "more_body": False})


class WholeResponse(SpeechResponse):
    """Encodes everything to a temporary file, then sends it with its length.

    Args:
        stream: As for the base.
        spool: Fresh, for PCM at the stream's rate.
        media_type: Of the audio.
        sample_rate: Of the encoded audio, in Hz.
        ignored_fields: As for the base.
    """

    def __init__(
        self,
        stream: SpeechStream,
        spool: Spool,
        media_type: str,
        sample_rate: int,
        ignored_fields: Sequence[str] = (),
    ) -> None:
        super().__init__(stream, media_type, sample_rate, ignored_fields)
        self._spool = spool
        stream.hold()

    async def _deliver(self, send: Send) -> None:
        with self._spool as spool:
            async for chunk in self._stream:
                with self._trace.stage("audio_conversion"):
                    await spool.push(chunk.as_int16())
            self._check_complete(spool.num_samples)
            with self._trace.stage("audio_conversion"):
                file, num_bytes = await spool.finish()
            await self._start(send, [(b"content-length", str(num_bytes).encode())])
            await self._copy(send, file, num_bytes, round(spool.num_samples / self._stream.sample_rate * NS_PER_S))
            self._stream.delivered()

    async def _copy(self, send: Send, file: BinaryIO, num_bytes: int, audio_ns: int) -> None:
        """Send the file; it plays when it is there, so its audio counts with its end."""
        for begin in range(0, num_bytes, READ_BYTES):
            data = await asyncio.to_thread(file.read, READ_BYTES)
            more = begin + READ_BYTES < num_bytes
            message = {"type": "http.response.body", "body": data, "more_body": more}
            await self._send(send, message, 0 if more else audio_ns)
            self._trace.first_audio_sent()


def server_timing(trace: Trace) -> bytes:
    """Value of the Server-Timing header: the stages so far, and the time to first audio until now, in ms."""
    parts = [f"{name};dur={ns / NS_PER_MS:.3f}" for name, ns in trace.stages_ns.items()]
    ttfa_ms = (trace.clock() - trace.accepted_ns) / NS_PER_MS
    return ", ".join([*parts, f"ttfa;dur={ttfa_ms:.3f}"]).encode()


def _facts(trace: Trace) -> dict[str, Any]:
    """The same as the line, for a log of JSON objects."""
    return logs.facts(
        "speech",
        outcome=trace.outcome,
        engine=trace.engine,
        voice=trace.voice,
        characters=trace.num_characters,
        audio_s=round(trace.audio_s, 3),
        ttfa_ms=None if trace.ttfa_ms is None else round(trace.ttfa_ms, 1),
        rtf=None if trace.rtf is None else round(trace.rtf, 4),
        **{name: value or None for name, value in _what_ran(trace)},
    )


def _what_ran(trace: Trace) -> tuple[tuple[str, str | None], ...]:
    return ("runtime", trace.runtime), ("decode", trace.decode), ("failover", trace.failover)


async def _departure(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _header(value: str) -> bytes:
    """A value that is safe in a header, whatever a voice is called."""
    return quote(value, safe="!#$&'()*+,/:;=?@[] ~").encode("ascii")
