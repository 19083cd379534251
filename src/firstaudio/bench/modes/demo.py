"""Mode `demo`: a server whose figures are known is measured, and the figures are found again, or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from firstaudio.bench.figures.metrics import value
from firstaudio.bench.modes.execute import execute
from firstaudio.bench.modes.plans import workload
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.progress import Progress
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.reference import Ask, Expected, Figures, expected, running
from firstaudio.bench.result import CellResult
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.workload import Goals

NAME = "synthetic_tts"
FIGURES = Figures(ttfa_ms=30.0, rtf=0.03, capacity=8)
WITHIN_MS, WITHIN_SHARE = 1.0, 0.02
CAPACITY_WITHIN = 0.05  # few answers end in the window, and texts differ in length


@dataclass(frozen=True, slots=True)
class Truth:
    """One figure that is known, and what was measured of it.

    Attributes:
        figure: What.
        unit: Of both.
        stated: What the server really does.
        measured: What the harness found.
        within: Largest difference that counts as found.
    """

    figure: str
    unit: str
    stated: float
    measured: float
    within: float

    @property
    def ok(self) -> bool:
        """Found."""
        return abs(self.measured - self.stated) <= self.within

    def to_json(self) -> dict[str, Any]:
        """With the range that is accepted."""
        accepted = {"low": self.stated - self.within, "high": self.stated + self.within}
        return {**asdict(self), **accepted, "ok": self.ok}


async def run(setup: Setup, options: RunOptions, progress: Progress, **how: Any) -> tuple[Session, list[Path]]:
    """Measure the synthetic server; the finding "truth" compares. The target of the setup does not count."""
    with running(FIGURES) as server:
        spec = setup.target.replace(kind="openai", url=server.url, name=NAME)
        wish = replace(setup, target=spec, texts=replace(setup.texts, classes=("short",)))
        options = replace(options, server_pid=server.pid)

        async def body(runner: Runner) -> None:
            await runner.run_all()
            found = truth(runner.records, runner.session.cells, FIGURES)
            runner.session.findings["truth"] = [one.to_json() for one in found]

        return await execute(workload("demo", wish), options, progress, body=body, **how)


def truth(records: Sequence[RequestRecord], cells: Sequence[CellResult], figures: Figures) -> list[Truth]:
    """What is known against what was measured; cells that did not run are left out."""
    alone = _of_level(records, 1)
    if not alone:
        return []
    stated = [_expected(record, figures) for record in alone]
    found = [
        _close("TTFA, 1 client", "ms", median(s.ttfa_ms for s in stated), _median("ttfa_ms", alone)),
        _close("TTGP, 1 client", "ms", median(s.ttgp_ms for s in stated), _median("ttgp_ms", alone)),
        _close("pre-roll needed, 1 client", "ms", median(s.preroll_ms for s in stated), _median("preroll_ms", alone)),
        _close("RTF, 1 client", "", median(s.rtf for s in stated), _median("rtf", alone), floor=0.002),
    ]
    crowded = max(cells, key=lambda cell: _level(cell.name))
    if figures.capacity and _level(crowded.name) > figures.capacity and crowded.totals["asps"]:
        found.append(_throughput(crowded, _of_level(records, _level(crowded.name)), figures))
    return found


def _throughput(cell: CellResult, records: Sequence[RequestRecord], figures: Figures) -> Truth:
    """With more clients than lanes, every lane is always busy: the audio per second is known."""
    audio_s = sum(record.audio_s or 0.0 for record in records)
    stated = figures.capacity * audio_s / sum(_expected(record, figures).latency_ms / 1e3 for record in records)
    title = f"ASPS, {_level(cell.name)} clients on {figures.capacity} lanes"
    return Truth(title, "", stated, cell.totals["asps"] or 0.0, within=CAPACITY_WITHIN * stated)


def _expected(record: RequestRecord, figures: Figures) -> Expected:
    return expected(figures, Ask(record.text, record.voice or "", record.speed))


def _close(figure: str, unit: str, stated: float, found: float, floor: float = WITHIN_MS) -> Truth:
    return Truth(figure, unit, stated, found, within=max(floor, WITHIN_SHARE * stated))


def _median(name: str, records: Sequence[RequestRecord]) -> float:
    values = [value(name, record, Goals()) for record in records]
    return median(figure for figure in values if figure is not None)


def _of_level(records: Sequence[RequestRecord], level: int) -> list[RequestRecord]:
    return [record for record in measured(records) if record.ok and _level(record.cell) == level]


def _level(cell: str) -> int:
    return int(cell.removeprefix("c="))
