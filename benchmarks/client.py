"""A lean HTTP/1.1 client on raw asyncio streams: it stamps every piece of a body as it arrives."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

READ_BYTES = 65536


@dataclass(slots=True)
class Response:
    """One response with its arrivals.

    Attributes:
        sent_ns: Just before the request was written, so that no part of the answer can be missed.
        arrivals_ns: When each piece of the body arrived.
        sizes: Bytes of each piece.
        complete: Whether the body ended as HTTP says it should.
    """

    status: int
    headers: dict[str, str]
    sent_ns: int
    arrivals_ns: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    @property
    def ttfb_ms(self) -> float:
        return (self.arrivals_ns[0] - self.sent_ns) / 1e6


class Connection:
    """One kept-alive connection to a server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._host, self._port = parts.hostname, parts.port or 80
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, slow: bool = False) -> None:
        sock = socket.create_connection((self._host, self._port))
        if slow:  # or the kernel reads ahead for us by megabytes
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        limit = 16384 if slow else 1 << 20
        self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=limit)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def speech(
        self,
        read_delay_s: float = 0.0,
        keep_body: bool = True,
        max_bytes: int | None = None,
        **request: Any,
    ) -> Response:
        """POST /v1/audio/speech.

        Args:
            read_delay_s: Pause after each piece: a slow reader. Its socket buffer is kept small.
            keep_body: Whether to keep the bytes and not only their sizes.
            max_bytes: Hang up when this much has arrived.
            request: Fields of the JSON body.
        """
        body = json.dumps(request).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        if self._writer is None or self._writer.is_closing():
            await self.open(slow=read_delay_s > 0)
        assert self._reader is not None
        assert self._writer is not None
        # Before the write, not after it: the server may run, and answer, before the write returns.
        sent_ns = time.perf_counter_ns()
        self._writer.write(message)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:] if line)}
        response = Response(int(lines[0].split()[1]), headers, sent_ns)
        try:
            async for piece in self._pieces(headers):
                response.arrivals_ns.append(time.perf_counter_ns())
                response.sizes.append(len(piece))
                if keep_body:
                    response.body += piece
                if max_bytes is not None and sum(response.sizes) >= max_bytes:
                    await self.close()
                    return response
                if read_delay_s:
                    await asyncio.sleep(read_delay_s)
            response.complete = True
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.close()
        return response

    async def _pieces(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        """Pieces of the body as they arrive: HTTP chunks, or whatever one read gives."""
        assert self._reader is not None
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                yield (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
            return
        left = int(headers.get("content-length", 0))
        while left:
            data = await self._reader.read(min(left, READ_BYTES))
            if not data:
                raise ConnectionError
            left -= len(data)
            yield data
