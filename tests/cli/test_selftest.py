"""The self test: a server of its own, a server that is there, and servers that tell something else."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.cli.selftest_checks import Check, Findings, judge_run
from firstaudio.cli.selftest_report import as_text, closing
from firstaudio.cli.selftest_server import PROGRAM, own_server
from firstaudio.cli.selftest_speech import SelfTestClient
from firstaudio.cli.selftest_texts import TEXTS, coverage
from firstaudio.errors import BenchError, NotReadyError, UnauthorizedError

SYNTHETIC = ("--engine", "synthetic", "--synthetic-ttfa-ms", "0", "--synthetic-rtf", "0")
WORD = re.compile(r"\w+")
RATE = 24_000


def tone(num_samples: int) -> bytes:
    return (np.sin(np.arange(num_samples) / 5) * 9000).astype("<i2").tobytes()


SUMMARY = {
    "verdict": "VALID",
    "reasons": [],
    "ttfa_ms": 12.0,
    "rtf": 0.05,
    "num_requests": 36,
    "num_ok": 36,
}
RUN = {"id": "bench_1", "status": "succeeded", "error": None, "summary": SUMMARY}
QUICK = {
    "ttfa_ms": 245.7,
    "target_met": True,
    "target_ms": 800.0,
    "category": "excellent",
    "bottleneck": "model_inference",
    "warmth": "warm",
    "stages_ms": {"model_inference": 200.0},
    "provider_used": "synthetic",
    "recommendation": "✅ Excellent TTFA performance",
}
ANSWERS: dict[str, Any] = {
    "/v1/capabilities": {
        "service": "firstaudio",
        "default_engine": "synthetic",
        "engines": [{"name": "synthetic", "word_timing": True}],
    },
    "/benchmarks/ttfa/quick": QUICK,
    "/benchmarks/optimization/status": {
        "streaming_optimization": {
            "config": {
                "fast_path_enabled": True,
                "incremental_generation": False,
                "first_chunk_target_ms": 200,
                "target_buffer_ms": 150,
            }
        },
        "tuner": {"state": "observing", "failure": None},
    },
    "/status": {"model_loaded": True},
    "/ttfa-measurements": {
        "measurements": [{"request_id": f"r{n}", "details": {"num_segments": 3}} for n in range(1, 50)]
    },
    "/ttfa-performance": {
        "ttfa_performance": {
            "target_ttfa_ms": 800.0,
            "performance": {"target_achievement_rate_percent": 100.0},
            "timing_stats_ms": {"p50": 12.0, "average": 13.0, "n": 11},
            "recommendations": [{"message": "The queue is long", "action": "add a lane"}],
        },
        "summary": {"num_requests": 11, "success_alert": None},
    },
    "/ttfa-performance/investigation": {"category": "EXCELLENT", "num_missed": 0, "n": 11, "pattern": ""},
    "/benchmarks/run": {"benchmark_id": "bench_1", "estimated_duration_s": 30.0},
    "/benchmarks/runs": {"runs": [RUN]},
}
PROGRESS = [{"benchmark_id": "bench_1", "progress": 0.5, "current_test": "text=short"}, {"benchmark_id": None}]


class Told(ThreadingHTTPServer):
    """A server that answers what it is told to; it speaks every word, but for those in `unspoken`."""

    def __init__(self, changes: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers = ANSWERS | changes
        self.progress = [{"status": state, "last_execution": None} for state in PROGRESS]
        self.unspoken: set[str] = set()
        self.events_end, self.sound = True, tone(4800)
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def speech(self, wish: dict[str, Any]) -> bytes:
        if wish.get("stream_format") != "sse":
            return self.sound
        text, events = wish["input"], []
        for word in WORD.finditer(text):
            if word.group() not in self.unspoken:
                mark = {"start_char": word.start(), "end_char": word.end()}
                events.append({"type": "speech.audio.words", "words": [mark]})
        events.append({"type": "speech.audio.delta", "audio": base64.b64encode(self.sound).decode()})
        if self.events_end:
            events.append({"type": "speech.audio.done"})
        return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


class Answering(BaseHTTPRequestHandler):
    server: Told

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        wish = json.loads(data) if data else None
        self.server.asked.append((path, dict(self.headers), wish))
        if path == "/v1/audio/speech" and path not in self.server.answers:
            self._send(200, self.server.speech(wish))
            return
        if path == "/benchmarks/status":
            told = self.server.progress.pop(0)
        else:
            told = self.server.answers.get(path, (404, "no such thing"))
        if isinstance(told, tuple):
            self._send(told[0], json.dumps({"error": {"message": told[1]}}).encode())
        else:
            self._send(200, json.dumps(told).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Sample-Rate", str(RATE))
        self.send_header("X-Request-ID", f"r{len(self.server.asked)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def answering(changes: dict[str, Any] | None = None) -> Iterator[Told]:
    with Told(changes or {}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def told() -> Iterator[Told]:
    with answering() as server:
        yield server


@pytest.fixture(autouse=True)
def no_key_of_this_machine(monkeypatch):
    monkeypatch.delenv("FIRSTAUDIO_BENCH_TOKEN", raising=False)


@pytest.fixture
def at_once(monkeypatch):
    """Nobody waits between two questions."""
    monkeypatch.setattr("firstaudio.cli.client.POLL_S", 0.0)
    monkeypatch.setattr("firstaudio.cli.selftest_checks.LOOK_S", 0.0)


def changed(path: str, **values: Any) -> dict[str, Any]:
    return {path: ANSWERS[path] | values}


def test_when_all_is_well_the_last_line_says_so_and_the_exit_code_is_0(run, told, at_once):
    result = run("selftest", "--url", told.url)

    text = result.stdout.decode()
    assert result.exit_code == 0
    assert "TTFA Measurement Results" in text
    for line in ("TTFA: 245.7 ms", "Target Met: yes (800 ms)", "Category: excellent", "Provider: synthetic"):
        assert f"  {line}\n" in text
    assert "  Bottleneck: model_inference (200.0 ms)\n" in text
    for line in ("Fast Path: on", "Incremental: off", "First Chunk Target: 200 ms", "Buffer Target: 150 ms"):
        assert f"  {line}\n" in text
    assert "  1. The queue is long: add a lane\n" in text
    assert text.splitlines()[-1] == "🎉 All 8 checks passed: the server meets its targets."
    assert " 50% text=short" in result.stderr


def test_json_has_everything_and_nothing_else_is_on_stdout(run, told, at_once):
    result = run("selftest", "--url", told.url, "--json")

    found = json.loads(result.stdout)
    assert (found["passed"], found["exit_code"], found["is_own"]) == (True, 0, False)
    assert found["quick"] == QUICK
    assert found["run"] == RUN
    assert len(found["heard"]) == 8
    assert [each["num_segments"] for each in found["coverages"]] == [3, 3, 3]
    assert {check["verdict"] for check in found["checks"]} == {"passed"}


def test_the_shortest_benchmark_is_run_and_the_requests_are_not_taken_for_a_clients(run, told, at_once):
    run("selftest", "--url", told.url)

    wishes = [wish for path, _, wish in told.asked if path == "/benchmarks/run"]
    assert wishes == [{"benchmark_type": "ttfa", "include_voice_tests": False, "include_speed_tests": False}]
    spoken = [headers for path, headers, _ in told.asked if path == "/v1/audio/speech"]
    assert {headers["X-Firstaudio-Run"] for headers in spoken} == {"selftest"}
    assert {headers["Cache-Control"] for headers in spoken} == {"no-cache"}


def test_without_a_benchmark_none_is_run(run, told, at_once):
    result = run("selftest", "--url", told.url, "--benchmark", "none")

    assert result.exit_code == 0
    assert "/benchmarks/run" not in [path for path, _, _ in told.asked]


@pytest.mark.parametrize(
    ("changes", "exit_code", "line"),
    [
        (changed("/benchmarks/ttfa/quick", target_met=False), 99, "missed: TTFA, measured by the server"),
        (changed("/benchmarks/ttfa/quick", warmth="cached"), 0, "not checked: TTFA, measured by the server"),
        (
            changed("/ttfa-performance/investigation", category="CRITICAL", num_missed=9, pattern="all long"),
            99,
            "missed: performance assessment: CRITICAL: 9 of 11 clients' requests missed the target; all long",
        ),
        (
            changed("/ttfa-performance", summary={"num_requests": 11, "success_alert": "too few succeed"}),
            99,
            "missed: performance assessment",
        ),
        (
            changed("/ttfa-performance", summary={"num_requests": 0, "success_alert": None}),
            0,
            "not checked: performance assessment: no client has asked",
        ),
        (changed("/status", model_loaded=False), 1, "failed: server status"),
        ({"/benchmarks/run": (409, "one is running")}, 1, "failed: ttfa benchmark"),
        ({"/benchmarks/runs": {"runs": []}}, 1, "no longer knows the run bench_1"),
        (
            {"/benchmarks/runs": {"runs": [RUN | {"status": "failed", "error": "no room"}]}},
            1,
            "failed: ttfa benchmark: bench_1 failed: no room",
        ),
        (
            changed("/v1/capabilities", engines=[{"name": "synthetic", "word_timing": False}]),
            0,
            "not checked: text coverage: synthetic does not say which words it speaks",
        ),
        (changed("/ttfa-measurements", measurements=[]), 0, "not checked: phoneme limit and segmentation"),
    ],
)
def test_what_is_not_well_is_named_and_gives_its_exit_code(run, at_once, changes, exit_code, line):
    with answering(changes) as server:
        result = run("selftest", "--url", server.url)

    assert result.exit_code == exit_code
    assert line in result.stdout.decode()
    assert "🎉" not in result.stdout.decode()


def test_a_word_that_is_not_spoken_fails_the_coverage(run, told, at_once):
    told.unspoken = {"grandfather"}

    result = run("selftest", "--url", told.url, "--benchmark", "none")

    assert result.exit_code == 1
    assert "no punctuation: 4 of 164 words were not spoken (grandfather, grandfather" in result.stdout.decode()


def test_events_without_an_end_fail_the_coverage(run, told, at_once):
    told.events_end = False

    result = run("selftest", "--url", told.url, "--benchmark", "none")

    assert result.exit_code == 1
    assert "ended without speech.audio.done" in result.stdout.decode()


def test_silence_is_no_speech(run, told, at_once):
    told.sound = bytes(9600)

    result = run("selftest", "--url", told.url, "--benchmark", "none")

    assert result.exit_code == 1
    assert "8 of 8 texts were spoken without audible sound" in result.stdout.decode()


def test_where_nobody_listens_the_exit_code_is_3(run):
    with answering() as server:
        gone = server.url

    result = run("selftest", "--url", gone)

    assert result.exit_code == 3
    assert "no server answers" in result.stderr


@pytest.mark.parametrize(
    ("changes", "exit_code", "said"),
    [
        ({"/v1/capabilities": (503, "it is starting")}, 3, "refuses: it is starting"),
        (
            {"/v1/capabilities": (401, "the key is not known")},
            2,
            "the key is not known; give its key with --token or in FIRSTAUDIO",
        ),
        ({"/v1/capabilities": {"service": "another"}}, 1, "is no firstaudio server"),
        ({"/v1/capabilities": []}, 1, "is no JSON object"),
    ],
)
def test_a_server_that_cannot_be_tested_is_told_in_a_sentence(run, changes, exit_code, said):
    with answering(changes) as server:
        result = run("selftest", "--url", server.url)

    assert (result.exit_code, result.stdout) == (exit_code, b"")
    assert said in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "nowhere"),
        ("--url", "http://127.0.0.1", "--engine", "espeak"),
        ("--benchmark", "all"),
        ("--token", "secret"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run, arguments):
    assert run("selftest", *arguments).exit_code == 2


@pytest.mark.parametrize("given", ["flag", "environment", "configuration"])
def test_the_key_comes_from_the_flag_the_environment_or_the_configuration(
    run, told, at_once, monkeypatch, tmp_path, given
):
    config = tmp_path / "firstaudio.toml"
    config.write_text('[server]\napi_keys = ["configuration"]\n')
    if given == "environment":
        monkeypatch.setenv("FIRSTAUDIO_BENCH_TOKEN", "environment")
    flag = ("--token", "flag") if given == "flag" else ()

    run("selftest", "--url", told.url, "--config", str(config), "--benchmark", "none", *flag)

    assert {headers["Authorization"] for _, headers, _ in told.asked} == {f"Bearer {given}"}


def test_the_clients_time_is_to_the_first_sample_and_to_the_first_that_can_be_heard(told):
    told.sound = bytes(4800) + tone(4800)

    heard = SelfTestClient(told.url, None).listen("Hello.")

    assert heard.audio_s == pytest.approx(0.3)
    assert 0 < heard.ttfa_ms <= heard.audible_ttfa_ms
    assert heard.rtf > 0


def test_a_refusal_of_speech_is_an_error(told):
    told.answers["/v1/audio/speech"] = (400, "the text is too long")

    with pytest.raises(BenchError, match="the text is too long"):
        SelfTestClient(told.url, None).listen("Hello.")


@given(st.lists(st.from_regex(r"\A\w{1,8}\Z"), min_size=1, max_size=20), st.data())
def test_the_words_that_are_missing_are_exactly_those_without_a_mark(words, data):
    text = ", ".join(words)
    found = list(WORD.finditer(text))
    dropped = data.draw(st.sets(st.integers(0, len(found) - 1)))
    marks = [word.span() for index, word in enumerate(found) if index not in dropped]

    got = coverage("any", text, marks)

    assert got.missing == tuple(found[index].group() for index in sorted(dropped))
    assert got.num_words == len(found)
    assert got.num_out_of_order == 0
    assert got.is_complete == (not dropped)


def test_half_a_word_is_not_the_word():
    assert coverage("any", "Hello there", [(0, 5), (6, 9)]).missing == ("there",)


def test_a_word_that_is_said_twice_is_out_of_order():
    assert coverage("any", "one two", [(0, 3), (4, 7), (4, 7)]).num_out_of_order == 1
    assert not coverage("any", "one two", [(4, 7), (0, 3)]).is_complete


def test_a_mark_beyond_the_text_covers_no_more_than_the_text():
    assert coverage("any", "one", [(0, 99)]).is_complete


def test_a_text_without_punctuation_is_longer_than_what_a_model_takes_at_once():
    text = TEXTS["no punctuation"]

    assert len(text) > 2 * 510 * 0.9  # an English letter is nearly a phoneme
    assert not set(text) & set(".,;:!?-\n")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "passed"),
        ({"ttfa_ms": 800.0}, "passed"),
        ({"ttfa_ms": 800.1}, "missed"),
        ({"rtf": 1.0}, "missed"),
        ({"verdict": "INVALID", "reasons": ["the machine was busy"]}, "failed"),
        ({"num_ok": 35}, "failed"),
        ({"ttfa_ms": None}, "failed"),
    ],
)
def test_the_figures_of_a_benchmark_are_judged(changes, verdict):
    assert judge_run(SUMMARY | changes, 800.0).verdict == verdict


@pytest.mark.parametrize(
    ("verdicts", "exit_code", "line"),
    [
        (("passed", "passed"), 0, "🎉 All 2 checks passed: the server meets its targets."),
        (("passed", "not checked"), 0, "1 of 2 checks passed; 1 not checked."),
        (("missed", "passed"), 99, "1 of 2 checks passed; 1 missed."),
        (("missed", "failed"), 1, "0 of 2 checks passed; 1 missed, 1 failed."),
    ],
)
def test_praise_and_exit_code_go_by_the_checks(verdicts, exit_code, line):
    checks = [Check("any", verdict, "") for verdict in verdicts]

    assert Findings("http://test", False, {}, checks=checks).exit_code == exit_code
    assert closing(checks) == line


def test_what_the_server_did_not_tell_is_not_made_up():
    text = as_text(Findings("http://test", False, ANSWERS["/v1/capabilities"], checks=[Check("any", "failed", "why")]))

    assert "TTFA Measurement Results\n  not measured" in text
    assert "Text Coverage\n  not checked" in text
    assert "None" not in text


def test_a_server_of_its_own_passes_and_is_gone_afterwards(run, monkeypatch):
    """The real thing, but for the benchmark."""
    for name, value in (("ENGINE_NAMES", "synthetic"), ("SYNTHETIC_TTFA_MS", "0"), ("SYNTHETIC_RTF", "0")):
        monkeypatch.setenv(f"FIRSTAUDIO_{name}", value)

    result = run("selftest", "--benchmark", "none", "--json")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["is_own"]) == (0, True)
    assert {check["name"]: check["verdict"] for check in found["checks"] if check["verdict"] != "passed"} == {}
    assert found["performance"]["summary"]["num_requests"] == 11
    with pytest.raises(NotReadyError, match="no server answers"):
        SelfTestClient(found["url"], None).ask("GET", "/ready")


def test_a_server_with_keys_wants_one(monkeypatch, tmp_path):
    config = tmp_path / "firstaudio.toml"
    config.write_text('[server]\napi_keys = ["secret"]\n')
    with own_server([*SYNTHETIC, "--config", str(config), "--telemetry-state-folder", str(tmp_path)]) as url:
        with pytest.raises(UnauthorizedError):
            SelfTestClient(url, None).ask("GET", "/v1/capabilities")
        assert SelfTestClient(url, "secret").ask("GET", "/v1/capabilities")["service"] == "firstaudio"


def test_a_server_that_cannot_start_says_why():
    elsewhere = ["--host", "203.0.113.1", "--engine", "synthetic"]  # no address of this machine
    with pytest.raises(NotReadyError, match=r"did not start: cannot listen on 203\.0\.113\.1"), own_server(elsewhere):
        pass


def test_a_server_that_is_told_something_wrong_is_a_usage_error(run):
    result = run("selftest", "--engine", "nothing")

    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.stderr.splitlines()[-1].startswith("firstaudio: there is no engine 'nothing'; installed are ")


def test_a_server_that_takes_too_long_is_ended(tmp_path):
    slow = [*SYNTHETIC, "--telemetry-state-folder", str(tmp_path)]
    with pytest.raises(NotReadyError, match="not ready within 0 s"), own_server(slow, start_s=0.0):
        pass


def test_a_server_ends_when_its_parent_does(tmp_path):
    command = [*PROGRAM, "--host", "127.0.0.1", "--port", "0", *SYNTHETIC, "--telemetry-state-folder", str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert any("ready on" in line for line in process.stderr)
            process.stdin.close()
            assert process.wait(20) == 0
        finally:
            process.kill()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIG_DFL)


def test_a_target_that_is_missed_is_told():
    quick = QUICK | {"target_met": False}
    found = Findings("http://test", True, ANSWERS["/v1/capabilities"], quick=quick)

    assert "Target Met: no (800 ms)" in as_text(found)
