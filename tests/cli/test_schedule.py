"""`firstaudio schedule`: what is due, one now, what came of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from firstaudio.cli import client
from firstaudio.telemetry.runs.book import RunBook
from firstaudio.telemetry.runs.memory import ScheduleMemory, write_memory
from firstaudio.telemetry.runs.records import RunRecord, RunRequest, RunSummary
from firstaudio.telemetry.runs.trend import judge

SUMMARY = RunSummary("VALID", (), True, 36, 36, 100.0, 0.1, "m", "w", {"firstaudio": "0.1.0"})
CARD = {
    "id": "bench_1",
    "benchmark_type": "ttfa",
    "status": "succeeded",
    "error": None,
    "contended": False,
    "num_other_streams": 0,
    "summary": {"verdict": "VALID", "reasons": [], "num_ok": 36, "num_requests": 36, "ttfa_ms": 100.0, "rtf": None},
    "trends": [{"verdict": "too few", "sentence": "ttfa_ms 100: 0 comparable runs"}],
}
SCHEDULE = {"every": "daily", "problem": None}
IDLE = {"running": False, "progress": 1.0, "current_test": None, "benchmark_id": None}
BUSY = {"running": True, "progress": 0.5, "current_test": "text=short", "benchmark_id": "bench_1"}
STARTED = {"benchmark_id": "bench_1", "estimated_duration_s": 30.0}


@dataclass
class Fake:
    """A server that says what its test tells it to."""

    url: str = ""
    card: dict[str, Any] = field(default_factory=lambda: dict(CARD))
    states: list[dict[str, Any]] = field(default_factory=lambda: [BUSY, IDLE])
    refusal: tuple[int, bytes] | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    wished: bytes = b""

    def answer(self, method: str, path: str) -> tuple[int, bytes]:
        if self.refusal is not None:
            return self.refusal
        is_last = path != "/benchmarks/status" or len(self.states) == 1
        state = self.states[0] if is_last else self.states.pop(0)
        found: dict[str, Any] = {
            "/benchmarks/run": STARTED,
            "/benchmarks/cancel": {"status": "cancelled"},
            "/benchmarks/status": {"status": state, "last_execution": self.card, "schedule": SCHEDULE},
            "/benchmarks/runs?limit=1000": {"runs": [self.card]},
        }
        return 200, json.dumps(found[path]).encode()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.command, self.path, self.headers["Authorization"]))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.wished = made.wished or body
            status, answer = made.answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815 -- the base class's name

        def log_message(self, *args: object) -> None:
            pass

    monkeypatch.setattr(client, "POLL_S", 0.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIRSTAUDIO_TELEMETRY_STATE_FOLDER", str(tmp_path))
    monkeypatch.delenv("FIRSTAUDIO_BENCH_TOKEN", raising=False)
    return tmp_path


def kept(state: Path) -> list[RunRecord]:
    """Six runs, the last of them slower."""
    book = RunBook(state)
    book.claim().release()
    records: list[RunRecord] = []
    for number in range(7):
        figures = replace(SUMMARY, ttfa_ms=100.0 if number < 6 else 300.0)
        record = RunRecord(
            book.new_id(number), RunRequest("ttfa"), "schedule", "succeeded", float(number), summary=figures
        )
        record = replace(record, trends=judge(record, records))
        book.write(record)
        records.append(record)
    return records


def test_list_says_when_what_runs_next_and_where_it_lies(run: Any, state: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FIRSTAUDIO_SCHEDULE_EVERY", "daily")
    write_memory(state, ScheduleMemory(last_run=1_763_740_000.0, last_id="bench_1763740000"))
    told = json.loads(run("schedule", "list", "--json").stdout)

    assert (told["every"], told["benchmark"], told["last_id"]) == ("daily", "ttfa", "bench_1763740000")
    assert told["last_run"] == "2025-11-21T15:46:40+00:00"
    assert told["next_run"] == "2025-11-22T15:46:40+00:00"
    assert told["folder"] == str(state / "benchmarks")
    assert b"next_run\t2025-11-22T15:46:40+00:00\n" in run("schedule", "list").stdout


def test_list_says_whose_configuration_it_shows(run: Any, state: Path):
    said = run("schedule", "list")

    assert str(state / "benchmarks") in said.stderr
    assert "this is the configuration here" in said.stderr
    assert "--url" in said.stderr


def test_list_of_a_server_that_runs_is_what_it_tells(run: Any, state: Path, fake: Fake):
    said = run("schedule", "list", "--url", fake.url, "--json")

    assert json.loads(said.stdout) == SCHEDULE
    assert "this is the configuration here" not in said.stderr
    assert run("schedule", "list", "--url", fake.url).stdout == b"every\tdaily\nproblem\t-\n"
    assert list(state.iterdir()) == []


def test_list_of_a_server_that_tells_of_no_schedule_is_exit_code_1(run: Any, state: Path, fake: Fake):
    fake.refusal = (200, b"{}")
    said = run("schedule", "list", "--url", fake.url)

    assert (said.exit_code, said.stdout) == (1, b"")
    assert "tells of no schedule" in said.stderr


def test_list_of_no_schedule_is_off(run: Any, state: Path):
    told = json.loads(run("schedule", "list", "--json").stdout)

    assert (told["every"], told["next_run"], told["overdue"]) == ("off", None, False)
    assert list(state.iterdir()) == []


def test_history_shows_each_run_with_its_trend(run: Any, state: Path):
    records = kept(state)
    result = run("schedule", "history")
    head, *rows = [line.split("\t") for line in result.stdout.decode().splitlines()]

    assert head[0] == "id"
    assert [row[0] for row in rows] == [record.id for record in records]
    assert [row[-1] for row in rows] == ["too few"] * 5 + ["ok", "suspect"]
    told = json.loads(run("schedule", "history", "--json").stdout)
    assert [run["suspect"] for run in told] == [False] * 6 + [True]


def test_history_says_by_how_many_streams_a_run_was_contended(run: Any, state: Path):
    (first, *_) = kept(state)
    RunBook(state).write(replace(first, num_other_streams=7))

    assert "succeeded, contended by 7" in run("schedule", "history").stdout.decode()


def test_history_names_what_it_cannot_read(run: Any, state: Path):
    (record, *_) = kept(state)
    (state / "benchmarks" / record.id / "run.json").write_text("{")

    assert f"firstaudio: {record.id}: the record" in run("schedule", "history").stderr


def test_history_of_nothing_says_how_to_begin(run: Any, state: Path):
    result = run("schedule", "history")

    assert (result.exit_code, result.stdout) == (0, b"")
    assert "firstaudio schedule run" in result.stderr


def test_run_waits_for_the_end_and_prints_the_result(run: Any, state: Path, fake: Fake):
    result = run("schedule", "run", "--url", fake.url)

    assert result.exit_code == 0
    assert json.loads(fake.wished) == {"benchmark_type": "ttfa"}
    assert "TTFA, ms\t100.0\nRTF\tn/a" in result.stdout.decode()
    assert "firstaudio:  50% text=short" in result.stderr
    fake.states = [BUSY, IDLE]
    assert json.loads(run("schedule", "run", "--url", fake.url, "--json").stdout) == CARD


def test_run_of_a_suspect_is_exit_code_99(run: Any, state: Path, fake: Fake):
    fake.card["trends"] = [{"verdict": "suspect", "sentence": "ttfa_ms 300, expected 100"}]
    result = run("schedule", "run", "--url", fake.url)

    assert result.exit_code == 99
    assert "firstaudio: suspect: ttfa_ms 300, expected 100" in result.stderr


def test_run_that_is_invalid_is_exit_code_2_and_says_why(run: Any, state: Path, fake: Fake):
    """Before the trend: what is INVALID is compared with nothing."""
    fake.card["summary"] = CARD["summary"] | {"verdict": "INVALID", "reasons": ["too noisy", "too few"]}
    result = run("schedule", "run", "--url", fake.url)

    assert result.exit_code == 2
    assert "verdict\tINVALID" in result.stdout.decode()
    assert "firstaudio: INVALID: too noisy\nfirstaudio: INVALID: too few\n" in result.stderr
    fake.states = [BUSY, IDLE]
    assert run("schedule", "run", "--url", fake.url, "--json").exit_code == 2


def test_run_during_which_others_were_served_says_so(run: Any, state: Path, fake: Fake):
    fake.card |= {"contended": True, "num_other_streams": 7}
    result = run("schedule", "run", "--url", fake.url)

    assert (result.exit_code, "contended\tstreams of others: 7\n" in result.stdout.decode()) == (0, True)


def test_run_of_more_than_one_engine_says_so_and_what_has_changed(run: Any, state: Path, fake: Fake):
    fake.card |= {"mixed": ["more than one engine spoke"], "changes": ["cache.max_mb 64.0 -> 0.0"]}
    told = run("schedule", "run", "--url", fake.url).stdout.decode()

    assert "mixed\tmore than one engine spoke\n" in told
    assert "changed\tcache.max_mb 64.0 -> 0.0\n" in told


def test_run_that_failed_is_exit_code_1(run: Any, state: Path, fake: Fake):
    fake.card |= {"status": "failed", "error": "no request succeeded", "summary": None, "trends": []}
    result = run("schedule", "run", "--url", fake.url)

    assert (result.exit_code, "bench_1 failed: no request succeeded" in result.stderr) == (1, True)


def test_run_sends_the_key_of_the_environment_first(run: Any, state: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FIRSTAUDIO_SERVER_API_KEYS", "of-the-config")
    run("schedule", "run", "--url", fake.url)
    monkeypatch.setenv("FIRSTAUDIO_BENCH_TOKEN", "of-the-shell")
    run("schedule", "run", "--url", fake.url)

    assert {key for _, _, key in fake.asked} == {"Bearer of-the-config", "Bearer of-the-shell"}


@pytest.mark.parametrize(
    ("refusal", "part"),
    [
        ((409, b'{"error": {"message": "the benchmark bench_7 is running"}}'), "refuses: the benchmark bench_7 is"),
        ((502, b"<html>"), "refuses: 502 Bad Gateway"),
        ((599, b""), "refuses: 599"),
        ((200, b"<html>"), "is it a firstaudio server?"),
        ((200, b"[]"), "is it a firstaudio server?"),
    ],
)
def test_run_where_it_is_refused_is_exit_code_1(
    run: Any, state: Path, fake: Fake, refusal: tuple[int, bytes], part: str
):
    fake.refusal = refusal
    result = run("schedule", "run", "--url", fake.url)

    assert (result.exit_code, part in result.stderr) == (1, True)


def test_run_without_the_key_is_exit_code_2_and_says_where_it_goes(run: Any, state: Path, fake: Fake):
    fake.refusal = (401, b'{"error": {"message": "this server asks for an API key"}}')
    result = run("schedule", "run", "--url", fake.url)

    assert result.exit_code == 2
    assert "this server asks for an API key; give its key with --token or in FIRSTAUDIO_BENCH_TOKEN" in result.stderr


def test_run_sends_the_key_of_the_flag_before_all_others(
    run: Any, state: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FIRSTAUDIO_BENCH_TOKEN", "of-the-shell")
    run("schedule", "run", "--url", fake.url, "--token", "of-the-flag")

    assert {key for _, _, key in fake.asked} == {"Bearer of-the-flag"}


def test_run_where_nobody_answers_is_exit_code_3(run: Any, state: Path):
    result = run("schedule", "run", "--url", "http://127.0.0.1:1")

    assert result.exit_code == 3
    assert "start it with `firstaudio serve`" in result.stderr


@pytest.mark.parametrize("flags", [("--url", "nowhere"), ("--url", "ftp://x"), ("--type", "quick"), ("--type", "")])
def test_run_of_what_cannot_be_is_exit_code_2(run: Any, state: Path, flags: tuple[str, str]):
    assert run("schedule", "run", *flags).exit_code == 2


def test_an_interrupted_run_is_ended_at_the_server(run: Any, state: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client.ServerClient.__init__, "__defaults__", (interrupt,))
    result = run("schedule", "run", "--url", fake.url)

    assert result.exit_code == 130
    assert ("POST", "/benchmarks/cancel") in [asked[:2] for asked in fake.asked]
