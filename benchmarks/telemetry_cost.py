"""What it costs that the server knows of itself: telemetry on against off, on espeak, loopback.

    python benchmarks/telemetry_cost.py [--rounds N] [--requests N] [--clients N] [--json FILE]

Two servers of one machine, one with telemetry and one without, take turns in rounds (ABBA), each time with texts that
nobody has spoken before. A turn is a closed loop of several clients, by which throughput and the server's processor
time for each request are told, and then one client alone, by whose answers TTFA is told. The server that does not have
its turn is idle. Rounds are compared in pairs: Hodges-Lehmann of the log ratio (throughput, processor time) or of the
difference (TTFA), intervals by bootstrap over rounds. Goal: less than 1 % of throughput, less than 0.3 ms of TTFA.

Both servers run without cache, warm-up and tuner, which are judged elsewhere.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import psutil
import uvloop

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.load.watch import quiet_collector
from firstaudio.bench.targets.http import make_http_target
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns
from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann
from report import Report, arguments, quiet
from serve import Server, serve

VOICE = "af_heart"
SENTENCE = "Request {n} of this round is a sentence of a usual length, and another one follows it. Here it is."
SAME = ("--cache-max-mb", "0", "--no-cache-share-running", "--no-cache-warm-up", "--no-tuner-enabled")
SAME += ("--log-level", "warning")
WARM_UP = 50
GOALS = {"throughput": 0.01, "TTFA ms": 0.3}


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's turn.

    Attributes:
        requests_per_s: Of the closed loop.
        cpu_ms: Processor time of the server's process tree for each request.
        ttfa_ms: Of one client alone: first body byte, which in pcm is audio, since the request was written.
    """

    requests_per_s: float
    cpu_ms: float
    ttfa_ms: list[float]


class Clients:
    """Clients of one server, each with a warm connection."""

    def __init__(self, server: Server, number: int) -> None:
        self._process = psutil.Process(server.pid)
        self._target = make_http_target(server.spec())
        self._number = number
        self._channels: list[Any] = []
        self._num_asked = 0

    async def open(self) -> None:
        self._channels = [await self._target.open() for _ in range(self._number)]
        await self._loop(WARM_UP)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def turn(self, num_requests: int) -> Turn:
        begin_ns, begin_cpu_s = now_ns(), self._cpu_s()
        await self._loop(num_requests)
        took_s, cpu_s = (now_ns() - begin_ns) / NS_PER_S, self._cpu_s() - begin_cpu_s
        ttfa_ms = [await self._ask(self._channels[0]) for _ in range(num_requests // 4)]
        return Turn(num_requests / took_s, cpu_s * 1000 / num_requests, ttfa_ms)

    async def _loop(self, num_requests: int) -> None:
        left = iter(range(num_requests))

        async def client(channel: Any) -> None:
            for _ in left:
                await self._ask(channel)

        await asyncio.gather(*map(client, self._channels))

    async def _ask(self, channel: Any) -> float:
        """One answer to its end; its TTFA in ms."""
        self._num_asked += 1
        exchange = Exchange()
        await channel.speak(Utterance(SENTENCE.format(n=self._num_asked), voice=VOICE), exchange)
        assert exchange.sent_ns
        return (exchange.arrivals_ns[0] - exchange.sent_ns) / NS_PER_MS

    def _cpu_s(self) -> float:
        tree = [self._process, *self._process.children(recursive=True)]
        return sum(times.user + times.system for times in (process.cpu_times() for process in tree))


async def measure(on: Server, off: Server, rounds: int, num_requests: int, num_clients: int) -> dict[str, Any]:
    sides = {"on": Clients(on, num_clients), "off": Clients(off, num_clients)}
    for clients in sides.values():
        await clients.open()
    turns: dict[str, list[Turn]] = {name: [] for name in sides}
    with quiet_collector(off=False):
        for number in range(rounds):
            for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
                turns[name].append(await sides[name].turn(num_requests))
    for clients in sides.values():
        await clients.close()
    return compare(turns["on"], turns["off"])


def compare(on: Sequence[Turn], off: Sequence[Turn]) -> dict[str, Any]:
    pairs = list(zip(on, off, strict=True))
    loss = [[math.log(b.requests_per_s / a.requests_per_s)] for a, b in pairs]
    cpu = [[math.log(a.cpu_ms / b.cpu_ms)] for a, b in pairs]
    ttfa = [[median(a.ttfa_ms) - median(b.ttfa_ms)] for a, b in pairs]
    return {
        "rows": [
            row("throughput", "lost, %", [t.requests_per_s for t in on], [t.requests_per_s for t in off], loss, 100),
            row("processor ms", "added, %", [t.cpu_ms for t in on], [t.cpu_ms for t in off], cpu, 100),
            row("TTFA ms", "added, ms", [median(t.ttfa_ms) for t in on], [median(t.ttfa_ms) for t in off], ttfa, 1),
        ],
        "turns": {name: [vars_of(turn) for turn in turns] for name, turns in (("on", on), ("off", off))},
    }


def row(
    what: str, unit: str, on: Sequence[float], off: Sequence[float], rounds: list[list[float]], scale: float
) -> dict[str, Any]:
    """One figure; its cost is above 0 where telemetry costs something."""
    low, high = bootstrap_rounds(rounds, seed=1)
    return {
        "figure": what,
        "on, median": median(on),
        "off, median": median(off),
        "cost": unit,
        "estimate": hodges_lehmann([value for each in rounds for value in each]) * scale,
        "95 % from": low * scale,
        "to": high * scale,
        "rounds": len(rounds),
    }


def vars_of(turn: Turn) -> dict[str, Any]:
    return {"requests_per_s": turn.requests_per_s, "cpu_ms": turn.cpu_ms, "ttfa_ms": turn.ttfa_ms}


def run(rounds: int, num_requests: int, num_clients: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        serve("--telemetry-enabled", "--telemetry-state-folder", folder, *SAME) as on,
        serve("--no-telemetry-enabled", "--telemetry-state-folder", folder, *SAME) as off,
    ):
        result: dict[str, Any] = uvloop.run(measure(on, off, rounds, num_requests, num_clients))
    return result


def main() -> None:
    options = arguments(__doc__, rounds=20, requests=400, clients=8)
    result, others = quiet(lambda: run(options.rounds, options.requests, options.clients))
    title = f"telemetry on against off: espeak, pcm, loopback, {options.clients} clients, {options.requests} requests"
    report = Report(title, others)
    report.rows(result["rows"])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
