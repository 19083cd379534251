"""Whether the tuner mends a setting that is bad, and leaves alone one that is good.

    python benchmarks/tuner.py [--aa N] [--rounds N] [--json FILE]

Bad: a server starts with a setting that costs its listeners time, and may keep what its experiments find better. Some
clients talk to it until it has nothing left to try. Then it is compared with one that has the bad setting and no tuner,
in interleaved rounds with the same texts: the client's TTFA, its ratio with a 95 % interval over rounds.

Good: a server with the settings as shipped is watched for as long; then experiments of a setting with itself (A/A) are
made on one that works hard, and counted by what became of them.

The engine is the synthetic one: what it says is what it does, so the right answers are known.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from added_latency import Listener
from firstaudio.bench.targets.wire import Limits
from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann
from firstaudio.telemetry.tuner.idle import texts
from report import Report, arguments
from serve import Server, serve

ENGINE = (
    "--engine-names=synthetic",
    "--engine-default-voice=alloy",
    "--synthetic-ttfa-ms=20",
    "--synthetic-rtf=0.1",
    "--synthetic-capacity=16",
    "--log-level=warning",
)
# Whole segments: the first one's length is the wait.
WHOLE = "--no-streaming-incremental-generation"
BAD = {
    "first_segment_s = 5": (WHOLE, "--streaming-first-segment-s=5"),
    "fast_path_enabled = false": (WHOLE, "--no-streaming-fast-path-enabled"),
    "min_chunk_size_ms = 1000": ("--streaming-min-chunk-size-ms=1000", "--streaming-max-chunk-size-ms=2000"),
}
NUM_CLIENTS = 8
TUNER = ("--tuner-apply", "--tuner-interval-s=0.5", "--tuner-cool-down-s=0", "--tuner-max-pairs=60")
OFF = ("--no-tuner-enabled",)
LONGEST_S = 300.0
GOOD_S = 60.0
TEXTS_A_ROUND = 6
STATUS = "/benchmarks/optimization"


class Tuned:
    """A server and what its tuner says."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(f"{self.server.url}{STATUS}/{path}", data, headers)

        def answer() -> dict[str, Any]:
            with urllib.request.urlopen(request, timeout=20) as response:
                return json.load(response)

        return await asyncio.to_thread(answer)

    async def has_nothing_left(self) -> bool:
        status = await self.ask("status")
        tuner = status["tuner"]
        is_idle = not status["experiments"] and not tuner["on_probation"]
        return is_idle and any(words in tuner["remark"] for words in ("nothing is left", "no gain"))


def short(seed: int) -> Iterator[str]:
    """Sentences, none of which begins like another."""
    return itertools.islice(texts(random.Random(seed)), 0, None, 3)


async def talk(server: Server, seed: int) -> None:
    """A client that has always something to ask; until it is cancelled."""
    listener = Listener(server, Limits())
    try:
        for text in short(seed):
            await listener.hear(text)
    finally:
        await listener.close()


async def under_traffic(server: Server, wait: Any) -> float:
    """Let clients talk until `wait` is over; returns the seconds that it took."""
    clients = [asyncio.create_task(talk(server, seed)) for seed in range(NUM_CLIENTS)]
    begin = time.monotonic()
    try:
        await asyncio.wait_for(wait, LONGEST_S)
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return time.monotonic() - begin


async def settled(tuned: Tuned) -> None:
    while not await tuned.has_nothing_left():  # noqa: ASYNC110 (it is another process)
        await asyncio.sleep(0.5)


async def compare(before: Server, after: Server, rounds: int) -> dict[str, float]:
    """TTFA of both in interleaved rounds."""
    listeners = [Listener(server, Limits()) for server in (before, after)]
    stock = short(99)
    ratios, told = [], ([], [])
    for number in range(rounds):
        said = [next(stock) for _ in range(TEXTS_A_ROUND)]
        order = (0, 1) if number % 2 == 0 else (1, 0)
        found: dict[int, list[float]] = {}
        for which in order:
            found[which] = [await ttfa_ms(listeners[which], text) for text in said]
        ratios.append([math.log(b / a) for a, b in zip(found[0], found[1], strict=True)])
        for which in order:
            told[which].extend(found[which])
    for listener in listeners:
        await listener.close()
    low, high = bootstrap_rounds(ratios, seed=1)
    estimate = hodges_lehmann([ratio for each in ratios for ratio in each])
    return {
        "before_ms": median(told[0]),
        "after_ms": median(told[1]),
        "ratio": math.exp(estimate),
        "low": math.exp(low),
        "high": math.exp(high),
        "n": float(len(told[0])),
    }


