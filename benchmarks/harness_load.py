"""Whether the harness sees what a load does to a server whose limits are stated.

    python benchmarks/harness_load.py [--lanes N] [--json FILE]

capacity: a server with N lanes; a request that finds no free lane waits. The search must find N, give or take one.
freeze: a server that stands still for one second in the middle of ten. An open loop sends on and must show the second
in its scheduled p99; a closed loop with one client shows it once, which is why it must not be asked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from firstaudio.bench.capacity import Criterion
from firstaudio.bench.modes import capacity
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.reference import Figures, running
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Load, Texts, Workload
from report import Report, arguments, quiet

LANES = Figures(ttfa_ms=50, rtf=0.1, char_s=0.04)
PATIENCE, SHARE = 1.5, 0.95  # a machine that stands still for 20 ms now and then must not count as a full one
FROZEN = Figures(ttfa_ms=20, rtf=0.02, char_s=0.02, freeze=(5.0, 1.0))
RATE_PER_S, FOR_S, FREEZE_MS = 40.0, 10.0, 1000.0
SEEN = 0.8  # of the frozen second: one percent of 400 requests fell into its first tenth


async def session(work: Workload, body: Callable[[Runner], Awaitable[Any]]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(work, RunOptions(Path(folder), "load", floor=False))
        try:
            return await body(runner)
        finally:
            await runner.close()


def search(lanes: int) -> int:
    """The capacity that is found; whoever waits for a lane waits longer than the criterion allows."""
    criterion = Criterion(ttfa_ms=PATIENCE * LANES.ttfa_ms, buffer_ms=0.0, share=SHARE)
    with running(LANES, capacity=lanes) as server:
        setup = Setup(TargetSpec("openai", server.url, "reference"), texts=Texts(("short",)))
        found = uvloop.run(session(Workload("capacity", ()), lambda runner: capacity.run(runner, setup, criterion)))
    return int(found["listeners"])


def frozen(load: Load) -> dict[str, float | None]:
    """Scheduled TTFA in ms under one kind of load; None for percentiles that need more requests."""
    with running(FROZEN) as server:
        cell = Cell("freeze", TargetSpec("openai", server.url, "reference"), texts=Texts(("short",)), load=load)
        result = uvloop.run(session(Workload("server", (cell,)), lambda runner: runner.run(cell)))
    quantiles = result.distributions["scheduled_ttfa_ms"].quantiles
    return {"n": result.ok, **{name: estimate.value for name, estimate in quantiles.items()}}


def main() -> None:
    options = arguments(__doc__, lanes=6)
    found, others = quiet(lambda: search(options.lanes))
    report = Report("the harness under load, reference server, loopback", others)
    report.figures({"lanes": options.lanes, "gapless listeners found": found})
    open_loop = Load("poisson", 128, RATE_PER_S, num_requests=round(RATE_PER_S * FOR_S), warmup_requests=8)
    closed = Load(concurrency=1, num_requests=None, duration_s=FOR_S, warmup_requests=8)
    rows = []
    for name, load in (("open", open_loop), ("closed", closed)):
        figures, noise = quiet(lambda load=load: frozen(load))
        rows.append({"loop": name, **figures})
        print(f"{name} loop: {noise}")
    report.rows(rows)
    report.save(options.json, {"lanes": options.lanes, "found": found, "freeze": rows})
    if abs(found - options.lanes) > 1:
        raise SystemExit(f"the capacity is {options.lanes}, found was {found}")
    if (rows[0]["p99"] or 0.0) < SEEN * FREEZE_MS:
        raise SystemExit("the open loop did not show the frozen second in its scheduled p99")


if __name__ == "__main__":
    main()
