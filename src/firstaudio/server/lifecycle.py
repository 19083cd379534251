"""Running the server as a process: listen, start, drain, exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from firstaudio.config import Config
from firstaudio.server import logs
from firstaudio.server.app import create_app
from firstaudio.server.service import Service
from firstaudio.synthesis.narration import narrated

EXIT_OK = 0
EXIT_CANNOT_START = 3

BACKLOG = 2048
# Longer than the pauses in a conversation: a new connection would cost its first words a round trip.
KEEP_ALIVE_S = 75
# For the last bytes of a stream that the drain has just ended.
CLOSING_MARGIN_S = 1.0

logger = logging.getLogger(__name__)


def run_server(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; blocks.

    The first signal stops accepting, lets running streams finish for `server.drain_timeout_s`, then cancels them.
    A second one cancels them at once.

    Returns:
        Exit code: 0 after a signal, 3 when the server could not start; stderr says why.

    Raises:
        ConfigError: The configuration names an engine that does not exist.
    """
    logs.set_up(config.server.log_level, config.server.log_format)
    say = partial(logs.say, log_format=config.server.log_format)
    app = create_app(config)
    try:
        listener = listen(config.server.host, config.server.port)
    except OSError as error:
        where = f"{config.server.host}:{config.server.port}"
        say(f"cannot listen on {where}: {error.strerror or error}; free it, or choose others with --host and --port")
        return EXIT_CANNOT_START
    server = SpeechServer(app, config, url_of(listener))
    server.run(sockets=[listener])
    return server.exit_code


def listen(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 takes a free one. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # Accepted sockets inherit the protocol, and asyncio sets TCP_NODELAY only where it says TCP.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """Where clients on this machine find `listener`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class SpeechServer(uvicorn.Server):
    """uvicorn, with our own start, drain and exit code.

    Args:
        app: From `create_app`.
        config: The same configuration.
        url: For the line that says the server is ready.
    """

    def __init__(self, app: FastAPI, config: Config, url: str) -> None:
        self.exit_code = EXIT_OK
        self._app, self._url = app, url
        app.state.url = url
        self._say = partial(logs.say, log_format=config.server.log_format)
        self._drain_s = config.server.drain_timeout_s
        self._narration: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop" if sys.platform != "win32" else "asyncio",
                http="httptools",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # anyone could send X-Forwarded-For, and nothing here asks who the client is
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                # A safety net behind the synthesizer's own drain; uvicorn's annotation says int, its use is a float.
                timeout_graceful_shutdown=self._drain_s + CLOSING_MARGIN_S,  # type: ignore[arg-type]
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections; the engines go on starting behind them."""
        await super().startup(sockets)
        if self.started:
            self._service.startup.add_done_callback(self._announce)
            self._narration = asyncio.create_task(self._narrate(), name="tell of the start until it ends")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain: new streams are refused while running ones finish."""
        closing = asyncio.create_task(self._service.close(self._drain_s))
        await super().shutdown(sockets)
        if self.force_exit:
            await self._service.synthesizer.close()  # ends the streams that `closing` still waits for
            await self.lifespan.shutdown()  # uvicorn leaves it out, and it would die with a traceback
        await closing
        if self._narration is not None:
            await asyncio.wait([self._narration])  # it ends with the start, which `closing` has waited for

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (a signal handler's signature)
        """First signal: drain. Second: stop now."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while serving. uvicorn raises them again afterwards, which would spoil the exit code."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    @property
    def _service(self) -> Service:
        service: Service = self._app.state.service
        return service

    async def _narrate(self) -> None:
        """Say what the start is doing when it is not quick."""
        service = self._service
        async with narrated(lambda: service.synthesizer.readiness, self._say):
            await asyncio.wait([service.startup])

    def _announce(self, _: asyncio.Task[None]) -> None:
        """Say that the engines are ready, or end the process because they never will be."""
        if self._service.failure is not None:
            self._say(f"cannot start: {self._service.failure}")
            self.exit_code = EXIT_CANNOT_START
            self.should_exit = True
        elif not self.should_exit:
            _freeze()
            self._say(f"ready on {self._url}")
            self._tell_of_absent_engines()

    def _tell_of_absent_engines(self) -> None:
        """Say which engines do not speak yet, or never will, though others do."""
        synthesizer = self._service.synthesizer
        states = {status.state for status in synthesizer.engine_statuses()}
        if states != {"ready"}:
            self._say(synthesizer.readiness.message)
        if "starting" in states:
            self._service.settled.add_done_callback(lambda _: _freeze())


def _freeze() -> None:
    """Let what is here stay: later collections, and their pauses, need not look at it."""
    gc.collect()
    gc.freeze()
