"""The whole way with the neural engine, on the small model of random weights: what it says nobody understands."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstaudio.config import CacheConfig, Config, EngineConfig, KokoroConfig, ModelConfig, TelemetryConfig
from firstaudio.engines.kokoro.engine import KokoroEngine
from firstaudio.engines.kokoro.fidelity import Comparison, Distance, Verdict
from firstaudio.engines.kokoro.optimize import optimize
from firstaudio.engines.kokoro.pieces import cached_pieces
from firstaudio.engines.kokoro.store import find

DATA = Path(__file__).parents[1] / "data" / "kokoro"
TEXT = "Nobody asked, because *everybody* knew."
NEAR = Verdict(
    Comparison("windowed", (Distance(0.2, 30.0, 0.1),)),
    None,
    Comparison("seeds", (Distance(0.7, 20.0),)),
    ("af_heart",),
    "2026-01-02T03:04:05",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """`af_heart` was measured, and a verdict allows windows."""
    folder = tmp_path_factory.mktemp("kokoro")
    config = Config(
        engine=EngineConfig(names=("kokoro",)),
        kokoro=KokoroConfig(
            model=str(DATA / "model.onnx"),
            voices=str(DATA / "voices.bin"),
            runtimes=("onnxruntime-cpu",),
            num_threads=1,
            g2p="espeak",
        ),
        model=ModelConfig(folder=str(folder / "models")),
        cache=CacheConfig(max_mb=0, share_running=False, warm_up=False),
        telemetry=TelemetryConfig(state_folder=str(folder / "state")),
    )
    files = find(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("firstaudio.engines.kokoro.optimize._bf16", lambda _: None)  # the verdict is given below
        optimize(config, files, ["af_heart"], lambda *_: None)
    pieces = cached_pieces(files.model, files.pieces)
    assert pieces is not None
    NEAR.save(pieces.folder)
    return config


@pytest.fixture(scope="module")
def kokoro(tools: Any, config: Config) -> Iterator[Any]:
    with tools.run(config) as running:
        yield running


def pcm(reply: Any) -> Any:
    assert reply.status == 200, reply.json
    return np.frombuffer(reply.body, "<i2")


def test_speech_says_who_made_it_and_how(kokoro: Any):
    reply = kokoro.speak(input=TEXT, response_format="pcm")
    told = {name: reply.headers[name] for name in ("X-Engine", "X-Voice", "X-Language", "X-Decode", "X-Runtime")}
    assert told == {
        "X-Engine": "kokoro",
        "X-Voice": "af_heart",
        "X-Language": "en-us",
        "X-Decode": "windowed",
        "X-Runtime": "onnxruntime-cpu",
    }
    assert reply.headers["X-Failover"] is None
    audio = pcm(reply)
    assert 0.5 < len(audio) / 24_000 < 20
    assert audio.min() < audio.max()


@pytest.mark.parametrize(("decode", "ran"), [("whole", "whole"), ("windowed", "windowed"), ("auto", "windowed")])
def test_a_request_may_say_how_it_is_decoded(kokoro: Any, decode: str, ran: str):
    reply = kokoro.speak(input=TEXT, response_format="pcm", decode=decode)
    assert len(pcm(reply))
    assert reply.headers["X-Decode"] == ran


def test_a_voice_that_was_not_measured_is_decoded_whole_and_windows_of_it_are_refused(kokoro: Any):
    reply = kokoro.speak(input=TEXT, voice="af_bella", response_format="pcm")
    assert len(pcm(reply))
    assert reply.headers["X-Decode"] == "whole"
    refused = kokoro.speak(input=TEXT, voice="af_bella", response_format="pcm", decode="windowed")
    assert refused.status == 400
    assert (refused.error["param"], refused.error["code"]) == ("decode", "invalid_request")
    assert "nobody has measured it" in refused.error["message"]


@pytest.mark.parametrize("decode", ["whole", "windowed"])
def test_what_is_streamed_is_what_comes_at_once(kokoro: Any, decode: str):
    fields = {"input": "Nobody asked.", "response_format": "pcm", "decode": decode}
    at_once = kokoro.speak(**fields, stream=False)
    assert int(at_once.headers["Content-Length"]) == len(at_once.body)
    np.testing.assert_array_equal(pcm(kokoro.speak(**fields)), pcm(at_once))


@pytest.mark.parametrize("decode", ["whole", "windowed"])
def test_word_times_name_every_word_of_the_original_text_in_order(kokoro: Any, decode: str):
    reply = kokoro.speak(input=TEXT, response_format="pcm", stream_format="sse", word_timestamps=True, decode=decode)
    words = [word for event in reply.events if event["type"] == "speech.audio.words" for word in event["words"]]
    assert [word["text"] for word in words] == ["Nobody", "asked", "because", "everybody", "knew"]
    assert all(word["text"] == TEXT[word["start_char"] : word["end_char"]] for word in words)
    audio = b"".join(base64.b64decode(event["audio"]) for event in reply.events if "audio" in event)
    times = [time for word in words for time in (word["start_s"], word["end_s"])]
    assert times == sorted(times)
    assert times[-1] <= len(audio) / 2 / 24_000


def test_voices_are_listed_and_an_unknown_one_is_refused_with_what_to_do(kokoro: Any):
    listed = {voice["id"] for voice in kokoro.get("/v1/audio/voices").json["voices"]}
    assert {"af_heart", "af_bella", "alloy"} <= listed
    error = kokoro.speak(voice="nobody").error
    assert (error["code"], error["param"]) == ("unknown_voice", "voice")
    assert "GET /v1/audio/voices" in error["message"]
    assert kokoro.speak(voice="af_heart+nobody").error["code"] == "unknown_voice"
    assert kokoro.speak(lang="tlh").error["code"] == "unknown_language"


def test_blends_and_aliases_speak(kokoro: Any):
    blend = kokoro.speak(input=TEXT, voice="af_heart(2)+af_bella(1)", response_format="pcm")
    assert len(pcm(blend))
    assert blend.headers["X-Voice"] == "af_bella(0.3333)+af_heart(0.6667)"
    assert len(pcm(kokoro.speak(input=TEXT, voice="alloy", response_format="pcm")))


def test_a_client_that_goes_away_leaves_the_engine_free_and_the_next_one_hears_the_same(kokoro: Any, tools: Any):
    fields = {"input": "Nobody asked.", "response_format": "pcm"}
    before = pcm(kokoro.speak(**fields))
    connection = kokoro.ask(input=TEXT * 20, response_format="pcm")
    tools.read_until(connection, b"\r\n\r\n")
    connection.close()
    tools.eventually(lambda: kokoro.service.synthesizer.num_streams == 0)
    statistics = kokoro.service.synthesizer.statistics()["kokoro"]
    assert (statistics.num_streams, statistics.num_busy_lanes) == (0, 0)
    np.testing.assert_array_equal(pcm(kokoro.speak(**fields)), before)


def test_a_model_that_was_only_pulled_says_what_really_runs(tools: Any, config: Config, tmp_path: Path):
    """Nobody has optimized it, so all is decoded whole: every page names the runtime that the answer names."""
    pulled = replace(
        config,
        kokoro=replace(config.kokoro, runtimes=("auto",)),
        model=ModelConfig(folder=str(tmp_path / "models")),
        telemetry=TelemetryConfig(state_folder=str(tmp_path / "state")),
    )
    with tools.run(pulled) as running:
        before = runs_of(running)
        reply = running.speak(input="Nobody asked.", response_format="pcm")
        assert len(pcm(reply))
        status, after = running.get("/status").json, runs_of(running)
    assert (reply.headers["X-Decode"], reply.headers["X-Runtime"]) == ("whole", "onnxruntime-cpu")
    assert status["onnx_providers"] == ["onnxruntime-cpu"]
    assert (
        "used for everything, because decode is whole"
        in (status["engines"][0]["report"]["runtime_reasons"]["onnxruntime-cpu"])
    )
    ran = {piece: after[piece] - before[piece] for piece in after}
    assert ran == {"front": 1, "source": 1, "generator": 1, "tail": 1, "window": 0}


def runs_of(running: Any) -> dict[str, int]:
    """Steps of each piece, on all its sessions."""
    found: dict[str, int] = {}
    for each in running.get("/session-status").json["sessions"]:
        assert each["name"] == "onnxruntime-cpu"
        found[each["piece"]] = found.get(each["piece"], 0) + each["num_runs"]
    return found


def test_another_engine_speaks_until_this_one_is_ready(tools: Any, config: Config, monkeypatch: pytest.MonkeyPatch):
    go = threading.Event()
    start = KokoroEngine._start

    def waits(engine: KokoroEngine) -> None:
        assert go.wait(20)
        start(engine)

    monkeypatch.setattr(KokoroEngine, "_start", waits)
    both = replace(config, engine=EngineConfig(names=("kokoro", "espeak"), failover=True))
    with tools.run(both) as running:
        early = running.speak(input=TEXT, response_format="pcm")
        assert len(pcm(early))
        assert (early.headers["X-Engine"], early.headers["X-Failover"]) == ("espeak", 'kokoro; reason="starting"')
        health = running.get("/health").json
        assert [engine["state"] for engine in health["engines"]] == ["starting", "ready"]
        go.set()
        tools.eventually(lambda: running.get("/health").json["engines"][0]["state"] == "ready")
        late = running.speak(input=TEXT, response_format="pcm")
        assert len(pcm(late))
        assert (late.headers["X-Engine"], late.headers["X-Failover"]) == ("kokoro", None)


def test_a_model_that_is_not_there_is_told_and_another_engine_speaks(tools: Any, config: Config):
    broken = replace(
        config,
        engine=EngineConfig(names=("kokoro", "espeak"), failover=True),
        kokoro=replace(config.kokoro, model="nowhere.onnx"),
    )
    with tools.run(broken) as running:
        tools.eventually(lambda: running.get("/health").json["engines"][0]["state"] == "failed")
        assert "nowhere.onnx" in running.get("/health").json["engines"][0]["message"]
        reply = running.speak(input=TEXT, response_format="pcm")
        assert len(pcm(reply))
        assert (reply.headers["X-Engine"], reply.headers["X-Failover"]) == ("espeak", 'kokoro; reason="config_error"')
