from __future__ import annotations

import json
from typing import Any

import pytest

from firstaudio.bench.figures.aggregate import summarise
from firstaudio.bench.figures.metrics import CELL_METRICS
from firstaudio.bench.result import CellResult, Estimate
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load

CELL = Cell("c", TargetSpec("openai"), {"concurrency": 1}, load=Load(num_requests=6))
OPEN = CELL.replace(load=Load("constant", num_requests=6, rate_per_s=10.0))


def test_warmup_and_cancelled_requests_count_nowhere(record: Any, failed: Any):
    rows = [
        record(0, phase="warmup", sent=-5000),
        record(1),
        record(2, sent=200),
        failed(3, sent=400),
        failed(4, outcome="cancelled"),
    ]

    result = summarise(CELL, rows, Goals())

    assert (result.issued, result.ok, result.failed, result.cancelled) == (4, 2, 1, 1)
    assert result.failures == {"http_error": 1}
    assert result.window_s == 0.41
    assert result.totals["rps"] == pytest.approx(2 / 0.4), "from the first to the last dispatch the load was steady"


def test_the_window_of_an_open_loop_begins_when_the_first_request_was_scheduled(record: Any):
    rows = [record(0, scheduled_ns=-30.0), record(1, sent=100)]

    assert summarise(OPEN, rows, Goals()).window_s == pytest.approx(0.23)
    assert summarise(CELL, rows, Goals()).window_s == pytest.approx(0.2)


def test_failures_are_infinitely_slow_and_not_efficient_at_all(record: Any, failed: Any):
    result = summarise(CELL, [record(0), failed(1), failed(2)], Goals())

    ttfa, efficiency = result.distributions["ttfa_ms"], result.distributions["streaming_efficiency"]
    assert (ttfa.n, ttfa.num_failed, ttfa.mean, ttfa.minimum, ttfa.maximum) == (3, 2, 50.0, 50.0, 50.0)
    assert Estimate(None, infinite=True) == ttfa.median
    assert Estimate(0.0) == efficiency.median


def test_what_is_only_reported_leaves_failures_out(record: Any, failed: Any):
    audio = summarise(CELL, [record(0), failed(1), failed(2)], Goals()).distributions["audio_s"]

    assert Estimate(0.2) == audio.median
    assert (audio.n, audio.num_failed) == (3, 2)


def test_a_cell_with_a_target_of_its_own_is_held_to_that(record: Any):
    rows = [record(0, chunks=((450, 100),)), record(1, sent=500, chunks=((390, 100),))]
    own = CELL.replace(ttfa_target_ms=400.0)

    assert summarise(CELL, rows, Goals()).totals["target_attainment"] == 100.0
    assert summarise(own, rows, Goals()).totals["target_attainment"] == 50.0


def test_a_metric_that_no_request_has_is_absent(record: Any):
    assert "connect_ms" not in summarise(CELL, [record(0)], Goals()).distributions


def test_a_cell_of_failures_has_no_figure_that_looks_good(failed: Any):
    result = summarise(CELL, [failed(i) for i in range(6)], Goals())

    assert {**dict.fromkeys(CELL_METRICS), "success_rate": 0.0} == result.totals
    assert all(d.mean is None and d.median.infinite for n, d in result.distributions.items() if n.startswith("ttfa"))
    assert not result.valid


def test_a_cell_without_any_request_has_nothing_and_is_invalid():
    result = summarise(CELL, [], Goals(), completed=False)

    assert (result.distributions, result.window_s, result.valid) == ({}, 0.0, False)


def test_stages_are_medians_over_successes(record: Any, failed: Any):
    timings = [{"queue": 1.0, "engine": 30.0}, {"queue": 3.0}, {"queue": 2.0}]
    rows = [record(i, server_timing_ms=timing) for i, timing in enumerate(timings)]

    assert summarise(CELL, [*rows, failed(9, server_timing_ms={"queue": 99.0})], Goals()).stages_ms == {
        "queue": 2.0,
        "engine": 30.0,
    }


def test_a_result_survives_being_saved(record: Any, failed: Any):
    result = summarise(CELL, [*(record(i, sent=200 * i) for i in range(40)), failed(40)], Goals())

    saved = json.dumps(result.to_json(), allow_nan=False)

    assert saved == json.dumps(CellResult.from_json(json.loads(saved)).to_json(), allow_nan=False)
