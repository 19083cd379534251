"""What the schedule remembers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from firstaudio.telemetry.runs.memory import ScheduleMemory, read_memory, write_memory


def test_it_outlives_the_server(tmp_path: Path):
    memory = ScheduleMemory(12.5, 3, "bench_12", "it failed")

    assert write_memory(tmp_path / "state", memory) == ""
    assert memory == read_memory(tmp_path / "state")


def test_nothing_is_remembered_at_first(tmp_path: Path):
    assert ScheduleMemory() == read_memory(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"last_run": "yesterday"}', '{"num_failures": 1.5}'])
def test_a_damaged_one_begins_anew_and_is_told(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture):
    write_memory(tmp_path, ScheduleMemory())
    (tmp_path / "benchmarks" / "schedule.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert ScheduleMemory() == read_memory(tmp_path)

    assert "begins anew" in caplog.text


def test_what_cannot_be_kept_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")

    assert "telemetry.state_folder" in write_memory(tmp_path / "file", ScheduleMemory())
