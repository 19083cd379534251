"""`firstaudio sessions`: data on stdout, talk on stderr, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from firstaudio.bench.figures.aggregate import summarise
from firstaudio.bench.figures.metrics import definitions
from firstaudio.bench.record import ChunkRow, RequestRecord
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import SessionWriter, list_sessions, load_session
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Load, Workload
from firstaudio.cli.sessions import sessions_app
from firstaudio.clock import NS_PER_MS
from firstaudio.errors import BenchError

LONG_AGO = 1_000_000_000


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Run:
    """Run `firstaudio sessions ARGUMENTS...` over the sessions in `tmp_path`."""
    command = typer.main.get_command(sessions_app)

    def run(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            command.main([*arguments, "--output-dir", str(tmp_path)], prog_name="sessions")
        captured = capsysbinary.readouterr()
        return Result(int(ended.value.code or 0), captured.out.decode(), captured.err.decode())

    return run


def row(index: int, ttfa_ms: int) -> RequestRecord:
    sent = index * 1000 * NS_PER_MS
    first = sent + ttfa_ms * NS_PER_MS
    stamps = dict.fromkeys(("scheduled_ns", "dispatched_ns", "sent_ns"), sent)
    stamps |= dict.fromkeys(("headers_ns", "first_byte_ns", "first_sample_ns", "audible_ns", "last_byte_ns"), first)
    return RequestRecord(
        cell="c=1",
        index=index,
        client=0,
        phase="measured",
        label="warm",
        text="Grüße.",
        text_class="short",
        voice=None,
        speed=1.0,
        language=None,
        outcome="ok",
        message="",
        connected_ns=None,
        status=200,
        container="wav",
        sample_rate=24000,
        onset_sample=0,
        chunks=(ChunkRow(first, 24000, 12000),),
        **stamps,
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Save a session of ten requests; gives its folder."""

    def save(name: str, created: str = "2025-01-01T00:00:00+00:00", ttfa_ms: int = 50, finish: bool = True) -> Path:
        cell = Cell("c=1", TargetSpec("openai", "http://h", name="h"), {"concurrency": 1}, load=Load(num_requests=10))
        workload = Workload("server", (cell,))
        session = Session(
            name=name,
            mode="server",
            created=created,
            origin_ns=0,
            command=["firstaudio", "bench", "server"],
            configuration=workload.public(),
            workload_hash=workload.hash,
            environment={"fingerprint": "abc"},
            definitions=definitions(),
        )
        writer = SessionWriter(tmp_path, session)
        rows = [row(index, ttfa_ms) for index in range(10)]
        writer.add(summarise(cell, rows, workload.goals), rows)
        if finish:
            writer.finish()
        return writer.folder

    return save


def age(folder: Path) -> None:
    """Nothing in it has been written to for years."""
    for path in folder.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))


def names(tmp_path: Path) -> list[str]:
    return [entry.name for entry in list_sessions(tmp_path)]


def test_a_list_is_one_line_per_session_oldest_first(run: Run, save):
    save("new", "2025-03-01T00:00:00+00:00")
    save("old", finish=False)

    assert run("list") == Result(
        0,
        "name\tmode\tcreated\tcells\trequests\tverdict\tcompleted\n"
        "old\tserver\t2025-01-01T00:00:00+00:00\t1\t10\tINVALID\tno\n"
        "new\tserver\t2025-03-01T00:00:00+00:00\t1\t10\tVALID\tyes\n",
        "",
    )


def test_a_list_is_json_when_asked(run: Run, save):
    folder = save("one")
    listed = json.loads(run("list", "--json").stdout)

    assert [(entry["name"], entry["folder"], entry["verdict"]) for entry in listed] == [("one", str(folder), "VALID")]


def test_an_empty_list_says_how_to_get_a_session(run: Run):
    result = run("list")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "firstaudio bench demo" in result.stderr


