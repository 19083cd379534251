"""Clients of the older systems, against a server that runs: what docs/migration.md names is really answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from firstaudio.config import CacheConfig, TelemetryConfig

PAGE = Path(__file__).parents[3] / "docs" / "migration.md"
NAME = re.compile(r"`((?:GET|POST) /[^`? ]*)(?: (->|<-) ([\w.]+))?`")
NUM_SPOKEN = 40  # so that there is something to recommend

# What clients of the older systems read, as their documents have it; lists by what is in them.
READ = {
    "GET /benchmarks/status": (
        "status.running status.progress status.current_test status.estimated_completion_s status.last_results "
        "status.start_time benchmark_types_available last_execution"
    ),
    "POST /benchmarks/run": "message benchmark_id estimated_duration_s status_endpoint results_endpoint",
    "GET /benchmarks/results/report": "report format generated_at benchmark_timestamp",
    "POST /benchmarks/ttfa/quick": ("ttfa_ms target_met category bottleneck provider_used recommendation text_length"),
    "GET /benchmarks/optimization/status": (
        "streaming_optimization.active_requests streaming_optimization.config.fast_path_enabled "
        "streaming_optimization.config.incremental_generation streaming_optimization.config.first_chunk_target_ms "
        "streaming_optimization.config.target_buffer_ms performance_stats.ttfa_average performance_stats.ttfa_target "
        "performance_stats.success_rate fast_path_requests recent_requests recommendations"
    ),
    "GET /ttfa-performance": (
        "ttfa_performance.target_ttfa_ms ttfa_performance.performance.total_requests "
        "ttfa_performance.performance.successful_requests "
        "ttfa_performance.performance.target_achievement_rate_percent ttfa_performance.performance.recent_trend "
        "ttfa_performance.timing_stats_ms.average ttfa_performance.timing_stats_ms.min "
        "ttfa_performance.timing_stats_ms.max ttfa_performance.timing_stats_ms.recent_values "
        "ttfa_performance.recommendations.type ttfa_performance.recommendations.message "
        "ttfa_performance.recommendations.action monitoring.active monitoring.target_ttfa_ms "
        "monitoring.optimal_ttfa_ms monitoring.critical_threshold_ms status"
    ),
    "GET /ttfa-measurements": (
        "measurements.request_id measurements.timestamp measurements.text_length measurements.voice "
        "measurements.speed measurements.timings.ttfa_ms measurements.performance.target_ttfa_ms "
        "measurements.performance.achieved_target measurements.performance.bottlenecks "
        "measurements.performance.provider_used count limit status"
    ),
    "GET /session-status": (
        "session_utilization sessions.num_runs health_check.concurrent_segments_active health_check.peak_concurrent "
        "health_check.total_requests health_check.blocking_risk"
    ),
    "GET /status": (
        "model_loaded onnx_providers performance hardware tts_processing startup_timings cold_start_warmup "
        "scheduled_benchmark session_utilization real_time_optimization"
    ),
}
SENT: dict[str, dict[str, Any]] = {
    "POST /benchmarks/run": {
        "benchmark_type": "streaming",
        "include_voice_tests": True,
        "include_speed_tests": True,
        "save_results": True,
        "custom_text": None,
    },
    "POST /benchmarks/ttfa/quick": {"text": "Hello there.", "voice": "alloy"},
    "POST /v1/audio/speech": {
        "text": "Hello there.",
        "input": "Hello there.",
        "model": "tts-1",
        "voice": "af_heart",
        "speed": 1.0,
        "stream": True,
        "stream_format": "sse",
        "response_format": "wav",
    },
}


class Named(NamedTuple):
    """One name of the page: an endpoint, or a part of its answer (->), or a field that is sent (<-)."""

    endpoint: str
    way: str
    part: str


def named() -> list[Named]:
    here = [line.split("|")[3] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return sorted({Named(*found) for column in here for found in NAME.findall(column)})


ENDPOINTS = sorted({name.endpoint for name in named()})
PARTS = [(name.endpoint, name.part) for name in named() if name.way == "->"]
FIELDS = [(name.endpoint, name.part) for name in named() if name.way == "<-"]
READ_PARTS = [(endpoint, part) for endpoint, parts in READ.items() for part in parts.split()]


class OldClient:
    """Asks each endpoint once, in an order in which each has something to say."""

    def __init__(self, benched: Any) -> None:
        self.benched = benched
        self.answers: dict[str, Any] = {}

    def ask_all(self) -> None:
        for number in range(NUM_SPOKEN):
            self.benched.running.speak(input=f"Number {number}, and nothing else.")
        self.benched.program("works")
        self.ask("POST /benchmarks/run")
        self.benched.ended()
        self.benched.program("waits")
        self.benched.start()
        self.ask("POST /benchmarks/cancel")
        for endpoint in ENDPOINTS:
            if endpoint not in self.answers:
                self.ask(endpoint)

    def ask(self, endpoint: str) -> None:
        method, path = endpoint.split()
        if "{run_id}" in path:
            path = path.replace("{run_id}", self.answers["POST /benchmarks/run"].json["benchmark_id"])
        body = {"input": "Hello there."} if path == "/v1/audio/speech" else None
        self.answers[endpoint] = self.benched.get(path) if method == "GET" else self.benched.post(path, body)


@pytest.fixture(scope="module")
def client(tools: Any, wrap: Any, tmp_path_factory: Any) -> Iterator[OldClient]:
    state = tmp_path_factory.mktemp("state")
    telemetry = TelemetryConfig(state_folder=str(state), ttfa_target_ms=0.1)  # so that there is something to recommend
    config = replace(tools.settings(), telemetry=telemetry, cache=CacheConfig(warm_up=False))
    with tools.run(config) as running:
        made = OldClient(wrap(running, tools.eventually))
        made.ask_all()
        yield made


def parts_of(answer: Any, names: list[str]) -> Iterator[Any]:
    """What an answer has under a name, of a list that of each item. Raises KeyError where it lacks it."""
    if isinstance(answer, list):
        for item in answer:
            yield from parts_of(item, names)
    elif names:
        yield from parts_of(answer[names[0]], names[1:])
    else:
        yield answer


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_of_the_page_answers(client: OldClient, endpoint: str):
    answer = client.answers[endpoint]

    assert 200 <= answer.status < 400, answer.body
    assert answer.body


@pytest.mark.parametrize(("endpoint", "part"), sorted({*PARTS, *READ_PARTS}))
def test_what_old_clients_read_is_in_the_answer(client: OldClient, endpoint: str, part: str):
    names = part.split(".")
    assert names[0] in client.answers[endpoint].json
    found = list(parts_of(client.answers[endpoint].json, names))

    assert found or names[-1] in ("recommendations", "bottlenecks", "recent_values", "onnx_providers"), "an empty list"


@pytest.mark.parametrize(("endpoint", "field"), FIELDS)
def test_what_old_clients_send_is_taken(client: OldClient, endpoint: str, field: str):
    body = {field: SENT[endpoint][field]}
    if endpoint == "POST /v1/audio/speech" and field != "text":
        body = {"input": "Hello there."} | body
    client.benched.program("works")
    reply = client.benched.post(endpoint.split()[1], body)
    client.benched.ended()

    assert reply.status == 200, reply.body


def test_all_that_old_clients_send_may_be_sent_at_once(client: OldClient):
    client.benched.program("works")
    for endpoint, body in SENT.items():
        assert client.benched.post(endpoint.split()[1], body).status == 200
        client.benched.ended()


def test_the_page_names_all_that_old_clients_read_and_send():
    """So that nothing is lost from the page; a list of objects is named there as one."""
    page = {*PARTS, *FIELDS}
    items = {(endpoint, part) for endpoint, part in READ_PARTS if part.startswith("ttfa_performance.recommendations.")}
    sent = {(endpoint, field) for endpoint, fields in SENT.items() for field in fields}

    assert sorted({*READ_PARTS, *sent} - items - page) == []


def test_a_part_that_is_not_there_is_found_out():
    assert list(parts_of({"a": [{"b": 1}, {"b": 2}]}, ["a", "b"])) == [1, 2]
    with pytest.raises(KeyError):
        list(parts_of({"a": [{"b": 1}]}, ["a", "c"]))
