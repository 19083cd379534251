"""What the server says of its requests is what happened to them."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.figures.metrics import value
from firstaudio.bench.load.client import Client
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.reading.read import to_record
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.http import make_http_target
from firstaudio.bench.targets.wire import Limits
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell, Goals
from firstaudio.config import CacheConfig, Config, SyntheticConfig, TelemetryConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.trace import STAGES

STATED_TTFA_MS = 20.0
TEXTS = {
    "premium": "Every answer is measured twice.",
    "fast": "Once by the one who listens, and once by the one who speaks; " * 3,
    "default": "Both tell the same story, or one of them is wrong: " * 8,
}

Started = Callable[..., Any]


@pytest.fixture
def started(tools: Any, tmp_path: Path) -> Started:
    """Runs a server that keeps its state in `tmp_path`."""

    @contextmanager
    def run(
        config: Config | None = None, *, ready: bool = True, engines: Any = None, **telemetry: Any
    ) -> Iterator[Any]:
        kept = TelemetryConfig(**{"state_folder": str(tmp_path / "state")} | telemetry)
        config = replace(config or tools.settings(), telemetry=kept, cache=CacheConfig(warm_up=False))
        with tools.run(config, engines, ready=ready) as running:
            yield running

    return run


def listed(running: Any, query: str = "") -> list[dict[str, Any]]:
    reply = running.get(f"/ttfa-measurements{query}")
    assert reply.status == 200
    assert reply.json["count"] == len(reply.json["measurements"])
    return reply.json["measurements"]


def performance(running: Any, query: str = "") -> dict[str, Any]:
    reply = running.get(f"/ttfa-performance{query}")
    assert reply.status == 200
    return reply.json


async def listen(url: str, voices: list[str]) -> list[dict[str, Any]]:
    """What the harness sees of one request a voice: the text sent, the id, TTFA and latency in ms, the server's own."""
    cell = Cell("one listener", TargetSpec("openai", url, "firstaudio", container="pcm"))
    target = make_http_target(cell.target, Limits())
    client = Client(target, 0, timeout_s=20, cold=False)
    heard = []
    for number, voice in enumerate(voices):
        taken = Taken(
            Utterance(f"{number} {TEXTS[voice]}", voice=voice), Exchange(), "measured", client=0, index=number
        )
        await client.request(taken.utterance, taken.exchange)
        heard.append(taken)
    await client.close()
    return [seen(taken, to_record(taken, cell, target.reading)[0]) for taken in heard]


def seen(taken: Taken, record: Any) -> dict[str, Any]:
    return {
        "id": taken.exchange.headers["x-request-id"],
        "text": taken.utterance.text,
        "voice": taken.utterance.voice,
        "ttfa_ms": value("ttfa_ms", record, Goals()),
        "latency_ms": value("latency_ms", record, Goals()),
        "header_ttfa_ms": record.server_timing_ms["ttfa"],
        "audio_s": value("audio_s", record, Goals()),
    }


def test_every_request_is_measured_as_the_client_saw_it(tools: Any, started: Started):
    stated = SyntheticConfig(ttfa_ms=STATED_TTFA_MS, rtf=0.05)
    voices = [*TEXTS] * 2
    with started(tools.settings(synthetic=stated)) as running:
        heard = asyncio.run(listen(running.url, voices))
        rows = listed(running)
        report = performance(running)

    assert [row["request_id"] for row in rows] == [each["id"] for each in reversed(heard)]
    for row, client in zip(rows, reversed(heard), strict=True):
        assert (row["text_length"], row["voice"], row["speed"]) == (len(client["text"]), client["voice"], 1.0)
        # The header was made just before the first write, and the server stamps TTFA just after it.
        assert STATED_TTFA_MS <= client["header_ttfa_ms"] <= client["ttfa_ms"]
        assert client["header_ttfa_ms"] <= row["timings"]["ttfa_ms"] <= client["latency_ms"]
        assert row["timings"]["ttfa_ms"] <= row["timings"]["ttgp_ms"] <= row["timings"]["total_ms"]
        assert row["timings"]["model_inference_ms"] >= STATED_TTFA_MS
        assert row["performance"]["bottlenecks"] == ["model_inference"]
        assert row["performance"]["achieved_target"] is True
        assert row["details"]["audio_s"] == pytest.approx(client["audio_s"], abs=1e-3)
        assert (row["details"]["outcome"], row["details"]["origin"]) == ("completed", "client")
        assert abs(row["timestamp"] - time.time()) < 60
    assert_sums_up(report, rows)


