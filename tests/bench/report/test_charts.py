from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.report.charts import HEIGHT, WIDTH, Scale, _nice, length_chart, preroll_chart, ttfa_charts
from firstaudio.bench.report.series import Scatter
from firstaudio.bench.report.waterfall import slowest, stages_shown
from firstaudio.clock import NS_PER_MS


def test_a_scale_is_linear_or_logarithmic():
    assert [Scale(0, 10, 0, 100)(v) for v in (0, 2.5, 10)] == [0.0, 25.0, 100.0]
    assert [Scale(1, 100, 0, 100, log=True)(v) for v in (1, 10, 100)] == [0.0, 50.0, 100.0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 0.4, [0, 0.1, 0.2, 0.3, 0.4]), (0, 1234, [0, 500, 1000]), (3, 3, [3])],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert _nice(low, high, 5) == expected


@given(st.floats(1e-6, 1e9), st.integers(1, 10))
def test_there_are_never_more_ticks_than_asked_for(high, most):
    assert len(_nice(0, high, most)) <= most + 1


def test_missing_percentiles_are_gaps_and_failed_levels_have_no_point(demo):
    (chart,) = ttfa_charts(demo.cells)
    assert {trace.label: len(trace.marks) for trace in chart.traces} == {"p50": 5, "p95": 4, "p99": 1}
    assert {trace.label: len(trace.paths) for trace in chart.traces} == {"p50": 1, "p95": 1, "p99": 0}
    assert chart.x_ticks[-1].text == "32\n(0 % ok)"


def test_every_mark_lies_inside_its_chart(demo):
    (chart,) = ttfa_charts(demo.cells)
    marks = [mark for trace in chart.traces for mark in trace.marks]
    assert all(0 < mark.x < WIDTH and 0 < mark.top <= mark.y <= mark.bottom < HEIGHT for mark in marks)


def test_cells_without_a_number_have_no_chart(voices, failed_cell):
    assert ttfa_charts(voices.cells) == []
    assert ttfa_charts([failed_cell]) == []


def test_a_fitted_line_that_leaves_the_chart_is_cut_off():
    chart = length_chart(Scatter(((100, 50.0),), ("c=1",), 0), {"a_ms": -1000.0, "b_ms_per_char": 0.1})
    assert chart.traces[1].paths == ()


def test_the_preroll_curve_is_a_step_function():
    chart = preroll_chart({"c=1": [[0, 0.5], [100, 1.0]]})
    (trace,) = chart.traces
    assert trace.paths == ("M48 124 L448 124 L448 14",)
    assert preroll_chart({"c=1": []}) is None


def test_the_slowest_requests_come_first_with_their_stages(records):
    lives = slowest(records)
    assert [(life.index, life.ttfa) for life in lives[:2]] == [(31, "190.0 ms"), (13, "37.0 ms")]
    assert len(lives) == 8
    stages = [span.stage for span in lives[0].spans]
    assert stages == ["sent", "headers", "first_byte", "first_sample", "audible", "last_byte"]


def test_a_bar_has_no_gap_and_ends_with_the_life(make_record):
    (life,) = slowest([make_record(0, ttfa_ms=100, connected_ns=999 * NS_PER_MS + 500_000)])
    ends = [round(span.left + span.width, 2) for span in life.spans]
    assert [round(span.left, 2) for span in life.spans] == [0.0, *ends[:-1]]
    assert ends[-1] == 100.0
    assert life.total == "341.0 ms"
    assert life.spans[0].tip == "connecting: 0.500 ms (until 0.500 ms)"


def test_failed_and_warm_up_requests_are_no_slow_ones(make_record):
    assert slowest([make_record(0, outcome="timeout"), make_record(1, phase="warmup")]) == []
    assert stages_shown([]) == {}


def test_the_bracket_of_a_bar_is_the_ttfa_that_stands_beside_it(make_record):
    (life,) = slowest([make_record(0, ttfa_ms=100)])
    whole_ms = float(life.total.removesuffix(" ms"))
    assert life.ttfa == "100.0 ms"
    assert round(life.ttfa_width * whole_ms / 100, 2) == 100.0
    assert round(life.ttfa_left * whole_ms / 100, 2) == 1.0


def test_cells_that_need_no_buffer_have_no_chart():
    assert preroll_chart({"c=1": [[0, 1.0], [100, 1.0]]}) is None
    assert preroll_chart({"c=1": [[0, 1.0]], "c=2": [[0, 0.5]]}).note == "at 100 % without a buffer: c=1"


def test_the_height_of_a_chart_is_that_of_what_is_drawn(make_cell):
    cells = [make_cell(level, axes={"concurrency": level, "voice": "alto"}) for level in (1, 2)]
    alone = make_cell(1, ttfa=9000.0, axes={"concurrency": 1, "voice": "bass"})
    assert ttfa_charts([*cells, alone])[0].y_ticks == ttfa_charts(cells)[0].y_ticks
