"""Alerts are raised once, last while it is bad, and are over after a while of good."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.synthesis.roster import EngineStatus
from firstaudio.telemetry.alerts import alerts as module
from firstaudio.telemetry.alerts.alerts import CLEAR_AFTER_S, MAX_HISTORY, STALE_AFTER_S, Alert, AlertBook, Alerts
from firstaudio.telemetry.alerts.rules import Finding
from firstaudio.telemetry.alerts.webhook import WebhookStatistics
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.trace import Outcome, Trace


def finding(verdict, name: str = "rule") -> Finding:
    return Finding(name, verdict, f"it is {verdict}", {"n": 20})


def updates(book: AlertBook, *steps: tuple[float, str]) -> list[tuple[str, str]]:
    """(name, reason it is over) of all that changed, over findings at times."""
    changed = [alert for at_s, verdict in steps for alert in book.update([finding(verdict)], at_s, 1000 + at_s)]
    return [(alert.name, alert.cleared_because) for alert in changed]


def test_it_is_raised_once_and_kept_up_to_date():
    book = AlertBook()
    (raised,) = book.update([finding("bad")], 0.0, 1000.0)
    assert raised == Alert("rule", "it is bad", {"n": 20}, raised_at=1000.0)
    assert book.update([replace(finding("bad"), message="worse")], 5.0, 1005.0) == []
    assert book.active == [replace(raised, message="worse")]


@pytest.mark.parametrize("verdict", ["good", "unclear"])
def test_nothing_is_raised_by_what_is_not_bad(verdict: str):
    assert updates(AlertBook(), (0.0, verdict), (100.0, verdict)) == []


def test_it_is_over_after_a_while_of_good():
    book = AlertBook()
    changes = updates(book, (0.0, "bad"), (5.0, "good"), (5.0 + CLEAR_AFTER_S - 1, "good"))
    assert changes == [("rule", "")]
    assert updates(book, (5.0 + CLEAR_AFTER_S, "good")) == [("rule", "good for 60 s")]
    assert (book.active, [alert.cleared_at for alert in book.past]) == ([], [1065.0])


def test_one_bad_finding_begins_the_while_anew():
    book = AlertBook()
    updates(book, (0.0, "bad"), (5.0, "good"), (50.0, "bad"), (55.0, "good"))
    assert updates(book, (55.0 + CLEAR_AFTER_S - 1, "good")) == []
    assert updates(book, (55.0 + CLEAR_AFTER_S, "good")) == [("rule", "good for 60 s")]


def test_while_nobody_can_tell_it_lasts_but_not_for_ever():
    book = AlertBook()
    assert updates(book, (0.0, "bad"), (STALE_AFTER_S - 1, "unclear")) == [("rule", "")]
    assert [reason for _, reason in updates(book, (STALE_AFTER_S, "unclear"))] == [
        "nothing bad was seen for 3600 s, and nothing good"
    ]


def test_what_is_no_longer_looked_at_is_over_in_the_end():
    book = AlertBook()
    book.update([finding("bad", "engine:gone")], 0.0, 0.0)
    assert book.update([], 5.0, 5.0) == []
    assert [alert.name for alert in book.update([], STALE_AFTER_S, 0.0)] == ["engine:gone"]


def test_rules_do_not_mix():
    book = AlertBook()
    book.update([finding("bad", "one"), finding("good", "two")], 0.0, 0.0)
    book.update([finding("good", "one"), finding("bad", "two")], 5.0, 5.0)
    assert [alert.name for alert in book.active] == ["one", "two"]


def test_the_history_is_bounded_and_begins_with_the_newest():
    book = AlertBook()
    for i in range(MAX_HISTORY + 5):
        updates(book, (i * 1000.0, "bad"), (i * 1000.0 + 1, "good"), (i * 1000.0 + 1 + CLEAR_AFTER_S, "good"))
    assert len(book.past) == MAX_HISTORY
    assert book.past[0].raised_at > book.past[-1].raised_at


@given(st.lists(st.sampled_from(["bad", "good", "unclear"]), max_size=80), st.floats(1, 100))
def test_each_alert_is_raised_then_cleared_in_turn(verdicts: list[str], every_s: float):
    book = AlertBook()
    changes = updates(book, *((i * every_s, verdict) for i, verdict in enumerate(verdicts)))
    assert [bool(reason) for _, reason in changes] == [i % 2 == 1 for i in range(len(changes))]
    assert len(book.active) == len(changes) % 2
    if verdicts and verdicts[-1] == "bad":
        assert book.active


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
