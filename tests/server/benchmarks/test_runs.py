"""Runs over HTTP, with a program that works, dies, talks nonsense or hangs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from firstaudio.server.benchmarks import program
from firstaudio.telemetry.runs.book import RunBook
from firstaudio.telemetry.runs.records import RunRecord, RunRequest


def test_a_run_is_started_watched_and_read(benched: Any):
    benched.program("works")
    started = benched.post("/benchmarks/run").json
    name = started["benchmark_id"]

    assert started == {
        "message": "the full benchmark has begun",
        "benchmark_id": name,
        "estimated_duration_s": 120.0,
        "status_endpoint": "/benchmarks/status",
        "results_endpoint": f"/benchmarks/results/{name}",
    }
    card = benched.ended()
    assert (card["id"], card["status"], card["exit_code"], card["error"]) == (name, "succeeded", 0, None)
    assert (card["contended"], card["engine"]) == (False, "synthetic")
    assert card["stderr"] == f"saved in <state>/benchmarks/{name}/{name}: {name}.json\n"
    results = benched.get("/benchmarks/results").json
    assert results["run"] == card == benched.get(f"/benchmarks/results/{name}").json["run"]
    assert results["run"]["summary"]["ttfa_ms"] == pytest.approx(100.0)
    assert [cell["name"] for cell in results["cells"]] == ["text=short"]
    assert results["warnings"] == ["a warning"]
    summary = card["summary"]
    assert (summary["num_warnings"], summary["first_warning"]) == (1, "a warning")
    assert summary["num_cells"] == len(summary["cells"]) == 1
    assert benched.service.benchmarks.status()["last"]["first_warning"] == "a warning"
    assert benched.status()["status"]["progress"] == 1.0
    assert benched.status()["running_elsewhere"] is None
    assert "secret" not in json.dumps(results)
    assert benched.get("/benchmarks/runs").json["runs"] == [card]


def test_its_requests_are_told_from_clients(benched: Any):
    name = benched.run("works")["id"]
    found = benched.get("/ttfa-measurements").json["measurements"]
    origins = {(entry["details"]["origin"], entry["details"]["run"]) for entry in found}

    assert origins - {("warmup", "")} == {("benchmark", name)}


def test_what_it_speaks_is_not_kept_and_not_counted(benched: Any):
    def cache() -> Any:
        return benched.get("/status").json["tts_processing"]["cache"]

    before = cache()
    benched.run("works")
    assert cache() == before
    benched.running.speak(input="Hello.")
    benched.eventually(lambda: cache()["num_entries"] == before["num_entries"] + 1)
    assert cache()["num_misses"] == before["num_misses"] + 1


def heard(benched: Any, run: str) -> tuple[str, str]:
    """Origin and run of a request that names a run."""
    name = benched.post("/v1/audio/speech", {"input": "Hello."}, x_firstaudio_run=run).headers["x-request-id"]

    def found() -> list[Any]:
        rows = benched.get("/ttfa-measurements?limit=1000").json["measurements"]
        return [row["details"] for row in rows if row["request_id"] == name]

    benched.eventually(lambda: bool(found()))
    (details,) = found()
    return details["origin"], details["run"]


def test_only_the_run_that_goes_on_and_the_self_test_are_no_clients(benched: Any):
    old = benched.run("works")["id"]
    benched.program("waits")
    name = benched.start()

    assert heard(benched, old) == heard(benched, "mine") == heard(benched, "") == ("client", "")
    assert heard(benched, name) == ("benchmark", name)
    assert heard(benched, "selftest") == ("benchmark", "selftest")
    benched.post("/benchmarks/cancel")
    assert heard(benched, name) == ("client", "")


def test_the_report_says_how_many_others_were_served(benched: Any):
    name = benched.run("crowded")["id"]
    report = benched.get("/benchmarks/results/report").json
    page = benched.get("/benchmarks/results/report?format=html").body.decode()
    sentence = "Contended: streams of others that were served during the run: 3."

    assert report["report"].startswith(f"# {name}\n\n- **{sentence}")
    assert page.index("</header>") < page.index(f'<p class="warning">{sentence}') < page.index("VALID")
    assert (report["contended"], report["num_other_streams"]) == (True, 3)
    trend = "ttfa_ms is not judged: 3 streams of others were served during the run"
    assert report["trends"][0]["sentence"] == trend
    assert f"- Trend, not judged: {trend}\n" in report["report"]


def test_the_report_is_the_harness_s_own(benched: Any):
    name = benched.run("works")["id"]
    report = benched.get("/benchmarks/results/report").json
    page = benched.get(f"/benchmarks/results/report?format=html&id={name}")

    assert (report["format"], report["benchmark_id"]) == ("markdown", name)
    title, *_, verdict = report["report"].splitlines()
    assert (title, verdict) == (f"# {name}", "**VALID**")
    assert report["report"].splitlines()[2] == "- Not contended: nobody else was served during the run."
    assert report["benchmark_timestamp"] <= report["generated_at"]
    assert page.headers["content-type"].startswith("text/html")
    assert name in page.body.decode()


@pytest.mark.parametrize("path", ["results", "results/report", "results/report?format=html"])
def test_before_the_first_run_there_are_no_results_and_a_way_to_some(benched: Any, path: str):
    reply = benched.get(f"/benchmarks/{path}")

    assert reply.status == 404
    assert "POST /benchmarks/run" in reply.error["message"]


@pytest.mark.parametrize("name", ["bench_1", "bench_", "nonsense", "bench_1%2f..", "bench_1%00", "x" * 300])
def test_an_unknown_run_is_404(benched: Any, name: str):
    for path in (f"results/{name}", f"results?id={name[:60]}", f"results/report?id={name[:60]}"):
        assert benched.get(f"/benchmarks/{path}").status == 404


def test_one_at_a_time(benched: Any):
    benched.program("waits")
    name = benched.start()
    refused = benched.post("/benchmarks/run")

    assert (refused.status, refused.error["code"]) == (409, "conflict")
    assert name in refused.error["message"]
    assert benched.get(f"/benchmarks/results/{name}").status == 404
    assert benched.post("/benchmarks/cancel").json["benchmark_id"] == name
    assert benched.run("works")["status"] == "succeeded"


def test_progress_is_told_while_it_runs(benched: Any):
    benched.program("waits")
    name = benched.start(benchmark_type="ttfa")
    benched.eventually(lambda: benched.status()["status"]["progress"] == 0.5)
    state = benched.status()["status"]

    assert (state["running"], state["benchmark_id"], state["current_test"]) == (True, name, "text=short")
    assert state["estimated_completion_s"] > 0
    assert state["start_time"] is not None
    section = benched.get("/status").json["scheduled_benchmark"]
    assert section["doing"] == "off"
    assert benched.service.telemetry.status()["benchmarks"]["running"] == name
    benched.post("/benchmarks/cancel")
    assert benched.status()["status"]["running"] is False


def test_a_cancelled_run_says_so_and_is_not_the_latest_with_results(benched: Any):
    good = benched.run("works")["id"]
    benched.program("waits")
    name = benched.start()
    reply = benched.post("/benchmarks/cancel").json

    assert (reply["benchmark_id"], reply["status"]) == (name, "cancelled")
    assert benched.status()["last_execution"]["id"] == name
    assert benched.status()["status"]["progress"] is None
    assert benched.get("/benchmarks/results").json["run"]["id"] == good
    assert benched.get(f"/benchmarks/results/{name}").json["cells"] == []


def test_cancelling_nothing_is_404(benched: Any):
    reply = benched.post("/benchmarks/cancel")

    assert (reply.status, reply.error["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("mode", "exit_code", "error"),
    [
        ("dies", 1, "ended with exit code 1 and left no results: firstaudio: nothing to measure"),
        ("kills itself", -9, "was killed by SIGKILL and left no results"),
        ("fails", 1, "ended with exit code 1"),
        ("none ok", 0, "no request succeeded"),
        ("breaks off", 2, "before the end of its measurements"),
        ("silent", 0, "none of its requests reached this server"),
    ],
)
def test_a_run_without_figures_of_this_server_has_failed(benched: Any, mode: str, exit_code: int, error: str):
    card = benched.run(mode)

    assert (card["status"], card["exit_code"]) == ("failed", exit_code)
    assert error in card["error"]
    reply = benched.get("/benchmarks/results")
    assert reply.status == 404
    assert card["error"] in reply.error["message"]


def test_garbage_on_stderr_is_kept_short(benched: Any):
    card = benched.run("garbage")

    assert card["status"] == "failed"
    assert len(card["stderr"]) <= 4000
    assert benched.get("/health").status == 200


def test_an_invalid_session_is_a_result_that_nobody_should_quote(benched: Any):
    card = benched.run("noisy")

    assert (card["status"], card["exit_code"]) == ("succeeded", 2)
    assert (card["summary"]["verdict"], card["summary"]["reasons"]) == ("INVALID", ["too noisy"])
    assert {trend["verdict"] for trend in card["trends"]} == {"not judged"}


def test_a_program_that_does_not_exist_is_told(benched: Any, tmp_path: Path):
    benched.service.benchmarks.program = (str(tmp_path / "nothing"),)
    benched.start()

    assert benched.ended()["error"] == "the benchmark could not be started: No such file or directory"


def test_a_program_that_hangs_is_ended_at_its_deadline_with_all_that_it_started(
    benched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hangs = threading.Event()
    monkeypatch.setattr(program, "_time_is_up", lambda _: asyncio.to_thread(hangs.wait, 100.0))
    benched.service.benchmarks.deadline_s, benched.service.benchmarks.grace_s = 2.0, 0.5
    benched.program("hangs", tmp_path / "pids")
    benched.start()
    benched.eventually(lambda: benched.status()["status"]["progress"] == 0.25)
    hangs.set()
    card = benched.ended()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    assert (card["status"], card["exit_code"]) == ("failed", -9)
    assert "longer than 2 s" in card["error"]
    benched.eventually(lambda: not any(map(_lives, pids)))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_server_that_ends_leaves_no_program_behind(tools: Any, serve: Any, tmp_path: Path):
    with serve(tools, tmp_path / "state") as benched:
        benched.service.benchmarks.grace_s = 0.2
        benched.program("hangs", tmp_path / "pids")
        name = benched.start()
        benched.eventually(lambda: benched.status()["status"]["progress"] == 0.25)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    assert not any(map(_lives, pids[:1]))
    tools.eventually(lambda: not any(map(_lives, pids)))
    record = RunBook(tmp_path / "state").read(name)
    assert (record.status, record.error) == ("cancelled", "the server was shut down")


def test_a_run_that_a_dead_server_left_is_failed_at_the_next_start(tools: Any, serve: Any, tmp_path: Path):
    book = RunBook(tmp_path)
    book.claim().release()
    book.write(RunRecord(book.new_id(5.0), RunRequest(), "request", "running", 5.0))
    with serve(tools, tmp_path) as benched:
        card = benched.status()["last_execution"]

        assert (card["id"], card["status"], card["end_time"]) == ("bench_5", "failed", None)
        assert card["error"] == "the server ended while it ran"
        assert benched.status()["status"]["running"] is False


def test_another_process_that_runs_one_stands_in_the_way(benched: Any, tmp_path: Path):
    book = RunBook(tmp_path)
    claim = book.claim()
    try:
        assert "another process" in benched.post("/benchmarks/run").error["message"]
        run = RunRecord(book.new_id(5), RunRequest(), "request", "running", 5.0, url="http://other:81", pid=77)
        book.write(run)
        replies = [benched.post(f"/benchmarks/{path}") for path in ("run", "cancel")]
        status = benched.status()
    finally:
        claim.release()
    assert [reply.status for reply in replies] == [409, 409]
    assert all("bench_5 " in reply.error["message"] for reply in replies)
    assert all("the server at http://other:81 (pid 77)" in reply.error["message"] for reply in replies)
    assert (status["status"]["running"], status["status"]["benchmark_id"]) == (False, None)
    elsewhere = {"benchmark_id": "bench_5", "url": "http://other:81", "pid": 77}
    assert elsewhere.items() <= status["running_elsewhere"].items()
    assert benched.run("works")["status"] == "succeeded"


def test_other_listeners_make_it_contended(benched: Any):
    benched.program("waits")
    benched.start()
    benched.eventually(lambda: benched.status()["status"]["progress"] == 0.5)
    benched.running.speak()
    benched.post("/benchmarks/cancel")
    card = benched.status()["last_execution"]

    assert (card["contended"], card["num_other_streams"]) == (True, 1)


def test_what_is_not_to_be_saved_is_in_memory_alone(benched: Any, tmp_path: Path):
    card = benched.run("works", save_results=False)
    name = card["id"]

    assert card["stderr"] == "nothing was kept on disk: save_results is false\n"
    assert benched.get("/benchmarks/results").json["run"]["id"] == name
    assert benched.get("/benchmarks/results").json["cells"]
    assert benched.get("/benchmarks/results/report").json["report"].startswith(f"# {name}\n")
    assert benched.get("/benchmarks/runs").json["runs"] == []
    assert not (tmp_path / "benchmarks" / name).exists()


def test_the_program_gets_what_was_asked_for_and_the_key_by_its_environment(
    tools: Any, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FIRSTAUDIO_BENCH_TOKEN", "somebody's")
    with serve(tools, tmp_path / "state", api_keys=("geheim",)) as benched:
        benched.running.headers["Authorization"] = "Bearer geheim"
        wish = {"benchmark_type": "ttfa", "include_voice_tests": False, "include_speed_tests": False}
        card = benched.run("arguments", tmp_path / "got", **wish, custom_text="One\n two.")
        arguments, token = json.loads((tmp_path / "got").read_text())

    assert token == "geheim"
    assert "geheim" not in " ".join(arguments)
    assert arguments[:2] == ["bench", "ttfa"]
    assert {"--no-voice-tests", "--no-speed-tests", "--leash"} <= set(arguments)
    assert arguments[arguments.index("--header") + 1] == f"X-Firstaudio-Run: {card['id']}"
    assert arguments[arguments.index("--server-pid") + 1] == str(os.getpid())
    assert arguments[arguments.index("--url") + 1] == benched.running.url
    assert (tmp_path / "got.text").read_text() == "One two."
    assert card["request"] == wish | {"save_results": True, "custom_text": "One\n two."}


def test_with_keys_on_nobody_runs_one_without(tools: Any, serve: Any, tmp_path: Path):
    with serve(tools, tmp_path, api_keys=("geheim",)) as benched:
        replies = [benched.post(f"/benchmarks/{path}") for path in ("run", "cancel", "ttfa/quick")]
        replies += [benched.get(f"/benchmarks/{path}") for path in ("status", "runs", "results", "results/report")]

    assert {reply.status for reply in replies} == {401}


def test_a_lying_host_header_does_not_choose_who_is_measured(benched: Any, tmp_path: Path):
    benched.program("arguments", tmp_path / "got")
    benched.post("/benchmarks/run", {}, host="elsewhere.example:80")
    benched.ended()
    arguments, _ = json.loads((tmp_path / "got").read_text())

    assert arguments[arguments.index("--url") + 1] == benched.running.url


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"benchmark_type": "quick"}, "benchmark_type"),
        ({"benchmark_type": None}, "benchmark_type"),
        ({"save_results": "yes"}, "save_results"),
        ({"include_voice_tests": 1}, "include_voice_tests"),
        ({"custom_text": ""}, "custom_text"),
        ({"custom_text": " \n"}, "custom_text"),
        ({"custom_text": 3}, "custom_text"),
        ({"custom_text": "x" * 50_001}, "custom_text"),
        ({"voices": []}, "voices"),
        ([], None),
        ("full", None),
    ],
)
def test_a_body_that_asks_for_what_is_not_there_is_refused(benched: Any, body: Any, param: str | None):
    reply = benched.post("/benchmarks/run", body)

    assert (reply.status, reply.error["param"]) == (400, param)


ALL = {"include_voice_tests": True, "include_speed_tests": True, "save_results": True, "custom_text": None}


@pytest.mark.parametrize(
    ("body", "remark"),
    [
        ({"include_voice_tests": True}, "; without effect: include_voice_tests (ttfa and full have such tests)"),
        (ALL, "; without effect: include_voice_tests, include_speed_tests (ttfa and full have such tests)"),
        ({"include_voice_tests": False}, ""),
        ({}, ""),
    ],
)
def test_tests_that_a_benchmark_does_not_have_may_be_asked_for_as_all_clients_did(benched: Any, body: Any, remark: str):
    benched.program("works")
    reply = benched.post("/benchmarks/run", {"benchmark_type": "streaming"} | body)
    benched.ended()

    assert (reply.status, reply.json["message"]) == (200, f"the streaming benchmark has begun{remark}")


@pytest.mark.parametrize("kind", ["ttfa", "full"])
def test_every_documented_field_may_be_sent_with_its_default(benched: Any, kind: str):
    benched.program("works")
    reply = benched.post("/benchmarks/run", {"benchmark_type": kind} | ALL)
    benched.ended()

    assert (reply.status, reply.json["message"]) == (200, f"the {kind} benchmark has begun")


def test_a_body_that_is_no_json_is_refused(benched: Any):
    assert benched.running.request("POST", "/benchmarks/run", b"{", content_type="application/json").status == 400
    assert benched.running.request("POST", "/benchmarks/run", b"a=b", content_type="text/plain").status == 415


@pytest.mark.parametrize(
    "body", [None, {}, {"benchmark_type": "full"}, {"benchmark_type": "full", "save_results": True}]
)
def test_everything_may_be_left_out(benched: Any, body: Any):
    benched.program("works")

    assert benched.post("/benchmarks/run", body).status == 200
    assert benched.ended()["request"]["benchmark_type"] == "full"


def test_a_state_folder_that_cannot_be_written_is_told_and_speech_goes_on(tools: Any, serve: Any, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with serve(tools, tmp_path / "file" / "state") as benched:
        reply = benched.post("/benchmarks/run")

        assert (reply.status, reply.error["code"]) == (500, "config_error")
        assert "telemetry.state_folder" in reply.error["message"]
        assert benched.running.speak().status == 200
        assert benched.get("/benchmarks/status").status == 200


def test_a_state_folder_that_vanishes_meanwhile_loses_the_record_and_nothing_else(benched: Any, tmp_path: Path):
    benched.program("waits")
    name = benched.start()
    benched.eventually(lambda: benched.status()["status"]["progress"] == 0.5)
    shutil.rmtree(tmp_path / "benchmarks" / name)
    (tmp_path / "benchmarks" / name).write_text("a file")
    reply = benched.post("/benchmarks/cancel")

    assert (reply.status, reply.json["status"]) == (200, "cancelled")
    assert benched.run("works")["status"] == "succeeded"


def test_a_run_takes_as_long_as_the_last_of_its_kind(benched: Any):
    assert benched.run("works", benchmark_type="ttfa")["status"] == "succeeded"
    benched.program("works")

    estimates = {}
    for kind in ("ttfa", "streaming"):
        estimates[kind] = benched.post("/benchmarks/run", {"benchmark_type": kind}).json["estimated_duration_s"]
        benched.ended()
    assert estimates["ttfa"] < 30.0
    assert estimates["streaming"] == 45.0


def test_a_slower_run_is_suspect(benched: Any, tmp_path: Path):
    for _ in range(5):
        assert benched.run("works")["trends"][0]["verdict"] == "too few"
    assert benched.run("works")["trends"][0]["verdict"] == "ok"
    slow = tmp_path / "slow_bench.py"
    source = Path(benched.service.benchmarks.program[1]).read_text()
    slow.write_text(source.replace('"value": 100.0', '"value": 200.0'))
    benched.service.benchmarks.program = (benched.service.benchmarks.program[0], str(slow), "works")
    benched.start()
    trend = benched.ended()["trends"][0]

    assert (trend["verdict"], trend["n"]) == ("suspect", 6)
    assert benched.service.telemetry.status()["benchmarks"]["last"]["suspect"] is True
