from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firstaudio.bench.figures.aggregate import summarise
from firstaudio.bench.result import Check, ClientSide, Floor
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load

CELL = Cell("c", TargetSpec("openai"), load=Load(num_requests=40))
OPEN = CELL.replace(load=Load("constant", num_requests=40, rate_per_s=10.0))
FINE = ClientSide(
    cpu_share=0.1,
    loop_lag_p99_ms=0.2,
    dispatch_lag_p99_ms=None,
    late_share=None,
    mean_in_flight=1.0,
    others_cpu_share=0.01,
    workers=1,
    floor=Floor(0.2, 1.0, 100, 1, 1),
)


def checks(rows: list[Any], client: ClientSide | None = FINE, cell: Cell = CELL) -> dict[str, Check]:
    return {check.name: check for check in summarise(cell, rows, Goals(), client=client).checks}


@pytest.fixture
def rows(record: Any) -> list[Any]:
    """One client that is never idle: 40 answers of 100 ms, TTFA 50 ms."""
    return [record(i, sent=100 * i) for i in range(40)]


def test_a_sound_cell_is_valid(rows: list[Any]):
    found = checks(rows)

    assert {name: check.ok for name, check in found.items() if check.ok is not True} == {"dispatch lag": None}
    assert summarise(CELL, rows, Goals(), client=FINE).valid


@pytest.mark.parametrize(
    ("change", "name", "voids"),
    [
        ({"cpu_share": 0.81}, "client CPU", True),
        ({"loop_lag_p99_ms": 5.1}, "event loop", False),
        ({"others_cpu_share": 0.07}, "other processes", False),
        ({"mean_in_flight": 2.0}, "Little's law", True),
        ({"mean_in_flight": 0.5}, "Little's law", True),
        ({"floor": Floor(10.1, 10.2, 100, 1, 1)}, "client floor", True),
        ({"floor": Floor(10.1, 10.2, 100, 8, 1)}, "client floor", True),
    ],
)
def test_a_client_that_disturbs_is_told(rows: list[Any], change: dict[str, Any], name: str, voids: bool):
    found = checks(rows, replace(FINE, **change))

    assert {name: (False, voids)} == {n: (c.ok, c.voids) for n, c in found.items() if c.ok is False}


def fast(record: Any, ttfa_ms: float, floor: Floor) -> Check:
    rows = [record(i, sent=100 * i, chunks=((ttfa_ms, 50), (100, 50))) for i in range(40)]
    return checks(rows, replace(FINE, floor=floor))["client floor"]


@pytest.mark.parametrize(
    ("floor_ms", "ok", "voids"), [(0.4, True, True), (0.41, False, False), (1.0, False, False), (1.01, False, True)]
)
def test_a_floor_of_a_millisecond_voids_no_fast_target(record: Any, floor_ms: float, ok: bool, voids: bool):
    check = fast(record, 2.0, Floor(floor_ms, 3.0, 100, 1, 1))

    assert (check.ok, check.voids) == (ok, voids)
    assert ok is not check.detail.endswith("near what the client itself costs: quote it with the floor beside it")


def test_fewer_clients_are_advised_where_there_are_several(record: Any):
    assert "fewer clients" in fast(record, 2.0, Floor(1.5, 3.0, 100, 8, 1)).detail
    assert "fewer clients" not in fast(record, 2.0, Floor(1.5, 3.0, 100, 1, 1)).detail


@pytest.mark.parametrize(("trailing", "ok"), [(0.4, True), (0.41, False)])
def test_audio_that_is_mostly_silence_is_told(rows: list[Any], trailing: float, ok: bool):
    quality = {"leading_silence_share": 0.1, "trailing_silence_share": trailing}
    found = {c.name: c for c in summarise(CELL, rows, Goals(), client=FINE, quality=quality).checks}["silence around"]

    assert (found.ok, found.voids) == (ok, False)
    assert ok is not found.detail.startswith("more than half of the audio is silence: RTF and ASPS count it")


def test_what_was_not_watched_is_not_judged(rows: list[Any]):
    found = checks(rows, replace(FINE, floor=None, others_cpu_share=None))

    assert {"dispatch lag", "client floor", "other processes"} == {n for n, c in found.items() if c.ok is None}
    assert checks(rows, None)["client"].ok is None


@pytest.mark.parametrize(("lag_ms", "ok"), [(4.9, True), (5.1, False)])
def test_an_open_loop_must_send_on_time(record: Any, lag_ms: float, ok: bool):
    rows = [record(i, scheduled_ns=100.0 * i - lag_ms, sent=100 * i) for i in range(40)]
    on_time = [replace(row, scheduled_ns=row.dispatched_ns - round(lag_ms * 1e6)) for row in rows]

    assert ok is checks(on_time, cell=OPEN)["dispatch lag"].ok


