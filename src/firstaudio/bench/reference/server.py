"""The reference server as a program: listeners on one loop, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict

from firstaudio.bench.reference.alarm import Alarm
from firstaudio.bench.reference.figures import Figures
from firstaudio.bench.reference.http import HttpConnection, as_json
from firstaudio.bench.reference.service import Service
from firstaudio.bench.reference.stage import Stage
from firstaudio.clock import now_ns

BACKLOG = 1024
GC_THRESHOLD = 50_000  # objects; a collection in the middle of an answer would make the truth untrue


async def serve(
    figures: Figures, host: str, port: int, protocols: Sequence[str], tied: bool, ready: Callable[[bytes], None]
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        figures: What is stated.
        host: Address to listen on.
        port: Of HTTP; 0 takes a free one. The other protocols take free ones.
        protocols: Of `figures.PROTOCOLS`.
        tied: Also stop when standard input ends, as it does when the parent process dies.
        ready: Gets one line of JSON as soon as clients can come.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    alarm = Alarm(loop)
    stage = Stage(figures, alarm)
    async with AsyncExitStack() as stack:
        stack.callback(alarm.close)
        urls = await _listen(stack, stage, host, port, protocols)
        _stop_on(loop, stop, tied)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 100)
        started_ns = now_ns()
        if figures.freeze is not None:
            at_s, for_s = figures.freeze
            alarm.at(started_ns + round(at_s * 1e9), lambda: _freeze(stage, for_s))
        ready(as_json({**urls, "pid": os.getpid(), "started_ns": started_ns, "figures": asdict(figures)}) + b"\n")
        await stop.wait()


async def _listen(
    stack: AsyncExitStack, stage: Stage, host: str, port: int, protocols: Sequence[str]
) -> dict[str, str | None]:
    loop = asyncio.get_running_loop()
    urls: dict[str, str | None] = {"url": None, "ws_url": None, "wyoming_url": None}
    if "http" in protocols:
        service = Service(stage, lambda for_s: _freeze(stage, for_s))
        server = await loop.create_server(lambda: HttpConnection(service.handle), host, port, backlog=BACKLOG)
        stack.callback(server.close)
        urls["url"] = f"http://{host}:{server.sockets[0].getsockname()[1]}"
    if "ws" in protocols:
        from firstaudio.bench.reference import websocket

        urls["ws_url"] = f"ws://{host}:{await websocket.listen(stack, stage, host, 0)}"
    if "wyoming" in protocols:
        from firstaudio.bench.reference import wyoming

        urls["wyoming_url"] = f"tcp://{host}:{await wyoming.listen(stack, stage, host, 0)}"
    return urls


def _freeze(stage: Stage, for_s: float) -> None:
    """Stand still: the loop itself sleeps, so nothing is read and nothing leaves."""
    begin_ns = now_ns()
    time.sleep(for_s)
    stage.freezes.append((begin_ns, now_ns()))


def _stop_on(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, tied: bool) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    if tied:
        loop.add_reader(sys.stdin.fileno(), read)
