"""What the server costs beside its own engine: time to first audio, and audio seconds a second.

    python -m benchmarks.kokoro_overhead [--model FILE --voices FILE] [--precision bf16] [--rounds N] [--json FILE]

Interleaved in one run, in a random order, the same texts: the engine in this process, behind nothing but the
synthesizer that cuts a text into segments (as `firstaudio say` has it), and `firstaudio serve` over HTTP (pcm,
loopback, warm connections). One and more clients at once; while one side speaks, the other is idle.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import uvloop
from benchmarks.report import Report, quiet
from benchmarks.serve import serve
from benchmarks.vs_peers import ours
from benchmarks.vs_peers.listen import VOICE, Answer, Idleness, Listener
from benchmarks.vs_peers.peers import as_target
from benchmarks.vs_peers.texts import Texts

from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann
from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

CONDITIONS = ((20, 1), (117, 1), (500, 1), (117, 2), (117, 4))  # characters, clients
WARMUP = 2
Speak = Callable[[str], Awaitable[Callable[[], tuple[float, float]]]]  # when read: TTFA in ms, audio in s


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's answers to one round's texts, spoken at once.

    Attributes:
        ttfa_ms: Median over the clients.
        speed: Audio seconds a second, all clients together.
    """

    ttfa_ms: float
    speed: float


Rounds = dict[tuple[int, int], list[dict[str, Turn]]]  # by condition: for each round the turn of each side


def in_process(synthesizer: Synthesizer) -> Speak:
    async def speak(text: str) -> Callable[[], tuple[float, float]]:
        began_ns, first_ns, audio_s = now_ns(), 0, 0.0
        async with synthesizer.stream(Utterance(text, voice=VOICE)) as stream:
            async for chunk in stream:
                first_ns = first_ns or now_ns()
                audio_s += chunk.duration_s
        return lambda: ((first_ns - began_ns) / NS_PER_MS, audio_s)

    return speak


def over_http(listeners: Sequence[Listener]) -> Speak:
    free = list(listeners)

    async def speak(text: str) -> Callable[[], tuple[float, float]]:
        listener = free.pop()
        taken = await listener.take(text, 0)
        free.append(listener)
        return lambda: figures(listener.read(taken, len(text)))

    return speak


def figures(answer: Answer) -> tuple[float, float]:
    if answer.error:
        raise RuntimeError(answer.error)
    return answer.figures["ttfa_ms"], answer.figures["audio_s"]


async def turn(speak: Speak, texts: Sequence[str]) -> Turn:
    began_ns = now_ns()
    unread = await asyncio.gather(*map(speak, texts))
    took_s = (now_ns() - began_ns) / NS_PER_S
    heard = [read() for read in unread]
    return Turn(median(ttfa_ms for ttfa_ms, _ in heard), sum(audio_s for _, audio_s in heard) / took_s)


async def rounds(
    sides: dict[str, Speak], idleness: Idleness, count: int
) -> dict[tuple[int, int], list[dict[str, Turn]]]:
    """By condition: for each round the turn of each side."""
    texts, order = Texts(seed=1), random.Random(1)
    found: Rounds = {condition: [] for condition in CONDITIONS}
    for number in range(-WARMUP, count):
        for length, clients in CONDITIONS:
            said = [texts.take(length) for _ in range(clients)]
            turns = {}
            for name in order.sample(sorted(sides), len(sides)):
                await idleness.wait()
                turns[name] = await turn(sides[name], said)
            if number >= 0:
                found[length, clients].append(turns)
    return found


def row(condition: tuple[int, int], turns: Sequence[dict[str, Turn]]) -> dict[str, Any]:
    added_ms = [each["http"].ttfa_ms - each["engine"].ttfa_ms for each in turns]
    logs = [math.log(each["http"].speed / each["engine"].speed) for each in turns]
    low, high = map(math.exp, bootstrap_rounds([[each] for each in logs], seed=1))
    return {
        "characters": condition[0],
        "clients": condition[1],
        "engine TTFA ms": median(each["engine"].ttfa_ms for each in turns),
        "HTTP TTFA ms": median(each["http"].ttfa_ms for each in turns),
        "added ms": hodges_lehmann(added_ms),
        "engine audio s/s": median(each["engine"].speed for each in turns),
        "HTTP audio s/s": median(each["http"].speed for each in turns),
        "HTTP / engine": f"{math.exp(hodges_lehmann(logs)):.3f} [{low:.3f}, {high:.3f}]",
    }


async def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    chosen = ours.settings(options, options.model, options.voices, options.precision)
    most = max(clients for _, clients in CONDITIONS)
    synthesizer = Synthesizer(ours.config(chosen))
    await synthesizer.start()
    try:
        with serve(*ours.flags(chosen)) as server:
            listeners = [Listener(as_target(f"client {number}", server.url)) for number in range(most)]
            sides = {"engine": in_process(synthesizer), "http": over_http(listeners)}
            found = await rounds(sides, Idleness({"server": server.pid}), options.rounds)
            for listener in listeners:
                await listener.close()
    finally:
        await synthesizer.close()
    return [row(condition, turns) for condition, turns in found.items()]


def main() -> None:
    options = ours.arguments(__doc__, rounds=10)
    rows, others = quiet(lambda: uvloop.run(run(options)))
    report = Report(f"the server over its own engine: {options.engine}, {options.precision}, pcm, loopback", others)
    report.rows(rows)
    report.save(options.json, {"rounds": options.rounds, "precision": options.precision, "rows": rows})


if __name__ == "__main__":
    main()
