from __future__ import annotations

import io

import pytest
from rich.console import Console

from firstaudio.bench.report.console import print_session, table
from firstaudio.bench.report.figures import NOTHING_MEASURED
from firstaudio.bench.result import Check


def printed(session, width=80):
    out = io.StringIO()
    print_session(session, Console(file=out, width=width))
    return out.getvalue()


def test_the_narrow_table_has_the_old_columns_in_their_order(demo):
    header = next(line for line in printed(demo).splitlines() if line.startswith("Conc"))
    assert header.split() == ["Conc", "ASPS", "RTF", "RPS", "CPS", "TTFA", "p95", "Success", "Floor"]


def test_a_row_shows_its_figures_with_their_units(demo):
    row = next(line for line in printed(demo).splitlines() if line.startswith("4 "))
    assert row.split() == ["4", "345.2", "0.0116", "138.1", "5178", "57.5", "ms", "100.0", "%", "0.400", "ms"]


def test_rules_are_80_columns_and_no_line_of_the_table_is_longer(demo):
    lines = printed(demo).splitlines()
    assert [line for line in lines if line.startswith("=")] == ["=" * 80] * 2
    rules = [place for place, line in enumerate(lines) if line == "-" * 80]
    assert len(rules) == 2
    assert max(map(len, lines[: rules[1]])) == 80


def test_a_wide_terminal_shows_more_columns(demo):
    header = next(line for line in printed(demo, 200).splitlines() if line.startswith("Conc"))
    assert header.split()[8:] == ["Floor", "TTFA", "p50", "Audible", "p50", "TTGP", "p50", "n"]


def test_too_few_samples_and_failures_are_said_in_place_of_a_figure(demo):
    lines = printed(demo).splitlines()
    assert "n/a (needs 72)" in next(line for line in lines if line.startswith("8 "))
    assert "inf (failures)" in next(line for line in lines if line.startswith("32 "))


def test_best_lines_name_the_figure_and_the_level(demo):
    best = [line for line in printed(demo).splitlines() if line.startswith(("Highest", "Lowest"))]
    assert best == [
        "Highest ASPS: 345.2 at concurrency 4",
        "Lowest RTF: 0.0102 at concurrency 1",
        "Highest RPS: 138.1 at concurrency 4",
        "Lowest TTFA p95: 52.0 ms at concurrency 1",
    ]


def test_an_invalid_or_interrupted_cell_is_never_best(demo, voided_cell, make_cell):
    demo.cells += [voided_cell, make_cell(3, asps=5000.0, completed=False)]
    assert "Highest ASPS: 345.2 at concurrency 4, of the valid cells" in printed(demo)


def test_without_any_success_nothing_is_best_and_a_line_says_so(make_session, failed_cell):
    text = printed(make_session([failed_cell]))
    assert NOTHING_MEASURED in text
    assert "Highest" not in text
    assert "INVALID\n  - no request succeeded" in text


def test_where_no_level_has_a_p95_the_median_is_named_beside(make_session, make_cell):
    text = printed(make_session([make_cell(1, n=10), make_cell(2, n=10, ttfa=40.0)]))
    assert "Lowest TTFA p95: n/a (needs 72)\nLowest TTFA p50: 30.0 ms at concurrency 1" in text


def test_cold_and_cached_results_have_their_own_best_lines(make_session, make_cell):
    text = printed(make_session([make_cell(1), make_cell(1, name="cached", label="cached", asps=7000.0)]))
    assert "Highest ASPS (warm): 90.0" in text
    assert "Highest ASPS (cached): 7000" in text


def test_the_axis_that_varies_is_the_first_column(voices):
    lines = printed(voices).splitlines()
    assert lines[3].split()[:3] == ["Voice", "ASPS", "RTF"]
    assert "Highest ASPS: 90.0 at voice alto" in lines


def test_verdict_warnings_and_doubts_follow(demo):
    text = printed(demo)
    assert "\nVALID\nWarning: warm-up did not become stable\nWarning: c=4: other processes used 9 %" in text


