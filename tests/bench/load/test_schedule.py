"""Arrivals of open loops, by hand and as invariants."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.bench.load.schedule import Schedule, make_schedule
from firstaudio.bench.workload import Arrival, Load
from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.errors import BenchError


def open_load(arrival: Arrival, **changes: object) -> Load:
    return Load(**{"arrival": arrival, "rate_per_s": 10.0, "num_requests": 4, "warmup_requests": 0, **changes})  # type: ignore[arg-type]


def test_constant_arrivals_are_evenly_spaced_from_the_start() -> None:
    assert make_schedule(open_load("constant")).offsets_ns == (0, 100_000_000, 200_000_000, 300_000_000)


def test_a_duration_decides_how_many_constant_arrivals_there_are() -> None:
    schedule = make_schedule(open_load("constant", duration_s=0.3))
    assert schedule.offsets_ns == (0, 100_000_000, 200_000_000)


def test_a_ramp_reaches_each_count_when_the_integral_of_its_rate_does() -> None:
    """From 0 to 8 per second in 1 s: t^2 * 4 = k, so arrivals come at sqrt(k) / 2."""
    load = open_load("ramp", rate_per_s=8.0, start_rate_per_s=0.0, num_requests=4)
    assert make_schedule(load).offsets_ns == (0, 500_000_000, 707_106_781, 866_025_404)


def test_a_ramp_without_slope_is_constant() -> None:
    ramp = make_schedule(open_load("ramp", start_rate_per_s=10.0))
    assert ramp.offsets_ns == make_schedule(open_load("constant")).offsets_ns


def test_a_ramp_may_fall() -> None:
    gaps = np.diff(make_schedule(open_load("ramp", start_rate_per_s=20.0, rate_per_s=5.0, num_requests=50)).offsets_ns)
    assert gaps[0] < gaps[-1]
    assert bool(np.all(np.diff(gaps) >= -1))


def test_poisson_arrivals_have_the_rate_and_the_spread_of_their_kind() -> None:
    gaps = np.diff(make_schedule(open_load("poisson", num_requests=20_000)).offsets_ns) / NS_PER_S
    assert gaps.mean() == pytest.approx(0.1, rel=0.03)
    assert gaps.std() == pytest.approx(0.1, rel=0.03)


def test_a_poisson_process_of_a_duration_ends_within_it() -> None:
    offsets = make_schedule(open_load("poisson", duration_s=30.0)).offsets_ns
    assert offsets[-1] < 30 * NS_PER_S
    assert len(offsets) == pytest.approx(300, abs=70)


def test_a_trace_is_replayed_as_it_is() -> None:
    schedule = make_schedule(Load(arrival="trace", offsets_s=(0.0, 0.25, 0.25, 2.0)))
    assert schedule.offsets_ns == (0, 250_000_000, 250_000_000, 2_000_000_000)
    assert list(schedule.after_ns()) == []


def test_the_warmup_lies_before_the_start_at_the_rate_of_the_beginning() -> None:
    schedule = make_schedule(open_load("ramp", start_rate_per_s=2.0, warmup_requests=3))
    assert schedule.before_ns == (-1_500_000_000, -1_000_000_000, -500_000_000)


def test_the_warmup_is_no_longer_than_its_limit() -> None:
    schedule = make_schedule(open_load("constant", rate_per_s=1.0, warmup_requests=24), max_warmup_s=2.0)
    assert schedule.before_ns == (-2_000_000_000, -1_000_000_000)


def test_the_load_goes_on_at_the_last_rate() -> None:
    schedule = make_schedule(open_load("constant"))
    assert list(islice(schedule.after_ns(), 2)) == [400_000_000, 500_000_000]


def test_the_hash_is_of_the_arrivals() -> None:
    load = open_load("poisson")
    assert make_schedule(load).hash == make_schedule(load).hash
    assert make_schedule(load).hash != make_schedule(open_load("poisson", seed=2)).hash
    assert Schedule((0, NS_PER_MS)).hash == Schedule((0, NS_PER_MS), rate_after=3).hash


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(["poisson", "constant", "ramp"]),
    st.floats(0.1, 1000),
    st.integers(1, 200),
    st.integers(0, 30),
    st.integers(1, 5),
)
def test_arrivals_ascend_and_the_shares_of_processes_add_up(
    arrival: Arrival, rate: float, number: int, warmup: int, processes: int
) -> None:
    load = open_load(arrival, rate_per_s=rate, num_requests=number, warmup_requests=warmup, start_rate_per_s=rate / 2)
    schedule = make_schedule(load)
    every = schedule.before_ns + schedule.offsets_ns
    assert all(a <= b for a, b in pairwise(every))
    assert len(schedule.offsets_ns) == number
    assert all(offset < 0 for offset in schedule.before_ns)
    shares = [schedule.share(index, processes) for index in range(processes)]
    assert sorted(offset for share in shares for offset in share.offsets_ns) == list(schedule.offsets_ns)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (open_load("poisson", rate_per_s=None), "need a rate above 0 per second, not None"),
        (open_load("constant", rate_per_s=0.0), "need a rate above 0 per second"),
        (open_load("constant", num_requests=None), "need a number of requests or a duration"),
        (open_load("ramp", start_rate_per_s=-1.0), "start at 0 or above"),
        (open_load("poisson", duration_s=0.0), "raise the rate or the duration"),
        (Load(arrival="trace"), "ascending offsets"),
        (Load(arrival="trace", offsets_s=(1.0, 0.5)), "ascending offsets"),
    ],
)
def test_a_load_that_lacks_something_says_what(load: Load, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        make_schedule(load)
