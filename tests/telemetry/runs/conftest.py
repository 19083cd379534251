"""Runs as they could have been."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firstaudio.telemetry.runs.records import RunRecord, RunRequest, RunSummary

START = 1_763_740_000.0


def summary(**changes: Any) -> RunSummary:
    made = RunSummary(
        verdict="VALID",
        reasons=(),
        completed=True,
        num_requests=36,
        num_ok=36,
        ttfa_ms=100.0,
        rtf=0.1,
        num_typical_cells=1,
        machine="m",
        workload_hash="w",
        versions={"firstaudio": "0.1.0"},
    )
    return replace(made, **changes)


def run(number: int = 1, figures: RunSummary | None = None, **changes: Any) -> RunRecord:
    record = RunRecord(
        id=f"bench_{START + number:.0f}",
        request=RunRequest("ttfa"),
        trigger="schedule",
        status="succeeded",
        started_at=START + number,
        ended_at=START + number + 0.5,
        engine="espeak",
        num_own_streams=36,
        num_other_streams=0,
        summary=figures or summary(),
    )
    return replace(record, **changes)


@pytest.fixture(scope="session")
def made() -> Any:
    """The functions of this file."""

    class Made:
        start = START
        run = staticmethod(run)
        summary = staticmethod(summary)

    return Made
