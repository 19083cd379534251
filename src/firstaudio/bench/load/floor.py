"""What the client itself costs: the same client, as many of them, against a server that answers at once.

Printed beside every TTFA: a figure near the floor says something about the harness and little about the target.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.load.runner import run_load
from firstaudio.bench.load.taken import LoadRun
from firstaudio.bench.load.workers import run_load_in_processes
from firstaudio.bench.result import Floor
from firstaudio.bench.spec import Kind, TargetSpec
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.texts import TextSource
from firstaudio.bench.workload import MIN_PER_CLIENT, Cell, Load, Texts
from firstaudio.clock import NS_PER_MS
from firstaudio.errors import BenchError

MIN_REQUESTS = 200
DEADLINE_S = 20.0
THINK_S = 0.025  # 40 requests a second of each client, many more than speech asks for
FEW_THINK_S, FEW = 0.002, 64  # fewer clients wait less, so that it does not take long: together they ask as often
CHAR_S = 0.001  # audio per character: at full speed, speech of a natural length would measure the loopback's throughput
VOICE = "null"  # ElevenLabs has it in its address
TEXTS = Texts(("short",), seed=0)
PROTOCOLS: dict[Kind, str] = {
    "openai": "http",
    "http": "http",
    "torch": "http",
    "websocket": "ws",
    "elevenlabs": "ws",
    "wyoming": "wyoming",
}


async def measure_floor(
    cell: Cell, workers: int = 1, num_requests: int | None = None, warn: Callable[[str], None] | None = None
) -> Floor | None:
    """Time to the first byte of the null server, at the cell's concurrency or arrivals per second.

    Takes a few seconds. The answers are short (`CHAR_S`): what is measured is getting one, not carrying much audio.
    Each client waits (up to `THINK_S`) before it asks again: without it, client and null server would run as fast as
    they can and wait for each other, and the floor would be that of a client without any time left, whose runs are
    INVALID. An open loop is stood in for by as many such clients as make its arrivals at their highest rate, and a
    target of kind "http" by one of kind "openai" with the same delivery: the client is the same.

    Args:
        cell: Whose client.
        workers: Load processes.
        num_requests: None: `MIN_REQUESTS`, or more for many clients.
        warn: Told why there is no floor, where there could have been one.

    Returns:
        None where no server can stand in (for commands), and where it did not start or did not answer: a run is worth
        its numbers without a floor.
    """
    protocol = PROTOCOLS.get(cell.target.kind)
    if protocol is None:
        return None
    try:
        return await _measure(cell, protocol, workers, _load(cell.load, num_requests))
    except (BenchError, OSError) as error:
        if warn is not None:
            warn(f"the client floor could not be measured: {getattr(error, 'message', error)}")
        return None


async def _measure(cell: Cell, protocol: str, workers: int, load: Load) -> Floor:
    from firstaudio.bench.reference.running import running

    protocols = ("http",) if protocol == "http" else ("http", protocol)
    stack = ExitStack()
    try:
        null = running(protocols=protocols, ttfa_ms=0, rtf=0, char_s=CHAR_S)
        server = await asyncio.to_thread(stack.enter_context, null)
        url = {"http": server.url, "ws": server.ws_url, "wyoming": server.wyoming_url}[protocol]
        stand_in = Cell("client floor", _spec(cell.target, url), voice=VOICE, texts=TEXTS, load=load)
        run = await _run(stand_in, workers, server.pid)
    finally:
        await asyncio.to_thread(stack.close)  # the server waits for websockets to close, which needs this event loop
    return _floor(run, load.concurrency)


def _spec(spec: TargetSpec, url: str) -> TargetSpec:
    """A target of the same kind in the null server; nothing of the real one's address, secrets or pace."""
    kind: Kind = "openai" if spec.kind == "http" else spec.kind
    whole = spec.delivery if spec.kind in ("openai", "http") else "stream"
    return TargetSpec(kind, url, "null server", delivery=whole, connections=spec.connections, timeout_s=DEADLINE_S)


def _load(load: Load, num_requests: int | None) -> Load:
    """As many clients as the cell has, or as an open loop's arrivals take."""
    clients = load.concurrency
    if load.arrival != "closed":
        clients = max(1, min(clients, math.ceil(_highest_rate(load) * THINK_S)))
    return Load(
        concurrency=clients,
        num_requests=num_requests or max(MIN_REQUESTS, MIN_PER_CLIENT * clients),
        think_s=min(THINK_S, max(FEW_THINK_S, THINK_S * clients / FEW)),
        stagger_s=THINK_S,
        warmup_requests=clients,
        deadline_s=DEADLINE_S,
    )


def _highest_rate(load: Load) -> float:
    """Arrivals per second, at the peak of a ramp; of a trace the mean."""
    if load.arrival == "trace":
        span_s = load.offsets_s[-1] - load.offsets_s[0] if load.offsets_s else 0.0
        return len(load.offsets_s) / span_s if span_s > 0 else 1.0
    return max(load.rate_per_s or 0.0, load.start_rate_per_s or 0.0)


async def _run(cell: Cell, workers: int, server_pid: int) -> LoadRun:
    if workers > 1:
        return await run_load_in_processes(cell, workers, ours=(server_pid,))
    target = make_target(cell.target)
    try:
        return await run_load(target, cell, TextSource.of(cell), ours=(server_pid,))
    finally:
        await target.close()


def _floor(run: LoadRun, concurrency: int) -> Floor:
    exchanges = [taken.exchange for taken in run.taken if taken.phase == "measured"]
    failed = [e.failure for e in exchanges if e.failure and e.failure.kind is not FailureKind.CANCELLED]
    waits = [e.arrivals_ns[0] - e.sent_ns for e in exchanges if e.sent_ns is not None and e.arrivals_ns]
    if failed or not waits:
        raise BenchError(f"the null server did not answer: {failed[0].message if failed else 'it sent nothing'}")
    p50, p99 = np.percentile(np.array(waits) / NS_PER_MS, [50, 99])
    return Floor(float(p50), float(p99), len(waits), concurrency, run.client.workers)
