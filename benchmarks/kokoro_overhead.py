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

from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns
from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

CONDITIONS = ((20, 1), (117, 1), (500, 1), (117, 2), (117, 4))  # characters, clients
WARMUP = 2
Said = tuple[float, float, str, str]  # TTFA in ms, audio in s, how it was decoded, what ran
Speak = Callable[[str], Awaitable[Callable[[], Said]]]  # read when all have been heard


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's answers to one round's texts, spoken at once.

    Attributes:
        ttfa_ms: Median over the clients.
        speed: Audio seconds a second, all clients together.
        ran: How answers were decoded and on what, by their own word.
    """

    ttfa_ms: float
    speed: float
    ran: frozenset[str]


Rounds = dict[tuple[int, int], list[dict[str, Turn]]]  # by condition: for each round the turn of each side


def in_process(synthesizer: Synthesizer) -> Speak:
    async def speak(text: str) -> Callable[[], Said]:
        began_ns, first_ns, audio_s = now_ns(), 0, 0.0
        async with synthesizer.stream(Utterance(text, voice=VOICE)) as stream:
            async for chunk in stream:
                if not first_ns:  # an answer over HTTP tells what has run until then
                    first_ns, ran = now_ns(), (stream.trace.decode, stream.trace.runtime)
                audio_s += chunk.duration_s
        return lambda: ((first_ns - began_ns) / NS_PER_MS, audio_s, *ran)

    return speak


def over_http(listeners: Sequence[Listener]) -> Speak:
    free = list(listeners)

    async def speak(text: str) -> Callable[[], Said]:
        listener = free.pop()
        taken = await listener.take(text, 0)
        free.append(listener)
        return lambda: figures(listener.read(taken, len(text)))

    return speak


def figures(answer: Answer) -> Said:
    if answer.error:
        raise RuntimeError(answer.error)
    return answer.figures["ttfa_ms"], answer.figures["audio_s"], answer.decode, answer.runtime


async def turn(name: str, speak: Speak, texts: Sequence[str], options: argparse.Namespace) -> Turn:
    began_ns = now_ns()
    unread = await asyncio.gather(*map(speak, texts))
    took_s = (now_ns() - began_ns) / NS_PER_S
    heard = [read() for read in unread]
    for _, _, decode, runtime in heard if options.engine == "kokoro" else ():
        ours.check(options.precision, options.decode, Answer(name, 0, 0, "", False, {}, decode, runtime))
    ran = frozenset(ours.what_ran(decode, runtime) for _, _, decode, runtime in heard)
    return Turn(median(said[0] for said in heard), sum(said[1] for said in heard) / took_s, ran)


async def rounds(
    sides: dict[str, Speak], idleness: Idleness, options: argparse.Namespace
) -> dict[tuple[int, int], list[dict[str, Turn]]]:
    """By condition: for each round the turn of each side."""
    texts, order = Texts(seed=1), random.Random(1)
    found: Rounds = {condition: [] for condition in CONDITIONS}
    for number in range(-WARMUP, options.rounds):
        for length, clients in CONDITIONS:
            said = [texts.take(length) for _ in range(clients)]
            turns = {}
            for name in order.sample(sorted(sides), len(sides)):
                await idleness.wait()
                turns[name] = await turn(name, sides[name], said, options)
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


async def run(options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    chosen = ours.settings(options, options.model, options.voices, options.precision)
    ours.be_judged(chosen)
    most = max(clients for _, clients in CONDITIONS)
    synthesizer = Synthesizer(ours.config(chosen))
    await synthesizer.start()
    try:
        with serve(*ours.flags(chosen)) as server:
            listeners = [Listener(as_target(f"client {number}", server.url)) for number in range(most)]
            sides = {"engine": in_process(synthesizer), "http": over_http(listeners)}
            found = await rounds(sides, Idleness({"server": server.pid}), options)
            for listener in listeners:
                await listener.close()
    finally:
        await synthesizer.close()
    ran = {said for turns in found.values() for sides in turns for side in sides.values() for said in side.ran}
    return [row(condition, turns) for condition, turns in found.items()], sorted(ran)


def main() -> None:
    options = ours.arguments(__doc__, rounds=10)
    (rows, ran), others = quiet(lambda: uvloop.run(run(options)))
    report = Report(f"the server over its own engine: {options.engine}, {'; '.join(ran)}, pcm, loopback", others)
    report.rows(rows)
    report.save(options.json, {"rounds": options.rounds, "precision": options.precision, "ran": ran, "rows": rows})


if __name__ == "__main__":
    main()
