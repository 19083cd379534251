"""`/status`, `/session-status`, `/startup-progress`, `/metrics` over HTTP: each figure is what really happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from firstaudio import __version__
from firstaudio.config import Config, EngineConfig, SyntheticConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError
from firstaudio.server.status import plain, session_health
from firstaudio.synthesis.scheduler import SchedulerStatistics

OLD_KEYS = {
    "model_loaded",
    "onnx_providers",
    "performance",
    "hardware",
    "tts_processing",
    "startup_timings",
    "cold_start_warmup",
    "scheduled_benchmark",
    "session_utilization",
    "real_time_optimization",
}
IDLE = SchedulerStatistics(
    num_streams=0,
    num_unstarted=0,
    num_waiting=0,
    num_parked=0,
    num_joined=0,
    num_lanes=2,
    num_busy_lanes=0,
    num_steps=0,
    num_opened=0,
    num_refused=0,
    peak_streams=0,
    peak_busy_lanes=0,
    busy_s=0.0,
    age_s=1.0,
    unread_s=0.0,
    least_lead_s=None,
    rtf=0.1,
    first_step_s=0.0,
)


def settings(tools: Any, **changes: Any) -> Config:
    """Nobody speaks but the clients of the test."""
    config: Config = tools.settings(**changes)
    return replace(config, cache=replace(config.cache, warm_up=False))


class Reporting(SyntheticEngine):
    """Tells of sessions, as an engine with a model does; can be held while it starts and while it prepares."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.go, self.speak = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def start(self) -> None:
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        super().start()

    def prepare(self, request: Any) -> Any:
        assert self.speak.wait(20)
        return super().prepare(request)

    def status(self) -> dict[str, Any]:
        retired = {"reason": "its output was silent", "at": "2026-01-01T00:00:00+00:00"}
        return {
            "runtimes": ("fast", "slow"),
            "runtime_reasons": {"fast": "it won by 2.0", "slow": "stand-by"},
            "sessions": [_session("fast", 30), _session("slow", 10, retired=retired), {"name": "whole", "num_runs": 0}],
            "odd": {"not a number": float("nan"), "a path": threading},
        }


@dataclass(frozen=True)
class Session:
    name: str
    num_runs: int
    num_failures: int
    num_queued: int
    busy_s: float
    last_failure: str
    retired: Any


def _session(name: str, num_runs: int, retired: Any = None) -> Session:
    return Session(name, num_runs, 1, 0, 0.5, "once", retired)


@pytest.fixture(scope="module")
def reporting(tools: Any) -> Iterator[Any]:
    config = settings(tools)
    engine = Reporting(config)
    engine.go.set()
    engine.speak.set()
    with tools.run(config, {"reporting": engine}) as running:
        assert running.speak(input="Two short sentences. Here is the other.").status == 200
        yield running


def test_the_status_says_what_the_server_is(reporting: Any):
    status = reporting.get("/status").json
    assert (status["service"], status["version"], status["status"]) == ("firstaudio", __version__, "ready")
    assert status["model_loaded"] is True
    assert status["uptime_s"] > 0
    assert set(status["versions"]) >= {"python", "numpy", "fastapi"}
    assert status["memory"]["rss_mb"] >= status["memory"]["processes"][0]["rss_mb"] > 1
    assert status["hardware"]["num_cores"] >= 1
    assert set(status) >= OLD_KEYS


def test_every_engine_tells_what_runs_it_and_why(reporting: Any):
    status = reporting.get("/status").json
    (engine,) = status["engines"]
    assert (engine["name"], engine["state"], engine["info"]["sample_rate"]) == ("reporting", "ready", 24_000)
    assert engine["start_ms"] > 0
    assert engine["report"]["runtime_reasons"]["fast"] == "it won by 2.0"
    assert status["onnx_providers"] == ["fast", "slow"]


def test_what_json_does_not_know_is_null_or_text(reporting: Any):
    odd = reporting.get("/status").json["engines"][0]["report"]["odd"]
    assert odd["not a number"] is None
    assert odd["a path"].startswith("<module 'threading'")


def test_counts_are_those_of_what_was_spoken(reporting: Any):
    before = reporting.get("/status").json["engines"][0]["scheduler"]
    for _ in range(3):
        assert reporting.speak().status == 200
    after = reporting.get("/status").json["engines"][0]["scheduler"]
    assert after["num_opened"] - before["num_opened"] == 3
    assert after["num_steps"] > before["num_steps"]
    assert after["busy_s"] > before["busy_s"]
    assert (after["num_streams"], after["num_busy_lanes"]) == (0, 0)


def test_the_start_is_timed_part_by_part(reporting: Any):
    progress = reporting.get("/startup-progress").json
    timings = progress["startup_timings"]
    assert (progress["status"], progress["progress"]) == ("ready", 1.0)
    assert min(timings[part] for part in ("process", "encoders", "engines")) > 0
    assert timings["total"] >= timings["telemetry"] + timings["engines"]
    assert timings["total"] >= timings["encoders"]
    assert progress["engines"][0]["start_ms"] <= timings["engines"]


