"""What probes see while the engines start, when they have started, and when they cannot."""

import threading
from typing import Any

import pytest

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
