"""Whether the server's own time to first audio is what a client measures.

    python benchmarks/server_truth.py [--requests N] [--starts N] [--json FILE]

One client on one warm connection over loopback (pcm). Each answer's TTFA as the harness sees it, less what
`GET /ttfa-measurements` says of the same request id. What the server cannot see, and the harness can: the request's
way to it, and the first chunk's way back. A condition is what the server itself says of its answers: warm (each text
for the first time), cached (one text again and again), cold (the engine had to load its model: the small one of the
tests, given up after each answer). "first" is the first answer of a server that has warmed nothing, and is "warm" by
its own word. Allowed: 2 ms of the median.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from added_latency import Listener
from firstaudio.bench.targets.wire import Limits
from firstaudio.stats.sample import quantile_interval
from report import Report, arguments, quiet
from serve import Server, serve

ALLOWED_MS = 2.0
WARMUP = 5
UNLOAD_S = 0.2
PAUSE_S = 2.0  # longer than the answer plays, too: the server refuses a listener whom it could not keep up with
MODEL = Path(__file__).parents[1] / "tests" / "data" / "kokoro" / "model.onnx"
TEXT = "Number {n}: both ends hold a watch, and both watches should agree on when the first sound left."


@dataclass(frozen=True, slots=True)
class Pair:
    """One answer, as the client and as the server saw it; times in ms."""

    client_ms: float
    server_ms: float
    warmth: str

    @property
    def difference_ms(self) -> float:
        return self.client_ms - self.server_ms


async def listen(server: Server, texts: Iterable[str], pause_s: float = 0.0) -> list[Pair]:
    """Both sides of each answer."""
    listener, answers = Listener(server, Limits()), []
    for text in texts:
        answers.append(await listener.hear(text))
        await asyncio.sleep(pause_s)
    await listener.close()
    heard = {taken.exchange.headers["x-request-id"]: listener.figures(taken)["ttfa_ms"] for taken in answers}
    rows = {row["request_id"]: row for row in measurements(server)}
    assert set(heard) <= set(rows), "the server has not measured every answer"
    return [Pair(ms, rows[i]["timings"]["ttfa_ms"], rows[i]["details"]["warmth"]) for i, ms in heard.items()]


def measurements(server: Server) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/ttfa-measurements?limit=1000&origin=client") as reply:
        rows: list[dict[str, Any]] = json.load(reply)["measurements"]
    return rows


async def on_espeak(requests: int) -> dict[str, list[Pair]]:
    with serve() as server:
        new = await listen(server, [TEXT.format(n=n) for n in range(WARMUP + requests)])
        again = await listen(server, [TEXT.format(n="again")] * (1 + requests))
    return {"warm": new[WARMUP:], "cached": again[1:]}


async def first_answers(starts: int) -> list[Pair]:
    found = []
    for n in range(starts):
        with serve("--no-cache-warm-up") as server:
            found += await listen(server, [TEXT.format(n=n)])
    return found


async def on_a_model_that_is_given_up(starts: int) -> list[Pair]:
    flags = (
        "--engine",
        "kokoro",
        "--kokoro-model",
        str(MODEL),
        "--kokoro-unload-after-s",
        str(UNLOAD_S),
        "--no-cache-warm-up",
    )
    with serve(*flags) as server:
        return await listen(server, [f"Number {n}." for n in range(starts)], PAUSE_S)


async def run(requests: int, starts: int) -> list[dict[str, Any]]:
    found = await on_espeak(requests)
    found["first"] = await first_answers(starts)
    found["cold"] = [pair for pair in await on_a_model_that_is_given_up(starts) if pair.warmth == "cold"]
    return [row(condition, pairs) for condition, pairs in found.items()]


def row(condition: str, pairs: list[Pair]) -> dict[str, Any]:
    if not pairs:
        return {"condition": condition, "n": 0}
    differences = [pair.difference_ms for pair in pairs]
    interval = quantile_interval(differences, 0.5)
    return {
        "condition": condition,
        "n": len(pairs),
        "the server's word": ", ".join(sorted({pair.warmth for pair in pairs})),
        "client ms": median(pair.client_ms for pair in pairs),
        "server ms": median(pair.server_ms for pair in pairs),
        "difference ms": median(differences),
        "95 %": "too few" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
        "worst ms": max(differences, key=abs),
        "ok": abs(median(differences)) <= ALLOWED_MS,
    }


def main() -> None:
    options = arguments(__doc__, requests=200, starts=10)
    rows, others = quiet(lambda: uvloop.run(run(options.requests, options.starts)))
    report = Report("the server's TTFA against a client's: pcm, loopback", others)
    report.rows(rows)
    report.save(options.json, {"rows": rows})
    if not all(row.get("ok") for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
