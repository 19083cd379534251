"""Interleaved rounds: everybody speaks the same text, in a random order, each while all others are idle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.vs_peers.texts import Texts

from firstaudio.bench.exchange import Exchange, FailureKind
from firstaudio.bench.figures.metrics import value
from firstaudio.bench.load.client import Client
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.machine.resources import ProcessTree
from firstaudio.bench.reading.read import to_record
from firstaudio.bench.record import OK, RequestRecord
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.http import make_http_target
from firstaudio.bench.targets.wire import Limits
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell, Goals
from firstaudio.clock import NS_PER_S, now_ns

VOICE = "af_heart"
METRICS = ("ttfa_ms", "audible_ttfa_ms", "latency_ms", "rtf", "audio_s", "stall_count", "stall_ms", "num_chunks")
LIBRARY = "library"  # the stage of `Server-Timing` in which a small server says what its library took
# What random weights say is no speech: how it sounds, and how long it is, is not judged here.
NOT_JUDGED = (FailureKind.SILENT, FailureKind.CLIPPED, FailureKind.SHORT)
IDLE_LOOK_S = 0.25
IDLE_CORES = 0.05  # the clock of CPU time ticks every 10 ms: one tick in a look is idle
IDLE_TIMEOUT_S = 600.0  # a server that does not notice that its client has gone finishes 5,000 characters
BYTES_PER_SAMPLE = 2
BYTES_PER_S = 24_000 * BYTES_PER_SAMPLE
WARMUP_LENGTHS = (20, 117, 60)


@dataclass(frozen=True, slots=True)
class Answer:
    """One request.

    Attributes:
        peer: Who was asked.
        length: Characters that the text should have.
        number: Of the round.
        error: Why there are no figures; empty: there are.
        is_cut: The client stopped listening before the end, as planned: figures are of what it heard.
        decode: What the answer says of how it was decoded (X-Decode); empty: nothing.
        runtime: What it says of what had run until its first audio (X-Runtime); empty: nothing.
        figures: Those of docs/metrics.md in `METRICS`, and `library_ms`; absent where they are not defined.
    """

    peer: str
    length: int
    number: int
    error: str
    is_cut: bool
    figures: Mapping[str, float]
    decode: str = ""
    runtime: str = ""


class Listener:
    """One client of one server, on one warm connection.

    Args:
        spec: Whom it asks.
        listen_s: It stops listening after so much audio; None: never.
    """

    def __init__(self, spec: TargetSpec, listen_s: float | None = None) -> None:
        self.cell = Cell(f"{spec.name}, first {listen_s} s", spec, voice=VOICE)
        limits = Limits() if listen_s is None else Limits(body=round(listen_s * BYTES_PER_S))
        self._target = make_http_target(spec, limits)
        self._client = Client(self._target, 0, timeout_s=spec.timeout_s, cold=False)
        self.close = self._client.close

    async def hear(self, text: str, length: int, number: int) -> Answer:
        """Ask once, and read what came."""
        return self.read(await self.take(text, number), length)

    async def take(self, text: str, number: int) -> Taken:
        """Ask once; what came is not read yet, because that takes time of its own."""
        taken = Taken(Utterance(text, voice=VOICE), Exchange(), "measured", client=0, index=number)
        await self._client.prepare()
        await self._client.request(taken.utterance, taken.exchange)
        return taken

    def read(self, taken: Taken, length: int) -> Answer:
        """What a client heard of an answer."""
        failure = taken.exchange.failure
        is_cut = failure is not None and failure.kind is FailureKind.ENDLESS
        if is_cut:  # our own limit, and no fault of the server's
            taken.exchange.failure = None
            _drop_half_sample(taken.exchange)
        record, _ = to_record(taken, self.cell, self._target.reading)
        error = "" if record.outcome in (OK, *NOT_JUDGED) else f"{record.outcome}: {record.message}"
        figures, told = {} if error else _figures(record), taken.exchange.headers
        said = told.get("x-decode", ""), told.get("x-runtime", "")
        return Answer(self.cell.target.name, length, taken.index, error, is_cut, figures, *said)


def _drop_half_sample(exchange: Exchange) -> None:
    if sum(map(len, exchange.pieces)) % BYTES_PER_SAMPLE:
        exchange.pieces[-1] = exchange.pieces[-1][:-1]


def _figures(record: RequestRecord) -> dict[str, float]:
    found = {name: value(name, record, Goals(buffer_ms=0)) for name in METRICS}
    found["library_ms"] = record.server_timing_ms.get(LIBRARY)
    return {name: figure for name, figure in found.items() if figure is not None}


class Idleness:
    """Watches the CPU time of the servers' process trees.

    Args:
        pids: Their roots, by name.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._trees = {name: ProcessTree(pid) for name, pid in pids.items()}

    async def cores(self, look_s: float) -> dict[str, float]:
        """How many cores each keeps busy, watched for so long."""
        before, began_ns = self._cpu_s(), now_ns()
        await asyncio.sleep(look_s)
        after, took_s = self._cpu_s(), (now_ns() - began_ns) / NS_PER_S
        return {name: (after[name] - before[name]) / took_s for name in after}

    async def wait(self) -> None:
        """Until nobody computes. Raises RuntimeError for one that never stops."""
        deadline_ns = now_ns() + round(IDLE_TIMEOUT_S * NS_PER_S)
        while (cores := await self.cores(IDLE_LOOK_S)) and max(cores.values()) > IDLE_CORES:
            if now_ns() > deadline_ns:
                busiest = max(cores, key=cores.__getitem__)
                raise RuntimeError(f"{busiest} still keeps {cores[busiest]:.2f} cores busy without a request")

    def _cpu_s(self) -> dict[str, float]:
        samples = {name: tree.read(0) for name, tree in self._trees.items()}
        ended = [name for name, sample in samples.items() if sample is None]
        if ended:
            raise RuntimeError(f"ended during the run: {', '.join(ended)}")
        return {name: sample.cpu_s for name, sample in samples.items() if sample is not None}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked.

    Attributes:
        rounds: By length in characters, how many.
        cut_above: Longer texts are heard for `listen_s` only.
        listen_s: Seconds of audio; 0: to the end.
        seed: Of texts and orders.
    """

    rounds: Mapping[int, int]
    cut_above: int
    listen_s: float
    seed: int

    def turns(self) -> list[tuple[int, int]]:
        """(length, round), all lengths in turn, so that a slow minute hits all of them."""
        most = max(self.rounds.values())
        return [(length, number) for number in range(most) for length in self.rounds if number < self.rounds[length]]


async def run_rounds(
    specs: Sequence[TargetSpec],
    idleness: Idleness,
    plan: Plan,
    progress: Callable[[str], None],
    check: Callable[[Answer], None],
) -> list[Answer]:
    """Warm everybody up, then all rounds.

    Args:
        specs: Who is asked.
        idleness: Of their processes.
        plan: What is asked.
        progress: Told a line for each answer.
        check: Given each answer, those of the warm-up too; what it raises ends the run.

    Raises:
        RuntimeError: A server ends or spins.
    """
    order, texts, answers = random.Random(plan.seed), Texts(plan.seed), []
    whole = {spec.name: Listener(spec) for spec in specs}
    cut = {spec.name: Listener(spec, plan.listen_s or None) for spec in specs}
    try:
        for listener in whole.values():
            for length in WARMUP_LENGTHS:
                check(await listener.hear(texts.take(length), length, -1))
        for length, number in plan.turns():
            text = texts.take(length)
            listeners = list((cut if length > plan.cut_above else whole).values())
            order.shuffle(listeners)
            for listener in listeners:
                await idleness.wait()
                answers.append(await listener.hear(text, length, number))
                check(answers[-1])
                progress(_line(answers[-1]))
    finally:
        for listener in (*whole.values(), *cut.values()):
            await listener.close()
    return answers


def _line(answer: Answer) -> str:
    said = answer.error or f"TTFA {answer.figures.get('ttfa_ms', float('nan')):.0f} ms"
    return f"{answer.length} characters, round {answer.number + 1}: {answer.peer}: {said}"