def assert_sums_up(report: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Every number of the report can be computed from the rows."""
    times = [row["timings"]["ttfa_ms"] for row in rows]
    done, stats, summary = (
        report["ttfa_performance"]["performance"],
        report["ttfa_performance"]["timing_stats_ms"],
        report["summary"],
    )
    assert (done["total_requests"], done["successful_requests"]) == (len(rows), len(rows))
    assert (done["success_rate_percent"], done["target_achievement_rate_percent"]) == (100.0, 100.0)
    assert (stats["n"], stats["min"], stats["max"]) == (len(rows), min(times), max(times))
    assert stats["average"] == pytest.approx(sum(times) / len(times))
    assert stats["recent_values"] == times
    assert (stats["p50"] is not None, stats["p90"]) == (len(rows) >= 6, None)
    assert summary["outcomes"] == {"completed": len(rows), "cancelled": 0, "failed": 0, "refused": 0}
    assert (summary["bottleneck"], summary["category"]) == ("model_inference", "excellent")
    for stage in STAGES:
        spent = [row["timings"][f"{stage}_ms"] for row in rows]
        assert summary["stages"][stage]["ms"]["mean"] == pytest.approx(sum(spent) / len(spent))
        assert summary["stages"][stage]["share"] == pytest.approx(sum(spent) / sum(times))
    for name, group in summary["by_text_class"].items():
        of_class = [row["timings"]["ttfa_ms"] for row in rows if row["details"]["text_class"] == name]
        assert (group["num_requests"], group["ttfa"]["max"]) == (len(of_class), max(of_class))
    assert summary["audio_s"] == pytest.approx(sum(row["details"]["audio_s"] for row in rows))
    assert report["monitoring"] == {
        "active": True,
        "target_ttfa_ms": 800.0,
        "optimal_ttfa_ms": 400.0,
        "critical_threshold_ms": 2000.0,
    }
    assert (report["status"], report["problem"]) == ("ok", None)


def test_a_server_that_has_spoken_nothing_says_so(started: Started):
    with started() as running:
        assert listed(running) == []
        report = performance(running)

    stats = report["ttfa_performance"]["timing_stats_ms"]
    assert stats == dict.fromkeys(["average", "min", "max", "p50", "p90", "p95", "p99"]) | {"n": 0, "recent_values": []}
    assert report["ttfa_performance"]["performance"] == {
        "total_requests": 0,
        "successful_requests": 0,
        "success_rate_percent": None,
        "target_achievement_rate_percent": None,
        "recent_trend": "unknown",
    }
    assert report["summary"]["investigation_category"] == "no_data"
    assert report["ttfa_performance"]["recommendations"] == []


def test_the_target_is_the_configured_one(tools: Any, started: Started):
    slow = tools.settings(synthetic=SyntheticConfig(ttfa_ms=STATED_TTFA_MS, rtf=0.0))
    with started(slow, ttfa_target_ms=STATED_TTFA_MS / 2) as running:
        running.speak(input="This one comes too late.")
        [row] = listed(running)
        report = performance(running)

    assert (row["performance"]["target_ttfa_ms"], row["performance"]["achieved_target"]) == (10.0, False)
    done = report["ttfa_performance"]["performance"]
    assert (done["successful_requests"], done["target_achievement_rate_percent"]) == (1, 0.0)
    assert report["summary"]["miss_rate"] == 1.0


def test_failures_refusals_and_departures_are_told_apart(tools: Any, started: Started):
    config = tools.settings(synthetic=SyntheticConfig(ttfa_ms=1.0, rtf=0.0, failure_rate=1.0))
    with started(config) as running:
        assert running.speak(input="This fails.").status == 500
        assert running.speak(voice="nobody").status == 400
        tools.eventually(lambda: len(listed(running)) == 2)
        refused, failed = listed(running)
        report = performance(running)

    assert (refused["details"]["outcome"], failed["details"]["outcome"]) == ("refused", "failed")
    assert refused["details"]["error"] == "unknown_voice", "without what the client sent"
    assert [refused["voice"], *(refused["details"][name] for name in ("engine", "language", "warmth"))] == [""] * 4
    assert (refused["details"]["delivery"], failed["details"]["warmth"]) == ("audio", "warm")
    assert list(report["summary"]["by_warmth"]) == ["warm"]
    assert (refused["performance"]["achieved_target"], failed["performance"]["achieved_target"]) == (None, False)
    assert (failed["timings"]["ttfa_ms"], failed["timings"]["queue_ms"], failed["performance"]["bottlenecks"]) == (
        None,
        None,
        [],
    )
    done = report["ttfa_performance"]["performance"]
    assert (done["total_requests"], done["successful_requests"], done["success_rate_percent"]) == (2, 0, 0.0)


def test_a_client_that_leaves_is_a_cancelled_request(tools: Any, started: Started):
    config = tools.settings(synthetic=SyntheticConfig(ttfa_ms=1.0, rtf=1.0))
    with started(config) as running:
        with running.ask(input="This goes on for a while, and nobody stays to hear it. " * 20) as connection:
            tools.read_until(connection, b"\r\n\r\n")
        tools.eventually(lambda: len(listed(running)) == 1)
        [row] = listed(running)

    assert row["details"]["outcome"] == "cancelled"
    assert row["timings"]["ttfa_ms"] is not None


def test_benchmarks_are_listed_but_are_no_clients(started: Started):
    with started() as running:
        body = json.dumps({"input": "I am a benchmark."}).encode()
        sent = {"content_type": "application/json", "x_firstaudio_run": "selftest"}
        running.request("POST", "/v1/audio/speech", body, **sent)
        running.speak(input="I am a client.")
        assert [row["details"]["origin"] for row in listed(running)] == ["client", "benchmark"]
        assert [row["details"]["run"] for row in listed(running, "?origin=benchmark")] == ["selftest"]
        assert [row["details"]["run"] for row in listed(running, "?origin=client")] == [""]
        assert performance(running)["summary"]["num_requests"] == 1


def test_measurements_can_be_asked_for_by_number_voice_and_time(started: Started):
    with started() as running:
        for number, voice in enumerate(("premium", "fast", "premium")):
            running.speak(input=f"Number {number}.", voice=voice)
        newest, middle, oldest = listed(running)
        assert listed(running, "?limit=2") == [newest, middle]
        assert listed(running, "?voice=premium") == [newest, oldest]
        assert listed(running, "?voice=nobody") == []
        assert listed(running, f"?since={middle['timestamp']!r}") == [newest, middle]
        moment = datetime.fromtimestamp(middle["timestamp"] + 1e-5, UTC)
        assert listed(running, f"?since={moment.isoformat().replace('+00:00', 'Z')}") == [newest]
        assert listed(running, f"?since={moment.replace(tzinfo=None).isoformat()}") == [newest]
        assert listed(running, "?since=2999-01-01") == []
        assert performance(running, "?window_s=3600")["summary"]["num_requests"] == 3
        assert performance(running, "?window_s=0.0001")["summary"]["num_requests"] == 0


def test_another_name_of_a_voice_finds_its_measurements(tools: Any, started: Started):
    with started(tools.settings("espeak")) as running:
        running.speak(input="A name is a name.", voice="alloy")
        [row] = listed(running, "?voice=alloy")

    assert row["voice"] != "alloy"


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("/ttfa-measurements", "limit=0", "limit"),
        ("/ttfa-measurements", "limit=1001", "limit"),
        ("/ttfa-measurements", "limit=many", "limit"),
        ("/ttfa-measurements", "since=yesterday", "since"),
        ("/ttfa-measurements", "since=nan", "since"),
        ("/ttfa-measurements", "since=-inf", "since"),
        ("/ttfa-measurements", "since=1e999", "since"),
        ("/ttfa-measurements", "since=", "since"),
        ("/ttfa-measurements", "origin=aliens", "origin"),
        ("/ttfa-measurements", "speed=1", "speed"),
        ("/ttfa-measurements", "voice=" + "a" * 129, "voice"),
        ("/ttfa-measurements", "voice=", "voice"),
        ("/ttfa-measurements", "limit=1&limit=2", "limit"),
        ("/ttfa-performance", "window_s=1&window_s=1", "window_s"),
        ("/ttfa-performance/investigation", "window_s=1&window_s=1", "window_s"),
        ("/benchmarks/runs", "limit=1&limit=2", "limit"),
        ("/ttfa-performance", "window_s=0", "window_s"),
        ("/ttfa-performance", "window_s=-1", "window_s"),
        ("/ttfa-performance", "window_s=inf", "window_s"),
        ("/ttfa-performance", "window_s=nan", "window_s"),
        ("/ttfa-performance", "window=1", "window"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(server: Any, path: str, query: str, param: str):
    reply = server.get(f"{path}?{query}")

    assert (reply.status, reply.error["param"]) == (400, param)


def test_a_refusal_says_what_was_read_and_what_to_do(server: Any):
    wrong, unknown = (server.get(f"/ttfa-measurements?{query}").error for query in ("limit=many", "nosuch=1"))

    assert wrong["message"].startswith("limit: Input should be a valid integer")
    assert wrong["message"].endswith(", got 'many'")
    assert unknown["message"] == "there is no parameter 'nosuch' here; leave it out"


def test_measurements_outlive_the_server(started: Started):
    with started() as running:
        running.speak(input="Remember me.")
        [before] = listed(running)
    with started() as running:
        assert listed(running) == [before]
        assert performance(running)["summary"]["num_requests"] == 1


def test_where_nothing_can_be_written_speech_and_measurements_go_on(started: Started, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with started(state_folder=str(tmp_path / "file")) as running:
        assert running.speak(input="Nobody writes this down.").status == 200
        reply = running.get("/ttfa-measurements").json
        report = performance(running)

    assert (reply["count"], reply["status"], report["status"]) == (1, "memory_only", "memory_only")
    assert "telemetry.state_folder" in reply["problem"]
    assert report["summary"]["num_requests"] == 1


def test_a_server_that_measures_nothing_says_so(started: Started, tmp_path: Path):
    with started(enabled=False) as running:
        running.speak(input="Forget me.")
        assert listed(running) == []
        report = performance(running)

    assert (report["status"], report["monitoring"]["active"]) == ("disabled", False)
    assert not list((tmp_path / "state").glob("measurements*"))


def test_both_can_be_asked_while_the_engines_start(tools: Any, started: Started):
    go = threading.Event()

    class SlowStart(SyntheticEngine):
        def start(self) -> None:
            go.wait(20)

    config = tools.settings()
    with started(config, ready=False, engines={"synthetic": SlowStart(config)}) as running:
        try:
            assert listed(running) == []
            assert performance(running)["summary"]["num_requests"] == 0
        finally:
            go.set()


def test_both_ask_for_a_key_where_there_are_keys(tools: Any, started: Started):
    with started(tools.settings(api_keys=("secret",))) as running:
        for path in ("/ttfa-measurements", "/ttfa-performance"):
            assert running.get(path).status == 401
            assert running.get(path, authorization="Bearer secret").status == 200
