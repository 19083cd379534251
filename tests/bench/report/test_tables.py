from __future__ import annotations

from dataclasses import replace

import pytest

from firstaudio.bench.report import tables
from firstaudio.bench.report.figures import varying_axes
from firstaudio.bench.report.findings import Block
from firstaudio.bench.result import Distribution, Estimate


def of(value, spread=0.0):
    quantiles = dict.fromkeys(("p50", "p90", "p95", "p99"), Estimate(value, value, value))
    return Distribution(40, 0, value, value - spread, value + spread, quantiles)


@pytest.fixture
def open_cell(make_cell):
    load = {"arrival": "poisson", "concurrency": 16, "rate_per_s": 5.0}
    return make_cell(
        16,
        cell={"target": {"name": "a"}, "load": load},
        distributions={"ttfa_ms": of(30.0, 1), "scheduled_ttfa_ms": of(45.0, 1), "latency_ms": of(90.0, 1)},
    )


def test_an_open_loop_is_placed_by_its_rate_and_judged_from_when_requests_were_due(open_cell):
    assert varying_axes([open_cell]) == ["rate_per_s"]
    assert tables.axis_text(open_cell, "rate_per_s") == "5 poisson"
    assert [column.heading for column in tables.known_columns(tables.FIRST, [open_cell])][:2] == [
        "Scheduled TTFA p50, ms",
        "Scheduled TTFA p95, ms",
    ]
    assert tables.metrics_shown([open_cell]) == ["scheduled_ttfa_ms", "ttfa_ms", "latency_ms"]


def test_a_ramp_and_a_trace_say_how_they_arrive(open_cell):
    ramp = replace(open_cell, cell={"load": {"arrival": "ramp", "start_rate_per_s": 1.0, "rate_per_s": 8.0}})
    trace = replace(open_cell, cell={"load": {"arrival": "trace", "rate_per_s": None}})
    assert [tables.axis_text(cell, "rate_per_s") for cell in (ramp, trace)] == ["1–8 ramp", "trace"]


def test_closed_loops_have_no_scheduled_ttfa_and_keep_their_clients(make_cell, open_cell):
    closed = make_cell(4, distributions=open_cell.distributions)
    assert varying_axes([closed]) == ["concurrency"]
    assert tables.axis_text(closed, "concurrency") == "4"
    assert tables.metrics_shown([closed]) == ["ttfa_ms", "latency_ms"]
    assert tables.cells_with("scheduled_ttfa_ms", [closed, open_cell]) == [open_cell]


def test_what_is_always_the_same_has_no_table_of_percentiles_unless_it_matters(make_cell):
    spreads = {"ttfa_ms": of(30.0), "preroll_ms": of(0.0), "stall_ms": of(0.0), "num_chunks": of(7.0), "rtfx": of(2, 1)}
    cells = [make_cell(1, distributions=spreads), make_cell(2, distributions=spreads)]
    assert tables.metrics_shown(cells) == ["ttfa_ms", "preroll_ms"]
    grown = replace(cells[1], distributions={**spreads, "num_chunks": of(8.0)})
    assert tables.metrics_shown([cells[0], grown]) == ["ttfa_ms", "preroll_ms", "num_chunks"]


def test_a_data_rate_is_shown_in_thousands():
    shown = tables.in_units(of(48_000.0, 1000.0), "data_rate")
    assert tables.heading("data_rate") == "Data rate, kB/s"
    assert (shown.quantiles["p50"], shown.minimum, shown.maximum) == (Estimate(48.0, 48.0, 48.0), 47.0, 49.0)
    assert tables.in_units(of(5.0), "ttfa_ms") == of(5.0)


def test_sentences_that_differ_only_by_the_cell_are_one(make_cell):
    cells = [make_cell(level) for level in (1, 2, 16)]
    sentences = ["c=1: too few", "other", "c=16: too few", "c=16: slow", "other", "c=16: slow"]
    assert tables.grouped(sentences, cells) == ["c=1, c=16: too few", "other", "c=16: slow"]
    assert tables.grouped([f"{cell.name}: too few" for cell in cells], cells) == ["all 3 cells: too few"]


def test_a_reason_beside_the_verdict_is_not_said_again():
    block = Block("Recommendations", closing=("Critical Issues:", "- c=1: slow", "- c=2: refused"))
    assert tables.said_once(block, ["c=1: slow"]).closing == (
        "Critical Issues:",
        "- c=2: refused",
        "- 1 of them beside the verdict, at the top",
    )
    assert tables.said_once(block, []) == block


def test_the_legend_explains_what_the_tables_show(make_cell, open_cell):
    titles = [name for name, _ in tables.legend([make_cell(1)])]
    assert titles == ["TTFA", "TTGP", "Pre-roll needed", "ASPS", "RTF", "RPS", "CPS", "Floor"]
    assert tables.legend([replace(open_cell, client=None)])[0][0] == "Scheduled TTFA"
    assert "Floor" not in dict(tables.legend([replace(open_cell, client=None)]))


def test_chunks_are_shown_where_audio_was_streamed(make_cell):
    spreads = {"chunk_interval_p50_ms": of(80.0), "chunk_interval_p95_ms": of(95.0), "chunk_audio_ms": of(100.0)}
    block = tables.chunk_block([make_cell(1, distributions=spreads)])
    assert block.header == ("cell", "Chunk interval p50, ms", "Chunk interval p95, ms", "Audio per chunk, ms")
    assert block.rows == (("c=1", "80.0", "95.0", "100.0"),)
    assert tables.chunk_block([make_cell(1)]) is None


def test_only_cells_that_need_a_buffer_have_a_curve_the_neediest_first():
    calm = [[0, 1.0], [50, 1.0]]
    shown, note = tables.needy_curves({"calm": calm, "some": [[50, 1.0], [0, 0.9]], "much": [[0, 0.1], [50, 0.2]]})
    assert shown == {"much": [(0.0, 0.1), (50.0, 0.2)], "some": [(0.0, 0.9), (50.0, 1.0)]}
    assert note == "at 100 % without a buffer: calm"
    assert tables.needy_curves({"calm": calm, "none": []}) == ({}, "")


def test_curves_that_cannot_be_told_apart_are_named_instead():
    curves = {f"cell {i}": [[0, i / 10], [50, 1.0]] for i in range(10)}
    shown, note = tables.needy_curves(curves)
    assert list(shown) == [f"cell {i}" for i in range(8)]
    assert note == "not drawn, they need less: cell 8, cell 9"


def test_ttfa_by_length_comes_from_streamed_cells_of_one_client(make_cell, open_cell):
    whole = make_cell(1, cell={"target": {"delivery": "whole"}, "load": {"concurrency": 1}})
    queue_free = make_cell(1)
    alone_but_open = replace(open_cell, axes={"concurrency": 1})
    assert tables.of_single_clients([whole, make_cell(2), alone_but_open, queue_free]) == [queue_free]


def test_many_axes_stand_in_the_second_table_and_the_name_in_the_first(make_cell):
    cells = [
        make_cell(axes={"voice": voice, "speed": speed, "delivery": how})
        for voice, speed, how in (("alto", 1.0, "stream"), ("bass", 2.0, "whole"))
    ]
    first, second = tables.placed_by(cells)
    assert first == ["cell"]
    assert sorted(second) == ["cell", "delivery", "speed", "voice"]
    assert tables.axis_text(cells[0], "cell") == cells[0].name
    assert tables.placed_by([make_cell(1), make_cell(2)]) == (["concurrency"], ["concurrency"])
