"""A client's kept connection to an HTTP server: where it is, how it is reached, and what to say when it cannot be.

Proxies are not used and redirects not followed: either would be measured along.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, urlsplit

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.targets.wire import DEFAULT_LIMITS, Limits, Wire
from firstaudio.clock import NS_PER_MS, now_ns
from firstaudio.errors import BenchError

PORTS = {"http": 80, "https": 443}
STALE_NS = 10 * NS_PER_MS  # at least: that a kept connection is gone is told within a round trip
PATH_SAFE = "/%:@!$&'()*+,;=~?[]"  # what may stand in a request target as it is


@dataclass(frozen=True, slots=True)
class Origin:
    """A server.

    Attributes:
        host: Name or address, IPv6 without brackets.
        port: TCP.
        tls: Whether it speaks TLS.
        verify_tls: Whether its certificate is checked.
    """

    host: str
    port: int
    tls: bool = False
    verify_tls: bool = True

    @property
    def authority(self) -> str:
        """As in a URL and in the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Without a path."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def split_url(url: str, verify_tls: bool = True) -> tuple[Origin, str]:
    """The server and the request target (path and query as written, "" if there is none) of an HTTP URL.

    Raises:
        BenchError: It is none.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except ValueError as error:
        raise BenchError(f"{url!r} is no URL ({error}): write it as http://host:port") from error
    if parts.scheme not in PORTS or not host:
        raise BenchError(f"{url!r} is no HTTP URL: write it as http://host:port or https://host")
    if parts.username or parts.password:
        raise BenchError("the URL holds a user name or password: state a token or a header instead")
    origin = Origin(host, port or PORTS[parts.scheme], parts.scheme == "https", verify_tls)
    return origin, parts.path + (f"?{parts.query}" if parts.query else "")


def escaped(target: str) -> str:
    """A request target as it may stand in a request line."""
    return quote(target, safe=PATH_SAFE) or "/"


@cache
def tls_context(verify: bool) -> ssl.SSLContext:
    """Made once: reading the certificate authorities takes tens of milliseconds."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def request_head(method: str, target: str, origin: Origin, headers: Mapping[str, str]) -> bytes:
    """Request line and header fields, without the length of the body and the empty line.

    Raises:
        BenchError: A header or the method cannot be sent as it is.
    """
    fields = {"Host": origin.authority, "Accept-Encoding": "identity", "User-Agent": "firstaudio-bench", **headers}
    lines = [f"{method} {escaped(target)} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    for line in lines:
        if not line.isprintable() or not line.isascii():
            name = line.partition(":")[0]
            raise BenchError(f"the header {name!r} holds characters that HTTP cannot carry: remove them")
    return "\r\n".join(lines).encode("ascii")


def with_body(head: bytes, body: bytes | None) -> bytes:
    """A whole request."""
    if body is None:
        return head + b"\r\n\r\n"
    return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


class Connection:
    """One client's connection; connects when it must.

    Args:
        origin: Where to.
        limits: Of every answer.
        keep: Whether the connection is kept for the next request.
    """

    def __init__(self, origin: Origin, limits: Limits = DEFAULT_LIMITS, keep: bool = True) -> None:
        self.origin = origin
        self._limits = limits
        self._keep = keep
        self._wire: Wire | None = None
        self._stale_ns = STALE_NS

    async def connect(self) -> Wire:
        """Connect now.

        Raises:
            SpeakError: Unreachable; what answers does not speak TLS; its certificate is not trusted.
        """
        origin = self.origin
        tls = tls_context(origin.verify_tls) if origin.tls else None
        loop = asyncio.get_running_loop()
        began_ns = now_ns()
        try:
            _, self._wire = await loop.create_connection(
                lambda: Wire(origin.url, self._limits), origin.host, origin.port, ssl=tls
            )
        except (OSError, UnicodeError, ExceptionGroup) as error:
            raise unreachable(origin, error) from error
        self._stale_ns = max(STALE_NS, 2 * (now_ns() - began_ns))
        return self._wire

    async def send(self, request: bytes, exchange: Exchange) -> None:
        """Send a whole request and fill the exchange, whatever the status of the answer.

        A kept connection may have been closed by the server at the very moment; then the request is sent once more,
        over a new one, which shows as `connected_ns`. What is closed later than that takes to be known (twice the time
        of connecting, or `STALE_NS`) is a failure: the server may have begun to answer.

        Raises:
            SpeakError: Unreachable, or no complete answer.
        """
        reused = self._wire is not None and self._wire.usable
        wire = self._wire if reused and self._wire is not None else await self._connect_for(exchange)
        try:
            await wire.send(request, exchange)
        except SpeakError as error:
            if not (reused and error.failure.kind is FailureKind.DISCONNECTED and wire.stale(exchange, self._stale_ns)):
                raise
            await (await self._connect_for(exchange)).send(request, exchange)
        finally:
            if not self._keep:
                self.close()

    def close(self) -> None:
        """Close at once; idempotent."""
        if self._wire is not None:
            self._wire.drop()
            self._wire = None

    async def _connect_for(self, exchange: Exchange) -> Wire:
        wire = await self.connect()
        exchange.connected_ns = now_ns()
        return wire


def unreachable(origin: Origin, error: Exception) -> SpeakError:
    """Why no connection could be made, and what to do."""
    return SpeakError(FailureKind.UNREACHABLE, f"cannot connect to {origin.url}: {_reason(origin, error)}")


def _reason(origin: Origin, error: BaseException) -> str:
    if isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        return f"its certificate is not trusted ({why}): mend it, or switch the checking of certificates off"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS ({error.reason}): write http:// instead of https://"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"there is no host {origin.host!r}: correct the URL"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: start the server or correct the URL"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{said}: start the server or correct the URL"


async def fetch(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = 10.0,
    verify_tls: bool = True,
) -> tuple[int, dict[str, str], bytes]:
    """Status, header fields (names in lower case) and body of one answer, whatever its status.

    Raises:
        SpeakError: There was no complete answer in time.
        BenchError: The URL or a header is none.
    """
    origin, target = split_url(url, verify_tls)
    request = with_body(request_head(method, target, origin, headers or {}), body)
    connection, exchange = Connection(origin, keep=False), Exchange()
    try:
        async with asyncio.timeout(timeout_s):
            await connection.send(request, exchange)
    except TimeoutError:
        raise SpeakError(FailureKind.TIMEOUT, f"{url} did not answer within {timeout_s:g} s") from None
    assert exchange.status is not None
    return exchange.status, exchange.headers, b"".join(exchange.pieces)