async def ttfa_ms(listener: Listener, text: str) -> float:
    return listener.figures(await listener.hear(text))["ttfa_ms"]


async def mend(flags: tuple[str, ...], rounds: int) -> dict[str, Any]:
    with ExitStack() as stack:
        states = [stack.enter_context(TemporaryDirectory()) for _ in range(2)]
        bad = stack.enter_context(serve(*ENGINE, *flags, *OFF, state(states[0])))
        tuned = Tuned(stack.enter_context(serve(*ENGINE, *flags, *TUNER, state(states[1]))))
        took_s = await under_traffic(tuned.server, settled(tuned))
        status = await tuned.ask("status")
        log = decisions(states[1])
        return {
            "took_s": took_s,
            "num_requests": sum(sum(c["assigned"] for c in each["evidence"]["counts"].values()) for each in log),
            "decisions": [
                f"{each['setting']} {each['current']} -> {each['candidate']}: {each['action']}" for each in log
            ],
            "changed": status["changed"],
            **await compare(bad, tuned.server, rounds),
        }


async def leave_alone(num_experiments: int) -> dict[str, Any]:
    """The settings as shipped, watched; then A/A experiments."""
    with TemporaryDirectory() as folder, serve(*ENGINE, *TUNER, state(folder)) as server:
        tuned = Tuned(server)
        await under_traffic(server, asyncio.sleep(GOOD_S))
        watched = await tuned.ask("status")

        async def experiments() -> None:
            for _ in range(num_experiments):
                await tuned.ask("trigger", {"setting": "streaming.first_segment_s", "value": 0.6})
                while (await tuned.ask("status"))["experiments"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)

        took_s = await under_traffic(server, experiments())
        log = decisions(folder)
        aa = [each for each in log if each["current"] == each["candidate"]]
        return {
            "watched_s": GOOD_S,
            "changed": watched["changed"],
            "decisions": [
                f"{d['setting']} {d['current']} -> {d['candidate']}: {d['action']}" for d in log if d not in aa
            ],
            "num_aa": len(aa),
            "verdicts": {
                name: sum(each["verdict"] == name for each in aa) for name in sorted({e["verdict"] for e in aa})
            },
            "took_s": took_s,
        }


def decisions(folder: str) -> list[dict[str, Any]]:
    path = Path(folder) / "tuner" / "decisions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def told(decision: dict[str, Any]) -> str:
    what = f"{decision['setting']} {decision['current']} -> {decision['candidate']}"
    return f"{what}: {decision['sentence']}: {decision['action']}"


def state(folder: str) -> str:
    return f"--telemetry-state-folder={folder}"


def main() -> None:
    options = arguments(__doc__, rounds=10, aa=10)
    mended = {name: uvloop.run(mend(flags, options.rounds)) for name, flags in BAD.items()}
    good = uvloop.run(leave_alone(options.aa))
    report = Report("tuner", "the synthetic engine sleeps where others compute; the client's TTFA")
    report.rows({"bad setting": name, **figures(found)} for name, found in mended.items())
    for name, found in mended.items():
        print(name, *found["decisions"], sep="\n  ")
    print(f"as shipped, {good['watched_s']:g} s: changed {good['changed']}", *good["decisions"], sep="\n  ")
    print(f"A/A, {good['num_aa']} experiments: {good['verdicts']}")
    report.save(options.json, {"bad": mended, "good": good})


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """One row of the table."""
    ratio, low, high = (f"{100 * (found[name] - 1):+.0f} %" for name in ("ratio", "low", "high"))
    return {
        "before ms": found["before_ms"],
        "after ms": found["after_ms"],
        "change": f"{ratio} ({low} to {high})",
        "n": found["n"],
        "mended after s": found["took_s"],
        "answers": found["num_requests"],
    }


if __name__ == "__main__":
    main()
