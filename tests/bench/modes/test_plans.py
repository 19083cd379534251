from __future__ import annotations

from dataclasses import replace

import pytest

from firstaudio.bench.modes.plans import PLANS, workload
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Goals
from firstaudio.slo import SCENARIO_TARGETS_MS

SETUP = Setup(TargetSpec("openai", "http://127.0.0.1:8000", "here"), voices=("default", "premium"), levels=(1, 4))


@pytest.mark.parametrize("mode", PLANS)
def test_cells_of_a_mode_have_names_of_their_own(mode: str):
    names = [cell.name for cell in workload(mode, SETUP).cells]

    assert names
    assert len(names) == len(set(names))


def test_a_server_is_measured_at_every_level():
    assert [cell.axes["concurrency"] for cell in workload("server", SETUP).cells] == [1, 4]
    assert {"default"} == {cell.voice for cell in workload("server", SETUP).cells}


def test_an_open_loop_is_one_cell():
    open_loop = Setup(SETUP.target, levels=(64,), arrival="poisson", rate_per_s=5.0)
    (cell,) = workload("server", open_loop).cells

    assert (cell.load.arrival, cell.load.rate_per_s, cell.load.concurrency) == ("poisson", 5.0, 64)


def test_voices_are_compared_at_every_level():
    cells = workload("voices", SETUP).cells

    assert [cell.voice for cell in cells] == ["default", "default", "premium", "premium"]


def test_comprehensive_varies_one_thing_at_a_time():
    cells = {cell.name: cell for cell in workload("comprehensive", SETUP).cells}

    assert cells["delivery=whole"].target.delivery == "whole"
    assert cells["voice=premium"].voice == "premium"
    assert cells["text=complex"].texts.classes == ("complex",)
    assert cells["speed=1.5"].speed == 1.5
    assert cells["c=4"].load.concurrency == 4


def test_the_repeated_greeting_is_labelled_as_one_that_a_cache_may_answer():
    cells = {cell.name: cell for cell in workload("full", SETUP).cells}

    assert cells["hello_world_repeated"].label == "cached"
    assert cells["short_text_ttfa"].label == "warm"
    assert {"default", "premium"} == {cell.voice for name, cell in cells.items() if name.startswith("voice_variety")}


def test_scenarios_are_held_to_targets_of_their_own():
    own = {cell.name: cell.ttfa_target_ms for cell in workload("full", SETUP).cells}
    goals = {cell.name: cell.goals(Goals()).ttfa_ms for cell in workload("full", SETUP).cells}

    assert {name: target for name, target in own.items() if target is not None} == SCENARIO_TARGETS_MS
    assert (goals["short_text_ttfa"], goals["medium_text_ttfa"], goals["long_text_streaming"]) == (400.0, 600.0, 800.0)
    assert (goals["fast_speech"], goals["voice_variety premium"], goals["c=4"]) == (800.0, 800.0, 800.0)


def test_a_target_that_the_user_states_is_for_every_scenario():
    strict = replace(SETUP, goals=Goals(ttfa_ms=300.0))

    assert {cell.ttfa_target_ms for cell in workload("full", strict).cells} == {None}


def test_a_target_of_its_own_is_no_other_work():
    """So that runs from before there were any can be compared with later ones."""
    work = workload("full", SETUP)
    alike = replace(work, cells=tuple(cell.replace(ttfa_target_ms=None) for cell in work.cells))

    assert work.hash == alike.hash


def test_the_hash_knows_the_work_and_not_the_place():
    elsewhere = Setup(SETUP.target.replace(url="http://other:1", name="there"), SETUP.voices, SETUP.levels)
    more = Setup(SETUP.target, SETUP.voices, (1, 8))

    assert workload("server", SETUP).hash == workload("server", elsewhere).hash
    assert workload("server", SETUP).hash != workload("server", more).hash


def test_secrets_are_not_among_what_is_saved():
    spec = SETUP.target.replace(token="t0ps3cret", headers={"X-Api-Key": "t0ps3cret", "X-Team": "blue"})
    saved = str(workload("server", Setup(spec)).public())

    assert "t0ps3cret" not in saved
    assert "blue" in saved
