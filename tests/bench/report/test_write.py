from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.report.write import MAX_NAME, file_name, saved_files, write_reports


def test_the_demo_leaves_the_files_that_it_always_left(demo, records, folder):
    written = write_reports(demo, folder, records)
    assert [path.name for path in written] == [
        "demo_synthetic_tts.csv",
        "demo_synthetic_tts_results.json",
        "demo_synthetic_tts_throughput.png",
        "demo_synthetic_tts_latency.png",
        "demo_preroll.png",
        "demo_length.png",
        "report.md",
        "report.html",
    ]
    assert sorted(p.name for p in folder.iterdir() if p.is_file()) == sorted(p.name for p in written)


def test_voices_are_compared_in_two_files(voices, tmp_path):
    names = {path.name for path in write_reports(voices, tmp_path, [])}
    assert {"voices_comparison.csv", "voices_comparison.png"} < names


def test_each_target_has_its_own_files(make_session, make_cell, tmp_path):
    cells = [make_cell(1, target="old/one"), make_cell(1, target="new", name="b")]
    session = make_session(cells, name="ab", targets={"old/one": {}, "new": {}})
    names = [path.name for path in write_reports(session, tmp_path, []) if path.suffix == ".csv"]
    assert names == ["ab_old_one.csv", "ab_new.csv"]
    assert (tmp_path / "ab_new.csv").read_text().count("\n") == 2


def test_results_hold_the_aggregates_alone_without_nan(demo, tmp_path):
    write_reports(demo, tmp_path, [])
    results = json.loads((tmp_path / "demo_synthetic_tts_results.json").read_text())
    assert results["verdict"] == "VALID"
    assert results["cells"][5]["totals"]["asps"] is None
    assert results["cells"][0]["totals"]["asps"] == 98.4
    assert "checks" not in results["cells"][0]


def test_an_interrupted_session_without_cells_has_reports_without_plots(make_session, tmp_path):
    written = write_reports(make_session([], completed=False), tmp_path / "new", [])
    assert [path.name for path in written] == [
        "demo_synthetic_tts.csv",
        "demo_synthetic_tts_results.json",
        "report.md",
        "report.html",
    ]


def test_a_target_that_never_spoke_leaves_no_tables_and_no_plots(make_session, tmp_path):
    session = make_session([], findings={"preflight": {"kind": "unreachable", "message": "nothing listens there"}})
    assert [path.name for path in write_reports(session, tmp_path, [])] == ["report.md", "report.html"]


def test_every_file_of_a_session_is_named_with_its_rows_and_clips(demo, folder):
    for name in ("demo.json", "records.jsonl", "report.md", ".report.md.1.part"):
        (folder / name).touch()
    assert saved_files(demo, folder) == ["demo.json", "records.jsonl", "report.md", "clips/slowest.wav"]


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_no_draft(demo, tmp_path):
    (tmp_path / "report.md").mkdir()
    with pytest.raises(OSError, match=r"report\.md"):
        write_reports(demo, tmp_path, [])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@given(st.text())
def test_any_name_makes_a_safe_file_name(name):
    safe = file_name(name)
    assert 0 < len(safe) <= MAX_NAME
    assert safe.isascii()
    assert set("/\\:\0 ").isdisjoint(safe)
    assert not safe.startswith(".")
