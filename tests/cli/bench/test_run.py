"""What goes wrong: one sentence, the right exit code, and a session that says so."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from firstaudio.bench.reference import ReferenceServer, running
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import list_sessions, load_session, read_records
from firstaudio.cli.bench.flags import FLAGS
from firstaudio.cli.bench.judge import UsageError
from firstaudio.cli.bench.run import exit_code, reproduces, run_options, why_not
from firstaudio.server.benchmarks.command import bench_command
from firstaudio.telemetry.runs.records import RunRequest

from .conftest import FIGURES, Bench

FEW = ("--concurrency", "1", "--iterations", "4", "--warmup", "0", "--no-floor", "--no-reports")
NOBODY = "http://127.0.0.1:1"

# The fault of the reference server: flags, the kind of failure, and a part of the sentence.
FAULTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "unauthorized": (("--voice", "fault-unauthorized"), "unauthorized", "state a token"),
    "forbidden": (("--voice", "fault-forbidden"), "unauthorized", "This key may not speak"),
    "wrong path": (("--path", "/v1/speak"), "not_found", "correct the path"),
    "HTML": (("--voice", "fault-html"), "wrong_format", "<!DOCTYPE html>"),
    "an empty body": (("--voice", "fault-empty"), "empty", "no audio"),
    "half a WAV": (("--voice", "fault-half"), "truncated", "the header promises"),
    "silence": (("--voice", "fault-silence"), "silent", "nothing in it can be heard"),
    "clipped": (("--voice", "fault-clipped"), "clipped", ""),
    "a crumb": (("--voice", "fault-crumb"), "silent", ""),
    "no rate": (("--voice", "fault-no-rate", "--format", "pcm"), "no_sample_rate", "nothing states their rate"),
    "disconnect": (("--voice", "fault-disconnect"), "disconnected", "in the middle of its answer"),
    "server error": (("--voice", "fault-error"), "http_error", "Internal Server Error"),
    "hang": (("--voice", "fault-hang", "--timeout", "0.5"), "timeout", "no complete answer within 0.5 s"),
    "hang in mid-body": (
        ("--voice", "fault-hang-mid", "--timeout", "0.5"),
        "timeout",
        "no complete answer within 0.5 s",
    ),
    "garbage JSON": (("--kind", "torch", "--path", "/fault/garbage/synthesize"), "protocol", "not a JSON document"),
    "success: false": (("--kind", "torch", "--path", "/fault/fail/synthesize"), "target_error", "the target says"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_target_that_does_not_speak_ends_with_one_sentence(fault: str, bench: Bench, server: ReferenceServer):
    flags, kind, part = FAULTS[fault]
    benched = bench("server", "--url", server.url, *flags, *FEW, "--json")

    assert benched.exit_code == 1
    found = benched.session.findings["preflight"]
    assert found["kind"] == kind
    assert part in found["message"]
    assert benched.session.completed
    assert benched.session.cells == []
    assert benched.json["reasons"] == [f"nothing could be measured: {found['message']}"]
    assert benched.stderr.splitlines()[1:] == [f"firstaudio: nothing could be measured: {found['message']}"]


def test_an_endless_answer_ends_with_its_time(bench: Bench):
    with running(FIGURES, rtf=0.5) as server:
        benched = bench("server", "--url", server.url, "--voice", "fault-endless", "--timeout", "0.5", *FEW)

    assert benched.exit_code == 1
    assert benched.session.findings["preflight"]["kind"] == "timeout"
    assert "no complete answer within 0.5 s" in benched.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("server", "--url", NOBODY),
        ("voices", "--url", NOBODY),
        ("comprehensive", "--url", NOBODY),
        ("full", "--url", NOBODY),
        ("capacity", "--url", NOBODY),
        ("discover", "--url", NOBODY),
        ("discover", "--url", "tcp://127.0.0.1:1"),
        ("server", "--url", "ws://127.0.0.1:1"),
        ("server", "--url", "tcp://127.0.0.1:1"),
        ("ab", NOBODY, NOBODY),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_an_unreachable_target_could_not_start(arguments: tuple[str, ...], bench: Bench):
    benched = bench(*arguments, "--no-reports", "--json")

    assert benched.exit_code == 3
    assert benched.session.findings["preflight"]["kind"] == "unreachable"
    assert benched.json["verdict"] == "INVALID"
    assert len(benched.stderr.splitlines()) == 2
    assert benched.stderr.splitlines()[1].startswith("firstaudio: nothing could be measured: ")


def test_a_level_without_success_is_an_error(bench: Bench, server: ReferenceServer, tmp_path: Path):
    file = tmp_path / "work.toml"
    file.write_text(
        f'[target]\nkind = "openai"\nurl = "{server.url}"\n'
        "[load]\nnum_requests = 4\nwarmup_requests = 0\n"
        '[[cell]]\nname = "good"\n[[cell]]\nname = "bad"\n[cell.texts]\ncustom = [" "]\nunique = false\n'
    )
    benched = bench("run", file, "--no-floor", "--no-reports")

    assert benched.exit_code == 1
    good, bad = benched.session.cells
    assert (good.ok, bad.ok, bad.totals["asps"]) == (4, 0, None)
    assert "firstaudio: no request succeeded in bad (4 http_error): see records.jsonl" in benched.stderr


def test_a_server_that_speaks_nowhere_is_an_error(bench: Bench, server: ReferenceServer):
    benched = bench("discover", "--url", f"{server.url}/fault/missing", "--no-reports")

    assert benched.exit_code == 1
    assert benched.stderr.splitlines()[-1].startswith("firstaudio: nothing that speaks was found")


USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "no URL": ((), "--url is missing"),
    "a URL that is none": (("--url", "bla"), "'bla' is no target"),
    "a kind that is none": (("--url", NOBODY, "--kind", "soap"), "--kind soap is not known; use one of openai"),
    "a format that is none": (("--url", NOBODY, "--format", "wma"), "--format wma is not known; use one of wav"),
    "a plan that is none": (("--url", NOBODY, "--plan", "long"), "--plan long is not known; use one of demo"),
    "a class that is none": (("--url", NOBODY, "--text-class", "tiny"), "--text-class tiny is not known"),
    "an arrival that is none": (("--url", NOBODY, "--arrival", "burst"), "--arrival burst is not known"),
    "a language that is none": (("--url", NOBODY, "--language", "xx"), "there are no texts in 'xx'"),
    "a number that is none": (("--url", NOBODY, "--iterations", "x"), "Invalid value for '--iterations'"),
    "no requests": (("--url", NOBODY, "--iterations", "0"), "--iterations must be 1 or more"),
    "no clients": (("--url", NOBODY, "--concurrency", "0"), "--concurrency takes levels from 1 to 4096"),
    "no time": (("--url", NOBODY, "--timeout", "0"), "--timeout is seconds for one request"),
    "a timeout that is no number": (("--url", NOBODY, "--timeout", "nan"), "--timeout is seconds"),
    "an endless duration": (("--url", NOBODY, "--duration", "inf"), "--duration is seconds"),
    "a negative warm-up": (("--url", NOBODY, "--warmup", "-1"), "--warmup is a number of requests"),
    "a negative rate": (("--url", NOBODY, "--arrival", "poisson", "--rate", "-1"), "--rate is requests per second"),
    "no rate": (("--url", NOBODY, "--arrival", "poisson"), "--arrival poisson needs --rate"),
    "half a ramp": (("--url", NOBODY, "--arrival", "ramp", "--rate", "5"), "--start-rate belong together"),
    "a ramp without one": (("--url", NOBODY, "--start-rate", "5"), "--start-rate belong together"),
    "pacing of HTTP": (("--url", NOBODY, "--tokens-per-s", "5"), "--tokens-per-s is for elevenlabs and wyoming"),
    "events of torch": (("--url", NOBODY, "--kind", "torch", "--sse"), "no events"),
    "events at once": (("--url", NOBODY, "--sse", "--no-streaming"), "--sse streams"),
    "a body that is no JSON": (("--url", NOBODY, "--kind", "http", "--body", "{"), "--body is not JSON"),
    "a body that is a list": (("--url", NOBODY, "--kind", "http", "--body", "[]"), "--body must be a JSON object"),
    "half a header": (("--url", NOBODY, "--header", "X-Key"), "must look like 'Name: value'"),
    "an empty text": (("--url", NOBODY, "--text", " "), "--text is empty"),
    "an empty file": (("--url", NOBODY, "--text-file", "EMPTY"), "holds no text"),
    "a file of bytes": (("--url", NOBODY, "--text-file", "BYTES"), "is not UTF-8 text"),
    "a condition that is none": (("--url", NOBODY, "--fail-on", "foo"), "cannot read the condition 'foo'"),
    "a change of one session": (("--url", NOBODY, "--fail-on", "asps<-10%"), ""),
    "a name that is a path": (("--url", NOBODY, "--session-name", "../x"), "cannot name a session"),
    "an empty name": (("--url", NOBODY, "--session-name", ""), "cannot name a session"),
    "no level": (("--url", NOBODY, "--voice", "x", "--concurrency"), "no value follows --concurrency"),
    "a URL with half a bracket": (("--url", "http://[::1"), "is no URL"),
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    return {"EMPTY": str(tmp_path / "empty.txt"), "BYTES": str(tmp_path / "bytes.txt")}


@pytest.mark.parametrize("fault", USAGE)
def test_what_cannot_be_is_refused_before_anything_runs(fault: str, bench: Bench, files: dict[str, str]):
    flags, part = USAGE[fault]
    benched = bench("server", *(files.get(flag, flag) for flag in flags))

    assert benched.exit_code == 2
    assert part in benched.stderr
    assert benched.stdout == ""
    assert not benched.output_dir.exists()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("capacity", "--url", NOBODY, "--share", "1"), "--share is a part"),
        (("capacity", "--url", NOBODY, "--start", "9", "--limit", "8"), "--start and --limit are levels"),
        (("ab", NOBODY, NOBODY, "--rounds", "9"), "--rounds must be 10 or more"),
        (("ab", NOBODY, NOBODY, "--per-round", "0"), "--per-round is a number of requests"),
        (("run", "missing.toml"), "missing.toml"),
        (("discover",), "--url is missing"),
        (("discover", "--url", "bla"), "'bla' is no target"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_verbs_refuse_what_they_cannot_do(arguments: tuple[str, ...], part: str, bench: Bench):
    benched = bench(*arguments)

    assert benched.exit_code == 2
    assert part in benched.stderr
    assert not benched.output_dir.exists()


def test_a_text_file_that_is_missing_is_named(bench: Bench):
    benched = bench("server", "--url", NOBODY, "--text-file", "nowhere.txt")

    assert (benched.exit_code, benched.stderr) == (
        2,
        "firstaudio: --text-file nowhere.txt cannot be read: No such file or directory\n",
    )


def test_a_session_is_overwritten_only_on_demand(bench: Bench, server: ReferenceServer):
    flags = ("server", "--url", server.url, "--session-name", "mine", *FEW)
    first = bench(*flags).session.created
    refused = bench(*flags)

    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "there is a session mine" in refused.stderr
    assert refused.session.created == first
    assert bench(*flags, "--overwrite").names == ["mine"]


def test_voices_must_be_named_where_the_server_lists_none(bench: Bench, nothing: str):
    benched = bench("voices", "--url", nothing)

    assert (benched.exit_code, benched.names) == (2, [])
    assert "the server lists no voices" in benched.stderr


class Nothing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def nothing() -> Iterator[str]:
    """The URL of a server that answers 404 to everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# --- interrupted runs, in a process of their own -------------------------------------------------------------------


