"""One HTTP/1.1 connection for load: it stamps what arrives in the callback that brings it, and nothing else.

httptools parses; a stamp and a reference are kept for each piece of a body. Every piece of one read has the stamp of
that read. `firstaudio.bench.targets.connection` connects, and connects again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.clock import NS_PER_S, now_ns

TLS_RECORD = (0x14, 0x15, 0x16)  # the first byte of a TLS server that was spoken to in plain text
STALE_S = 0.25  # a connection that the server closed while it was idle is found out within a round trip, however far


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may not exceed, in bytes.

    Attributes:
        head: Status line, header fields and trailers.
        body: Of a successful answer; more than this is an endless stream.
        refusal: Of any other answer: the rest is not read.
    """

    head: int = 64 * 1024
    body: int = 256_000_000
    refusal: int = 64 * 1024


DEFAULT_LIMITS = Limits()


class Wire(asyncio.Protocol):
    """One connection; one exchange at a time.

    Args:
        peer: What messages call the other side.
        limits: Of every answer.
    """

    def __init__(self, peer: str, limits: Limits) -> None:
        self._peer = peer
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._at_ns = 0
        self._begin()

    def _begin(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._received = self._head_bytes = self._body_bytes = 0
        self._body_limit = self._limits.body
        self._until_close = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing() and self._waiter is None

    async def send(self, request: bytes, exchange: Exchange) -> None:
        """Send a whole request and fill the exchange until the end of its answer, whatever its status.

        Anything but a complete answer on a connection that may be kept drops the connection.

        Raises:
            SpeakError: The answer did not come, or not as HTTP.
        """
        assert self._transport is not None
        self._begin()
        self._exchange = exchange
        self._waiter = asyncio.get_running_loop().create_future()
        exchange.sent_ns = now_ns()  # before the write: the server may answer before it returns
        self._transport.write(request)
        complete = False
        try:
            await self._waiter
            complete = True
        finally:
            self._exchange = self._waiter = None
            if not complete:
                self.drop()

    def stale(self, exchange: Exchange, within_ns: int) -> bool:
        """Whether the request of an exchange that failed met a connection which the server had closed before."""
        return self._received == 0 and now_ns() - (exchange.sent_ns or 0) < within_ns

    def drop(self) -> None:
        """Close at once; idempotent."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; event loops have switched Nagle's algorithm off by themselves."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Stamp, then parse."""
        self._at_ns = now_ns()
        if self._exchange is None:  # nobody asked: a farewell, as 408, on an idle connection
            self.drop()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(FailureKind.PROTOCOL, f"{self._peer} wants to speak another protocol (HTTP 101)")
        except httptools.HttpParserError as error:
            self._fail(FailureKind.PROTOCOL, self._not_http(data, error))
        if self._exchange is not None and self._exchange.headers_ns is None and self._received > self._limits.head:
            self._head_too_large()

    def eof_received(self) -> None:
        """A body without a stated length ends here."""
        self._at_ns = now_ns()
        if self._until_close and self._exchange is not None:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that is not complete will never be."""
        self._transport = None
        if self._until_close and exc is None and self._exchange is not None:
            self._at_ns = now_ns()
            self._end()
            return
        reason = f" ({exc})" if exc else ""
        self._fail(FailureKind.DISCONNECTED, f"{self._peer} closed the connection {self._progress()}{reason}")

    # httptools calls these; what they raise, it would wrap.

    def on_message_begin(self) -> None:
        """Forget the interim answer before this one; an answer that nobody asked for ends the connection."""
        self._headers = {}
        if self._exchange is None:
            self.drop()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; fields after the body are trailers, which are only counted."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.head:
            self._head_too_large()
        if self._exchange is not None and self._exchange.headers_ns is None:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Keep the head of a final answer."""
        self._status = self._parser.get_status_code()
        if self._exchange is None or self._status < 200:
            return
        exchange, headers = self._exchange, self._headers
        exchange.status, exchange.headers, exchange.headers_ns = self._status, headers, self._at_ns
        chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
        self._until_close = not chunked and "content-length" not in headers and self._status not in (204, 304)
        if self._status >= 300:
            self._body_limit = self._limits.refusal
        elif headers.get("content-encoding", "identity").lower() != "identity":
            self._fail(FailureKind.PROTOCOL, self._compressed(headers["content-encoding"]))

    def on_body(self, body: bytes) -> None:
        """Keep a piece."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.arrivals_ns.append(self._at_ns)
        exchange.pieces.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > self._body_limit:
            self._too_much()

    def on_message_complete(self) -> None:
        """End the exchange, unless the answer was an interim one."""
        if self._exchange is None or self._status < 200:
            return
        self._end()
        if not self._parser.should_keep_alive():
            self.drop()

    def _end(self) -> None:
        assert self._exchange is not None
        self._exchange.last_byte_ns = self._at_ns
        self._exchange = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: FailureKind, message: str) -> None:
        self._exchange = None
        self.drop()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(SpeakError(kind, message))

    def _too_much(self) -> None:
        if self._status >= 300:  # enough of it is known
            self._end()
            self.drop()
            return
        message = (
            f"{self._peer} sent more than {self._limits.body:,} bytes for one text: the stream seems to be endless"
        )
        self._fail(FailureKind.ENDLESS, message)

    def _head_too_large(self) -> None:
        message = (
            f"{self._peer} sent more than {self._limits.head:,} bytes of header fields: is the URL that of a server?"
        )
        self._fail(FailureKind.PROTOCOL, message)

    def _compressed(self, encoding: str) -> str:
        return f"{self._peer} compressed the audio ({encoding}) although it was asked not to: switch that off there"

    def _not_http(self, data: bytes, error: Exception) -> str:
        if self._received == len(data) and data[0] in TLS_RECORD:
            return f"{self._peer} answered in TLS: write https:// instead of http://"
        if self._status:
            return f"{self._peer} broke off HTTP in the middle of its answer: {error}"
        return f"{self._peer} does not speak HTTP, it began with {data[:20]!r}: correct the URL"

    def _progress(self) -> str:
        if self._received == 0:
            return "without an answer: look into its log"
        if self._body_bytes == 0:
            return "before the body of its answer: look into its log"
        return f"in the middle of its answer, after {self._body_bytes:,} bytes of it: look into its log"


def crossed(exchange: Exchange) -> bool:
    """Whether a connection that is lost now can have been closed before the request of an exchange was there."""
    return now_ns() - (exchange.sent_ns or 0) < STALE_S * NS_PER_S
