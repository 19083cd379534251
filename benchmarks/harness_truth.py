"""Whether the harness measures what is true: a server with stated figures, measured as any other server is.

    python benchmarks/harness_truth.py [--requests N] [--clients N] [--json FILE]

"stated" is what the arithmetic of the figures says for the very texts that were sent (median). "measured" is by how
much the harness differs from it for the same request, "logged" by how much the server's own log does, from reading
the request to writing the chunks (medians of the differences). Allowed for the median difference: 1 ms or 2 % at one
client, 3 ms at many; pre-roll and TTGP 1 ms, the number of stalls none.
Conditions run one after the other; one during which other processes used the machine is repeated.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from firstaudio.audio.playback import preroll_needed_ns, stalls
from firstaudio.bench.figures.metrics import value
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.reference import Ask, Figures, expected, running
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load, Texts, Workload
from firstaudio.clock import NS_PER_MS, NS_PER_S
from report import Report, arguments, quiet

STALLS = ((0.3, 400.0), (1.0, 250.0))
BASE = Figures(rtf=0.2, char_s=0.03)
METRICS = {  # of the harness: (of `Expected`, exact)
    "ttfa_ms": ("ttfa_ms", False),
    "latency_ms": ("latency_ms", False),
    "rtf": ("rtf", False),
    "ttgp_ms": ("ttgp_ms", True),
    "preroll_ms": ("preroll_ms", True),
    "stall_count": ("num_stalls", True),
}
EXACT_MS = 1.0


@dataclass(frozen=True, slots=True)
class Condition:
    """A server and how many listen to it."""

    name: str
    figures: Figures
    clients: int


def conditions(clients: int) -> list[Condition]:
    """Three times to first audio, and stalls, for one client and for many."""
    servers = {f"TTFA {ms}": BASE.replace(ttfa_ms=ms) for ms in (5, 50, 500)}
    servers |= {"stalls": BASE.replace(ttfa_ms=50, stalls=STALLS), "RTF 1.5": BASE.replace(ttfa_ms=50, rtf=1.5)}
    return [
        Condition(f"{name}, {count} client{'s' * (count > 1)}", figures, count)
        for count in (1, clients)
        for name, figures in servers.items()
    ]


async def run(condition: Condition, url: str, requests: int) -> list[RequestRecord]:
    """The measured records of one cell, as the harness saves them."""
    load = Load(concurrency=condition.clients, num_requests=requests)
    cell = Cell(condition.name, TargetSpec("openai", url, "reference"), texts=Texts(("short",)), load=load)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Workload("server", (cell,)), RunOptions(Path(folder), "truth", floor=False))
        try:
            await runner.run_all()
            runner.finish()
        finally:
            await runner.close()
        return list(measured(runner.records))


def compare(condition: Condition, records: list[RequestRecord], truth: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per metric."""
    assert all(record.ok for record in records), {record.message for record in records if not record.ok}
    logs = dict(matching(records, truth))
    return [row(condition, name, records, logs) for name in METRICS]


def row(
    condition: Condition, name: str, records: list[RequestRecord], logs: dict[int, dict[str, float]]
) -> dict[str, Any]:
    stated_name, exact = METRICS[name]
    right = [getattr(expected(condition.figures, Ask(record.text)), stated_name) for record in records]
    found = [(value(name, record, Goals()) or 0.0) - stated for record, stated in zip(records, right, strict=True)]
    logged = [logs[r.index][name] - stated for r, stated in zip(records, right, strict=True) if r.index in logs]
    allowed = allowed_difference(condition, name, median(right), exact)
    return {
        "condition": condition.name,
        "metric": name,
        "n": len(records),
        "stated": float(median(right)),
        "measured": f"{median(found):+.3f}",
        "worst": f"{max(found, key=abs):+.3f}",
        "logged": f"{median(logged):+.3f}" if logged else "",
        "allowed": f"{allowed:.3f}",
        "ok": abs(median(found)) <= allowed,
    }


def allowed_difference(condition: Condition, name: str, stated: float, exact: bool) -> float:
    """Of the median, in the metric's unit."""
    if name == "stall_count":
        return 0.0
    if name == "rtf":
        return 0.02 * stated
    if exact:
        return EXACT_MS
    return max(1.0, 0.02 * stated) if condition.clients == 1 else 3.0


def matching(records: Iterable[RequestRecord], truth: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, float]]]:
    """What the server says of each record: its row with as long a text, accepted while the client waited."""
    for record in records:
        assert record.sent_ns is not None
        assert record.first_byte_ns is not None
        rows = [
            row
            for row in truth
            if row["num_chars"] == len(record.text) and record.sent_ns <= row["accepted_ns"] <= record.first_byte_ns
        ]
        if len(rows) == 1:
            yield record.index, log_of(rows[0])


def log_of(row: dict[str, Any]) -> dict[str, float]:
    """The same metrics, seen by the server."""
    written, begin_ns = row["written_ns"], row["accepted_ns"]
    durations = [samples * NS_PER_S // BASE.sample_rate for samples in row["num_samples"]]
    preroll_ns = preroll_needed_ns(written, durations)
    return {
        "ttfa_ms": (written[0] - begin_ns) / NS_PER_MS,
        "latency_ms": (written[-1] - begin_ns) / NS_PER_MS,
        "rtf": (written[-1] - begin_ns) / NS_PER_S / row["audio_s"],
        "ttgp_ms": (written[0] + preroll_ns - begin_ns) / NS_PER_MS,
        "preroll_ms": preroll_ns / NS_PER_MS,
        "stall_count": len(stalls(written, durations)),
    }


def measure(condition: Condition, requests: int) -> list[dict[str, Any]]:
    with running(condition.figures) as server:
        records = uvloop.run(run(condition, server.url, requests))
        return compare(condition, records, server.truth(4096)["requests"])


def main() -> None:
    options = arguments(__doc__, requests=36, clients=64)
    rows, noise = [], []
    for condition in conditions(options.clients):
        found, others = quiet(lambda condition=condition: measure(condition, options.requests))
        rows += found
        noise.append({"condition": condition.name, "others": others})
    report = Report("truth: a server with stated figures, loopback, medians", "others' share per condition below")
    report.rows(rows)
    report.rows(noise)
    failed = [f"{row['condition']}: {row['metric']}" for row in rows if not row["ok"]]
    report.figures({"figures found": len(rows) - len(failed), "figures missed": len(failed)})
    report.save(options.json, {"rows": rows, "noise": noise})
    if failed:
        raise SystemExit(f"not found: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
