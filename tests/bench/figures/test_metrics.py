from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.figures.formulas import Window, durations_ns, is_good
from firstaudio.bench.figures.metrics import (
    CELL_METRICS,
    METRICS,
    REQUEST_METRICS,
    definitions,
    preroll_curve,
    total,
    value,
)
from firstaudio.bench.figures.metrics_page import markdown
from firstaudio.bench.workload import Goals

DOCS = Path(__file__).parents[3] / "docs"
MS = 1_000_000

STREAMED = ((40, 0), (50, 100), (170, 50), (250, 100))
"""A header at 40 ms; audio from 50 ms on. Plays until 150, waits for 170 (20 ms), plays until 220, waits for 250."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ttfb_ms", 40.0),
        ("ttfa_ms", 50.0),
        ("audible_ttfa_ms", 60.0),
        ("scheduled_ttfa_ms", 57.0),
        ("ttgp_ms", 100.0),
        ("preroll_ms", 50.0),
        ("latency_ms", 260.0),
        ("rtf", 260 / 250),
        ("rtfx", 250 / 260),
        ("audio_s", 0.25),
        ("streaming_efficiency", 100 * 250 / 300),
        ("stall_count", 2.0),
        ("stall_ms", 50.0),
        ("chunk_interval_p50_ms", 100.0),
        ("chunk_interval_p95_ms", 118.0),
        ("chunk_audio_ms", 250 / 3),
        ("num_chunks", 3.0),
        ("data_rate", 500 / 0.26),
        ("connect_ms", 3.0),
        ("dispatch_lag_ms", 2.0),
        ("characters", 100.0),
    ],
)
def test_each_metric_of_a_request_is_what_a_hand_computes(record: Any, name: str, expected: float):
    row = record(
        chunks=STREAMED,
        scheduled_ns=-7.0,
        dispatched_ns=-5.0,
        connected_ns=-2.0,
        first_sample_ns=50.0,
        audible_ns=60.0,
        last_byte_ns=260.0,
    )

    assert expected == pytest.approx(value(name, row, Goals()))


def test_every_metric_of_a_request_has_its_hand_computed_test():
    mark = test_each_metric_of_a_request_is_what_a_hand_computes.pytestmark[0]

    assert set(REQUEST_METRICS) == {name for name, _ in mark.args[1]}


def test_the_buffer_of_the_goals_spares_stalls(record: Any):
    row = record(chunks=STREAMED)

    assert [1, 30.0, pytest.approx(100 * 250 / 280)] == [
        value(name, row, Goals(buffer_ms=20)) for name in ("stall_count", "stall_ms", "streaming_efficiency")
    ]


def test_a_whole_answer_has_a_ttgp_of_its_latency(record: Any):
    row = record(chunks=((300, 250),))

    assert [value(name, row, Goals()) for name in ("ttgp_ms", "latency_ms")] == [300.0, 300.0]


def test_what_a_failure_lacks_is_none_and_not_zero(failed: Any):
    found = {name: value(name, failed(), Goals()) for name in REQUEST_METRICS}

    assert {name: figure for name, figure in found.items() if figure is not None} == {
        "latency_ms": 10.0,
        "dispatch_lag_ms": 0.0,
        "characters": 100,
        "data_rate": 0.0,
    }


@given(st.lists(st.integers(0, 2000), max_size=20), st.sampled_from([16000, 22050, 44100]))
def test_chunks_play_as_long_as_the_whole(samples: list[int], rate: int):
    from firstaudio.bench.record import ChunkRow

    class Row:
        sample_rate = rate
        chunks = tuple(ChunkRow(i, 0, n) for i, n in enumerate(samples))

    assert sum(samples) * 1_000_000_000 // rate == sum(durations_ns(Row()))  # type: ignore[arg-type]


def cell(records: list[Any]) -> dict[str, float | None]:
    """A window of 2 s."""
    return {name: total(name, records, Window(0, 2000 * MS), Goals()) for name in CELL_METRICS}


def test_each_metric_of_a_cell_is_what_a_hand_computes(record: Any, failed: Any):
    """Audio of 0.2, 0.2 and 0.4 s in 100, 900 and 300 ms; one failure of 10 ms; short is 40 characters."""
    rows = [
        record(0, chunks=((50, 100), (100, 100)), text="x" * 40),
        record(1, chunks=((850, 100), (900, 100))),
        record(2, chunks=((100, 100), (300, 300))),
        failed(3, text="x" * 40),
    ]

    expected = {
        "asps": 0.4,
        "rps": 1.5,
        "cps": 120.0,
        "success_rate": 75.0,
        "target_attainment": 50.0,
        "short_target_attainment": 50.0,
        "first_chunk_rate": 50.0,
        "streaming_efficiency_mean": (100.0 + 100.0 + 80.0 + 0.0) / 4,
        "goodput": 0.5,
        "rtf_mean": (0.5 + 4.5 + 0.75) / 3,
        "rtf_median": 0.75,
        "mean_concurrency": (100 + 900 + 300 + 10) / 2000,
        "gapless_share": 50.0,
        "gapless_share_low": 15.0039,
    }
    assert expected == pytest.approx(cell(rows), rel=1e-5)


def test_a_cell_without_success_has_no_totals_but_a_success_rate_of_zero(failed: Any):
    assert {**dict.fromkeys(CELL_METRICS), "success_rate": 0.0} == cell([failed(), failed(1)])


def test_nothing_sent_is_not_even_a_success_rate():
    assert dict.fromkeys(CELL_METRICS) == cell([])


def test_short_texts_that_all_fail_attain_nothing(record: Any, failed: Any):
    assert cell([record(), failed(1, text="short")])["short_target_attainment"] == 0.0
    assert cell([record()])["short_target_attainment"] is None


def test_a_short_text_is_good_only_by_its_own_goal(record: Any):
    slow = {"chunks": ((500, 100), (550, 100))}

    assert is_good(record(**slow), Goals())
    assert not is_good(record(**slow, text="short"), Goals())


def test_the_preroll_curve_counts_failures_as_misses(record: Any, failed: Any):
    """Needed: 0, 30 ms and never."""
    rows = [record(0), record(1, chunks=((50, 100), (180, 100))), failed(2), record(3, phase="warmup")]

    assert preroll_curve(rows, (0.0, 29.9, 30.0, 9999.0)) == [
        (0.0, 1 / 3),
        (29.9, 1 / 3),
        (30.0, 2 / 3),
        (9999.0, 2 / 3),
    ]
    assert preroll_curve([], (0.0,)) == []


def test_definitions_are_json_with_each_metric():
    written = json.loads(json.dumps(definitions(), allow_nan=False))

    assert set(METRICS) == set(written["metrics"])
    assert written["onset"]["threshold_dbfs"] == -40.0


def test_the_page_of_metrics_is_up_to_date():
    """Mend it with: python -m firstaudio.bench.figures.metrics_page > docs/metrics.md."""
    assert markdown() == (DOCS / "metrics.md").read_text(encoding="utf-8")


def test_a_first_chunk_is_in_time_below_its_target(record: Any):
    rows = [record(0, chunks=((199, 100),)), record(1, chunks=((200, 100),))]

    assert cell(rows)["first_chunk_rate"] == 50.0
