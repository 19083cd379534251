"""A server that is slow in a known stage says over HTTP which one it is, how bad that is, and what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstaudio.config import CacheConfig, Config, SyntheticConfig, TelemetryConfig
from firstaudio.server.responses import StreamedResponse
from firstaudio.server.routes import speech

TARGET_MS = 50.0
SLOW_MS = 100.0
NUM_REQUESTS = 12
PATH = "/ttfa-performance/investigation"


@pytest.fixture
def config(tools: Any, tmp_path: Path) -> Callable[..., Config]:
    def make(**synthetic: Any) -> Config:
        return replace(
            tools.settings(synthetic=SyntheticConfig(**{"ttfa_ms": 1.0, "rtf": 0.0} | synthetic)),
            telemetry=TelemetryConfig(state_folder=str(tmp_path), ttfa_target_ms=TARGET_MS),
            cache=CacheConfig(max_mb=0.0, share_running=False, warm_up=False),
        )

    return make


def speak(running: Any, num_clients: int = 1) -> None:
    with ThreadPoolExecutor(num_clients) as clients:
        replies = clients.map(
            lambda i: running.speak(input=f"Sentence {'abcdefghijklmnop'[i]}.", response_format="pcm"),
            range(NUM_REQUESTS),
        )
        assert {reply.status for reply in replies} == {200}


def investigation(tools: Any, running: Any) -> dict[str, Any]:
    """What is told once the last request has been measured."""
    tools.eventually(lambda: running.get(PATH).json["n"] == NUM_REQUESTS)
    return running.get(PATH).json


def assert_blames(tools: Any, running: Any, stage: str, action: str) -> None:
    found = investigation(tools, running)
    assert (found["status"], found["bottleneck"], found["category"]) == ("analysed", stage, "CRITICAL")
    assert found["num_missed"] == NUM_REQUESTS
    by_type = {each["type"]: each for each in found["recommendations"]}
    advice = by_type[stage]
    assert (advice["severity"], advice["evidence"]["n"]) == ("critical", NUM_REQUESTS)
    assert advice["evidence"]["stage_mean_ms"] > TARGET_MS
    assert action in advice["action"]
    performance = running.get("/ttfa-performance").json
    assert performance["summary"]["bottleneck"] == stage
    assert stage in {each["type"] for each in performance["ttfa_performance"]["recommendations"]}


def test_the_window_is_the_one_that_was_asked_for(tools: Any, config: Callable[..., Config]):
    with tools.run(config()) as running:
        asked = running.get(f"{PATH}?window_s=3600").json
        assert (asked["window_s"], asked["observed_s"]) == (3600, None)
        speak(running)
        assert 0 <= investigation(tools, running)["observed_s"] < running.get(PATH).json["window_s"] == 86_400


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["phonemize", "model_inference"])
def test_a_slow_stage_of_the_engine_is_found(tools: Any, config: Callable[..., Config], stage: str):
    with tools.run(config(slow_stage=stage, slow_ms=SLOW_MS)) as running:
        speak(running)
        assert_blames(tools, running, stage, "set synthetic.slow_stage to none")


@pytest.mark.slow
def test_a_full_queue_is_found(tools: Any, config: Callable[..., Config]):
    with tools.run(config(ttfa_ms=SLOW_MS / 2, capacity=1)) as running:
        speak(running, num_clients=NUM_REQUESTS)
        assert_blames(tools, running, "queue", "raise synthetic.capacity from 1 to 2")


@pytest.mark.slow
def test_slow_text_processing_is_found(tools: Any, config: Callable[..., Config], monkeypatch):
    read_order = speech.read_order

    def slow(*given: Any) -> Any:
        time.sleep(SLOW_MS / 1000)
        return read_order(*given)

    monkeypatch.setattr(speech, "read_order", slow)
    with tools.run(config()) as running:
        speak(running)
        assert_blames(tools, running, "text_processing", "send plain text")


class SlowEncoder:
    """An encoder that takes its time."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def push(self, samples: Any) -> bytes:
        time.sleep(SLOW_MS / 1000)
        return self._inner.push(samples)


@pytest.mark.slow
def test_a_slow_encoder_is_found(tools: Any, config: Callable[..., Config], monkeypatch):
    make_encoder = speech.make_encoder
    monkeypatch.setattr(speech, "make_encoder", lambda *given: SlowEncoder(make_encoder(*given)))
    with tools.run(config(char_s=0.005)) as running:
        speak(running)
        assert_blames(tools, running, "audio_conversion", 'response_format "pcm" or "wav"')


@pytest.mark.slow
def test_a_transport_that_takes_its_time_is_found(tools: Any, config: Callable[..., Config], monkeypatch):
    deliver = StreamedResponse._deliver

    async def slow(self: StreamedResponse, send: Any) -> None:
        async def late(message: Any) -> None:
            if message["type"] == "http.response.body" and not self._trace.sent_audio_ns:
                await asyncio.sleep(SLOW_MS / 1000)
            await send(message)

        await deliver(self, late)

    monkeypatch.setattr(StreamedResponse, "_deliver", slow)
    with tools.run(config(char_s=0.005)) as running:
        speak(running)
        assert_blames(tools, running, "chunk_delivery", "proxy_buffering off")


def test_without_requests_there_is_nothing_to_say(tools: Any, config: Callable[..., Config]):
    with tools.run(config()) as running:
        found = running.get(PATH).json
    assert (found["status"], found["category"], found["n"]) == ("no_data", "no_data", 0)
    assert (found["miss_rate"], found["mean_ms"], found["bottleneck"]) == (None, None, None)
    assert (found["recommendations"], found["groups"]) == ([], [])


def test_a_fast_server_needs_no_advice(tools: Any, config: Callable[..., Config]):
    with tools.run(replace(config(), telemetry=replace(config().telemetry, ttfa_target_ms=5000.0))) as running:
        speak(running)
        found = investigation(tools, running)
    assert (found["category"], found["num_missed"]) == ("EXCELLENT", 0)
    assert found["pattern"] == "all 12 requests met the target"
    assert found["recommendations"] == []


def test_requests_of_a_benchmark_are_not_looked_at(tools: Any, config: Callable[..., Config]):
    with tools.run(config()) as running:
        body = b'{"input": "Hello."}'
        assert running.request("POST", "/v1/audio/speech", body, x_firstaudio_run="selftest").status == 200
        tools.eventually(lambda: running.get("/ttfa-measurements").json["count"] == 1)
        assert running.get(PATH).json["n"] == 0


@pytest.mark.parametrize("query", ["window_s=0", "window_s=-1", "window_s=soon", "window_s=inf", "windows=5"])
def test_a_question_that_makes_no_sense_is_refused(server: Any, query: str):
    reply = server.get(f"{PATH}?{query}")
    assert reply.status == 400
    assert reply.error["param"]