def test_reasons_stand_below_invalid(make_session, voided_cell):
    assert "INVALID\n  - c=64: the client used 93 % of a core" in printed(make_session([voided_cell]))


def test_recommendations_are_numbered_and_critical_issues_listed(demo):
    advice = "1. Run at most 4 at once. ASPS is flat from there on. Gain: TTFA 70 ms to 34 ms."
    assert f"Recommendations\n{advice}\nCritical Issues:\n- c=32: 72 of 72 requests failed" in printed(demo)


def test_no_critical_issue_is_said_where_there_is_none(make_session, make_cell):
    session = make_session([make_cell()], findings={"recommendations": []})
    assert "Nothing to recommend.\nCritical Issues: None detected" in printed(session)


def test_findings_are_laid_out(demo):
    text = printed(demo)
    assert "Wrong: 1 of 2 figures." in text
    assert "4 listeners hear it without a gap." in text
    assert "new against old" in text
    assert "Voided by: 2 clips are silent" in text
    assert "-10.0 %" in text


def test_a_finding_of_an_unknown_kind_or_shape_is_shown_as_it_is(make_session, make_cell):
    session = make_session([make_cell()], findings={"weather": {"wind": {"knots": 12}}, "truth": {"odd": True}})
    text = printed(session)
    assert "wind.knots" in text
    assert "odd" in text


def test_names_that_look_like_markup_or_steer_the_terminal_are_shown_plainly(make_session, make_cell):
    text = printed(make_session([make_cell(axes={"voice": v}) for v in ("[red]loud[/red]", "\x1b[31mred")]))
    assert "[red]loud[/red]" in text
    assert "\x1b" not in text


def test_the_command_that_repeats_the_run_is_quoted(demo):
    assert printed(demo).endswith("Repeat with: firstaudio bench demo --name 'my demo'\n")


def test_a_session_without_cells_says_so(make_session):
    assert "No cell was measured." in printed(make_session([], completed=False))


@pytest.mark.parametrize("ok", [True, None])
def test_checks_that_hold_or_cannot_be_judged_are_no_warning(make_session, make_cell, ok):
    assert "Warning" not in printed(make_session([make_cell(checks=(Check("x", ok, "detail", voids=False),))]))


def test_figures_stand_right_and_texts_left():
    assert table(["a", "bb", "c"], [["x", "1", "yes"], ["yy", "222", "n"]]) == [
        "a    bb  c",
        "x     1  yes",
        "yy  222  n",
    ]


def test_invalid_rows_are_marked(make_session, make_cell, voided_cell):
    lines = printed(make_session([make_cell(1), voided_cell]), 200).splitlines()
    assert next(line for line in lines if line.startswith("64 ")).endswith("INVALID")


def test_the_wait_is_shown_however_many_axes_there_are(make_session, make_cell):
    axes = [{"concurrency": n, "scenario": "a long name of it" * n, "voice": f"voice {n}"} for n in (1, 2)]
    header = printed(make_session([make_cell(axes=each) for each in axes])).splitlines()[3]
    assert header.split() == ["Conc", "Scenario", "Voice", "TTFA", "p95", "Success", "Floor"]


def test_where_cells_differ_in_two_things_nothing_is_said_to_be_best(make_session, make_cell):
    cells = [make_cell(axes={"voice": voice, "concurrency": n}) for voice in "ab" for n in (1, 2)]
    text = printed(make_session(cells))
    assert "Highest" not in text
    assert NOTHING_MEASURED not in text


def test_abbreviations_are_explained_below_the_table(demo):
    lines = printed(demo, 200).splitlines()
    rules = [place for place, line in enumerate(lines) if line == "-" * 80]
    assert lines[rules[1] + 1].startswith("ASPS: seconds of audio per second; RTF: ")


def test_a_session_that_only_looked_around_has_no_verdict_and_no_table(make_session):
    found = {"discovery": {"url": "http://here", "endpoints": []}}
    lines = printed(make_session([], mode="discover", findings=found)).splitlines()
    assert lines[3:6] == ["", "Found", "No text-to-speech endpoint was found at http://here."]
    assert "VALID" not in lines
