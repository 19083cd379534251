from __future__ import annotations

import re

import pytest

from firstaudio.bench.report.markdown import escaped, markdown, table


def test_the_verdict_comes_before_every_figure(demo, make_session, voided_cell):
    text = markdown(demo)
    assert text.startswith("# demo\n\ndemo, 2025-11-03T10:00:00+00:00\n\n**VALID**\n\n- Warning: warm-up")
    assert "**INVALID**\n\n- c=64: the client used 93 % of a core" in markdown(make_session([voided_cell]))


def test_every_level_has_a_row_with_what_is_missing_said(demo):
    lines = markdown(demo).splitlines()
    header = (
        "| Conc | TTFA p50, ms | TTFA p95, ms | Floor, ms | ASPS, audio s/s | RTF mean | RPS, 1/s | Success | Valid |"
    )
    assert header in lines
    assert "| 4 | 33.8 | 57.5 | 0.400 | 345.2 | 0.0116 | 138.1 | 100.0 % | yes |" in lines
    assert "| 32 | inf (failures) | inf (failures) | 0.400 | n/a | n/a | n/a | 0.0 % | yes |" in lines
    assert "| 4 | 0.0114 | 5178 | 98.6 % | 132.8 | 97.2 % |" in lines
    row = "| c=8 | 36 | 70.2 (66.7–75.8) | 98.3 (93.4–106.1) | n/a (needs 72) | n/a (needs 368) |"
    assert row in lines
    failed = "inf (failures)"
    assert f"| c=32 | 72 | {failed} | {failed} | {failed} | {failed} |" in lines


def test_findings_failures_and_the_command_are_there(demo):
    text = markdown(demo)
    assert "1. Run at most 4 at once." in text
    assert "| c=32 | refused | 60 |" in text
    assert "```sh\nfirstaudio bench demo --name 'my demo'\n```" in text
    assert "- TTFA: first_sample - sent (ms)" in text
    assert text.count("first_sample - sent") == 1
    assert "- Latency: last_byte - sent (ms)" in text
    assert "docs/metrics.md" in text


def test_a_name_is_no_markup(voices):
    text = markdown(voices)
    assert not re.search(r"(?<!\\)</?script", text)
    assert "\\<script>alert(1)\\</script>" in text


def test_a_table_has_one_line_for_each_row_whatever_is_in_it():
    assert table(["a", "b", "c"], [["x|y", "line\nbreak", "1.5 ms"]]).splitlines() == [
        "| a | b | c |",
        "| --- | --- | ---: |",
        "| x\\|y | line break | 1.5 ms |",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a*b", "a\\*b"),
        ("first_sample - sent <= 4 > 3 # 2", "first_sample - sent <= 4 > 3 # 2"),
        ("_soft_ <b> [x](y) `z`", "\\_soft\\_ \\<b> \\[x\\](y) \\`z\\`"),
        ("C:\\voices\\_a", "C:\\voices\\\\\\_a"),
        ("# no heading", "\\# no heading"),
        ("&lt; & co", "\\&lt; & co"),
    ],
)
def test_only_what_would_be_markup_is_escaped(text, expected):
    assert escaped(text) == expected


def test_a_session_without_cells_has_a_report(make_session):
    assert "**INVALID**" in markdown(make_session([], completed=False))


def test_a_session_that_reached_nothing_says_why_once_and_shows_no_figures(make_session):
    failure = {"kind": "unreachable", "message": "nothing listens there: start the server"}
    text = markdown(make_session([], findings={"preflight": failure}))
    assert text.count("nothing listens there") == 1
    assert "## Figures" not in text
