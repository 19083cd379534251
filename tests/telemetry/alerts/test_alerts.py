"""Alerts look at what happens, and what turns bad is logged, kept and posted."""

from __future__ import annotations

import asyncio
import logging

from firstaudio.synthesis.roster import EngineStatus
from firstaudio.telemetry.alerts import alerts as module
from firstaudio.telemetry.alerts.alerts import Alerts
from firstaudio.telemetry.alerts.book import CLEAR_AFTER_S
from firstaudio.telemetry.alerts.webhook import WebhookStatistics
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.trace import Outcome, Trace


class Hook:
    """What a webhook is to alerts."""

    def __init__(self) -> None:
        self.sent: list[dict] = []
        self.is_closed = False

    def send(self, payload: dict) -> None:
        self.sent.append(payload)

    def statistics(self) -> WebhookStatistics:
        return WebhookStatistics(len(self.sent), 0, 0, 0, "")

    def close(self) -> None:
        self.is_closed = True


class Server:
    """Alerts, and what they look at."""

    def __init__(self, **options) -> None:
        self.ns = 0
        self.state, self.problem, self.hook = "ready", "", Hook()
        self.alerts = Alerts(
            lambda: [EngineStatus("espeak", self.state, 1.0, f"espeak is {self.state}")],
            lambda: self.problem,
            webhook=self.hook,
            clock=lambda: self.ns,
            wall_clock=lambda: 1000.0 + self.ns / 1e9,
            **options,
        )

    def answer(self, outcome: Outcome, num: int) -> None:
        for _ in range(num):
            self.alerts.observe(measurement(outcome))

    async def check(self, after_s: float = 0.0) -> list[str]:
        self.ns += round(after_s * 1e9)
        return [alert.name for alert in await self.alerts.check()]


def measurement(outcome: Outcome) -> Measurement:
    trace = Trace(engine="espeak", accepted_ns=1)
    trace.finish(outcome, "PRIVATE")
    return measure(trace, 0.0)


async def test_a_server_that_fails_is_told_of_once_and_its_recovery_too(caplog):
    server = Server()
    server.answer("completed", 30)
    assert await server.check() == []
    server.answer("failed", 20)
    with caplog.at_level(logging.INFO, "firstaudio.telemetry.alerts.alerts"):
        assert await server.check() == ["success_rate"]
        assert await server.check(5.0) == []
        server.ns += 400 * 10**9
        server.answer("completed", 30)
        assert await server.check() == []
        assert await server.check(CLEAR_AFTER_S) == ["success_rate"]
    assert [(r.levelname, r.message.split(";")[0]) for r in caplog.records] == [
        (
            "ERROR",
            "alert success_rate: 20 of the last 50 requests failed or found no room, and 99% should be served",
        ),
        ("INFO", "alert success_rate is over: good for 60 s"),
    ]
    assert [payload["event"] for payload in server.hook.sent] == ["alert.raised", "alert.cleared"]
    assert server.hook.sent[0]["alert"]["evidence"]["num_served"] == 30
    assert "PRIVATE" not in str(server.hook.sent) + caplog.text


async def test_an_engine_that_fails_and_measurements_that_are_not_kept_are_told_of():
    server = Server()
    server.state, server.problem = "failed", "disk full"
    assert await server.check() == ["engine:espeak", "measurements"]
    assert [alert["message"] for alert in server.alerts.status()["active"]] == ["espeak is failed", "disk full"]


async def test_a_full_disk_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 5_000_000}))
    server = Server(folder=tmp_path)
    assert await server.check() == ["disk"]
    assert "5 MB are free" in server.hook.sent[0]["text"]


async def test_a_folder_that_is_not_there_says_nothing_of_the_disk(tmp_path):
    assert await Server(folder=tmp_path / "gone").check() == []


async def test_it_looks_by_itself_also_after_a_failure_of_its_own(monkeypatch, caplog):
    monkeypatch.setattr(module, "CHECK_EVERY_S", 0.0)
    server, looks = Server(), 0
    looked_twice = asyncio.Event()

    def engines() -> list[EngineStatus]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("first look")
        looked_twice.set()
        return []

    server.alerts._engines = engines
    await server.alerts.start()
    await looked_twice.wait()
    await server.alerts.close()
    assert server.hook.is_closed
    assert "alerts could not be looked for" in caplog.text
    assert [task for task in asyncio.all_tasks() if task.get_name() == "alerts"] == []


async def test_closing_what_was_never_started_is_nothing():
    server = Server()
    await server.alerts.close()
    assert server.hook.is_closed
