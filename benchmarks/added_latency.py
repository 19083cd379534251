"""What the server adds to the engine, and whether TTFA grows with the text.

    python benchmarks/added_latency.py [--rounds N] [--json FILE]

Interleaved in one run: the bare espeak worker's first chunk, then the same text over HTTP (pcm, loopback, one warm
connection). Then first audio and first sound for texts of 5 to 100 000 characters. Figures are those of
docs/metrics.md.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import uvloop

from firstaudio.bench.exchange import Exchange, FailureKind
from firstaudio.bench.figures.metrics import value
from firstaudio.bench.load.client import Client
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.reading.read import to_record
from firstaudio.bench.targets.http import make_http_target
from firstaudio.bench.targets.wire import Limits
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell, Goals
from firstaudio.clock import NS_PER_MS, now_ns
from firstaudio.config import Config
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.espeak.engine import EspeakEngine
from firstaudio.stats.sample import quantile
from report import Report, arguments, quiet
from serve import Server, serve

LENGTHS = (5, 50, 500, 5_000, 50_000, 100_000)
VOICE = "af_heart"
WARMUP = 5
SENTENCE = "Round {n}: the server begins to speak as soon as it has the first clause, and goes on from there."
ENOUGH = Limits(body=2 * 48_000)  # two seconds of pcm tell when it began; the rest of a long answer is cut off


class Listener:
    """One client of the server, on one warm connection.

    Args:
        server: Whom it asks.
        limits: Where an answer is cut off.
    """

    def __init__(self, server: Server, limits: Limits) -> None:
        self._cell = Cell("one listener", server.spec(), voice=VOICE)
        self._target = make_http_target(self._cell.target, limits)
        self._client = Client(self._target, 0, timeout_s=self._cell.target.timeout_s, cold=False)
        self.close = self._client.close

    async def hear(self, text: str) -> Taken:
        """One answer, unread: reading it before the next request would cool the caches."""
        taken = Taken(Utterance(text, voice=VOICE), Exchange(), "measured", client=0, index=0)
        await self._client.request(taken.utterance, taken.exchange)
        return taken

    def figures(self, taken: Taken) -> dict[str, float]:
        """TTFA and audible TTFA of an answer, in ms."""
        failure = taken.exchange.failure
        if failure is not None and failure.kind is FailureKind.ENDLESS:  # our own limit, and no fault of the server's
            taken.exchange.failure = None
        record, _ = to_record(taken, self._cell, self._target.reading)
        assert record.ok or record.outcome == FailureKind.SHORT, record.message
        figures = {name: value(name, record, Goals()) for name in ("ttfa_ms", "audible_ttfa_ms")}
        return {name: figure for name, figure in figures.items() if figure is not None}


def bare_first_chunk_ms(engine: EspeakEngine, text: str) -> float:
    voice, language = engine.resolve(VOICE, None)
    begin_ns = now_ns()
    steps = engine.steps(engine.prepare(SpeakRequest(text, voice, language)))
    next(steps)
    took_ns = now_ns() - begin_ns
    for _ in steps:
        pass
    return took_ns / NS_PER_MS


def text_of(length: int, number: int) -> str:
    """A text of exactly `length` characters, different for each number."""
    text = f"N{number} " + "the quick brown fox jumps over the lazy dog, and it runs away. " * (length // 60 + 1)
    return text[:length]


async def added(server: Server, engine: EspeakEngine, rounds: int) -> dict[str, float]:
    listener = Listener(server, Limits())
    bare, answers = [], []
    for n in range(WARMUP + rounds):
        text = SENTENCE.format(n=n)
        bare.append(bare_first_chunk_ms(engine, text))
        answers.append(await listener.hear(text))
    await listener.close()
    bare, http = bare[WARMUP:], [listener.figures(answer) for answer in answers[WARMUP:]]
    differences = [heard["ttfa_ms"] - alone for heard, alone in zip(http, bare, strict=True)]
    return {
        "bare worker, first chunk": median(bare),
        "HTTP TTFA": median(heard["ttfa_ms"] for heard in http),
        "HTTP audible": median(heard["audible_ttfa_ms"] for heard in http),
        "added (paired, median)": median(differences),
        "added (paired, p95)": quantile(differences, 0.95),
        "rounds": rounds,
    }


async def by_length(server: Server, rounds: int) -> list[dict[str, float]]:
    listener = Listener(server, ENOUGH)
    answers: dict[int, list[Taken]] = {length: [] for length in LENGTHS}
    for n in range(rounds):
        for length in LENGTHS:  # interleaved
            answers[length].append(await listener.hear(text_of(length, n)))
    await listener.close()
    heard = {length: [listener.figures(answer) for answer in found] for length, found in answers.items()}
    return [
        {
            "characters": length,
            "TTFA ms": median(each["ttfa_ms"] for each in found),
            "audible ms": median(each["audible_ttfa_ms"] for each in found),
            "audible max ms": max(each["audible_ttfa_ms"] for each in found),
        }
        for length, found in heard.items()
    ]


async def run(rounds: int) -> dict[str, Any]:
    engine = EspeakEngine(Config())
    engine.start()
    with serve("--max-input-chars", "100000") as server:
        result: dict[str, Any] = {"added_latency_ms": await added(server, engine, rounds)}
        result["by_length"] = await by_length(server, max(5, rounds // 10))
    engine.close()
    return result


def main() -> None:
    options = arguments(__doc__, rounds=200)
    result, others = quiet(lambda: uvloop.run(run(options.rounds)))
    report = Report("added latency: espeak, pcm, loopback, one warm connection", others)
    report.figures(result["added_latency_ms"])
    report.rows(result["by_length"])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
