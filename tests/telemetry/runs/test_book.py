"""Runs on disk."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.errors import ConfigError, ConflictError, NotFoundError
from firstaudio.telemetry.runs import book as book_module
from firstaudio.telemetry.runs.book import RunBook
from firstaudio.telemetry.runs.records import SERVER_ENDED

HOLDER = """
import sys
from pathlib import Path
from firstaudio.telemetry.runs.book import RunBook
from firstaudio.telemetry.runs.records import RunRecord, RunRequest
book = RunBook(Path(sys.argv[1]))
claim = book.claim()
book.write(RunRecord(book.new_id(5.0), RunRequest(), "request", "running", 5.0))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def book(tmp_path: Path) -> RunBook:
    return RunBook(tmp_path / "state")


@pytest.fixture
def open_book(book: RunBook) -> RunBook:
    book.claim().release()
    return book


def keep(book: RunBook, record: Any) -> Any:
    book.run_folder(record.id).mkdir()
    book.write(record)
    return record


def test_what_is_written_can_be_read(open_book: RunBook, made: Any):
    record = keep(open_book, made.run(trends=(), changes=("a 1 -> 2",), stderr="ß\n"))

    assert record == open_book.read(record.id)


def test_a_record_is_for_this_user_alone(open_book: RunBook, made: Any):
    record = keep(open_book, made.run())
    file = open_book.run_folder(record.id) / "run.json"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(open_book.folder.stat().st_mode) == 0o700


def test_runs_of_the_same_second_have_ids_of_their_own(open_book: RunBook):
    ids = [open_book.new_id(1_763_740_000.9) for _ in range(3)]

    assert ids == ["bench_1763740000", "bench_1763740000_2", "bench_1763740000_3"]


def test_runs_are_listed_newest_first_and_damaged_ones_are_named(open_book: RunBook, made: Any):
    for number in (1, 30, 2):
        keep(open_book, made.run(number))
    keep(open_book, made.run(7))
    (open_book.folder / made.run(7).id / "run.json").write_text('{"id": 3')
    (open_book.folder / "something else").mkdir()
    found = open_book.runs()

    assert [run.started_at - made.start for run in found.records] == [30, 2, 1]
    (unreadable,) = found.unreadable
    assert unreadable.startswith(made.run(7).id)


@given(st.text(max_size=80) | st.sampled_from(["..", "../x", "bench_1/../x", "bench_", "bench_1\n", "bench_1_"]))
def test_nothing_but_an_id_leads_to_a_folder(text: str):
    if not text.removeprefix("bench_").replace("_", "").isdecimal():
        with pytest.raises(NotFoundError):
            RunBook(Path("nowhere")).run_folder(text)


def test_a_run_that_is_not_there_is_an_error_with_a_way_out(open_book: RunBook):
    with pytest.raises(NotFoundError, match="POST /benchmarks/run"):
        open_book.read("bench_1")


def test_reading_makes_no_folder(book: RunBook):
    assert book.runs().records == ()
    book.recover()

    assert not book.folder.exists()


def test_one_run_at_a_time(book: RunBook, made: Any):
    claim = book.claim()
    record = keep(book, made.run(status="running"))
    with pytest.raises(ConflictError, match=record.id):
        RunBook(book.folder.parent).claim()
    claim.release()

    RunBook(book.folder.parent).claim().release()
    assert book.read(record.id).error == SERVER_ENDED


def test_what_a_killed_process_left_running_has_failed_and_its_lock_is_free(book: RunBook):
    command = [sys.executable, "-c", HOLDER, str(book.folder.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConflictError, match="bench_5"):
            book.claim()
        book.recover()
        assert book.read("bench_5").status == "running"
        os.kill(holder.pid, signal.SIGKILL)
    book.recover()

    assert (book.read("bench_5").status, book.read("bench_5").error) == ("failed", SERVER_ENDED)


def test_a_folder_that_cannot_be_written_is_told_with_its_setting(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"telemetry\.state_folder"):
        RunBook(tmp_path / "file" / "state").claim()


def test_a_full_disk_leaves_the_record_as_it_was(open_book: RunBook, made: Any, monkeypatch: pytest.MonkeyPatch):
    record = keep(open_book, made.run(status="running"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(book_module.os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        open_book.write(replace(record, status="succeeded"))

    assert open_book.read(record.id).status == "running"
    assert [path.name for path in open_book.run_folder(record.id).iterdir()] == ["run.json"]


def test_only_the_newest_are_kept_and_never_one_that_runs(open_book: RunBook, made: Any):
    oldest = keep(open_book, made.run(0, status="running"))
    runs = [keep(open_book, made.run(number)) for number in range(1, 6)]
    gone = open_book.prune(2, spare=runs[0].id)

    assert sorted(gone) == [run.id for run in runs[1:3]]
    assert [run.id for run in open_book.runs().records] == [runs[4].id, runs[3].id, runs[0].id, oldest.id]


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff"])
def test_a_session_that_cannot_be_read_is_none(open_book: RunBook, made: Any, content: bytes):
    record = keep(open_book, made.run())
    assert open_book.session(record.id) is None
    folder = open_book.run_folder(record.id) / record.id
    folder.mkdir()
    (folder / f"{record.id}.json").write_bytes(content)

    assert open_book.session(record.id) is None


def test_reports_are_found_beside_the_session(open_book: RunBook, made: Any):
    record = keep(open_book, made.run())
    folder = open_book.run_folder(record.id) / record.id
    folder.mkdir()
    (folder / "report.md").write_text("# ä", encoding="utf-8")

    assert open_book.report(record.id, "markdown") == "# ä"
    assert open_book.report(record.id, "html") is None


def test_a_record_of_an_older_version_without_the_newest_fields_is_still_read(open_book: RunBook, made: Any):
    record = keep(open_book, made.run())
    file = open_book.run_folder(record.id) / "run.json"
    document = json.loads(file.read_bytes())
    del document["summary"]["others_cpu_share"], document["changes"]
    file.write_text(json.dumps(document | {"of_the_future": 1}))

    assert record == open_book.read(record.id)
