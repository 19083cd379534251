"""Start the server on the embedded engine, speak a text into a file, measure what a listener would hear, print it.

Run by `make demo`; `python examples/demo.py [--out FILE] [TEXT]` by hand. The harness measures, so every figure is as
docs/metrics.md says, and the session with every raw stamp is kept. The exit code is 1 when a stream stalled or failed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console

from firstaudio.audio.chunk import to_int16
from firstaudio.audio.encode import wav_header
from firstaudio.bench.figures.metrics import value
from firstaudio.bench.harness import speak_once
from firstaudio.bench.modes.plans import workload
from firstaudio.bench.modes.setup import PLANS, Setup
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.report.console import table
from firstaudio.bench.report.figures import estimate, number, quantile
from firstaudio.bench.result import CellResult
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.store import free_name
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Goals

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from serve import serve

CLASSES = ("short", "medium", "long")
SESSIONS = Path("out")
HEADER = ("text", "characters", "audio", "TTFA", "audible", "TTGP", "RTF", "stalled")
GREETING = (
    "Hello! You are listening to firstaudio. By the time you read this line, "
    "the first words had long been on their way."
)
LEGEND = """
TTFA: request sent to first audio byte. Audible: to the first sound for someone who plays at once.
TTGP: earliest press of play that never stalls. RTF: time for the whole answer over its audio."""


async def measure(spec: TargetSpec, pid: int) -> Runner:
    """One session with a cell per text class, one listener; saved."""
    work = workload("ttfa", Setup(spec, requests=PLANS["demo"]))
    options = RunOptions(SESSIONS, free_name(SESSIONS, "demo"), server_pid=pid, command=tuple(sys.argv))
    runner = Runner(work, options)
    try:
        for cell in work.cells:
            if cell.axes.get("text_class") in CLASSES:
                await runner.run(cell)
        runner.finish()
    finally:
        await runner.close()
    return runner


def rows(cells: Sequence[CellResult], records: Sequence[RequestRecord]) -> Iterator[tuple[str, ...]]:
    """One per text class: medians, but means of the texts' lengths."""
    for cell in cells:
        spoken = [record for record in measured(records) if record.cell == cell.name]
        medians = [estimate(quantile(cell, name, "p50"), "ms") for name in ("ttfa_ms", "audible_ttfa_ms", "ttgp_ms")]
        yield (
            str(cell.axes["text_class"]),
            f"{fmean(len(record.text) for record in spoken):.0f}",
            number(fmean(record.audio_s or 0.0 for record in spoken), "s"),
            *medians,
            estimate(quantile(cell, "rtf", "p50")),
            f"{sum(map(stalled, spoken))} of {len(spoken)}",
        )


def stalled(record: RequestRecord) -> bool:
    """Whether someone who played at once would have heard a gap, or nothing at all."""
    return not record.ok or value("preroll_ms", record, Goals()) != 0


def speak(spec: TargetSpec, text: str, path: Path) -> None:
    """`text` into a WAV file, untimed."""
    pcm, sample_rate = asyncio.run(speak_once(spec.replace(delivery="whole", container="wav"), text))
    samples = to_int16(pcm).astype("<i2").tobytes()
    path.write_bytes(wav_header(sample_rate, len(samples)) + samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="?", default=GREETING)
    parser.add_argument("--out", type=Path, default=Path("demo.wav"))
    arguments = parser.parse_args()
    with serve("--engine-names", "espeak") as server:
        speak(server.spec(), arguments.text, arguments.out)
        runner = asyncio.run(measure(server.spec(), server.pid))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"What a listener on this machine hears (medians of {PLANS['demo']} requests each)\n", style="bold")
    console.print("\n".join(table(HEADER, list(rows(runner.session.cells, runner.records)))), markup=False)
    console.print(LEGEND)
    if reasons := runner.session.reasons:
        console.print(f"Not to be quoted, for {len(reasons)} reasons as: {reasons[0]}", style="yellow", markup=False)
    console.print(f"{arguments.out}: {arguments.text[:200]!r}\n{runner.folder}: every stamp", markup=False)
    sys.exit(any(map(stalled, measured(runner.records))))


if __name__ == "__main__":
    main()
