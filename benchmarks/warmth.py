"""What warmth is worth: the first request after a start, answers from kept audio, and how well TTFA is predicted.

    python benchmarks/warmth.py [--starts N] [--rounds N] [--json FILE]

start: a server is started again and again, with and without its warm-up. Its first request, less the median of later
ones, each after the same pause (an idle machine answers more slowly than a busy one). Interleaved starts.
cached: in each round a text for the first time, then the same text again, whose first segment was kept. Goal: audible
TTFA of a kept one at most 5 ms. By espeak, and by the small Kokoro of the tests (random weights).
prediction: the server's own error, as GET /status tells it, after the rounds above, and after rounds in which several
clients ask at once.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from added_latency import Listener
from firstaudio.bench.targets.wire import Limits
from firstaudio.stats.sample import quantile
from report import Report, arguments, quiet
from serve import Server, serve

PAUSE_S = 0.3
NUM_LATER = 8
WARMUP = 10
CLIENTS = (1, 2, 4, 8)
MODEL = Path(__file__).parents[1] / "tests" / "data" / "kokoro" / "model.onnx"
TEXT = "Number {n} is what I say, and this is the rest of it."
ENGINES = {"espeak": (), "kokoro (small)": ("--engine", "kokoro", "--kokoro-model", str(MODEL))}


@contextmanager
def server_of(*flags: str) -> Iterator[Server]:
    """A server with a state folder of its own."""
    with tempfile.TemporaryDirectory() as folder, serve("--telemetry-state-folder", folder, *flags) as server:
        yield server


def status(server: Server) -> Any:
    with urllib.request.urlopen(f"{server.url}/status") as answer:
        return json.load(answer)


async def ttfa_ms(listener: Listener, text: str) -> dict[str, float]:
    return listener.figures(await listener.hear(text))


# The first request.


async def first_and_later(*flags: str) -> dict[str, float]:
    """One start."""
    with server_of(*flags) as server:
        listener, heard = Listener(server, Limits()), []
        for number in range(1 + NUM_LATER):
            await asyncio.sleep(PAUSE_S)
            heard.append((await ttfa_ms(listener, TEXT.format(n=number)))["ttfa_ms"])
        await listener.close()
        warming = status(server)["cold_start_warmup"]
    later, added = heard[1:], warming["before_ready_ms"]
    return {"first": heard[0], "later": median(later), "slowest": max(later), "added": added}


async def starts(engine: str, num: int) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, float]]] = {"on": [], "off": []}
    for _ in range(num):
        found["on"].append(await first_and_later(*ENGINES[engine]))
        found["off"].append(await first_and_later("--no-cache-warm-up", *ENGINES[engine]))
    return [
        {
            "engine": engine,
            "warm-up": name,
            "starts": num,
            "first ms": median(each["first"] for each in seen),
            "later ms": median(each["later"] for each in seen),
            "first - later ms": median(each["first"] - each["later"] for each in seen),
            "slowest later ms": median(each["slowest"] for each in seen),
            "added to the start ms": median(each["added"] for each in seen),
        }
        for name, seen in found.items()
    ]


# Answers from kept audio.


async def cached(listener: Listener, engine: str, rounds: int) -> list[dict[str, Any]]:
    made, kept = [], []
    for number in range(WARMUP + rounds):
        text = TEXT.format(n=1000 + number)
        made.append(await ttfa_ms(listener, text))
        kept.append(await ttfa_ms(listener, text))
    return [_row(engine, "made", made[WARMUP:]), _row(engine, "kept", kept[WARMUP:])]


def _row(engine: str, name: str, heard: Sequence[dict[str, float]]) -> dict[str, Any]:
    audible = [each["audible_ttfa_ms"] for each in heard if "audible_ttfa_ms" in each]
    return {
        "engine": engine,
        "first segment": name,
        "n": len(heard),
        "TTFA ms": median(each["ttfa_ms"] for each in heard),
        "TTFA p95 ms": quantile([each["ttfa_ms"] for each in heard], 0.95),
        "audible ms": median(audible) if audible else None,
    }


# Predictions.


async def predicted(server: Server, engine: str, rounds: int) -> list[dict[str, Any]]:
    """Errors after rounds of so many clients at once; each row is of the latest 200."""
    rows = [_error(server, engine, "1, as above")]
    listeners = [Listener(server, Limits()) for _ in range(max(CLIENTS))]
    for num in CLIENTS[1:]:
        for number in range(rounds):
            texts = [TEXT.format(n=f"{num} {number} {client}") for client in range(num)]
            taken = await asyncio.gather(*(one.hear(text) for one, text in zip(listeners, texts, strict=False)))
            for listener, each in zip(listeners, taken, strict=False):
                listener.figures(each)
        rows.append(_error(server, engine, str(num)))
    for listener in listeners:
        await listener.close()
    return rows


def _error(server: Server, engine: str, clients: str) -> dict[str, Any]:
    told = status(server)["prediction"]
    row: dict[str, Any] = {"engine": engine, "clients": clients}
    for name in ("made", "cached"):
        row |= {f"{name}: n": told[name]["n"], f"{name}: error ms": told[name]["median_absolute_error_ms"]}
        row |= {f"{name}: bias ms": told[name]["bias_ms"]}
    return row


async def run(num_starts: int, rounds: int) -> dict[str, Any]:
    result: dict[str, Any] = {"starts": [], "cached": [], "prediction": [], "cache": {}}
    for engine, flags in ENGINES.items():
        result["starts"] += await starts(engine, num_starts)
        with server_of(*flags) as server:
            listener = Listener(server, Limits())
            result["cached"] += await cached(listener, engine, rounds)
            await listener.close()
            result["cache"][engine] = status(server)["tts_processing"]["cache"]
            result["prediction"] += await predicted(server, engine, max(10, rounds // 4))
    return result


def main() -> None:
    options = arguments(__doc__, starts=5, rounds=100)
    result, others = quiet(lambda: uvloop.run(run(options.starts, options.rounds)))
    report = Report("warmth: pcm, loopback, one warm connection but where clients are counted", others)
    for name in ("starts", "cached", "prediction"):
        report.rows(result[name])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
