from __future__ import annotations

from firstaudio.bench.report.columns import columns, fitting, legend


def titles(cells, mode="server"):
    return [column.title for column in columns(cells, mode)]


def test_a_plain_session_with_enough_requests_has_the_usual_columns(make_cell):
    usual = ["Conc", "ASPS", "RTF", "RPS", "CPS", "TTFA p95", "Success", "Floor"]
    assert titles([make_cell(1), make_cell(2)])[:8] == usual


def test_where_no_level_has_a_p95_the_median_is_shown_in_its_place(make_cell):
    found = titles([make_cell(1, n=12), make_cell(2, n=12)])
    assert found[5] == "TTFA p50"
    assert "TTFA p95" not in found
    assert found.count("TTFA p50") == 1


def test_where_one_level_has_a_p95_or_failed_it_stays(make_cell, failed_cell):
    assert "TTFA p95" in titles([make_cell(1, n=12), make_cell(2)])
    assert "TTFA p95" in titles([failed_cell])


def test_modes_about_waiting_show_waits_before_throughput(make_cell):
    for mode in ("ttfa", "streaming", "ab"):
        assert titles([make_cell()], mode)[1:7] == ["TTFA p50", "Audible p50", "TTGP p50", "TTFA p95", "RTF", "ASPS"]


def test_an_open_loop_shows_its_rate_and_the_scheduled_wait_first(make_cell):
    plan = {"target": {}, "load": {"arrival": "poisson", "rate_per_s": 5.0, "concurrency": 64}}
    cell = make_cell(64, axes={"concurrency": 64, "rate_per_s": 5.0}, cell=plan)
    cell.distributions["scheduled_ttfa_ms"] = cell.distributions["ttfa_ms"]
    waits = ["Scheduled TTFA p50", "Scheduled TTFA p95", "TTFA p95"]
    assert titles([cell])[:6] == ["Rate/s", "Arrival", *waits, "ASPS"]
    assert [column.value(cell) for column in columns([cell], "server")][:2] == ["5", "poisson"]


def test_rows_that_may_not_be_quoted_are_marked_in_the_last_column(make_cell, voided_cell):
    cells = [make_cell(1), voided_cell, make_cell(2, completed=False)]
    last = columns(cells, "server")[-1]
    assert (last.title, [last.value(cell) for cell in cells]) == ("", ["", "INVALID", "partial"])


def test_throughput_gives_way_where_room_is_short_and_the_wait_never_does(make_cell):
    shown = columns([make_cell(1)], "server")
    orders = [[c.title for c in fitting(shown, lambda left, n=n: len(left) <= n)] for n in (8, 7, 6, 5, 4, 0)]
    assert orders == [
        ["Conc", "ASPS", "RTF", "RPS", "CPS", "TTFA p95", "Success", "Floor"],
        ["Conc", "ASPS", "RTF", "RPS", "TTFA p95", "Success", "Floor"],
        ["Conc", "ASPS", "RTF", "TTFA p95", "Success", "Floor"],
        ["Conc", "RTF", "TTFA p95", "Success", "Floor"],
        ["Conc", "TTFA p95", "Success", "Floor"],
        ["Conc", "TTFA p95", "Success", "Floor"],
    ]


def test_only_the_abbreviations_that_are_shown_are_explained():
    assert legend(["Conc", "RPS", "TTFA p50", "TTFA p95", "Success"]) == (
        "RPS: requests per second; TTFA: time to first audio, from when the request was sent."
    )
    assert legend(["Voice"]) == ""
