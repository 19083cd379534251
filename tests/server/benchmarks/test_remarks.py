"""What the server adds to a report of the harness."""

from __future__ import annotations

from dataclasses import replace

from firstaudio.server.benchmarks.remarks import Remark, remarks, with_remarks
from firstaudio.telemetry.runs.records import RunRecord, RunRequest, Trend

RUN = RunRecord("bench_1", RunRequest(), "request", "succeeded", 0.0)
SUSPECT = Trend("rtf", 0.3, "suspect", 6, 0.1, 0.09, 0.11, "rtf 0.3, expected 0.1 (0.09 to 0.11, 6 runs)")
FINE = Trend("ttfa_ms", 50.0, "ok", 6, 50.0, 45.0, 55.0, "ttfa_ms 50")


def test_a_trend_that_is_suspect_warns():
    run = RunRecord("bench_1", RunRequest(), "request", "succeeded", 0.0, num_other_streams=0, trends=(SUSPECT, FINE))

    assert [remark.warns for remark in remarks(run)] == [False, True, False]
    assert [remark.text for remark in remarks(run)][1:] == [
        f"Trend, suspect: {SUSPECT.sentence}",
        "Trend, ok: ttfa_ms 50",
    ]


def test_what_a_run_mixes_warns_and_what_changed_is_told():
    run = replace(RUN, num_other_streams=0, mixed=("two engines spoke",), changes=("decode whole -> windowed",))

    assert remarks(run)[1:] == (
        Remark("Mixed: two engines spoke. Its figures are in no trend.", warns=True),
        Remark("Changed since the last run: decode whole -> windowed"),
    )


def test_where_nobody_looked_it_is_not_known_who_else_was_served():
    assert remarks(RUN) == (Remark("Whether others were served during the run is not known.", warns=True),)


def test_nothing_in_a_remark_is_markup_of_the_page():
    """Versions and streams are numbers, but a sentence may name whatever there is."""
    page = with_remarks("<header></header><p>", "html", [Remark("a < b & c")])

    assert page == '<header></header>\n<p class="soft">a &lt; b &amp; c</p><p>'


def test_a_report_without_a_title_gets_them_at_its_end():
    assert with_remarks("all", "markdown", [Remark("one"), Remark("two", warns=True)]) == "all\n\n- one\n- **two**\n\n"
