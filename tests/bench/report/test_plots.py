from __future__ import annotations

import struct
import subprocess
import sys

from firstaudio.bench.report import plots
from firstaudio.bench.report.series import by_length, lines


def size(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


def test_plots_are_png_files(demo, voices, records):
    fit, curves = demo.findings["fit"], demo.findings["preroll_curve"]
    assert size(plots.throughput_png(demo.cells, "demo")) == (1512, 504)
    assert size(plots.latency_png(demo.cells, "demo"))[0] == 816
    assert size(plots.comparison_png(voices.cells, "voices"))[0] == 1512
    assert size(plots.preroll_png(curves, "demo")) == (864, 528)
    assert size(plots.length_png(by_length(demo.cells, records), fit, "demo")) == (864, 528)


def test_without_a_figure_there_is_no_plot(failed_cell):
    assert plots.throughput_png([failed_cell], "x") is None
    assert plots.latency_png([failed_cell], "x") is None
    assert plots.comparison_png([failed_cell], "x") is None
    assert plots.preroll_png({}, "x") is None
    assert plots.length_png(by_length([failed_cell], []), None, "x") is None


def test_names_that_are_formulas_or_hidden_are_drawn(make_cell):
    cells = [make_cell(level, axes={"voice": v, "concurrency": level}) for v in ("$x_{", "_b") for level in (1, 2)]
    assert plots.throughput_png(cells, "$\\frac{") is not None


def test_importing_plots_imports_no_matplotlib():
    code = "import sys, firstaudio.bench.report.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_levels_lie_on_a_logarithmic_axis_when_they_span_much(demo, make_cell):
    assert lines(demo.cells).log
    assert not lines([make_cell(1), make_cell(2)]).log


def test_each_voice_is_a_line_along_concurrency(make_cell):
    cells = [make_cell(level, axes={"voice": v, "concurrency": level}) for level in (4, 1) for v in ("alto", "bass")]
    served = lines(cells)
    assert served.axis == "concurrency"
    assert [(line.label, line.xs) for line in served.lines] == [("alto", (1.0, 4.0)), ("bass", (1.0, 4.0))]


def test_cells_without_a_numeric_axis_stand_side_by_side(voices):
    served = lines(voices.cells)
    assert (served.axis, served.lines[0].xs) == ("", (0.0, 1.0, 2.0, 3.0))


def test_length_is_shown_for_the_least_loaded_cells_alone(make_cell, make_record):
    cells = [make_cell(4), make_cell(1)]
    rows = [make_record(0, cell="c=4"), make_record(1, cell="c=1", ttfa_ms=55), make_record(2, outcome="timeout")]
    rows.append(make_record(3, phase="warmup"))
    scatter = by_length(cells, rows)
    assert scatter.points == ((54, 55.0),)
    assert scatter.cells == ("c=1",)


def test_more_points_than_can_be_seen_are_thinned_and_counted(make_cell, make_record):
    scatter = by_length([make_cell(1)], [make_record(i) for i in range(2001)])
    assert (len(scatter.points), scatter.num_left_out) == (1001, 1000)
