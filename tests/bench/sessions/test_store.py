"""Sessions on disk: what is written, what survives, what is refused."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.record import ChunkRow, RequestRecord
from firstaudio.bench.result import CellResult, Check, ClientSide, Distribution, Estimate, Floor
from firstaudio.bench.sessions.session import SCHEMA_VERSION, Clip, Session
from firstaudio.bench.sessions.store import (
    RECORDS,
    SessionWriter,
    check_name,
    free_name,
    list_sessions,
    load_session,
    read_records,
    remove_session,
    session_folder,
)
from firstaudio.errors import BenchError


def make_session(name: str = "demo", **changes: Any) -> Session:
    fields: dict[str, Any] = {
        "name": name,
        "mode": "demo",
        "created": "2025-01-01T00:00:00+00:00",
        "origin_ns": 1,
        "command": ["firstaudio", "bench", "demo"],
        "configuration": {"mode": "demo", "goals": {}, "cells": []},
        "workload_hash": "0123",
        "environment": {"fingerprint": "abcd"},
        "definitions": {},
    }
    return Session(**{**fields, **changes})


def make_result(name: str = "c=1", **changes: Any) -> CellResult:
    floor = Floor(p50_ms=0.1, p99_ms=0.5, num_requests=100, concurrency=1, workers=1)
    estimate = Estimate(value=50.0, low=49.0, high=None)
    fields: dict[str, Any] = {
        "name": name,
        "axes": {"concurrency": 1},
        "label": "warm",
        "cell": {"name": name},
        "window_s": 1.5,
        "issued": 2,
        "ok": 1,
        "failed": 1,
        "cancelled": 0,
        "failures": {"timeout": 1},
        "distributions": {"ttfa_ms": Distribution(2, 1, 50.0, 50.0, 50.0, {"p50": estimate})},
        "totals": {"asps": 1.0, "rps": None},
        "client": ClientSide(0.1, 0.2, None, None, 1.0, None, 1, floor),
        "checks": (Check("floor", True, "fine"),),
    }
    return CellResult(**{**fields, **changes})


def make_record(index: int = 0, cell: str = "c=1", **changes: Any) -> RequestRecord:
    fields: dict[str, Any] = {
        "cell": cell,
        "index": index,
        "client": 0,
        "phase": "measured",
        "label": "warm",
        "text": "Grüße,\u2028\nWelt",
        "text_class": "short",
        "voice": None,
        "speed": 1.0,
        "language": None,
        "outcome": "ok",
        "message": "",
        "scheduled_ns": 1,
        "dispatched_ns": 1,
        "connected_ns": None,
        "sent_ns": 2,
        "headers_ns": 3,
        "first_byte_ns": 4,
        "first_sample_ns": 5,
        "audible_ns": 6,
        "last_byte_ns": 7,
        "status": 200,
        "container": "wav",
        "sample_rate": 24000,
        "onset_sample": 0,
        "chunks": (ChunkRow(4, 44, 0), ChunkRow(5, 480, 240)),
        "quality": {"clipped_share": 0.0},
    }
    return RequestRecord(**{**fields, **changes})


def test_a_session_is_there_before_its_first_request(tmp_path: Path):
    writer = SessionWriter(tmp_path / "made", make_session())

    saved = load_session("demo", tmp_path / "made")
    assert writer.folder == tmp_path / "made" / "demo"
    assert (saved.completed, saved.valid, saved.cells) == (False, False, [])
    assert list(read_records(writer.folder)) == []


def test_what_is_written_is_read_again(tmp_path: Path):
    session = make_session(clips=[Clip("c=1", 0, "slowest", "clip.wav")], warnings=["mind"])
    writer = SessionWriter(tmp_path, session)
    records = [make_record(0), make_record(1, outcome="timeout", message="no answer")]
    writer.add(make_result(), records)
    writer.finish()

    assert load_session("demo", tmp_path) == session
    assert list(read_records(writer.folder)) == records
    assert session.completed
    assert [path.name for path in sorted(writer.folder.iterdir())] == ["demo.json", RECORDS]


def test_a_result_that_the_session_holds_already_is_not_added_twice(tmp_path: Path):
    session = make_session()
    writer = SessionWriter(tmp_path, session)
    result = make_result()
    session.cells.append(result)
    writer.add(result, [])

    assert [result] == load_session("demo", tmp_path).cells


def test_numbers_of_numpy_are_numbers(tmp_path: Path):
    writer = SessionWriter(tmp_path, make_session(findings={"fit": {"n": np.int64(3), "ok": np.bool_(True)}}))
    writer.add(make_result(totals={"asps": np.float32(0.5)}), [])

    saved = load_session("demo", tmp_path)
    assert saved.findings == {"fit": {"n": 3, "ok": True}}
    assert saved.cells[0].totals == {"asps": 0.5}


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_refused_by_its_place_and_nothing_is_lost(tmp_path: Path, figure: float):
    writer = SessionWriter(tmp_path, make_session())
    with pytest.raises(BenchError, match=r"cells\[0\]\.totals\.asps = -?(nan|inf)"):
        writer.add(make_result(totals={"asps": figure}), [make_record()])

    assert load_session("demo", tmp_path).cells == []
    assert [make_record()] == list(read_records(writer.folder))


def test_rows_are_written_all_or_none(tmp_path: Path):
    writer = SessionWriter(tmp_path, make_session())
    with pytest.raises(BenchError, match=r"request 1 of cell 'c=1' .* quality\.dc = nan"):
        writer.append([make_record(0), make_record(1, quality={"dc": math.nan})])

    assert list(read_records(writer.folder)) == []


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_store import make_record, make_result, make_session
from firstaudio.bench.sessions.store import SessionWriter
writer = SessionWriter(Path(sys.argv[1]), make_session())
writer.add(make_result("c=1"), [make_record()])
with (writer.folder / "records.jsonl").open("ab") as file:
    file.write(b'{"cell": "c=2", "ind')
(writer.folder / "demo.json.tmp").write_text('{"name": "de')
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_run_that_was_killed_while_writing_leaves_a_readable_partial_session(tmp_path: Path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)], check=False)

    saved = load_session("demo", tmp_path)
    assert [make_result("c=1")] == saved.cells
    assert saved.reasons == ["the run was interrupted: what is here is partial"]
    with pytest.warns(UserWarning, match="interrupted while it wrote row 2"):
        assert [make_record()] == list(read_records(tmp_path / "demo"))


@given(st.data())
def test_rows_cut_anywhere_give_the_whole_rows_before_the_cut(tmp_path_factory: pytest.TempPathFactory, data):
    folder = tmp_path_factory.mktemp("cut")
    records = [make_record(index) for index in range(3)]
    lines = [json.dumps(record.to_json()).encode() + b"\n" for record in records]
    kept = data.draw(st.integers(0, 2))
    torn = lines[kept][: data.draw(st.integers(1, len(lines[kept]) - 1))]
    (folder / RECORDS).write_bytes(b"".join(lines[:kept]) + torn)

    with pytest.warns(UserWarning, match="interrupted"):
        assert records[:kept] == list(read_records(folder))


@pytest.mark.parametrize("garbage", [b"not json\n", b"[1, 2]\n", b'{"cell": "c=1"}\n', b"\n", b"\xff\n"])
def test_garbage_between_rows_is_an_error_that_names_the_line(tmp_path: Path, garbage: bytes):
    writer = SessionWriter(tmp_path, make_session())
    writer.append([make_record()])
    with (writer.folder / RECORDS).open("ab") as file:
        file.write(garbage)
    writer.append([make_record()])

    with pytest.raises(BenchError, match=r"records\.jsonl, line 2 is not a row"):
        list(read_records(writer.folder))


def test_rows_that_are_missing_are_said_so(tmp_path: Path):
    with pytest.raises(BenchError, match="without its raw rows"):
        list(read_records(tmp_path))


def test_a_name_that_is_taken_is_an_error_unless_it_may_be_overwritten(tmp_path: Path):
    old = SessionWriter(tmp_path, make_session())
    old.add(make_result(), [make_record()])
    with pytest.raises(BenchError, match="another name, or ask for the old one to be overwritten"):
        SessionWriter(tmp_path, make_session())
    assert len(load_session("demo", tmp_path).cells) == 1

    SessionWriter(tmp_path, make_session(), overwrite=True)
    assert load_session("demo", tmp_path).cells == []
    assert list(read_records(tmp_path / "demo")) == []


def test_a_folder_that_is_no_session_is_never_overwritten(tmp_path: Path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.txt").write_text("mine")
    with pytest.raises(BenchError, match="not the folder of a session"):
        SessionWriter(tmp_path, make_session(), overwrite=True)

    assert (tmp_path / "demo" / "thesis.txt").read_text() == "mine"


def test_names_that_are_taken_are_counted_on(tmp_path: Path):
    assert free_name(tmp_path, "demo") == "demo"
    (tmp_path / "demo").mkdir()
    assert free_name(tmp_path, "demo") == "demo-2"
    (tmp_path / "demo-2").mkdir()
    assert free_name(tmp_path, "demo") == "demo-3"


@pytest.mark.parametrize("name", ["demo", "a", "2025-01-01", "gpu_run.v2", "A" * 100])
def test_names_are_letters_digits_and_three_signs(name: str):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-x", "a b", "ä", "a.", "a\n", "A" * 101]
)
def test_what_could_be_a_path_is_no_name(name: str):
    with pytest.raises(BenchError, match="cannot name a session"):
        check_name(name)


def test_a_session_is_found_by_name_folder_and_file(tmp_path: Path):
    SessionWriter(tmp_path, make_session())
    folder = tmp_path / "demo"

    found = {session_folder(given, tmp_path) for given in ("demo", folder, str(folder), folder / "demo.json")}
    assert found == {folder}


def test_a_copy_goes_by_the_name_of_its_own_folder(tmp_path: Path):
    folder = SessionWriter(tmp_path, make_session()).folder
    copy = folder.rename(tmp_path / "before")
    (copy / "demo_results.json").write_text("{}")
    assert load_session("before", tmp_path).name == "before"
    (copy / "demo.json").rename(copy / "before.json")

    assert load_session("before", tmp_path).name == "before"


def test_two_sessions_in_one_folder_are_told_apart_by_its_name_alone(tmp_path: Path):
    copy = SessionWriter(tmp_path, make_session()).folder.rename(tmp_path / "before")
    (copy / "other.json").write_bytes((copy / "demo.json").read_bytes())
    with pytest.raises(BenchError, match="called like its folder"):
        load_session("before", tmp_path)
    (copy / "other.json").rename(copy / "before.json")

    assert load_session("before", tmp_path).name == "before"


def test_a_session_that_is_not_there_is_an_error_with_the_nearest_name(tmp_path: Path):
    SessionWriter(tmp_path, make_session("production"))

    with pytest.raises(BenchError, match="did you mean production"):
        load_session("prodcution", tmp_path)
    with pytest.raises(BenchError, match="sessions list"):
        load_session("x", tmp_path / "nowhere")


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / f"{folder.name}.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_newer_schema_is_refused_with_the_way_out(tmp_path: Path):
    folder = SessionWriter(tmp_path, make_session()).folder
    rewrite(folder, lambda document: document.update(schema_version=SCHEMA_VERSION + 1))

    with pytest.raises(BenchError, match=r"newer version .* pip install --upgrade"):
        load_session("demo", tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"schema_version": "new"}', '{"schema_version": 1}', "{"])
def test_a_file_that_holds_no_session_is_an_error_not_a_traceback(tmp_path: Path, content: str):
    folder = SessionWriter(tmp_path, make_session()).folder
    (folder / "demo.json").write_text(content)

    with pytest.raises(BenchError, match="does not hold a session"):
        load_session("demo", tmp_path)


def test_a_list_shows_sessions_oldest_first_and_what_is_wrong_with_the_others(tmp_path: Path):
    newer = SessionWriter(tmp_path, make_session("a", created="2025-02-01T00:00:00+00:00"))
    newer.add(make_result(), [])
    newer.finish()
    SessionWriter(tmp_path, make_session("b"))
    broken = SessionWriter(tmp_path, make_session("broken")).folder
    (broken / "broken.json").unlink()
    (tmp_path / "no-session").mkdir()

    entries = list_sessions(tmp_path)
    shown = [(entry.name, entry.verdict, entry.completed, entry.num_cells, entry.num_requests) for entry in entries]
    assert shown == [
        ("broken", "UNREADABLE", False, 0, 0),
        ("b", "INVALID", False, 0, 0),
        ("a", "VALID", True, 1, 2),
    ]
    assert "cannot read" in (entries[0].problem or "")
    assert list_sessions(tmp_path / "nowhere") == []


def test_a_session_is_removed_with_all_its_files(tmp_path: Path):
    folder = SessionWriter(tmp_path, make_session()).folder
    (folder / "report.html").write_text("x")
    remove_session("demo", tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere", "..", "outside/demo"])
def test_only_sessions_are_removed(tmp_path: Path, name: str):
    (tmp_path / "outside").mkdir()
    SessionWriter(tmp_path / "outside", make_session())

    with pytest.raises(BenchError, match=r"not the folder of a session|cannot name a session"):
        remove_session(name, tmp_path)
    assert (tmp_path / "outside" / "demo" / "demo.json").is_file()


def test_a_saved_document_spells_out_its_verdict(tmp_path: Path):
    session = make_session()
    writer = SessionWriter(tmp_path, session)
    writer.add(replace(make_result(), checks=(Check("lag", False, "too late"),)), [])
    writer.finish()

    document = json.loads((writer.folder / "demo.json").read_text())
    assert (document["verdict"], document["reasons"]) == ("INVALID", ["c=1: too late"])
