from __future__ import annotations

import csv
import io

from firstaudio.bench.report.csv import csv_text

HEADER = "Concurrency,ASPS,RTF_Mean,RTF_Median,RPS,CPS,TTFA_p95_ms,Success_Rate_%"


def rows(session):
    return list(csv.DictReader(io.StringIO(csv_text(session))))


def test_the_old_columns_come_first(demo):
    assert csv_text(demo).splitlines()[0].startswith(HEADER + ",Cell,Label,")


def test_each_column_has_one_name_and_each_row_a_field_for_it(demo):
    header, *lines = csv.reader(io.StringIO(csv_text(demo)))
    assert len(header) == len(set(header))
    assert {len(line) for line in lines} == {len(header)}


def test_figures_are_unrounded(demo):
    row = rows(demo)[2]
    assert [row["Concurrency"], row["ASPS"], row["RTF_Mean"]] == ["4", "345.2", repr(4 / 345.2)]
    assert row["TTFA_p95_low_ms"] == repr(33.8 * 1.7 * 0.95)


def test_what_is_missing_is_empty_and_what_failed_is_infinite(demo):
    short, failed = rows(demo)[3], rows(demo)[5]
    assert short["TTFA_p95_ms"] == ""
    assert [failed["ASPS"], failed["RPS"], failed["TTFA_p95_ms"], failed["TTGP_p50_ms"]] == ["", "", "inf", ""]
    assert [failed["Success_Rate_%"], failed["Failed"]] == ["0.0", "72"]


def test_a_name_that_a_spreadsheet_would_run_is_quoted(voices):
    row = rows(voices)[3]
    assert [row["voice"], row["Cell"]] == ["'=HYPERLINK(1)"] * 2


def test_an_invalid_cell_says_so(make_session, voided_cell):
    assert rows(make_session([voided_cell]))[0]["Valid"] == "false"


def test_a_session_without_cells_is_a_header_alone(make_session):
    assert len(csv_text(make_session([])).splitlines()) == 1
