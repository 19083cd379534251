"""What the harness notes of itself, of its warm-up and of refusals; with clocks that are moved by hand."""

from __future__ import annotations

import gc
import sys

import pytest

from firstaudio.bench.exchange import Exchange, Failure, FailureKind
from firstaudio.bench.load.client import backoff_s
from firstaudio.bench.load.warmup import Warmup
from firstaudio.bench.load.watch import CpuTimes, InFlight, Neighbours, Watch, quiet_collector, used_s
from firstaudio.clock import NS_PER_MS, NS_PER_S


class HandClock:
    """Nanoseconds that a test sets."""

    def __init__(self) -> None:
        self.ns = 1000

    def __call__(self) -> int:
        return self.ns


def test_the_mean_in_flight_is_the_integral_over_the_window() -> None:
    """One request from 0 to 4 s, another from 1 to 3 s: 6 request seconds in 4 s."""
    clock = HandClock()
    in_flight = InFlight(clock)
    for at_s, step in [(10, in_flight.enter), (11, in_flight.enter), (13, in_flight.leave), (14, in_flight.leave)]:
        clock.ns = at_s * NS_PER_S
        step()
    assert (in_flight.window_s, in_flight.mean, in_flight.count) == (4.0, 1.5, 0)


def test_nothing_was_in_flight_where_nothing_was_sent() -> None:
    assert (InFlight().window_s, InFlight().mean) == (0.0, 0.0)


def answer(warmup: Warmup, *latencies_ms: float) -> None:
    for latency_ms in latencies_ms:
        warmup.sent()
        warmup.answered(round(latency_ms * NS_PER_MS))


def test_a_warmup_is_over_when_two_windows_agree() -> None:
    warmup = Warmup(100, 1)
    answer(warmup, 900, 500, 400, 300, 110, 104, 100, 100)
    assert not warmup.over
    answer(warmup, 100, 100, 100, 100)
    assert warmup.over
    assert warmup.warning is None


def test_two_milliseconds_are_no_difference() -> None:
    warmup = Warmup(100, 1)
    answer(warmup, 3, 3, 3, 3, 1.5, 1.5, 1.5, 1.5)
    assert warmup.over


def test_a_warmup_that_goes_on_changing_ends_at_its_number_with_a_warning() -> None:
    warmup = Warmup(8, 1)
    answer(warmup, 400, 400, 400, 400, 300, 300, 300)
    assert not warmup.over
    answer(warmup, 300)
    assert warmup.over
    assert warmup.warning == (
        "the warm-up of 8 requests did not become stable: the median time to the first byte was still going from "
        "400.0 to 300.0 ms; allow more warm-up requests"
    )


def test_a_warmup_ends_when_its_time_is_up() -> None:
    clock = HandClock()
    warmup = Warmup(100, 1, max_s=30.0, clock=clock)
    warmup.sent()
    clock.ns += 30 * NS_PER_S - 1
    assert not warmup.over
    clock.ns += 1
    assert warmup.over


def test_each_client_warms_up_and_without_warmup_none_does() -> None:
    warmup = Warmup(2, 5)
    for _ in range(4):
        warmup.sent()
    assert not warmup.over
    warmup.sent()
    assert warmup.over
    assert Warmup(0, 5).over


@pytest.mark.parametrize(
    ("kind", "retry_after", "expected"),
    [
        (FailureKind.REFUSED, "0.25", 0.25),
        (FailureKind.REFUSED, "120", 1.0),
        (FailureKind.REFUSED, "-3", 0.0),
        (FailureKind.REFUSED, "Wed, 21 Oct 2026 07:28:00 GMT", 0.1),
        (FailureKind.REFUSED, None, 0.1),
        (FailureKind.UNREACHABLE, None, 0.1),
        (FailureKind.HTTP_ERROR, "5", 0.0),
        (None, "5", 0.0),
    ],
)
def test_a_client_backs_off_after_a_refusal(kind: FailureKind | None, retry_after: str | None, expected: float) -> None:
    exchange = Exchange(failure=Failure(kind, "") if kind else None)
    if retry_after is not None:
        exchange.headers["retry-after"] = retry_after
    assert backoff_s(exchange) == expected


async def test_dispatch_lag_and_late_share_are_of_the_requests() -> None:
    watch = Watch()
    watch.begin()
    for lag_ms in (0.0, 0.5, 1.0, 3.0):
        watch.dispatched(round(lag_ms * NS_PER_MS))
    await watch.end()
    report = watch.report(1.5, None)
    assert report.late_share == 0.25
    assert report.dispatch_lag_p99_ms == pytest.approx(2.94)
    assert (report.mean_in_flight, report.workers, report.floor) == (1.5, 1, None)


async def test_a_watch_that_never_began_reports_nothing() -> None:
    watch = Watch()
    await watch.end()
    report = watch.report(0.0, None)
    assert (report.cpu_share, report.loop_lag_p99_ms, report.late_share) == (0.0, 0.0, None)


@pytest.mark.parametrize("off", [True, False])
def test_the_collector_comes_back_as_it_was(off: bool) -> None:
    before = gc.isenabled()
    with quiet_collector(off):
        assert gc.isenabled() == (before and not off)
    assert gc.isenabled() == before
    assert gc.get_freeze_count() == 0


def test_this_process_is_no_neighbour_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    neighbours = Neighbours()
    assert os.getpid() not in {pid for pid, _ in neighbours._cpu_s() or {}}
    share = neighbours.share()
    assert share is not None
    assert share >= 0.0


def test_without_psutil_nobody_knows_about_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert Neighbours().share() is None


def test_what_a_process_used_before_it_ended_is_known_from_its_parent() -> None:
    """The shell used 1 s itself and was told of 3 and 20 s by two children, one of which had used 18 s before."""
    before = {"shell": CpuTimes(5.0, 40.0), "old child": CpuTimes(17.0, 1.0)}
    after = {"shell": CpuTimes(6.0, 63.0), "new child": CpuTimes(0.5, 0.0)}
    assert used_s(before, after) == 1.0 + 0.5 + 3.0 + 2.0


def test_a_process_that_nobody_waited_for_takes_nothing_off_the_others() -> None:
    assert used_s({"gone": CpuTimes(9.0, 0.0), "there": CpuTimes(1.0, 0.0)}, {"there": CpuTimes(2.0, 0.0)}) == 1.0
