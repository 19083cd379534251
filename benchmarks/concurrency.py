"""Many listeners at once: TTFA and stalls, load generator on the same machine.

    python benchmarks/concurrency.py [--streams 64] [--listeners 6] [--rounds N] [--json FILE]

1. espeak: `--streams` clients, one warm connection each, each `--rounds` requests of 500 characters, read as fast as
   they come: starts staggered over one second, and all at the same moment (the median of five such bursts).
2. synthetic engine at RTF 0.3 on two lanes: `--listeners` clients who start together, against the scheduler
   (earliest playback deadline first) and, interleaved with it, a server that runs whole requests in order of arrival.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from client import Connection, Response
from firstaudio.audio.playback import preroll_needed_ns
from report import Report, arguments, quiet
from serve import serve

RATE = 24_000
WORDS = ["deadline", "listener", "buffer", "chunk", "stream", "voice", "server", "engine", "clause", "margin"]
SYNTHETIC = (
    *("--engine-names", "synthetic", "--engine-default-voice", "default", "--synthetic-rtf", "0.3"),
    *("--synthetic-capacity", "2", "--synthetic-ttfa-ms", "30", "--synthetic-step-ms", "100"),
)
ARRIVAL_ORDER = Path(__file__).with_name("arrival_order_server.py")


def text_of(length: int, seed: int) -> str:
    """Sentences of seeded words, exactly `length` characters."""
    draw = np.random.default_rng(seed)
    text = ""
    while len(text) < length:
        text += " ".join(draw.choice(WORDS, size=draw.integers(5, 12))).capitalize() + ", and so on. "
    return text[: length - 1] + "."


def preroll_ms(response: Response) -> float:
    durations = [size * 1_000_000_000 // (2 * RATE) for size in response.sizes]
    return preroll_needed_ns(response.arrivals_ns, durations) / 1e6


async def client(connection: Connection, texts: list[str], delay_s: float, voice: str) -> list[Response]:
    await asyncio.sleep(delay_s)
    request = {"voice": voice, "response_format": "pcm", "keep_body": False}
    return [await connection.speech(input=text, **request) for text in texts]


async def load(url: str, clients: int, rounds: int, stagger_s: float, chars: int, voice: str) -> list[Response]:
    texts = [[text_of(chars, seed=n * 1000 + turn) for turn in range(rounds)] for n in range(clients)]
    connections = [Connection(url) for _ in range(clients)]
    await asyncio.gather(*(connection.open() for connection in connections))
    gc.collect()
    gc.freeze()
    batches = await asyncio.gather(
        *(client(connection, texts[n], stagger_s * n / clients, voice) for n, connection in enumerate(connections))
    )
    await asyncio.gather(*(connection.close() for connection in connections))
    return [response for batch in batches for response in batch]


def summary(responses: list[Response]) -> dict[str, Any]:
    good = [r for r in responses if r.status == 200 and r.complete]
    ttfa = [r.ttfb_ms for r in good]
    prerolls = [preroll_ms(r) for r in good]
    return {
        "requests": len(responses),
        "failed": len(responses) - len(good),
        "TTFA p50 ms": float(np.median(ttfa)),
        "TTFA p95 ms": float(np.percentile(ttfa, 95)),
        "TTFA max ms": max(ttfa),
        "stalled": sum(p > 0 for p in prerolls),
        "stall mean ms": statistics.mean(prerolls),
        "stall max ms": max(prerolls),
        "audio s": sum(sum(r.sizes) for r in good) / 2 / RATE,
    }


def run(streams: int, listeners: int, rounds: int) -> dict[str, Any]:
    with serve() as server:
        asyncio.run(load(server.url, 4, 2, 0.1, 200, "af_heart"))
        espeak = summary(asyncio.run(load(server.url, streams, rounds, 1.0, 500, "af_heart")))
        bursts = [summary(asyncio.run(load(server.url, streams, 1, 0.0, 500, "af_heart"))) for _ in range(5)]
    orders: dict[str, list[Response]] = {"earliest deadline": [], "order of arrival": []}
    with serve(*SYNTHETIC) as ours, serve(*SYNTHETIC, script=ARRIVAL_ORDER) as theirs:
        for turn in ("earliest deadline", "order of arrival", "order of arrival", "earliest deadline"):
            url = (ours if turn == "earliest deadline" else theirs).url
            orders[turn] += asyncio.run(load(url, listeners, 1, 0.0, 200, "default"))
    return {
        "espeak": [
            {"starts": "staggered", **espeak},
            {"starts": "same moment", **sorted(bursts, key=lambda burst: burst["TTFA p95 ms"])[2]},
        ],
        "synthetic": [{"order": order, **summary(responses)} for order, responses in orders.items()],
    }


def main() -> None:
    options = arguments(__doc__, streams=64, listeners=6, rounds=3)
    result, others = quiet(lambda: run(options.streams, options.listeners, options.rounds))
    Report(f"espeak, {options.streams} concurrent streams of 500 characters", others).rows(result["espeak"])
    report = Report(f"synthetic engine, RTF 0.3, two lanes, {options.listeners} listeners", others)
    report.rows(result["synthetic"])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
