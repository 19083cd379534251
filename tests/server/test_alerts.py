"""A server that fails says so in its status and to its webhook, and goes on whatever the webhook does."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstaudio.config import Config, SyntheticConfig, TelemetryConfig
from firstaudio.telemetry.alerts import alerts

NUM_REQUESTS = 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "CHECK_EVERY_S", 0.01)


@pytest.fixture
def posts() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a webhook, and what it was told."""
    heard: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/SECRET", heard
    server.shutdown()
    thread.join()
    server.server_close()


def config(tools: Any, folder: Path, failure_rate: float = 1.0, **telemetry: Any) -> Config:
    synthetic = SyntheticConfig(ttfa_ms=1.0, rtf=0.0, failure_rate=failure_rate)
    telemetry = {"state_folder": str(folder)} | telemetry
    return replace(tools.settings(synthetic=synthetic), telemetry=TelemetryConfig(**telemetry))


def active(running: Any) -> list[dict[str, Any]]:
    return [each for each in running.get("/status").json["alerts"]["active"] if each["name"] != "disk"]


def test_failures_are_in_the_status_and_posted(tools: Any, tmp_path: Path, posts):
    url, heard = posts
    with tools.run(config(tools, tmp_path, webhook_url=url)) as running:
        for _ in range(NUM_REQUESTS):
            assert running.speak().status == 500
        tools.eventually(lambda: active(running))
        (alert,) = active(running)
        tools.eventually(lambda: heard)
        status = running.get("/status")
    assert (alert["name"], alert["severity"], alert["evidence"]["num_served"]) == ("success_rate", "critical", 0)
    assert (heard[0]["event"], heard[0]["alert"]["name"]) == ("alert.raised", "success_rate")
    assert status.json["alerts"]["webhook"]["num_sent"] == 1
    assert b"SECRET" not in status.body


def test_requests_that_were_wrong_raise_nothing(tools: Any, tmp_path: Path):
    with tools.run(config(tools, tmp_path, failure_rate=0.0)) as running:
        for _ in range(NUM_REQUESTS):
            assert running.speak(voice="nobody").status == 400
            assert running.speak(input="<think>nothing to say</think>").status == 400
        looks = running.service.telemetry.alerts
        tools.eventually(lambda: len(looks._seen) == 2 * NUM_REQUESTS)
        assert {seen.is_served for seen in looks._seen} == {None}
        assert active(running) == []


def test_a_webhook_that_nobody_answers_stops_nothing(tools: Any, tmp_path: Path):
    with tools.run(config(tools, tmp_path, webhook_url="http://127.0.0.1:9/")) as running:
        for _ in range(NUM_REQUESTS):
            running.speak()
        tools.eventually(lambda: active(running))
        assert running.get("/health").status == 200
    assert "webhook" not in {thread.name for thread in threading.enumerate()}


def test_without_telemetry_there_are_no_alerts(tools: Any, tmp_path: Path):
    with tools.run(config(tools, tmp_path, enabled=False)) as running:
        assert running.get("/status").json["alerts"] is None
