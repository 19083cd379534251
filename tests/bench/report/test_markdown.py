from __future__ import annotations

from firstaudio.bench.report.markdown import escaped, markdown, table


def test_the_verdict_comes_before_every_figure(demo, make_session, voided_cell):
    text = markdown(demo)
    assert text.startswith("# demo\n\ndemo, 2025-11-03T10:00:00+00:00\n\n**VALID**\n\n- Warning: warm-up")
    assert "**INVALID**\n\n- c=64: the client used 93 % of a core" in markdown(make_session([voided_cell]))


def test_every_level_has_a_row_with_what_is_missing_said(demo):
    lines = markdown(demo).splitlines()
    assert "| 4 | 345.2 | 0.0116 | 138.1 | 5178 | 100.0 % | 98.6 % | 132.8 | yes |" in lines
    assert "| 32 | n/a | n/a | n/a | n/a | 0.0 % | n/a | n/a | yes |" in lines
    row = "| c=8 | 36 | 70.2 (66.7–75.8) | 98.3 (93.4–106.1) | n/a (needs 72) | n/a (needs 368) |"
    assert row in lines
    failed = "inf (failures)"
    assert f"| c=32 | 72 | {failed} | {failed} | {failed} | {failed} |" in lines


def test_findings_failures_and_the_command_are_there(demo):
    text = markdown(demo)
    assert "1. Run at most 4 at once." in text
    assert "| c=32 | refused | 60 |" in text
    assert "```sh\nfirstaudio bench demo --name 'my demo'\n```" in text
    assert "| metrics.ttfa\\_ms.formula | first\\_sample - sent |" in text


def test_a_name_is_no_markup(voices):
    text = markdown(voices)
    assert "<script>" not in text
    assert "\\<script\\>alert(1)\\</script\\>" in text


def test_a_table_has_one_line_for_each_row_whatever_is_in_it():
    assert table(["a", "b"], [["x|y", "line\nbreak"]]).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        "| x\\|y | line break |",
    ]
    assert escaped("a*b") == "a\\*b"


def test_a_session_without_cells_has_a_report(make_session):
    assert "**INVALID**" in markdown(make_session([], completed=False))
