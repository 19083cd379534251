"""One mode from beginning to end: preflight, cells, findings, reports. What the command line and programs call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstaudio.bench.capacity import Criterion
from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.modes import ab, capacity
from firstaudio.bench.modes.conclude import conclude
from firstaudio.bench.modes.plans import workload
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.preflight import PreflightError, preflight
from firstaudio.bench.progress import Progress
from firstaudio.bench.report.write import write_reports
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.workload import Cell, Workload
from firstaudio.errors import BenchError

Body = Callable[[Runner], Awaitable[None]]


async def execute(
    work: Workload,
    options: RunOptions,
    progress: Progress,
    *,
    body: Body | None = None,
    probes: tuple[Cell, ...] = (),
    on_start: Callable[[Runner], None] = lambda _: None,
) -> tuple[Session, list[Path]]:
    """Run a session to its end, however it ends.

    Args:
        work: What to measure.
        options: How.
        progress: Who watches.
        body: What to do instead of all cells in order.
        probes: Cells whose targets are asked first; by default one per target of the workload.
        on_start: Told the runner, for instance to stop it on a signal.

    Returns:
        The saved session and the files that were written beside it.
    """
    runner = Runner(work, options, progress)
    on_start(runner)
    try:
        if await _speak(runner, [[probe] for probe in probes] or _by_target(work.cells)):
            await (body(runner) if body else runner.run_all())
        conclude(runner.session, runner.records, work.goals)
        session = runner.finish()
    except BenchError as error:
        runner.session.warnings.append(f"the run ended early: {error.message}")
        runner.save()
        _reports(runner)
        raise
    except BaseException:
        runner.save()  # whatever it was: what has been measured is kept, marked as partial
        raise
    finally:
        await runner.close()
    return session, _reports(runner)


def _reports(runner: Runner) -> list[Path]:
    if not runner.options.reports:
        return []
    return write_reports(runner.session, runner.folder, list(runner.records))


async def run_mode(
    mode: str, setup: Setup, options: RunOptions, progress: Progress, **how: Any
) -> tuple[Session, list[Path]]:
    """A mode that knows its cells beforehand."""
    return await execute(workload(mode, setup), options, progress, **how)


async def run_capacity(
    setup: Setup, criterion: Criterion, options: RunOptions, progress: Progress, *, start: int, limit: int, **how: Any
) -> tuple[Session, list[Path]]:
    """The search for the capacity."""
    goals = replace(setup.goals, ttfa_ms=criterion.ttfa_ms, buffer_ms=criterion.buffer_ms)

    async def body(runner: Runner) -> None:
        await capacity.run(runner, setup, criterion, start, limit)

    probes = (setup.cell("probe"),)
    return await execute(Workload("capacity", (), goals), options, progress, body=body, probes=probes, **how)


async def run_ab(
    a: Setup, b: Setup, options: RunOptions, progress: Progress, *, rounds: int, requests: int, **how: Any
) -> tuple[Session, list[Path]]:
    """Two targets, interleaved."""

    async def body(runner: Runner) -> None:
        taken = await ab.run_rounds(runner, a, b, rounds, requests)
        if any(of_a and of_b for of_a, of_b in taken):
            runner.session.findings["ab"] = ab.verdict(taken, a, b)

    probes = (a.cell("A"), b.cell("B"))
    return await execute(Workload("ab", (), a.goals), options, progress, body=body, probes=probes, **how)


def _by_target(cells: Sequence[Cell]) -> list[list[Cell]]:
    """One cell for each voice of each target."""
    found: dict[str, dict[str | None, Cell]] = {}
    for cell in cells:
        found.setdefault(cell.target.name, {}).setdefault(cell.voice, cell)
    return [list(voices.values()) for voices in found.values()]


async def _speak(runner: Runner, groups: Sequence[Sequence[Cell]]) -> bool:
    """Whether one of each group answers, and nobody stops; what its first request took is noted."""
    for cells in groups:
        runner.session.targets.setdefault(cells[0].target.name, cells[0].target.public())
        if not await _one_speaks(runner, cells):
            return False
    return True


async def _one_speaks(runner: Runner, cells: Sequence[Cell]) -> bool:
    """Whether the target answers in the voice of one of these cells; a voice that fails is measured as failing."""
    for number, cell in enumerate(cells, 1):
        try:
            answer = await runner.until_stopped(preflight(runner.target(cell), cell))
        except PreflightError as error:
            failure = error.failure
            if number == len(cells) or failure.kind == FailureKind.UNREACHABLE:
                runner.session.findings["preflight"] = {"kind": failure.kind, "message": failure.message}
                return False
            continue
        if answer is None:
            return False
        first = runner.session.findings.setdefault("first_request", {})
        first.setdefault(cell.target.name, _first_figures(answer.record))  # later ones find a server that is warm
        return True
    return True


def _first_figures(record: Any) -> dict[str, float | str | int | None]:
    from firstaudio.bench.figures.metrics import value
    from firstaudio.bench.workload import Goals

    figures = {name: value(name, record, Goals()) for name in ("connect_ms", "ttfa_ms", "latency_ms", "rtf")}
    return {**figures, "container": record.container, "sample_rate": record.sample_rate}
