"""Mode `ab`: two targets in one session, in rounds A B B A, the same texts to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from firstaudio.bench import quality
from firstaudio.bench.compare.rounds import compare_rounds
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.run import Runner
from firstaudio.bench.workload import Cell

DEFAULT_ROUNDS = 12
MIN_ROUNDS = 10
REQUESTS_PER_ROUND = 8


def order(round_number: int) -> tuple[str, str]:
    """Who goes first: A B, then B A, so that a drift strikes both alike."""
    return ("A", "B") if round_number % 2 == 0 else ("B", "A")


def cells(setups: dict[str, Setup], round_number: int, requests: int) -> list[tuple[Cell, str]]:
    """The two cells of a round and the salt of their common texts; only the first round warms up at length."""
    found = []
    for side in order(round_number):
        setup = replace(setups[side], requests=requests, warmup=setups[side].warmup if round_number == 0 else 1)
        cell = setup.cell(f"{side} round {round_number + 1}", setup.levels[0], target=side, round=round_number + 1)
        found.append((cell, f"round {round_number + 1}"))
    return found


async def run_rounds(
    runner: Runner, a: Setup, b: Setup, rounds: int = DEFAULT_ROUNDS, requests: int = REQUESTS_PER_ROUND
) -> list[tuple[list[RequestRecord], list[RequestRecord]]]:
    """Every round's measured records of A and of B. Each round is one cell per side in the session."""
    setups = {"A": a, "B": b}
    taken: list[tuple[list[RequestRecord], list[RequestRecord]]] = []
    for number in range(rounds):
        sides: dict[str, list[RequestRecord]] = {}
        for cell, salt in cells(setups, number, requests):
            if runner.stopped:
                return taken
            _, records = await runner.run(cell, salt)
            sides[str(cell.axes["target"])] = [record for record in records if record.phase == "measured"]
        taken.append((sides["A"], sides["B"]))
    return taken


def flat(rounds: Sequence[tuple[list[RequestRecord], list[RequestRecord]]], side: int) -> list[RequestRecord]:
    """All records of one side (0 is A)."""
    return [record for pair in rounds for record in pair[side]]


def verdict(
    rounds: Sequence[tuple[list[RequestRecord], list[RequestRecord]]], a: Setup, b: Setup
) -> dict[str, Any]:
    """The finding "ab"."""
    reasons = quality.differs(flat(rounds, 0), flat(rounds, 1))
    return asdict(compare_rounds(rounds, a.target.name, b.target.name, voided_by=reasons))
