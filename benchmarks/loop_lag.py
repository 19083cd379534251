"""How long the server's event loop is ever blocked, under everything that is heavy at once.

    python benchmarks/loop_lag.py [--seconds 10] [--json FILE]

A probe on the server's own loop wakes every millisecond and notes how late it is, while clients stream in all six
formats, fetch whole files, send texts of 100 000 characters and bodies of 1 MB that are refused. A late wake-up is
either a blocked loop or a core that others use; both count.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.targets.connection import Connection, request_head, split_url, with_body
from firstaudio.bench.targets.openai import PATH
from firstaudio.bench.targets.wire import Limits
from firstaudio.cli.main import main as firstaudio
from firstaudio.clock import now_ns
from firstaudio.server.service import Service
from report import Report, arguments, quiet
from serve import serve

PROBE_S = 0.001
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
OUT = "LOOP_LAG_FILE"
ENOUGH = Limits(body=2_000_000)
TEXT = "A sentence that is spoken while many others are, and while long ones wait. " * 14


def serve_with_probe() -> None:
    """The server, with a probe on its loop that writes how late it was to a file at the end."""
    lags_ms: list[float] = []
    start = Service._start

    async def probe() -> None:
        await asyncio.sleep(0.5)  # until it says that it is ready the server collects garbage, on purpose
        while True:
            begin = now_ns()
            await asyncio.sleep(PROBE_S)
            lags_ms.append((now_ns() - begin) / 1e6 - PROBE_S * 1e3)

    async def started(self: Service) -> None:
        await start(self)
        self.probe = asyncio.create_task(probe())  # type: ignore[attr-defined]

    Service._start = started  # type: ignore[method-assign]
    try:
        firstaudio()
    finally:
        Path(os.environ[OUT]).write_text(json.dumps(lags_ms))


async def until(seconds: float, url: str, **fields: Any) -> int:
    """Ask for the same again and again, hanging up on long answers; the number of answers."""
    origin, _ = split_url(url)
    head = request_head("POST", PATH, origin, {"Content-Type": "application/json"})
    request, connection = with_body(head, json.dumps(fields).encode()), Connection(origin, ENOUGH)
    end, answers = asyncio.get_running_loop().time() + seconds, 0
    while asyncio.get_running_loop().time() < end:
        try:
            await connection.send(request, Exchange())
        except SpeakError as error:
            if error.failure.kind not in (FailureKind.ENDLESS, FailureKind.DISCONNECTED):
                raise
        answers += 1
    connection.close()
    return answers


async def load(url: str, seconds: float) -> int:
    streams = [until(seconds, url, input=TEXT, response_format=name) for name in FORMATS for _ in range(4)]
    whole = [until(seconds, url, input=TEXT, response_format=name, stream=False) for name in FORMATS]
    long = [until(seconds, url, input=TEXT * 90, response_format="pcm")]
    refused = [until(seconds, url, input="x" * 1_000_000), until(seconds, url, input=["x"] * 250_000)]
    return sum(await asyncio.gather(*streams, *whole, *long, *refused))


def run(seconds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[OUT] = str(Path(folder) / "lags.json")
        with serve("--max-input-chars", "100000", script=Path(__file__)) as server:
            answers = asyncio.run(load(server.url, seconds))
        lags = json.loads(Path(os.environ[OUT]).read_text())
    return {
        "answers": answers,
        "probes": len(lags),
        "late p50 ms": float(np.median(lags)),
        "late p99 ms": float(np.percentile(lags, 99)),
        "late p99.9 ms": float(np.percentile(lags, 99.9)),
        "latest ms": max(lags),
    }


def main() -> None:
    options = arguments(__doc__, seconds=10)
    result, others = quiet(lambda: run(options.seconds))
    report = Report("event loop lag under heavy mixed load", others)
    report.rows([result])
    report.save(options.json, result)


if __name__ == "__main__":
    serve_with_probe() if "serve" in sys.argv[1:2] else main()
