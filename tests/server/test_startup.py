"""What the parts of the start take, by clocks that the test moves."""

import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from firstaudio.clock import NS_PER_MS
from firstaudio.config import TelemetryConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.server import service
from firstaudio.server.startup import PARTS, StartupTimings, born_at
from firstaudio.synthesis.warmup import WarmUp

TIMEOUT_S = 20.0


@pytest.fixture
def settings(tools, tmp_path):
    return replace(tools.settings(), telemetry=TelemetryConfig(state_folder=str(tmp_path)))


class Starting(SyntheticEngine):
    """Does something when it is started."""

    def __init__(self, config, action):
        super().__init__(config)
        self._action = action

    def start(self):
        self._action()
        super().start()


def test_a_part_is_unknown_until_it_has_ended_and_also_ends_when_it_raises():
    now = [0]
    timings = StartupTimings(1_000.0, lambda: 1_000.5, lambda: now[0])
    assert timings.ms == {**dict.fromkeys(PARTS), "process": 500.0}
    with timings.part("encoders"):
        now[0] += 7 * NS_PER_MS
        assert timings.ms["encoders"] is None
    with suppress(ZeroDivisionError), timings.part("engines"):
        now[0] += 2 * NS_PER_MS
        raise ZeroDivisionError

    assert [timings.ms[part] for part in ("encoders", "engines", "warm_up")] == [7.0, 2.0, None]


def test_a_clock_that_was_set_back_makes_no_negative_time():
    assert StartupTimings(1_000.0, lambda: 900.0).ms["process"] == 0.0


def test_the_process_began_before_now():
    assert 0 < born_at() <= time.time() + 1


def test_encoders_are_loaded_while_engines_start(tools, settings, monkeypatch):
    both = threading.Barrier(2, timeout=TIMEOUT_S)
    monkeypatch.setattr(service, "preload", both.wait)
    with tools.run(settings, {"synthetic": Starting(settings, both.wait)}) as server:
        assert server.service.timings.ms["encoders"] > 0
        assert server.service.timings.ms["engines"] > 0


def test_nothing_is_spoken_before_the_encoders_are_loaded(tools, settings, monkeypatch):
    release, order = threading.Event(), []
    before_ready = WarmUp.before_ready

    def preload():
        assert release.wait(TIMEOUT_S)
        order.append("encoders")

    async def warm_up(self):
        order.append("warm-up")
        await before_ready(self)

    monkeypatch.setattr(service, "preload", preload)
    monkeypatch.setattr(WarmUp, "before_ready", warm_up)
    with tools.run(settings, ready=False) as server:
        tools.eventually(lambda: server.service.synthesizer.engine_statuses()[0].state == "ready")
        assert server.get("/ready").status == 503
        release.set()
        tools.eventually(lambda: server.get("/ready").status == 200)
    assert order == ["encoders", "warm-up"]


def test_an_encoder_that_cannot_be_loaded_fails_the_start(tools, settings, monkeypatch):
    def lack():
        raise ImportError("no codec")

    monkeypatch.setattr(service, "preload", lack)
    with tools.run(settings, ready=False) as server:
        tools.eventually(server.service.startup.done)
        assert "no codec" in server.service.failure
