"""What probes see while the engines start, when they have started, and when they cannot."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from firstaudio.config import Config, EngineConfig
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


def test_health_shows_progress_until_the_engines_are_ready(tools: Any):
    config = tools.settings()
    engine = SlowStart(config)
    with tools.run(config, {"synthetic": engine}, ready=False) as running:
        tools.eventually(lambda: "engine" in running.get("/health").json["message"])
        for path in ("/health", "/ready"):
            reply = running.get(path)
            assert (reply.status, reply.json["status"], reply.json["progress"]) == (503, "starting", 0.0)
            assert reply.headers["retry-after"] == "1"
        engine.go.set()
        tools.eventually(lambda: running.get("/health").status == 200)
        assert running.get("/health").json["status"] == "ready"
        assert running.get("/health").json["engines"] == [
            {"name": "synthetic", "state": "ready", "progress": 1.0, "message": "ready"}
        ]
        assert running.get("/ready").json["progress"] == 1.0


@pytest.mark.parametrize("path", ["/v1/audio/voices", "/v1/models", "/v1/models/tts-1", "/v1/capabilities"])
def test_the_catalogue_is_503_while_the_engines_start(tools: Any, path: str):
    config = tools.settings()
    engine = SlowStart(config)
    with tools.run(config, {"synthetic": engine}, ready=False) as running:
        try:
            reply = running.get(path)
            assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "not_ready", "1")
        finally:
            engine.go.set()


def test_speech_is_503_while_the_engines_start(tools: Any):
    config = tools.settings()
    engine = SlowStart(config)
    with tools.run(config, {"synthetic": engine}, ready=False) as running:
        try:
            reply = running.speak()
            assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "not_ready", "1")
            assert running.get("/").status == 200
        finally:
            engine.go.set()


@pytest.mark.parametrize("error", [EngineError("the weights are gone"), ZeroDivisionError("the weights are gone")])
def test_an_engine_that_cannot_start_ends_the_server_with_exit_code_3(
    tools: Any, error: Exception, capfd: pytest.CaptureFixture[str]
):
    config = tools.settings()
    engine = SlowStart(config, error)
    with tools.run(config, {"synthetic": engine}, ready=False) as running:
        engine.go.set()
        tools.eventually(lambda: running.server.should_exit)
        assert running.server.exit_code == 3
    assert "the weights are gone" in capfd.readouterr().err


@contextmanager
def started_with_failover(tools: Any, error: Exception | None = None) -> Iterator[tuple[Any, SlowStart]]:
    """A server whose preferred engine, `slow`, waits to be told; and that engine."""
    config: Config = replace(tools.settings(), engine=EngineConfig(failover=True, default_voice="alloy"))
    slow = SlowStart(config, error)
    try:
        with tools.run(config, {"slow": slow, "quick": SyntheticEngine(config)}) as running:
            yield running, slow
            slow.go.set()
    finally:
        slow.go.set()


def test_with_failover_the_server_speaks_while_the_preferred_engine_starts_and_then_with_that(
    tools: Any, capfd: pytest.CaptureFixture[str]
):
    with started_with_failover(tools) as (running, slow):
        report = running.get("/health").json
        assert (report["status"], report["progress"]) == ("ready", 0.5)
        assert [(engine["name"], engine["state"]) for engine in report["engines"]] == [
            ("slow", "starting"),
            ("quick", "ready"),
        ]
        for fields in ({}, {"stream": False}, {"stream_format": "sse"}, {"model": "slow"}):
            headers = running.speak(**fields).headers
            assert (headers["x-engine"], headers["x-failover"]) == ("quick", 'slow; reason="starting"')
        slow.go.set()
        tools.eventually(lambda: running.get("/health").json["progress"] == 1.0)
        headers = running.speak().headers
        assert (headers["x-engine"], headers["x-failover"]) == ("slow", None)
    assert "firstaudio: quick speaks; starting the slow engine\n" in capfd.readouterr().err


def test_with_failover_an_engine_that_cannot_start_is_listed_with_its_reason(tools: Any):
    with started_with_failover(tools, EngineError("the weights are gone")) as (running, slow):
        slow.go.set()
        tools.eventually(lambda: running.get("/health").json["engines"][0]["state"] == "failed")
        report = running.get("/health").json
        assert report["engines"][0]["message"] == "the weights are gone"
        assert (report["status"], report["message"]) == ("ready", "quick speaks; the weights are gone")
        assert running.speak().headers["x-failover"] == 'slow; reason="engine_error"'
