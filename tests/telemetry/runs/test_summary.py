"""From a session to the figures of a run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from firstaudio.bench.modes.execute import run_mode
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.progress import Silent
from firstaudio.bench.reference import Figures, running
from firstaudio.bench.run import RunOptions
from firstaudio.bench.targets.make import parse_target
from firstaudio.telemetry.runs.summary import (
    OTHERS,
    geometric_mean,
    machine_hash,
    session_warnings,
    summarise_session,
)

MACHINE = {"cpu": "x", "physical_cores": 1, "logical_cores": 2, "usable_cores": 2.0, "memory_bytes": 2**33, "os": "L"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A session as the harness really writes it."""
    folder = tmp_path_factory.mktemp("sessions")
    with running(Figures(ttfa_ms=1.0, rtf=0.0, char_s=0.02, sample_rate=8000)) as server:
        wish = Setup(parse_target(server.url), requests=8, warmup=0)
        options = RunOptions(Path(folder), "s", floor=False, reports=False)
        asyncio.run(run_mode("streaming", wish, options, Silent()))
    return json.loads((folder / "s" / "s.json").read_bytes())


def test_the_figures_are_those_of_the_session(document: dict[str, Any]):
    found = summarise_session(document)
    streamed = next(cell for cell in found.cells if cell.name == "delivery=stream")

    assert [cell.name for cell in found.cells] == ["delivery=stream", "delivery=whole", "listeners=4"]
    assert (found.num_requests, found.num_ok) == (8 + 8 + 16, 32)
    assert (found.num_cells, found.num_typical_cells, found.completed) == (3, 1, True)
    assert found.ttfa_ms == pytest.approx(streamed.ttfa_ms)
    assert found.rtf == pytest.approx(streamed.rtf)
    assert found.workload_hash == document["workload_hash"]
    assert found.versions["firstaudio"] == document["environment"]["software"]["firstaudio"]


def test_a_condition_without_a_median_leaves_no_mean(document: dict[str, Any]):
    damaged = json.loads(json.dumps(document))
    damaged["cells"][0]["distributions"]["ttfa_ms"]["quantiles"]["p50"]["value"] = None

    assert summarise_session(damaged).ttfa_ms is None


def test_answers_from_a_cache_do_not_count(document: dict[str, Any]):
    cached = json.loads(json.dumps(document))
    cached["cells"][0]["label"] = "cached"

    assert (summarise_session(cached).num_typical_cells, summarise_session(cached).ttfa_ms) == (0, None)


def test_what_other_processes_took_is_the_first_warning(document: dict[str, Any]):
    doubted = json.loads(json.dumps(document)) | {"warnings": ["it is late"]}
    for cell in doubted["cells"]:
        cell["checks"] = []
    doubted["cells"][0]["checks"] = [
        {"name": "samples", "ok": False, "voids": False, "detail": "few"},
        {"name": "success", "ok": False, "voids": True, "detail": "this is a reason"},
        {"name": "gone", "ok": None, "voids": False, "detail": "not judged"},
    ]
    doubted["cells"][1]["checks"] = [
        {"name": "other processes", "ok": False, "voids": False, "detail": "they took 60 %"}
    ]
    found = summarise_session(doubted)

    assert session_warnings(doubted) == ["delivery=whole: they took 60 %", "delivery=stream: few", "it is late"]
    assert (found.num_warnings, found.first_warning) == (3, "delivery=whole: they took 60 %")
    assert summarise_session(document).num_warnings == len(session_warnings(document))


def test_the_harness_writes_its_checks_as_they_are_read_here(document: dict[str, Any]):
    checks = [check for cell in document["cells"] for check in cell["checks"]]

    assert OTHERS in {check["name"] for check in checks}
    assert all({"name", "ok", "voids", "detail"} <= set(check) for check in checks)


@pytest.mark.parametrize("lacking", ["cells", "verdict", "environment", "workload_hash", "reasons", "completed"])
def test_another_shape_is_an_error(document: dict[str, Any], lacking: str):
    with pytest.raises(ValueError, match="another shape"):
        summarise_session({name: value for name, value in document.items() if name != lacking})


@pytest.mark.parametrize("cells", [None, 3, [3], [{}], "cells"])
def test_cells_that_are_none_are_an_error(document: dict[str, Any], cells: Any):
    with pytest.raises(ValueError, match="another shape"):
        summarise_session(document | {"cells": cells})


def test_a_mean_of_what_is_not_known_is_not_known():
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert [geometric_mean(values) for values in ([], [1.0, None], [1.0, 0.0])] == [None, None, None]


def test_a_machine_is_the_same_after_a_new_kernel_and_another_with_more_memory():
    assert machine_hash(MACHINE) == machine_hash(MACHINE | {"kernel": "7", "memory_bytes": 2**33 - 5_000_000})
    assert machine_hash(MACHINE) != machine_hash(MACHINE | {"memory_bytes": 2**34})
