"""A real server on a real socket, in a thread, and a plain client that sees every byte."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from firstaudio.config import Config, EngineConfig, ServerConfig, SyntheticConfig
from firstaudio.engines.base import Engine
from firstaudio.server.app import create_app
from firstaudio.server.lifecycle import SpeechServer, listen, url_of
from firstaudio.server.service import Service

TIMEOUT_S = 60.0  # a benchmark program lets all others go first: on a busy machine it takes its time
FAST = SyntheticConfig(ttfa_ms=1.0, rtf=0.0)


def eventually(condition: Callable[[], bool]) -> None:
    """Poll until `condition` holds."""
    until = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < until, f"never became true: {condition}"
        time.sleep(0.005)


@dataclass(frozen=True)
class Reply:
    """A complete HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, after checking that it has OpenAI's shape."""
        assert self.headers["content-type"] == "application/json"
        assert set(self.json) == {"error"}
        assert set(self.json["error"]) == {"message", "type", "param", "code"}
        return self.json["error"]

    @property
    def events(self) -> list[dict[str, Any]]:
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == ""
        return [json.loads(block.removeprefix("data: ")) for block in blocks]


@dataclass
class Running:
    """A running server and ways to talk to it."""

    server: SpeechServer
    service: Service
    host: str
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def request(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        try:
            sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent, encode_chunked=True)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def speak(self, **fields: Any) -> Reply:
        body = json.dumps({"input": "Hello world!"} | fields).encode()
        return self.request("POST", "/v1/audio/speech", body, content_type="application/json")

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT_S)

    def ask(self, version: str = "1.1", /, **fields: Any) -> socket.socket:
        """A connection on which a speech request has been sent and nothing read."""
        body = json.dumps({"input": "Hello world!"} | fields).encode()
        head = f"POST /v1/audio/speech HTTP/{version}\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n"
        connection = self.connect()
        connection.sendall(head.encode() + body)
        return connection


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    data = bytearray()
    while part := connection.recv(65_536):
        data += part
    return bytes(data)


def read_until(connection: socket.socket, ending: bytes) -> bytes:
    data = bytearray()
    while ending not in data:
        part = connection.recv(65_536)
        assert part, f"connection closed before {ending!r}: {bytes(data)!r}"
        data += part
    return bytes(data)


@contextmanager
def run(config: Config, engines: Mapping[str, Engine] | None = None, *, ready: bool = True) -> Iterator[Running]:
    """A server in a thread; waits until its engines are ready, and stops it at the end."""
    listener = listen(config.server.host, 0)
    host, port = listener.getsockname()[:2]
    app = create_app(config, engines)
    server = SpeechServer(app, config, url_of(listener))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive())
        running = Running(server, app.state.service, host, port)
        if ready:
            eventually(running.service.startup.done)
            assert running.service.failure is None
        yield running
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def settings(engine: str = "synthetic", synthetic: SyntheticConfig = FAST, **server: Any) -> Config:
    names = EngineConfig(names=(engine,), default_voice="alloy")
    return Config(server=ServerConfig(**server), engine=names, synthetic=synthetic)


@pytest.fixture(scope="session")
def tools() -> Any:
    """The functions of this file, for tests that start servers of their own."""

    class Tools:
        eventually = staticmethod(eventually)
        read_all = staticmethod(read_all)
        read_until = staticmethod(read_until)
        run = staticmethod(run)
        settings = staticmethod(settings)

    return Tools


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """One server with a fast synthetic engine, for all tests that leave no trace in it."""
    with run(settings()) as running:
        yield running