@contextmanager
def started(*arguments: object, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTAUDIO_")}
    command = [sys.executable, "-m", "firstaudio.cli.main", "bench", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=cwd, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def in_the_middle(process: subprocess.Popen[str]) -> None:
    """Until the second cell has been measured: by then the first one is saved."""
    assert process.stderr is not None
    assert [process.stderr.readline(), process.stderr.readline()] == ["first: 4 requests\n", "second: 4 requests\n"]


@pytest.fixture
def long_run(server: ReferenceServer, tmp_path: Path) -> Path:
    file = tmp_path / "long.toml"
    file.write_text(
        f'[target]\nkind = "openai"\nurl = "{server.url}"\n'
        '[texts]\nclasses = ["short"]\n'
        "[load]\nwarmup_requests = 0\n"
        '[[cell]]\nname = "first"\n[cell.load]\nnum_requests = 4\n'
        '[[cell]]\nname = "second"\n[cell.load]\nnum_requests = 4\n'
        '[[cell]]\nname = "third"\n[cell.load]\narrival = "constant"\nrate_per_s = 5\nnum_requests = 1000\n'
    )
    return file


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has(number: signal.Signals, long_run: Path, tmp_path: Path):
    with started("run", long_run, "--no-floor", "--no-reports", "--json", cwd=tmp_path) as process:
        in_the_middle(process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "stopping; what was measured is kept" in stderr
    assert "Traceback" not in stderr
    session = load_session("long", tmp_path / "benchmark_sessions")
    assert not session.completed
    assert session.reasons[0] == "the run was interrupted: what is here is partial"
    assert [(cell.name, cell.ok, cell.completed) for cell in session.cells[:2]] == [
        ("first", 4, True),
        ("second", 4, True),
    ]
    assert not any(cell.completed for cell in session.cells[2:])
    assert '"verdict": "INVALID"' in stdout


def test_a_killed_run_leaves_a_session_that_can_be_read(long_run: Path, tmp_path: Path):
    with started("run", long_run, "--no-floor", "--no-reports", cwd=tmp_path) as process:
        in_the_middle(process)
        process.kill()
        process.communicate()

    (entry,) = list_sessions(tmp_path / "benchmark_sessions")
    assert (entry.name, entry.completed, entry.verdict, entry.problem) == ("long", False, "INVALID", None)
    assert load_session("long", tmp_path / "benchmark_sessions").cells[0].name == "first"
    assert [record.cell for record in read_records(entry.folder)][:4] == ["first"] * 4


@pytest.mark.parametrize("verb", ["server", "discover"])
def test_a_target_that_hangs_can_be_left_at_once(verb: str, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started(verb, "--url", url, "--timeout", "600", "--no-reports", cwd=tmp_path) as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                _, stderr = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "Traceback" not in stderr
    (entry,) = list_sessions(tmp_path / "benchmark_sessions")
    assert (entry.completed, entry.verdict) == (False, "INVALID")


# --- the pure parts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("bench server --token abc --json", "bench server --token *** --json"),
        ("bench server --token=abc", "bench server --token=***"),
        ("bench server --header=X-Key:abc --cold", "bench server --header=X-Key: *** --cold"),
        ("bench server --token --header", "bench server --token ***"),
        ("bench ab http://a http://b", "bench ab http://a http://b"),
    ],
)
def test_a_kept_command_line_has_no_secrets(typed: str, kept: str):
    assert " ".join(reproduces(["/usr/bin/main.py", *typed.split()])) == f"firstaudio {kept}"


def session(cells: tuple[SimpleNamespace, ...] = (), valid: bool = True, **findings: object) -> Session:
    reasons = [] if valid else ["c=1: too few", "c=2: too slow"]
    return SimpleNamespace(cells=cells, valid=valid, reasons=reasons, findings=findings)  # type: ignore[return-value]


GOOD = SimpleNamespace(name="c=1", ok=4, failures={})
BAD = SimpleNamespace(name="c=2", ok=0, failures={"timeout": 3, "empty": 1})


@pytest.mark.parametrize(
    ("code", "state", "missed", "interrupted"),
    [
        (0, session((GOOD,)), [], False),
        (1, session((GOOD, BAD)), ["x"], False),
        (1, session(preflight={"kind": "timeout"}, valid=False), [], False),
        (2, session((GOOD,), valid=False), ["x"], False),
        (3, session(preflight={"kind": "unreachable"}, valid=False), ["x"], False),
        (99, session((GOOD,)), ["x"], False),
        (130, session((BAD,), valid=False), ["x"], True),
        (0, session(discovery={"endpoints": [{"works": False}, {"works": True}]}), [], False),
        (1, session(discovery={"endpoints": [{"works": False}]}), [], False),
    ],
)
def test_exit_codes(code: int, state: Session, missed: list[str], interrupted: bool):
    assert exit_code(state, missed, interrupted) == code


def test_a_run_that_a_server_started_is_repeated_without_what_ties_it_to_that():
    """Else the session is there already, the process is another one and nobody holds the leash."""
    wish = RunRequest("full", include_speed_tests=False, custom_text="One two.")
    command = bench_command(
        wish,
        run_id="bench_1",
        url="http://127.0.0.1:8000",
        output_dir=Path("/state/benchmarks/bench_1"),
        server_pid=77,
        voices=("a", "b"),
        text_file=Path("/state/benchmarks/bench_1/text.txt"),
        program=("main.py",),
    )

    assert " ".join(reproduces(command)) == (
        "firstaudio bench full --url http://127.0.0.1:8000 --plan quick --text-file text.txt --voices a b "
        "--no-speed-tests"
    )


def test_what_is_wrong_is_one_sentence():
    assert why_not(session((GOOD, BAD))) == "no request succeeded in c=2 (3 timeout, 1 empty): see records.jsonl"
    assert why_not(session((GOOD,), valid=False)) == ("the session is INVALID: c=1: too few (and 1 more reasons)")


def test_what_a_voice_is_called_does_not_spoil_the_name_of_the_session(bench: Bench, server: ReferenceServer):
    benched = bench("server", "--url", server.url, "--voice", "en-gb+f3/x", *FEW)

    assert benched.session.name == "server_en-gb_f3_x"


def test_a_gate_that_cannot_be_judged_is_not_missed(bench: Bench, server: ReferenceServer):
    benched = bench("server", "--url", server.url, "--fail-on", "ttfa_ms.p95>300", *FEW)

    assert benched.exit_code == 2
    assert "not judged: " in benched.stderr


def test_a_rate_without_an_open_loop_is_refused(bench: Bench):
    benched = bench("server", "--url", NOBODY, "--rate", "5")

    assert (benched.exit_code, benched.stderr) == (
        2,
        "firstaudio: --rate is for open loops: add --arrival poisson, constant or ramp\n",
    )


def test_a_folder_that_cannot_be_made_is_named():
    flags = SimpleNamespace(**{name: default for name, (_, default, _) in FLAGS.items()} | {"output_dir": "/proc/no"})

    with pytest.raises(UsageError, match="--output-dir /proc/no cannot be made"):
        run_options(flags, "server")
