from __future__ import annotations

import pytest

from firstaudio.bench.report.figures import axis_value, best_figures, estimate, number, place, varying_axes
from firstaudio.bench.result import Estimate


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (345.21, "", "345.2"),
        (30.6, "ms", "30.6 ms"),
        (1540.4, "ms", "1540 ms"),
        (0.00294, "", "0.0029"),
        (0.00002, "", "2e-05"),
        (1.234, "", "1.23"),
        (0.0, "ms", "0 ms"),
        (72, "", "72"),
        (99.96, "%", "100.0 %"),
        (None, "ms", "n/a"),
    ],
)
def test_a_number_shows_what_matters_of_it(value, unit, expected):
    assert number(value, unit) == expected


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (Estimate(30.6, 29.0, 33.1), "30.6 ms (29.0–33.1)"),
        (Estimate(30.6, 29.0, None), "30.6 ms (29.0–inf)"),
        (Estimate(30.6), "30.6 ms"),
        (Estimate(None, needs=72), "n/a (needs 72)"),
        (Estimate(None, infinite=True), "inf (failures)"),
        (Estimate(None), "n/a"),
        (None, "n/a"),
    ],
)
def test_a_quantile_that_could_not_be_had_says_why(figure, expected):
    assert estimate(figure, "ms", interval=True) == expected


def test_axes_that_do_not_vary_are_not_shown(make_cell):
    cells = [make_cell(axes={"voice": "alto", "concurrency": level, "target": "x"}) for level in (1, 2)]
    assert varying_axes(cells) == ["concurrency"]
    assert varying_axes(cells[:1]) == ["concurrency"]
    assert varying_axes([]) == ["concurrency"]


def open_loop(make_cell, rate, **load):
    plan = {"target": {"name": "x"}, "load": {"arrival": "poisson", "concurrency": 64, "rate_per_s": rate, **load}}
    return make_cell(64, axes={"concurrency": 64, "rate_per_s": rate}, cell=plan)


def test_an_open_loop_lies_at_its_rate(make_cell):
    cells = [open_loop(make_cell, 5.0)]
    assert varying_axes(cells) == ["rate_per_s"]
    assert place(cells[0], ["rate_per_s"]) == "5/s"
    assert "5/s" in {best.where for best in best_figures(cells)}


def test_a_ramp_shows_both_ends_and_a_trace_has_no_rate(make_cell):
    assert axis_value(open_loop(make_cell, 9.0, start_rate_per_s=1.5), "rate_per_s") == "1.5–9"
    trace = open_loop(make_cell, None, arrival="trace")
    assert place(trace, ["rate_per_s"]) == trace.name


def planned(make_cell, **axes):
    plan = {"target": {"delivery": "stream"}, "load": {"concurrency": 1}, "texts": {"classes": ["medium"]}}
    return make_cell(1, axes={"concurrency": 1, **axes}, cell={**plan, "voice": None, "speed": 1.0})


def test_what_an_axis_leaves_open_is_filled_with_what_was_used(make_cell):
    cell = planned(make_cell)
    filled = {axis: axis_value(cell, axis) for axis in ("text_class", "speed", "delivery", "voice", "scenario")}
    assert filled == {"text_class": "medium", "speed": "1.0", "delivery": "stream", "voice": "-", "scenario": "-"}


def test_an_axis_that_only_says_what_was_used_anyway_does_not_vary(make_cell):
    assert varying_axes([planned(make_cell), planned(make_cell, speed=1.0)]) == ["concurrency"]
    assert varying_axes([planned(make_cell), planned(make_cell, speed=1.5)]) == ["speed"]


def test_cells_that_differ_in_two_things_have_no_best(make_cell):
    cells = [make_cell(axes={"voice": voice, "concurrency": level}) for voice in "ab" for level in (1, 2)]
    assert best_figures(cells) == []


def test_a_cell_with_refused_requests_has_no_best_latency(make_cell):
    refusing = make_cell(2, ttfa=1.0, ok=71, failed=1, failures={"refused": 1})
    best = {each.heading: each.where for each in best_figures([make_cell(1), refusing])}
    assert best["Lowest TTFA p95"] == "concurrency 1"


def test_where_failures_leave_no_latency_there_is_no_best_line_for_it(make_cell):
    assert {b.heading for b in best_figures([make_cell(1, ok=71, failed=1)])} == {
        "Highest ASPS",
        "Lowest RTF",
        "Highest RPS",
    }


def test_best_figures_say_when_invalid_cells_are_left_out(make_cell, voided_cell):
    found = {best.where for best in best_figures([make_cell(1), voided_cell])}
    assert found == {"concurrency 1, of the valid cells"}
