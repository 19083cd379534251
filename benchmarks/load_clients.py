"""What a load client itself costs: the harness's own HTTP client against aiohttp with a warm pool, both on uvloop.

    python benchmarks/load_clients.py [--rounds N] [--json FILE]

Both ask the same reference server, level by level in turn. "null": it answers at once, so that a closed loop of many
clients keeps both sides busy all the time, and the figure is mostly waiting in line. "paced": it answers after a stated
time, as a speech server does, and the figure is what arrives later than that: client and server together.
Latency is first body byte minus sent, by the stamps that each client allows: ours has them in the transport's
callback and before the write, aiohttp where its caller gets a piece and makes a request. A client that is the
bottleneck itself looks good on "null": its requests wait in it before they are stamped. The processor time that it
takes for each request tells.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import numpy as np
import uvloop

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.reference.running import running
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.http import make_http_target
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from report import Report, arguments, quiet

LEVELS = (1, 16, 64, 256)
PACED_MS = 250.0
MIN_REQUESTS = {"null": 400, "paced": 16}
PER_CLIENT = 8
STAGGER_S = 0.25
TEXT = "A short text, of which there is nothing to say."


class Round(NamedTuple):
    """Latencies in ns, requests per second, and the client's processor time for each request in us."""

    latencies: list[int]
    rate_per_s: float
    cpu_us: float


Speak = Callable[[], Awaitable[int]]
Opened = tuple[Speak, Callable[[], Awaitable[None]]]


async def ours(url: str) -> Opened:
    """One client of the harness; `speak` gives first byte minus sent in ns."""
    channel = await make_http_target(TargetSpec("openai", url)).open()

    async def speak() -> int:
        exchange = Exchange()
        await channel.speak(Utterance(TEXT), exchange)
        assert exchange.sent_ns
        return exchange.arrivals_ns[0] - exchange.sent_ns

    return speak, channel.close


async def pooled(url: str) -> Opened:
    """The same with aiohttp."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), auto_decompress=False)
    body = json.dumps({"model": "tts-1", "input": TEXT, "response_format": "wav"}).encode()
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}

    async def speak() -> int:
        sent_ns = now_ns()
        async with session.post(f"{url}/v1/audio/speech", data=body, headers=headers) as response:
            assert response.status == 200
            await response.content.readany()
            first_ns = now_ns()
            kept = [piece async for piece in response.content.iter_any()]  # as the harness keeps what arrives
        del kept
        return first_ns - sent_ns

    return speak, session.close


CLIENTS = {"raw asyncio": ours, "aiohttp": pooled}


async def load(make: Callable[[str], Awaitable[Opened]], url: str, level: int, kind: str) -> Round:
    """A closed loop; each client's first request warms it up."""
    latencies: list[int] = []
    opened = [await make(url) for _ in range(level)]
    per_client = max(PER_CLIENT, MIN_REQUESTS[kind] // level)

    async def client(number: int, speak: Speak) -> None:
        await asyncio.sleep(STAGGER_S * number / level)
        await speak()
        for _ in range(per_client):
            latencies.append(await speak())  # noqa: PERF401 (rows of all clients in one list)

    gc.collect()
    gc.freeze()
    begin, begin_cpu_s = now_ns(), time.thread_time()
    await asyncio.gather(*(client(number, speak) for number, (speak, _) in enumerate(opened)))
    took_s, cpu_s = (now_ns() - begin) / 1e9, time.thread_time() - begin_cpu_s
    gc.unfreeze()
    for _, close in opened:
        await close()
    num_requests = len(latencies) + level
    return Round(latencies, num_requests / took_s, cpu_s / num_requests * 1e6)


def run(rounds: int) -> dict[str, Any]:
    found: dict[tuple[str, int, str], list[Round]] = {}
    with running(ttfa_ms=0, rtf=0) as null, running(ttfa_ms=PACED_MS, rtf=0) as paced:
        for number in range(rounds):
            for kind, server in (("null", null), ("paced", paced)):
                for level in LEVELS:
                    for name in list(CLIENTS)[:: 1 if number % 2 == 0 else -1]:
                        measured = uvloop.run(load(CLIENTS[name], server.url, level, kind))
                        found.setdefault((kind, level, name), []).append(measured)
    return {"rows": [row(*key, rounds_of) for key, rounds_of in sorted(found.items())]}


def row(kind: str, level: int, name: str, rounds: list[Round]) -> dict[str, Any]:
    stated_ms = PACED_MS if kind == "paced" else 0.0
    latencies_ms = np.concatenate([np.array(latencies) for latencies, _, _ in rounds]) / 1e6 - stated_ms
    p50, p99 = np.quantile(latencies_ms, (0.5, 0.99))
    return {
        "server": kind,
        "clients": level,
        "client": name,
        "n": len(latencies_ms),
        "p50 ms": float(p50),
        "p99 ms": float(p99) if len(latencies_ms) >= 368 else "n/a (needs 368)",
        "requests/s": float(np.median([one.rate_per_s for one in rounds])),
        "client CPU us/request": float(np.median([one.cpu_us for one in rounds])),
    }


def main() -> None:
    options = arguments(__doc__, rounds=6)
    result, others = quiet(lambda: run(options.rounds))
    report = Report("load clients: first byte - sent, beyond what the server states", others)
    report.rows(result["rows"])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
