"""Servers on loopback that send exactly the bytes that a test states."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def loads_begin_soon(young_garbage: None) -> None:
    """For all tests of the harness."""


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def request(self) -> Request:
        """The next request; raises IncompleteReadError when the client has gone."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = first.split(" ")
        return Request(method, target, headers, body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Until the client has closed."""
        await self._reader.read()


Handler = Callable[[Peer], Awaitable[None]]
Answer = Callable[[Request], bytes]


class Loopback:
    """Starts servers; each connection is given to a handler and closed when that returns."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.num_connections = 0

    async def start(self, handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> str:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.add(asyncio.current_task())
            self.num_connections += 1
            try:
                await handler(Peer(reader, writer))
            except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                pass  # the client has gone, or the test is over
            finally:
                writer.close()

        server = await asyncio.start_server(connected, host, 0, ssl=tls)
        self._servers.append(server)
        name = f"[{host}]" if ":" in host else host
        return f"http{'s' if tls else ''}://{name}:{server.sockets[0].getsockname()[1]}"

    async def answer(self, answer: Answer) -> str:
        """A server that answers each request by a function, on connections that it keeps."""

        async def handler(peer: Peer) -> None:
            while True:
                await peer.send(answer(await peer.request()))

        return await self.start(handler)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def loopback() -> AsyncIterator[Loopback]:
    servers = Loopback()
    yield servers
    await servers.close()