def test_the_cache_the_warm_up_and_the_prediction_tell_of_themselves(tools: Any):
    config: Config = tools.settings()
    with tools.run(config) as running:
        for _ in range(2):
            assert running.speak(input="Twice the same.").status == 200
        status = running.get("/status").json
        assert status["tts_processing"]["cache"]["num_hits"] >= 1
        assert status["startup_timings"]["warm_up"] > 0
        assert status["startup_timings"]["engines"] >= status["startup_timings"]["warm_up"]
        assert set(status["prediction"]) >= {"made", "cached"}
        assert status["cold_start_warmup"] == json.loads(json.dumps(status["cold_start_warmup"]))
        assert _metric(running, "firstaudio_cache_hits_total") == status["tts_processing"]["cache"]["num_hits"]


def test_sessions_are_those_that_the_engine_tells_of(reporting: Any):
    sessions = reporting.get("/session-status").json["sessions"]
    assert [(s["engine"], s["name"], s["num_runs"], s["share_of_runs"]) for s in sessions] == [
        ("reporting", "fast", 30, 0.75),
        ("reporting", "slow", 10, 0.25),
        ("reporting", "whole", 0, 0.0),
    ]
    assert [session["retired"] for session in sessions] == [None, "its output was silent", None]
    assert [session["num_failures"] for session in sessions] == [1, 1, None]


def test_a_share_is_that_of_the_same_piece(tools: Any):
    def row(piece: str, name: str, num_runs: int, *, is_stand_by: bool = False) -> dict[str, Any]:
        return {"piece": piece, "name": name, "num_runs": num_runs, "is_stand_by": is_stand_by}

    config = settings(tools)
    engine = Reporting(config)
    engine.go.set()
    rows = [row("window", "gpu", 30), row("window", "cpu", 10, is_stand_by=True), row("front", "cpu", 4)]
    engine.status = lambda: {"sessions": [*rows, row("generator", "cpu", 0)]}  # type: ignore[method-assign]
    with tools.run(config, {"reporting": engine}) as running:
        told = running.get("/session-status").json["sessions"]
    assert [(each["piece"], each["name"], each["share_of_runs"]) for each in told] == [
        ("window", "gpu", 0.75),
        ("window", "cpu", 0.25),
        ("front", "cpu", 1.0),
        ("generator", "cpu", None),
    ]
    assert [each["is_stand_by"] for each in told] == [False, True, False, False]


def test_a_model_that_still_loads_is_not_called_loaded_because_another_engine_speaks(tools: Any):
    first, second = Reporting(settings(tools)), Reporting(settings(tools))
    second.go.set()
    config = replace(settings(tools), engine=EngineConfig(names=("first", "second"), failover=True))
    with tools.run(config, {"first": first, "second": second}, ready=False) as running:
        try:
            tools.eventually(lambda: running.get("/status").json["engines"][1]["state"] == "ready")
            status = running.get("/status").json
            assert [engine["model_loaded"] for engine in status["engines"]] == [False, True]
            assert status["model_loaded"] is False
        finally:
            first.go.set()
        tools.eventually(lambda: running.get("/status").json["model_loaded"])


def test_a_model_that_was_let_go_is_not_called_loaded(tools: Any):
    config = settings(tools)
    engine = Reporting(config)
    engine.go.set()
    engine.status = lambda: {"is_loaded": False}  # type: ignore[method-assign]
    with tools.run(config, {"reporting": engine}) as running:
        status = running.get("/status").json
    assert (status["model_loaded"], status["engines"][0]["model_loaded"]) == (False, False)
    assert status["engines"][0]["state"] == "ready"


def test_an_engine_without_sessions_tells_of_its_lanes(server: Any):
    assert server.speak().status == 200
    status = server.get("/session-status").json
    (lanes,) = status["sessions"]
    assert (lanes["engine"], lanes["name"], lanes["num_failures"]) == ("synthetic", "lanes", None)
    assert lanes["num_runs"] > 0
    assert 0 < status["session_utilization"]["synthetic"] < 1


def test_what_runs_now_is_seen_and_forgotten(tools: Any):
    config = settings(tools, synthetic=SyntheticConfig(ttfa_ms=1.0, rtf=0.0, capacity=1))
    engine = Reporting(config)
    engine.go.set()
    with tools.run(config, {"reporting": engine}) as running:
        with running.ask(input="One."), running.ask(input="Two."):
            tools.eventually(lambda: health(running)["total_requests"] == 2)
            tools.eventually(lambda: health(running)["concurrent_segments_active"] == 1)
            assert health(running)["blocking_risk"] == "high"
            engine.speak.set()
            tools.eventually(lambda: health(running)["concurrent_segments_active"] == 0)
        assert health(running) == {
            "concurrent_segments_active": 0,
            "peak_concurrent": 1,
            "total_requests": 2,
            "blocking_risk": "low",
        }


def health(running: Any) -> dict[str, Any]:
    found: dict[str, Any] = running.get("/session-status").json["health_check"]
    return found