def test_five_percent_of_a_slow_target_may_be_late(record: Any):
    rows = [record(i, sent=400 * i, chunks=((200, 100), (400, 200))) for i in range(40)]
    late = [replace(row, scheduled_ns=row.dispatched_ns - 9_000_000) for row in rows]

    assert checks(late, cell=OPEN)["dispatch lag"].ok is True


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"first_byte_ns": 60.0}, "first_sample is 10.000 ms before first_byte"),
        ({"last_byte_ns": 99.0}, "last_byte is 1.000 ms before TTGP"),
        ({"sent_ns": -1.0}, "sent is 1.000 ms before dispatched"),
        ({"chunks": ((60, 100), (50, 100))}, "a chunk arrived before the one in front of it"),
    ],
)
def test_stamps_out_of_order_void_the_cell(record: Any, change: dict[str, Any], fault: str):
    """Chunks at 50 and 160 ms of 100 ms audio each need a buffer of 10 ms: TTGP is 60 ms, or 100 with a late one."""
    chunks = change.pop("chunks", ((50, 50), (150, 100)))
    base = {"first_byte_ns": 50.0, "first_sample_ns": 50.0, "last_byte_ns": 150.0}
    row = record(0, chunks=chunks, **{**base, **change})

    check = checks([row])["order of events"]

    assert check.ok is False
    assert fault in check.detail


def test_ttgp_is_the_last_stamp_of_a_target_that_sends_whole(record: Any):
    assert checks([record(0, chunks=((300, 250),))])["order of events"].ok is True


def test_a_request_that_counts_twice_voids_the_cell(rows: list[Any]):
    assert checks([*rows, rows[7]])["accounting"].detail.startswith("request 7 counts twice")


@pytest.mark.parametrize(
    ("n", "quota", "ok", "voids"),
    [(4, 4, False, True), (5, 5, False, False), (36, 36, True, True), (39, 40, False, True)],
)
def test_samples_must_be_as_many_as_planned_and_enough(rows: list[Any], n: int, quota: int, ok: bool, voids: bool):
    check = checks(rows[:n], cell=CELL.replace(load=Load(num_requests=quota)))["samples"]

    assert (ok, voids) == (check.ok, check.voids)


def test_failures_are_told_and_only_their_totality_voids(rows: list[Any], failed: Any):
    some, all_of_them = checks([*rows[:39], failed(39)])["success"], checks([failed(i) for i in range(40)])["success"]

    assert (some.ok, some.voids) == (False, False)
    assert "97.5 %" in some.detail
    assert "1 http_error" in some.detail
    assert (all_of_them.ok, all_of_them.voids) == (False, True)


def drifting(record: Any, per_request_ms: float) -> list[Any]:
    def row(i: int) -> Any:
        first = 50 + per_request_ms * i
        return record(i, sent=100 * i, chunks=((first, 50), (first + 40, 50)))

    return [row(i) for i in range(40)]


@pytest.mark.parametrize(("per_request_ms", "ok"), [(0.0, True), (0.1, True), (0.5, False), (-0.5, False)])
def test_a_ttfa_that_drifts_is_unstable(record: Any, per_request_ms: float, ok: bool):
    """The floors are 10 % of about 50 ms and 5 ms; 40 requests drift by 4 ms or 20 ms."""
    assert ok is checks(drifting(record, per_request_ms))["stability"].ok


def test_stability_is_not_judged_from_few_requests_or_under_a_ramp(record: Any):
    ramp = CELL.replace(load=Load("ramp", num_requests=40, start_rate_per_s=1.0, rate_per_s=9.0))

    assert checks(drifting(record, 0.5)[:10])["stability"].ok is None
    assert checks(drifting(record, 0.5), cell=ramp)["stability"].ok is None


def test_littles_law_allows_for_the_ends_of_the_window(record: Any):
    """Four clients, four requests each, begun one after the other: the window lacks up to a request of each."""
    rows = [record(4 * k + c, sent=100 * k + 25 * c) for k in range(4) for c in range(4)]
    cell = CELL.replace(load=Load(concurrency=4, num_requests=16))

    assert checks(rows, replace(FINE, mean_in_flight=4.0), cell)["Little's law"].ok is True
    assert checks(rows, replace(FINE, mean_in_flight=5.0), cell)["Little's law"].ok is False


def test_every_failed_check_says_what_to_do(rows: list[Any]):
    bad = replace(FINE, cpu_share=1, loop_lag_p99_ms=9, others_cpu_share=1, floor=Floor(99, 99, 1, 1, 1))
    failing = [check for check in checks(rows, bad).values() if check.ok is False]

    assert len(failing) == 4
    assert all(": " in check.detail for check in failing)
