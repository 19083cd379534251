"""Mode `ab`: two targets in one session, in rounds A B B A, the same texts to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from firstaudio.bench.compare.rounds import compare_rounds
from firstaudio.bench.figures.parts import Part
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.reading import quality
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.run import Runner
from firstaudio.bench.workload import Cell

Round = tuple[list[RequestRecord], list[RequestRecord]]

DEFAULT_ROUNDS = 12
MIN_ROUNDS = 10
REQUESTS_PER_ROUND = 8


def order(round_number: int) -> tuple[str, str]:
    """Who goes first: A B, then B A, so that a drift strikes both alike."""
    return ("A", "B") if round_number % 2 == 0 else ("B", "A")


async def run_rounds(
    runner: Runner, a: Setup, b: Setup, rounds: int = DEFAULT_ROUNDS, requests: int = REQUESTS_PER_ROUND
) -> list[Round]:
    """Every round's measured records of A and of B. All rounds of a side are parts of one cell of the session."""
    cells = {name: _cell(setup, name, requests) for name, setup in (("A", a), ("B", b))}
    parts: dict[str, list[Part]] = {"A": [], "B": []}
    for number in range(rounds):
        for side in order(number):
            if not runner.stopped:
                cell = cells[side] if number == 0 else _warm(cells[side])
                parts[side].append(await runner.measure(cell, salt=f"round {number + 1}", number=number))
    for side, cell in cells.items():
        if parts[side]:
            total = replace(cell.load, num_requests=requests * len(parts[side]))
            runner.keep(cell.replace(load=total), parts[side])
    pairs = zip(parts["A"], parts["B"], strict=False)  # the last round may be half
    return [(list(measured(of_a.records)), list(measured(of_b.records))) for of_a, of_b in pairs]


def _cell(setup: Setup, side: str, requests: int) -> Cell:
    return replace(setup, requests=requests).cell(side, setup.levels[0], target=setup.target.name)


def _warm(cell: Cell) -> Cell:
    """Rounds after the first one only warm the connection up."""
    return cell.replace(load=replace(cell.load, warmup_requests=1))


def verdict(rounds: Sequence[Round], a: Setup, b: Setup) -> dict[str, Any]:
    """The finding "ab"."""
    of_a, of_b = ([record for each in rounds for record in each[side]] for side in (0, 1))
    reasons = quality.differs(of_a, of_b)
    return asdict(compare_rounds(rounds, a.target.name, b.target.name, voided_by=reasons))