def test_a_session_that_cannot_be_read_is_listed_and_told(run: Run, save):
    (save("broken") / "broken.json").write_text("{")
    result = run("list")

    assert result.stdout.splitlines()[1].split("\t")[:1] == ["broken"]
    assert "UNREADABLE" in result.stdout
    assert "does not hold a session" in result.stderr


def test_a_session_is_shown(run: Run, save):
    save("one")

    assert "VALID" in run("show", "one").stdout
    assert json.loads(run("show", "one", "--json").stdout)["verdict"] == "VALID"


def test_a_session_that_is_not_there_is_an_error_of_the_harness(run: Run):
    with pytest.raises(BenchError, match="there is no session 'x'"):
        run("show", "x")


def test_raw_rows_are_exported_as_they_were_saved(run: Run, save):
    folder = save("one")
    exported = [json.loads(line) for line in run("export", "one", "--format", "jsonl").stdout.splitlines()]

    assert exported == [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def test_a_torn_row_is_left_out_of_an_export_and_told(run: Run, save):
    folder = save("one")
    with (folder / "records.jsonl").open("a") as file:
        file.write('{"cell"')
    result = run("export", "one", "--format", "jsonl")

    assert len(result.stdout.splitlines()) == 10
    assert "interrupted while it wrote row 11" in result.stderr


def test_an_export_is_the_same_on_stdout_and_in_a_file(run: Run, save, tmp_path: Path):
    save("one")
    printed = run("export", "one", "--format", "csv").stdout
    result = run("export", "one", "--format", "csv", "-o", str(tmp_path / "one.csv"))

    assert printed.startswith("Concurrency,ASPS,RTF_Mean,RTF_Median,RPS,CPS,TTFA_p95_ms,Success_Rate_%")
    assert (tmp_path / "one.csv").read_bytes().decode() == printed
    assert (result.stdout, result.stderr) == ("", f"firstaudio: wrote {tmp_path / 'one.csv'}\n")


def test_an_exported_document_is_the_saved_one(run: Run, save):
    folder = save("one")

    assert json.loads(run("export", "one", "--format", "json").stdout) == json.loads((folder / "one.json").read_text())


@pytest.mark.parametrize(("form", "begins"), [("markdown", "# "), ("html", "<!doctype html>")])
def test_reports_are_exported(run: Run, save, form: str, begins: str):
    pytest.importorskip(f"firstaudio.bench.report.{form}")
    save("one")

    assert run("export", "one", "--format", form).stdout.lower().startswith(begins)


def test_clean_removes_nothing_before_it_is_told_twice(run: Run, save, tmp_path: Path):
    save("a")
    save("b", "2025-02-01T00:00:00+00:00")

    assert run("clean").exit_code == 2
    unsure = run("clean", "--keep", "1")
    assert (unsure.exit_code, unsure.stdout) == (2, "a\n")
    assert "--yes" in unsure.stderr
    assert run("clean", "--keep", "1", "--yes", "--dry-run") == Result(0, "a\n", "")
    assert names(tmp_path) == ["a", "b"]


def test_clean_keeps_the_newest(run: Run, save, tmp_path: Path):
    for month in (3, 1, 2):
        save(f"m{month}", f"2025-0{month}-01T00:00:00+00:00")

    assert run("clean", "--keep", "1", "--yes") == Result(0, "m1\nm2\n", "")
    assert names(tmp_path) == ["m3"]


def test_clean_keeps_what_either_option_keeps(run: Run, save, tmp_path: Path):
    save("ancient", "2001-01-01T00:00:00+00:00")
    save("old", "2002-01-01T00:00:00+00:00")
    save("future", "9000-01-01T00:00:00+00:00")

    assert run("clean", "--older-than", "30", "--keep", "2", "--yes").stdout == "ancient\n"
    assert run("clean", "--older-than", "30", "--yes").stdout == "old\n"
    assert names(tmp_path) == ["future"]


def test_clean_leaves_alone_what_may_be_running_or_cannot_be_read(run: Run, save, tmp_path: Path):
    save("running", finish=False)
    age(save("killed", finish=False))
    (save("broken") / "broken.json").write_text("{")
    result = run("clean", "--keep", "0", "--yes")

    assert result.stdout == "killed\n"
    assert "running is left alone" in result.stderr
    assert "broken is left alone" in result.stderr
    assert set(names(tmp_path)) == {"running", "broken"}


def test_partial_sessions_that_nobody_writes_to_go_when_asked(run: Run, save, tmp_path: Path):
    save("running", finish=False)
    minutes_ago = time.time() - 120
    for path in save("broken_off", finish=False).iterdir():
        os.utime(path, (minutes_ago, minutes_ago))
    save("whole")

    kept = run("clean", "--keep", "0", "--yes", "--dry-run")
    assert kept.stdout == "whole\n"
    assert "broken_off is left alone: it is not completed and was written to within the last hour" in kept.stderr
    assert run("clean", "--partial", "--yes").stdout == "broken_off\n"
    assert set(names(tmp_path)) == {"running", "whole"}


def test_a_folder_that_was_renamed_or_copied_is_the_session_still(run: Run, save, tmp_path: Path):
    folder = save("one")
    (folder / "one_results.json").write_text("{}")
    shutil.copytree(folder, tmp_path / "two")
    folder.rename(tmp_path / "three")

    assert names(tmp_path) == ["three", "two"]
    assert json.loads(run("show", "two", "--json").stdout)["name"] == "two"
    assert run("compare", "two", "three").exit_code == 0


def test_sessions_without_a_common_cell_end_with_2_and_one_sentence(run: Run, save):
    save("a")
    other = save("b")
    text = (other / "b.json").read_text().replace('"name": "c=1"', '"name": "c=2"')
    (other / "b.json").write_text(text.replace('"concurrency": 1', '"concurrency": 2'))

    sentence = "b cannot be compared with a: no condition is in both (a has c=1; b has c=2)."
    assert run("compare", "a", "b") == Result(2, "", f"firstaudio: {sentence}\n")


def test_figures_are_computed_again_and_saved(run: Run, save, tmp_path: Path):
    save("one")
    result = run("recompute", "one", "--ttfa-target", "10", "--no-reports", "--json")

    shown = json.loads(result.stdout)
    assert shown["cells"][0]["totals"]["target_attainment"] == 0.0
    assert load_session("one", tmp_path).cells[0].totals["target_attainment"] == 0.0
    assert load_session("one", tmp_path).configuration["goals"]["ttfa_ms"] == 10.0


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        ([], 0),
        (["ttfa_ms.p50>300"], 0),
        (["ttfa_ms.p50>5%"], 99),
        (["ttfa_ms.p50>300", "success_rate<101"], 99),
        (["ttfa_ms.p99>300"], 2),  # ten requests have no p99
    ],
)
def test_a_gate_that_holds_ends_with_99(run: Run, save, gates: list[str], code: int):
    save("a", ttfa_ms=50)
    save("b", ttfa_ms=100)
    flags = [part for gate in gates for part in ("--fail-on", gate)]
    result = run("compare", "a", "b", *flags, "--json")

    compared = json.loads(result.stdout)
    assert (result.exit_code, compared["exit_code"]) == (code, code)
    assert (compared["a"], compared["b"]) == ("a", "b")
    assert [gate["expression"] for gate in compared["gates"]] == gates


def test_a_gate_that_cannot_be_read_is_an_error_that_says_how_one_looks(run: Run, save):
    save("a")
    with pytest.raises(BenchError, match="accepted are a limit"):
        run("compare", "a", "a", "--fail-on", "ttfa is bad")


@pytest.mark.parametrize(("form", "holds"), [("table", "100"), ("junit", "<testsuite"), ("github", "::error")])
def test_a_comparison_speaks_to_people_and_to_ci(run: Run, save, form: str, holds: str):
    save("a", ttfa_ms=50)
    save("b", ttfa_ms=100)
    result = run("compare", "a", "b", "--format", form, "--fail-on", "ttfa_ms.p50>5%")

    assert result.exit_code == 99
    assert holds in result.stdout
