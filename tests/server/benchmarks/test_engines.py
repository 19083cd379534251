"""Whose speech a run measures, where a server has more than one engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstaudio.config import EngineConfig, TelemetryConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError


class SlowStart(SyntheticEngine):
    """Starts when told to; fails if told so."""

    def __init__(self, config: Any, error: Exception | None = None) -> None:
        super().__init__(config)
        self.go = threading.Event()
        self._error = error

    def start(self) -> None:
        self.go.wait(20)
        if self._error:
            raise self._error


@contextmanager
def two_engines(tools: Any, wrap: Any, state: Path, error: Exception | None = None) -> Iterator[tuple[Any, SlowStart]]:
    """A server whose default engine, `slow`, waits to be told, while `quick` speaks."""
    config = replace(
        tools.settings(),
        engine=EngineConfig(failover=True, default_voice="alloy"),
        telemetry=TelemetryConfig(state_folder=str(state)),
    )
    slow = SlowStart(config, error)
    try:
        with tools.run(config, {"slow": slow, "quick": SyntheticEngine(config)}) as running:
            yield wrap(running, tools.eventually), slow
            slow.go.set()
    finally:
        slow.go.set()


def test_no_run_begins_while_the_default_engine_starts(tools: Any, wrap: Any, tmp_path: Path):
    with two_engines(tools, wrap, tmp_path) as (benched, slow):
        refused = benched.post("/benchmarks/run")

        assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "not_ready", "1")
        assert "the default engine slow is still starting" in refused.error["message"]
        assert benched.get("/benchmarks/runs").json["runs"] == []
        slow.go.set()
        benched.eventually(lambda: benched.get("/health").json["progress"] == 1.0)
        assert benched.run("works")["status"] == "succeeded"


def test_a_default_engine_that_has_failed_for_good_keeps_nobody_waiting(tools: Any, wrap: Any, tmp_path: Path):
    with two_engines(tools, wrap, tmp_path, EngineError("the weights are gone")) as (benched, slow):
        slow.go.set()
        benched.eventually(lambda: benched.get("/health").json["engines"][0]["state"] == "failed")

        assert benched.run("works")["engine"] == "quick"
