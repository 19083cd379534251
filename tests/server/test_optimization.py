"""`/benchmarks/optimization/*` over HTTP, with real requests behind every figure."""

import json
from dataclasses import replace
from typing import Any

import pytest

from firstaudio.config import Config, EngineConfig, StreamingConfig, SyntheticConfig, TelemetryConfig, TunerConfig
from firstaudio.server.schemas.optimization import OptimizationStatus

STATUS = "/benchmarks/optimization/status"
TRIGGER = "/benchmarks/optimization/trigger"
RESET = "/benchmarks/optimization/reset"


def config(tmp_path, *, streaming=None, enabled=True, **tuner):
    return Config(
        engine=EngineConfig(names=("synthetic",), default_voice="alloy"),
        synthetic=SyntheticConfig(ttfa_ms=1.0, rtf=0.0),
        streaming=StreamingConfig(**(streaming or {})),
        telemetry=TelemetryConfig(state_folder=str(tmp_path), enabled=enabled),
        tuner=TunerConfig(**{"interval_s": 3600.0, "cool_down_s": 0.0} | tuner),
    )


@pytest.fixture
def run(tools: Any, tmp_path):
    def start(**settings):
        return tools.run(config(tmp_path, **settings))

    return start


def post(server, path, body=None):
    return server.request(
        "POST", path, None if body is None else json.dumps(body).encode(), content_type="application/json"
    )


def test_before_any_request_every_figure_is_null(run):
    with run() as server:
        told = server.get(STATUS).json
        OptimizationStatus.model_validate(told)
        assert told["performance_stats"] == {
            "ttfa_average": None,
            "ttfa_target": 800.0,
            "success_rate": None,
            "target_rate": None,
            "ttfa_median": None,
            "num_requests": 0,
            "num_measured": 0,
        }
        assert (told["fast_path_requests"], told["recent_requests"], told["recommendations"]) == (0, [], [])
        assert (told["experiments"], told["decisions"], told["changed"]) == ([], [], [])


def test_the_keys_that_clients_of_the_old_server_know_are_there(run):
    with run() as server:
        told = server.get(STATUS).json
        assert set(told["streaming_optimization"]) == {"active_requests", "config"}
        known = {"fast_path_enabled", "incremental_generation", "first_chunk_target_ms", "target_buffer_ms"}
        assert known <= set(told["streaming_optimization"]["config"])
        assert {"ttfa_average", "ttfa_target", "success_rate"} <= set(told["performance_stats"])
        assert told["streaming_optimization"]["config"]["first_chunk_target_ms"] == 200


def test_figures_are_of_the_requests_that_were_made(run, tools):
    with run() as server:
        replies = [server.speak(response_format="pcm", input=f"Hello world number {n}.") for n in range(8)]
        ids = [reply.headers["x-request-id"] for reply in replies]
        tools.eventually(lambda: server.get(STATUS).json["performance_stats"]["num_requests"] == 8)
        told = server.get(STATUS).json
        assert told["recent_requests"] == ids[::-1]
        assert told["fast_path_requests"] == 8
        stats = told["performance_stats"]
        assert (stats["success_rate"], stats["target_rate"], stats["num_measured"]) == (1.0, 1.0, 8)
        assert 0 < stats["ttfa_median"] < 800


def test_a_benchmarks_requests_are_not_among_them_and_are_given_no_arm(run, tools):
    with run() as server:
        assert post(server, TRIGGER, {"setting": "streaming.min_chunk_size_ms", "value": 20}).status == 202
        body = json.dumps({"input": "Hello."}).encode()
        server.request("POST", "/v1/audio/speech", body, content_type="application/json", x_firstaudio_run="selftest")
        server.speak(input="A client says this.")
        tools.eventually(lambda: server.get(STATUS).json["performance_stats"]["num_requests"] == 1)
        told = server.get(STATUS).json
        assert sum(counts["assigned"] for counts in told["experiments"][0]["counts"].values()) == 1


def test_trigger_says_what_it_tries_and_refuses_a_second_one(run):
    with run(streaming={"fast_path_enabled": False}) as server:
        reply = post(server, TRIGGER)
        assert reply.status == 202
        assert reply.json["experiment"]["setting"] == "streaming.fast_path_enabled"
        assert reply.json["experiment"]["candidate"] is True
        assert "streaming.fast_path_enabled = true instead of false" in reply.json["message"]
        assert reply.json["status_endpoint"] == STATUS
        second = post(server, TRIGGER)
        assert second.status == 409
        assert reply.json["experiment"]["id"] in second.error["message"]
        assert server.get(STATUS).json["tuner"]["state"] == "experimenting"


