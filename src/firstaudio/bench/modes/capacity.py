"""Mode `capacity`: how many listeners at once hear no gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from firstaudio.bench.capacity import Criterion, Step, judge, search
from firstaudio.bench.figures.parts import Part
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.run import Runner
from firstaudio.stats.sample import requests_for_share

FIRST_LOOK = 40  # requests after which a level may already be hopeless
MAX_TIMES = 3  # as many requests as it takes without a bad one: a level with some is near the limit, and fails


async def run(runner: Runner, setup: Setup, criterion: Criterion, start: int = 1, limit: int = 256) -> dict[str, Any]:
    """Search, and note the finding "capacity" in the session.

    Args:
        runner: Of a session without cells of its own.
        setup: What is sent; its levels and number of requests do not count.
        criterion: What a listener must get.
        start: First level.
        limit: Never tried above.

    Returns:
        The finding.
    """
    steps: list[Step] = []
    levels = search(start, limit)
    answer: int | None = None
    try:
        level = next(levels)
        while True:
            steps.append(await _try(runner, setup, criterion, level, len(steps)))
            if runner.stopped:  # a level that was cut short has neither passed nor failed
                break
            level = levels.send(steps[-1].passed)
    except StopIteration as end:
        answer = int(end.value)
    finding = _finding(answer, limit, criterion, steps)
    runner.session.findings["capacity"] = finding
    return finding


async def _try(runner: Runner, setup: Setup, criterion: Criterion, level: int, number: int) -> Step:
    """A first look, then as many requests as can prove the level while there is hope; all are parts of one cell."""
    wanted = requests_for_share(criterion.share)
    cell = replace(setup, requests=wanted).cell(f"#{number + 1} c={level}", level)
    parts: list[Part] = []
    step, needed = None, min(max(FIRST_LOOK, 4 * level), wanted)
    while not runner.stopped and (step is None or step.n < needed <= MAX_TIMES * wanted):
        load = replace(cell.load, num_requests=needed - (step.n if step else 0))
        parts.append(await runner.measure(cell.replace(load=load), number=len(parts)))
        step = judge(level, _records(parts), criterion)
        if step.passed or step.hopeless:
            break
        needed = max(wanted, requests_for_share(criterion.share, step.n - step.good))
    step = step or judge(level, [], criterion)
    if parts:
        runner.keep(cell.replace(load=replace(cell.load, num_requests=max(1, step.n))), parts)
    return step


def _records(parts: Sequence[Part]) -> list[RequestRecord]:
    return [record for part in parts for record in part.records]


def _finding(answer: int | None, limit: int, criterion: Criterion, steps: list[Step]) -> dict[str, Any]:
    tried = [{**asdict(step), "share": step.good / step.n if step.n else None, "passed": step.passed} for step in steps]
    return {
        "listeners": answer,
        "criterion": asdict(criterion),
        "steps": tried,
        "sentence": _sentence(answer, limit, criterion),
    }


def _sentence(answer: int | None, limit: int, criterion: Criterion) -> str:
    if answer is None:
        return "the search was interrupted before it had an answer"
    if answer == 0:
        return f"not even one listener gets what was asked: {criterion.sentence()}"
    at_least = "at least " if answer == limit else ""
    listeners = "listener" if answer == 1 else "listeners at once"
    return f"{at_least}{answer} gapless {listeners}: {criterion.sentence()}"
