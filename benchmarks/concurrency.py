"""Many listeners at once: TTFA and stalls, load generator on the same machine.

    python benchmarks/concurrency.py [--streams 64] [--listeners 6] [--rounds N] [--json FILE]

1. espeak: requests of 500 characters over `--streams` warm connections, read as fast as they come: `--rounds` times
   `--streams` of them, sent evenly over one second, and `--rounds` bursts of `--streams` at the same moment.
2. synthetic engine at RTF 0.3 on two lanes: `--listeners` clients who start together, against the scheduler
   (earliest playback deadline first) and, interleaved with it, a server that runs whole requests in order of arrival.

Figures are those of docs/metrics.md; a failed request is an infinite latency.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from firstaudio.bench.figures.aggregate import distributions
from firstaudio.bench.figures.metrics import value
from firstaudio.bench.load.runner import run_load
from firstaudio.bench.reading.read import to_record
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.report.figures import estimate
from firstaudio.bench.result import Estimate
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.texts import TextSource
from firstaudio.bench.workload import Cell, Goals, Load, Texts
from report import Report, arguments, quiet
from serve import Server, serve

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


async def listen(
    server: Server, clients: int, requests: int, over_s: float, chars: int, seed: int = 0
) -> list[RequestRecord]:
    """Requests at even times over `over_s`, whether or not earlier ones have been answered."""
    texts = Texts(custom=tuple(text_of(chars, seed * requests + n) for n in range(requests)))
    offsets_s = tuple(over_s * n / requests for n in range(requests))
    load = Load("trace", clients, offsets_s=offsets_s, warmup_requests=0)
    cell = Cell("listeners", server.spec(), texts=texts, load=load)
    target = make_target(cell.target)
    run = await run_load(target, cell, TextSource.of(cell), ours=(server.pid,))
    return [to_record(taken, cell, target.reading)[0] for taken in run.taken if taken.phase == "measured"]


def summary(records: list[RequestRecord]) -> dict[str, Any]:
    found = distributions(records, Goals())
    ttfa, preroll = found["ttfa_ms"], found["preroll_ms"]
    return {
        "requests": ttfa.n,
        "failed": ttfa.num_failed,
        "TTFA p50 ms": figure(ttfa.median),
        "TTFA p95 ms": figure(ttfa.quantiles["p95"]),
        "TTFA max ms": ttfa.maximum,
        "stalled": sum((value("preroll_ms", record, Goals()) or 0) > 0 for record in records),
        "stall mean ms": preroll.mean,
        "stall max ms": preroll.maximum,
        "audio s": sum(record.audio_s or 0.0 for record in records),
    }


def figure(found: Estimate) -> float | str:
    """Its value, or why there is none."""
    return estimate(found) if found.value is None else found.value


async def espeak(streams: int, rounds: int) -> list[dict[str, Any]]:
    with serve() as server:
        await listen(server, 4, 8, 0.1, 200)
        staggered = await listen(server, streams, streams * rounds, 1.0, 500)
        bursts = [await listen(server, streams, streams, 0.0, 500, seed) for seed in range(1, rounds + 1)]
    together = [record for burst in bursts for record in burst]
    return [{"starts": "staggered", **summary(staggered)}, {"starts": "same moment", **summary(together)}]


async def synthetic(listeners: int) -> list[dict[str, Any]]:
    orders: dict[str, list[RequestRecord]] = {"earliest deadline": [], "order of arrival": []}
    with serve(*SYNTHETIC) as ours, serve(*SYNTHETIC, script=ARRIVAL_ORDER) as theirs:
        for turn in ("earliest deadline", "order of arrival", "order of arrival", "earliest deadline"):
            server = ours if turn == "earliest deadline" else theirs
            orders[turn] += await listen(server, listeners, listeners, 0.0, 200)
    return [{"order": order, **summary(records)} for order, records in orders.items()]


async def run(streams: int, listeners: int, rounds: int) -> dict[str, Any]:
    return {"espeak": await espeak(streams, rounds), "synthetic": await synthetic(listeners)}


def main() -> None:
    options = arguments(__doc__, streams=64, listeners=6, rounds=3)
    result, others = quiet(lambda: uvloop.run(run(options.streams, options.listeners, options.rounds)))
    Report(f"espeak, {options.streams} concurrent streams of 500 characters", others).rows(result["espeak"])
    report = Report(f"synthetic engine, RTF 0.3, two lanes, {options.listeners} listeners", others)
    report.rows(result["synthetic"])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
