"""What the harness's own client costs, alone and in a crowd.

    python benchmarks/harness_floor.py [--requests N] [--workers N] [--json FILE]

"paced": closed loop against a server whose first audio is stated (50 ms, RTF 0.2), so that requests come as fast as
from so many listeners: measured TTFA less the stated one. "null": the same clients against a server that answers at
once, each asking 40 times a second: the floor that reports print beside TTFA. The
target is a p99 of at most 5 ms at 64 clients; 256 clients must run without an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import uvloop

from firstaudio.bench.load.floor import measure_floor
from firstaudio.bench.load.runner import run_load
from firstaudio.bench.load.taken import LoadRun
from firstaudio.bench.load.workers import run_load_in_processes
from firstaudio.bench.reference import running
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.texts import TextSource
from firstaudio.bench.workload import Cell, Load, Texts
from firstaudio.clock import NS_PER_MS
from report import Report, arguments, quiet

CLIENTS = (1, 64, 256)
TTFA_MS = 50.0


def cell_of(url: str, clients: int, requests: int) -> Cell:
    load = Load(concurrency=clients, num_requests=max(requests, 4 * clients))
    return Cell(f"c={clients}", TargetSpec("openai", url, "reference"), texts=Texts(("short",)), load=load)


async def load_of(cell: Cell, workers: int) -> LoadRun:
    if workers > 1:
        return await run_load_in_processes(cell, workers)
    target = make_target(cell.target)
    try:
        return await run_load(target, cell, TextSource.of(cell))
    finally:
        await target.close()


def paced(clients: int, requests: int, workers: int) -> dict[str, Any]:
    with running(ttfa_ms=TTFA_MS, rtf=0.2, char_s=0.03) as server:
        run = uvloop.run(load_of(cell_of(server.url, clients, requests), workers))
    exchanges = [taken.exchange for taken in run.taken if taken.phase == "measured"]
    failed = [exchange.failure for exchange in exchanges if exchange.failure]
    assert not failed, failed[0]
    over = [(e.arrivals_ns[0] - (e.sent_ns or 0)) / NS_PER_MS - TTFA_MS for e in exchanges]
    p50, p99 = np.quantile(over, [0.5, 0.99])
    return row("paced", clients, workers, len(over), float(p50), float(p99), f"{run.client.cpu_share:.0%}")


def null(clients: int, workers: int) -> dict[str, Any]:
    cell = cell_of("http://127.0.0.1:1", clients, 0)
    floor = uvloop.run(measure_floor(cell, workers))
    assert floor is not None
    return row("null", clients, workers, floor.num_requests, floor.p50_ms, floor.p99_ms, "")


def row(server: str, clients: int, workers: int, n: int, p50: float, p99: float, cpu: str) -> dict[str, Any]:
    return {
        "server": server,
        "clients": clients,
        "load processes": workers,
        "n": n,
        "p50 ms": p50,
        "p99 ms": p99 if n >= 368 else f"{p99:.2f} (n < 368)",
        "client CPU": cpu,
    }


def main() -> None:
    options = arguments(__doc__, requests=400, workers=1)
    rows, noise = [], []
    for clients in CLIENTS:
        for kind in ("paced", "null"):

            def run(clients: int = clients, kind: str = kind) -> dict[str, Any]:
                if kind == "null":
                    return null(clients, options.workers)
                return paced(clients, options.requests, options.workers)

            found, others = quiet(run)
            rows.append(found)
            noise.append({"server": kind, "clients": clients, "others": others})
    report = Report("client floor: (first byte - sent), loopback", "others' share per row below")
    report.rows(rows)
    report.rows(noise)
    report.save(options.json, {"rows": rows, "noise": noise})


if __name__ == "__main__":
    main()