def test_trigger_takes_a_setting_and_a_value(run):
    with run() as server:
        reply = post(server, TRIGGER, {"setting": "streaming.first_segment_s", "value": 1.5})
        assert reply.status == 202
        assert (reply.json["experiment"]["current"], reply.json["experiment"]["candidate"]) == (0.6, 1.5)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"setting": "streaming.max_streams"}, "setting"),
        ({"setting": "server.port", "value": 1}, "setting"),
        ({"value": 20}, "setting"),
        ({"setting": "streaming.min_chunk_size_ms", "value": 0}, "value"),
        ({"setting": "streaming.min_chunk_size_ms", "value": 150}, "value"),
        ({"setting": "streaming.min_chunk_size_ms", "value": True}, "value"),
        ({"setting": "streaming.fast_path_enabled", "value": 1}, "value"),
        ({"setting": "streaming.max_lead_s", "value": 1e9}, "value"),
        ({"setting": "streaming.min_chunk_size_ms", "value": "a"}, "value"),
        ({"setting": 5}, "setting"),
        ({"what": 5}, "what"),
    ],
)
def test_what_cannot_be_tried_is_refused(run, body, param):
    with run() as server:
        reply = post(server, TRIGGER, body)
        assert (reply.status, reply.error["param"]) == (400, param)
        assert server.get(STATUS).json["experiments"] == []


def test_where_nothing_better_is_known_trigger_says_so(run):
    with run() as server:
        reply = post(server, TRIGGER, {"setting": "streaming.fast_path_enabled"})
        assert (reply.status, reply.json["experiment"]) == (200, None)
        assert "nothing to try" in reply.json["message"]


@pytest.mark.parametrize("settings", [{"enabled": False}, {}])
def test_a_tuner_that_is_off_says_so(tools, tmp_path, settings):
    made = config(tmp_path, **settings) if settings else config(tmp_path)
    if not settings:
        made = replace(made, tuner=TunerConfig(enabled=False))
    with tools.run(made) as server:
        server.speak()
        assert server.get(STATUS).json["tuner"]["state"] == "off"
        reply = post(server, TRIGGER)
        assert reply.status == 409
        assert ("telemetry.enabled" if settings else "tuner.enabled") in reply.error["message"]


def test_reset_ends_the_experiment_and_says_what_changed(run):
    with run() as server:
        nothing = {"ended": None, "restored": [], "decision": None}
        assert post(server, RESET).json == {
            "message": "no experiment ran; every setting is as configured",
            **nothing,
        }
        begun = post(server, TRIGGER, {"setting": "streaming.min_chunk_size_ms", "value": 20}).json["experiment"]["id"]
        assert post(server, RESET).json == {
            "message": f"ended experiment {begun}; every setting is as configured",
            **nothing,
            "ended": begun,
        }
        told = server.get(STATUS).json
        assert told["experiments"] == []
        assert [decision["action"] for decision in told["decisions"]] == ["abandoned"]


def test_reset_names_what_it_restored(run):
    with run() as server:
        synthesizer = server.service.synthesizer
        synthesizer.streaming = replace(synthesizer.streaming, min_chunk_size_ms=20)
        answer = post(server, RESET).json
        assert answer["restored"] == [{"setting": "streaming.min_chunk_size_ms", "configured": 50, "value": 20}]
        assert answer["decision"]["action"] == "reset"
        assert "streaming.min_chunk_size_ms = 50" in answer["message"]
        assert server.get(STATUS).json["changed"] == []


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("streaming.min_chunk_size_ms", "a", "streaming.min_chunk_size_ms takes a whole number, and got a string"),
        ("streaming.min_chunk_size_ms", 20.5, "streaming.min_chunk_size_ms takes a whole number, and got a fraction"),
        (
            "streaming.min_chunk_size_ms",
            True,
            "streaming.min_chunk_size_ms takes a whole number, and got a boolean",
        ),
        ("streaming.first_segment_s", [1], "streaming.first_segment_s takes a number, and got a list"),
        ("streaming.fast_path_enabled", 1, "streaming.fast_path_enabled takes true or false, and got a whole number"),
    ],
)
def test_a_value_of_a_wrong_type_is_told_what_the_setting_takes(run, setting, value, sentence):
    with run() as server:
        assert post(server, TRIGGER, {"setting": setting, "value": value}).error["message"] == sentence


def test_with_keys_on_nobody_else_may_look_or_act(tools, tmp_path):
    from firstaudio.config import ServerConfig

    with tools.run(replace(config(tmp_path), server=ServerConfig(api_keys=("secret",)))) as server:
        assert server.get(STATUS).status == 401
        assert post(server, TRIGGER).status == 401
        assert post(server, RESET).status == 401


def test_decisions_outlive_the_server(tools, tmp_path):
    for expected in ([], ["abandoned"]):
        with tools.run(config(tmp_path)) as server:
            assert [decision["action"] for decision in server.get(STATUS).json["decisions"]] == expected
            post(server, TRIGGER)
