from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstaudio.bench.machine import environment
from firstaudio.bench.modes.ab import order, run_rounds, verdict
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.reference.sound import sound
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.function import FunctionTarget
from firstaudio.bench.texts import Texts
from firstaudio.bench.workload import Workload

RATE = 8000


class Side:
    """A function that hums, and notes who was asked what."""

    def __init__(self, name: str, asked: list[tuple[str, str]]) -> None:
        self.name, self.asked = name, asked

    async def __call__(self, text: str) -> tuple[np.ndarray, int]:
        self.asked.append((self.name, text))
        number = round(0.06 * len(text) * RATE)
        return np.frombuffer(sound(RATE).part(0, number, number), "<i2"), RATE


def setup(name: str) -> Setup:
    return Setup(TargetSpec("command", name=name), levels=(1,), texts=Texts(("short",)), warmup=0)


@pytest.fixture
def asked() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def runner(tmp_path: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(environment, "others_cpu_share", lambda _: 0.0)
    targets: dict[str, Any] = {name: FunctionTarget(Side(name, asked)) for name in ("ours", "theirs")}
    return Runner(Workload("ab", ()), RunOptions(tmp_path, "ab", floor=False), targets=targets)


def test_the_order_turns_round_every_time():
    assert [order(number) for number in range(4)] == [("A", "B"), ("B", "A"), ("A", "B"), ("B", "A")]


async def test_both_sides_say_the_same_in_turns(runner: Runner, asked: list[tuple[str, str]]):
    rounds = await run_rounds(runner, setup("ours"), setup("theirs"), rounds=3, requests=4)

    turns = [name for index, (name, _) in enumerate(asked) if index == 0 or asked[index - 1][0] != name]
    assert turns == ["ours", "theirs", "ours", "theirs"]
    for of_a, of_b in rounds:
        assert [record.text for record in of_a] == [record.text for record in of_b]
        assert (len(of_a), len(of_b)) == (4, 4)
    assert len({record.text for of_a, _ in rounds for record in of_a}) == 12


async def test_all_rounds_of_a_side_are_one_cell(runner: Runner):
    await run_rounds(runner, setup("ours"), setup("theirs"), rounds=3, requests=4)

    assert [(cell.name, cell.issued, cell.ok) for cell in runner.session.cells] == [("A", 12, 12), ("B", 12, 12)]
    assert [cell.axes["target"] for cell in runner.session.cells] == ["ours", "theirs"]
    assert [cell.cell["load"]["num_requests"] for cell in runner.session.cells] == [12, 12]
    assert {(record.cell, record.part) for record in runner.records} == {(s, n) for s in "AB" for n in range(3)}


async def test_only_the_first_round_warms_up_at_length(runner: Runner):
    wish = Setup(TargetSpec("command", name="ours"), levels=(1,), texts=Texts(("short",)), warmup=6)
    await run_rounds(runner, wish, wish, rounds=2, requests=4)

    counts = {
        part: sum(r.part == part and r.phase == "warmup" and r.cell == "A" for r in runner.records) for part in (0, 1)
    }
    assert counts[0] > counts[1]
    assert counts[1] <= 1


async def test_a_stop_in_the_middle_of_a_round_leaves_whole_rounds(runner: Runner, asked: list[tuple[str, str]]):
    class Stopping(Side):
        async def __call__(self, text: str) -> tuple[np.ndarray, int]:
            answer = await super().__call__(text)
            if len(self.asked) == 9:  # the second round has begun with this side
                runner.stop()
            return answer

    runner._ready["theirs"] = FunctionTarget(Stopping("theirs", asked))
    rounds = await run_rounds(runner, setup("ours"), setup("theirs"), rounds=10, requests=4)

    assert len(rounds) == 1
    assert [cell.name for cell in runner.session.cells] == ["A", "B"]


async def test_the_verdict_names_both_and_is_json(runner: Runner):
    sides = setup("ours"), setup("theirs")
    found = verdict(await run_rounds(runner, *sides, rounds=10, requests=4), *sides)

    assert found["rounds"] == 10
    assert (found["a"], found["b"], found["unpaired"], found["both_failed"]) == ("ours", "theirs", 0, 0)
    assert json.loads(json.dumps(found))["sentence"] == found["sentence"]
