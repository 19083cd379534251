"""The search against functions whose capacity is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firstaudio.bench.capacity import Criterion
from firstaudio.bench.machine import environment
from firstaudio.bench.modes import capacity
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.reference.sound import sound
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.function import FunctionTarget
from firstaudio.bench.texts import Texts
from firstaudio.bench.workload import Workload
from firstaudio.stats.sample import requests_for_share

RATE = 8000
PATIENT = {"ttfa_ms": 60_000.0, "buffer_ms": 60_000.0}  # what is tested is the search, not the speed of this machine
SETUP = Setup(TargetSpec("command", name="fn"), texts=Texts(("short",)), warmup=0)


class Server:
    """Fails whenever the level that is tried is above its capacity."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.runner: Runner | None = None
        self.level = 0

    async def __call__(self, text: str) -> tuple[np.ndarray, int]:
        if self.level > self.capacity:
            raise RuntimeError("no room")
        number = round(0.06 * len(text) * RATE)
        return np.frombuffer(sound(RATE).part(0, number, number), "<i2"), RATE


def runner_of(server: Server, folder: Path) -> Runner:
    class Watched(Runner):
        async def measure(self, cell, *arguments, **how):
            server.level = cell.load.concurrency
            return await super().measure(cell, *arguments, **how)

    options = RunOptions(folder, "capacity", floor=False)
    return Watched(Workload("capacity", ()), options, targets={"fn": FunctionTarget(server)})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "others_cpu_share", lambda _: 0.0)


async def searched(listeners: int, folder: Path, limit: int = 4, share: float = 0.5) -> tuple[dict, Runner]:
    runner = runner_of(Server(listeners), folder)
    return await capacity.run(runner, SETUP, Criterion(**PATIENT, share=share), limit=limit), runner


@pytest.mark.parametrize(
    ("listeners", "levels", "sentence"),
    [
        (0, [1], "not even one listener gets what was asked: "),
        (1, [1, 2, 1, 1], "1 gapless listener: "),
        (3, [1, 2, 4, 3, 3, 3], "3 gapless listeners at once: "),
        (9, [1, 2, 4, 4, 4], "at least 4 gapless listeners at once: "),
    ],
)
async def test_the_capacity_is_found_and_confirmed(listeners: int, levels: list[int], sentence: str, tmp_path: Path):
    finding, runner = await searched(listeners, tmp_path)

    assert finding["listeners"] == min(listeners, 4)
    assert [step["concurrency"] for step in finding["steps"]] == levels
    assert [step["passed"] for step in finding["steps"]] == [level <= listeners for level in levels]
    assert finding["sentence"].startswith(sentence)
    assert runner.session.findings["capacity"] == finding
    assert [cell.name for cell in runner.session.cells] == [f"#{i} c={level}" for i, level in enumerate(levels, 1)]


async def test_a_level_passes_after_as_many_requests_as_its_share_needs(tmp_path: Path):
    finding, _ = await searched(1, tmp_path, limit=1, share=0.9)

    assert [step["n"] for step in finding["steps"]] == [requests_for_share(0.9)] * 3
    assert all(step["low"] >= 0.9 for step in finding["steps"])


async def test_a_hopeless_level_is_left_after_a_first_look(tmp_path: Path):
    finding, _ = await searched(0, tmp_path, limit=1, share=0.95)

    (step,) = finding["steps"]
    assert (step["n"], step["good"], step["share"]) == (capacity.FIRST_LOOK, 0, 0.0)
