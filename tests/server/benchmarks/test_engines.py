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


def let_start(benched: Any, slow: SlowStart) -> None:
    """Let the engine start and be warmed."""
    slow.go.set()
    benched.eventually(lambda: benched.get("/health").json["progress"] == 1.0)
    benched.eventually(lambda: benched.service.warm_up.statistics().state == "idle")


def test_no_run_begins_while_the_default_engine_starts(tools: Any, wrap: Any, tmp_path: Path):
    with two_engines(tools, wrap, tmp_path) as (benched, slow):
        refused = benched.post("/benchmarks/run")

        assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "not_ready", "1")
        assert "the default engine is still starting (starting the slow engine)" in refused.error["message"]
        assert benched.get("/benchmarks/runs").json["runs"] == []
        let_start(benched, slow)
        assert benched.run("works")["status"] == "succeeded"


def test_a_default_engine_that_has_failed_for_good_keeps_nobody_waiting(tools: Any, wrap: Any, tmp_path: Path):
    with two_engines(tools, wrap, tmp_path, EngineError("the weights are gone")) as (benched, slow):
        slow.go.set()
        benched.eventually(lambda: benched.get("/health").json["engines"][0]["state"] == "failed")

        assert benched.run("works")["engine"] == "quick"


def test_a_run_that_heard_two_engines_says_so_and_is_no_sample_of_a_trend(tools: Any, wrap: Any, tmp_path: Path):
    with two_engines(tools, wrap, tmp_path) as (benched, slow):
        let_start(benched, slow)
        benched.program("until", tmp_path / "finish")
        name = benched.start()
        benched.eventually(lambda: benched.status()["status"]["progress"] == 0.5)
        reply = benched.post("/v1/audio/speech", {"input": "Hello.", "model": "quick"}, x_firstaudio_run=name)
        assert reply.headers["x-engine"] == "quick"
        (tmp_path / "finish").touch()
        card = benched.ended()

        assert card["engine"] == "slow,quick"
        assert card["mixed"] == ["more than one engine spoke: slow (1 answers), quick (1 answers)"]
        assert {trend["verdict"] for trend in card["trends"]} == {"not judged"}
        assert "more than one engine spoke" in card["trends"][0]["sentence"]
        assert benched.service.benchmarks.status()["last"]["mixed"] == card["mixed"]
        assert benched.run("works")["trends"][0]["sentence"].endswith("0 comparable runs, 5 are needed")


def test_a_setting_that_is_turned_during_a_run_makes_it_no_sample(tools: Any, wrap: Any, tmp_path: Path):
    with two_engines(tools, wrap, tmp_path) as (benched, slow):
        let_start(benched, slow)
        assert benched.run("works")["mixed"] == []
        benched.program("until", tmp_path / "finish")
        benched.start()
        benched.eventually(lambda: benched.status()["status"]["progress"] == 0.5)
        synthesizer = benched.service.synthesizer
        synthesizer.streaming = replace(synthesizer.streaming, first_segment_s=2.0)
        (tmp_path / "finish").touch()

        assert benched.ended()["mixed"] == ["a setting was turned meanwhile: streaming.first_segment_s 0.6 -> 2.0"]
        card = benched.run("works")
        assert (card["changes"], card["settings"]["streaming.first_segment_s"]) == (
            ["streaming.first_segment_s 0.6 -> 2.0"],
            "2.0",
        )
        assert card["ways"]["engines"] == {"slow": 1}
