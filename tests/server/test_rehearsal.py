"""The server asks itself before it says that it is ready."""

from dataclasses import replace

from firstaudio.config import CacheConfig, TelemetryConfig


def test_the_server_has_answered_itself_before_it_is_ready(tools, tmp_path):
    settings = replace(tools.settings(api_keys=("secret",)), telemetry=TelemetryConfig(state_folder=str(tmp_path)))
    with tools.run(settings) as server:
        warm_up = server.service.warm_up.statistics()
        assert warm_up.problem == ""
        assert warm_up.server.num_answers >= 1
        assert warm_up.before_ready_ms > 0
        assert server.service.timings.ms["warm_up"] >= warm_up.before_ready_ms
        assert server.service.synthesizer.cache.statistics().num_entries == 0


def test_a_client_who_wants_no_kept_audio_gets_none(tools, tmp_path):
    settings = replace(tools.settings(), telemetry=TelemetryConfig(state_folder=str(tmp_path)))
    with tools.run(settings) as server:
        traces = []
        server.service.synthesizer.add_listener(lambda trace: traces.append((trace.origin, trace.warmth)))
        fields = b'{"input": "Hello there."}'
        for control in ("max-age=60", "max-age=60", "No-Cache", "no-cache, no-store"):
            reply = server.request(
                "POST", "/v1/audio/speech", fields, content_type="application/json", cache_control=control
            )
            assert reply.status == 200
        tools.eventually(lambda: len([each for each in traces if each[0] == "client"]) == 4)
        assert [warmth for origin, warmth in traces if origin == "client"] == ["warm", "cached", "warm", "warm"]


def test_a_client_cannot_pass_for_the_warm_up(tools, tmp_path):
    settings = replace(
        tools.settings(), telemetry=TelemetryConfig(state_folder=str(tmp_path)), cache=CacheConfig(warm_up=False)
    )
    with tools.run(settings) as server:
        traces = []
        server.service.synthesizer.add_listener(lambda trace: traces.append(trace.origin))
        reply = server.request(
            "POST", "/v1/audio/speech", b'{"input": "Hello."}', content_type="application/json", x_origin="warmup"
        )
        assert reply.status == 200
        tools.eventually(lambda: bool(traces))
        assert traces == ["client"]


def test_a_file_of_phrases_that_is_not_there_fails_the_start(tools, tmp_path):
    settings = replace(
        tools.settings(),
        telemetry=TelemetryConfig(state_folder=str(tmp_path)),
        cache=CacheConfig(phrases=str(tmp_path / "none")),
    )
    with tools.run(settings, ready=False) as server:
        tools.eventually(server.service.startup.done)
        assert "cache.phrases" in server.service.failure