@pytest.mark.parametrize(
    ("changes", "risk"),
    [
        ({}, "low"),
        ({"num_busy_lanes": 1, "num_waiting": 0}, "low"),
        ({"num_busy_lanes": 2}, "medium"),
        ({"num_busy_lanes": 2, "num_waiting": 1, "least_lead_s": 3.0}, "medium"),
        ({"num_busy_lanes": 2, "num_waiting": 1, "num_unstarted": 1}, "high"),
        ({"num_busy_lanes": 1, "least_lead_s": -0.1}, "high"),
    ],
)
def test_the_risk_that_listeners_wait_for_one_another(changes: dict[str, Any], risk: str):
    assert session_health([IDLE, replace(IDLE, **changes)]).blocking_risk == risk


def test_without_engines_nothing_runs():
    assert session_health([]).model_dump() == {
        "concurrent_segments_active": 0,
        "peak_concurrent": 0,
        "total_requests": 0,
        "blocking_risk": "low",
    }


def test_while_engines_start_everything_can_be_asked(tools: Any):
    config = settings(tools)
    engine = Reporting(config)
    with tools.run(config, {"reporting": engine}, ready=False) as running:
        try:
            status = running.get("/status").json
            assert (status["status"], status["model_loaded"]) == ("starting", False)
            assert status["engines"][0]["scheduler"] is None
            assert status["engines"][0]["start_ms"] is None
            assert status["startup_timings"]["total"] is None
            progress = running.get("/startup-progress").json
            assert (progress["status"], progress["progress"]) == ("starting", 0.0)
            assert running.get("/session-status").json["sessions"] == []
            assert running.get("/metrics").status == 200
        finally:
            engine.go.set()


def test_why_an_engine_could_not_start_is_told(tools: Any):
    config = replace(settings(tools), engine=EngineConfig(failover=True, default_voice="alloy"))
    engine = Reporting(config)
    engine.error = EngineError("the weights are gone")
    engine.go.set()
    with tools.run(config, {"broken": engine, "quick": SyntheticEngine(config)}) as running:
        tools.eventually(lambda: running.get("/status").json["engines"][0]["state"] == "failed")
        broken, quick = running.get("/status").json["engines"]
        assert (broken["message"], broken["info"]) == ("the weights are gone", None)
        assert broken["start_ms"] > 0
        assert (quick["state"], quick["info"]["sample_rate"]) == ("ready", 24_000)


def test_no_secret_is_shown(tools: Any):
    config = settings(tools, api_keys=("hidden-key",))
    telemetry = replace(
        config.telemetry,
        webhook_url="http://user:hidden-password@localhost:9/hidden-path",
        otlp_endpoint="http://user:hidden-password@localhost:9/v1/traces",
    )
    with tools.run(replace(config, telemetry=telemetry)) as running:
        running.headers["authorization"] = "Bearer hidden-key"
        assert running.speak(input="hidden-words").status == 200
        for path in ("/status", "/session-status", "/startup-progress", "/metrics"):
            assert b"hidden" not in running.get(path).body, path


@pytest.mark.parametrize("path", ["/status", "/session-status", "/startup-progress", "/metrics"])
def test_a_key_is_asked_for_and_nothing_is_cached(tools: Any, server: Any, path: str):
    assert server.get(path).headers["cache-control"] == "no-store"
    with tools.run(settings(tools, api_keys=("key",))) as guarded:
        assert guarded.get(path).status == 401


def test_without_telemetry_the_state_is_still_told(tools: Any):
    config = settings(tools)
    with tools.run(replace(config, telemetry=replace(config.telemetry, enabled=False))) as running:
        assert running.speak().status == 200
        status = running.get("/status").json
        assert (status["telemetry"]["enabled"], status["performance"]) == (False, None)
        assert status["engines"][0]["scheduler"]["num_opened"] == 1
        assert _metric(running, "firstaudio_requests_total") is None
        assert _metric(running, "firstaudio_streams_opened_total") == 1


def test_metrics_count_what_a_client_heard(tools: Any):
    with tools.run(settings(tools)) as running:
        for _ in range(3):
            assert running.speak().status == 200
        assert running.speak(voice="nobody").status == 400
        assert (
            running.request(
                "POST", "/v1/audio/speech", json.dumps({"input": "Hi."}).encode(), x_firstaudio_run="selftest"
            ).status
            == 200
        )
        tools.eventually(lambda: _metric(running, "firstaudio_requests_total", origin="benchmark") == 1)
        assert _metric(running, "firstaudio_requests_total", outcome="completed", origin="client") == 3
        assert _metric(running, "firstaudio_requests_total", outcome="refused") == 1
        assert _metric(running, "firstaudio_ttfa_seconds_count") == 3
        reply = running.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert reply.body.endswith(b"# EOF\n")


def _metric(running: Any, name: str, **labels: str) -> float | None:
    """The sum of the series that carry these labels; None: there is none."""
    families = parse(running.get("/metrics").body.decode())
    values = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(values) if values else None


def test_plain_leaves_what_json_knows_as_it_is():
    known = {"a": [1, 2.5, "x", None, True], "b": {"c": []}}
    assert plain(known) == known
    assert plain({"x": float("inf"), 1: (1, 2), "s": {3}}) == {"x": None, "1": [1, 2], "s": [3]}
