"""What is bad is said to be bad, and chance is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.stats.sample import wilson
from firstaudio.synthesis.roster import EngineStatus
from firstaudio.telemetry.alerts.rules import (
    FREE_DISK_BYTES,
    LONGEST_WINDOW_S,
    LOW_DISK_BYTES,
    MIN_REQUESTS,
    WINDOW_S,
    Finding,
    Seen,
    judge,
    judge_disk,
    judge_engines,
    judge_store,
    see,
)
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.trace import Trace


def measurement(**fields) -> Measurement:
    """Of a request that was answered in 100 ms and took 1 s."""
    trace = Trace(engine="espeak", delivery="audio", accepted_ns=1, first_sent_ns=100_000_001, gapless_ns=100_000_001)
    trace.outcome, trace.finished_ns = "completed", 1_000_000_001
    stages = fields.pop("stages_ms", {})
    for name, value in fields.items():
        setattr(trace, name, value)
    for stage, ms in stages.items():
        trace.stages_ns[stage] = round(ms * 1e6)
    return measure(trace, 0.0)


def seen(**fields) -> Seen:
    kept = see(measurement(**fields), 0.0)
    assert kept is not None
    return kept


def findings(rows: list[Seen], now_s: float = 0.0) -> dict[str, Finding]:
    return {finding.name: finding for finding in judge(rows, now_s)}


GOOD = Seen(0.0, True, False, False, 100.0)
FAILED = Seen(0.0, False, None, None, None)
SLOW = Seen(0.0, True, True, False, 3000.0)
STALLED = Seen(0.0, True, False, True, 100.0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"outcome": "failed"}, False),
        ({"outcome": "refused"}, False),
        ({"outcome": "refused", "engine": ""}, None),
        ({"outcome": "refused", "stages_ms": {"queue": 0.1}}, None),
        ({"outcome": "cancelled"}, None),
    ],
)
def test_what_counts_as_served(fields: dict, expected: bool | None):
    assert seen(**fields).is_served is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"first_sent_ns": 2_000_000_001}, True),
        ({"first_sent_ns": 2_000_000_000}, False),
        ({"first_sent_ns": 2_000_000_001, "warmth": "cached"}, None),
        ({"first_sent_ns": 2_000_000_001, "delivery": "whole"}, None),
        ({"first_sent_ns": None}, None),
        ({"first_sent_ns": None, "outcome": "cancelled"}, None),
        ({"first_sent_ns": None, "outcome": "cancelled", "finished_ns": 2_000_000_001}, True),
    ],
)
def test_what_counts_as_slow(fields: dict, expected: bool | None):
    assert seen(**fields).is_slow is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"gapless_ns": 200_000_001}, False),
        ({"gapless_ns": 210_000_001}, True),
        ({"gapless_ns": 210_000_001, "stages_ms": {"chunk_delivery": 109.0}}, True),
        ({"gapless_ns": 210_000_001, "stages_ms": {"chunk_delivery": 110.0}}, None),
        ({"gapless_ns": 210_000_001, "delivery": "whole"}, None),
        ({"gapless_ns": None}, None),
    ],
)
def test_what_counts_as_a_gap(fields: dict, expected: bool | None):
    """Not one that no player's buffer is too small for, and not one that a client brought about by reading slowly."""
    assert seen(**fields).is_stalled is expected


@pytest.mark.parametrize("origin", ["benchmark", "tuner", "warmup"])
def test_only_clients_count(origin: str):
    assert see(measurement(origin=origin), 0.0) is None


@pytest.mark.parametrize(("bad", "rule"), [(FAILED, "success_rate"), (SLOW, "ttfa_p95"), (STALLED, "stalls")])
def test_each_rule_finds_its_own_trouble_and_no_other(bad: Seen, rule: str):
    verdicts = {name: finding.verdict for name, finding in findings([GOOD] * 60 + [bad] * 20).items()}
    assert verdicts == {"success_rate": "good", "ttfa_p95": "good", "stalls": "good"} | {rule: "bad"}


@pytest.mark.parametrize("bad", [FAILED, SLOW, STALLED])
def test_one_misfortune_among_twenty_raises_nothing(bad: Seen):
    assert {f.verdict for f in findings([GOOD] * 19 + [bad]).values()} <= {"good", "unclear"}


@pytest.mark.parametrize("rows", [[], [FAILED] * (MIN_REQUESTS - 1)])
def test_too_few_say_nothing(rows: list[Seen]):
    assert {f.verdict for f in findings(rows).values()} == {"unclear"}


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_success_rate_is_bad_only_where_even_its_better_end_is(num_good: int, num_failed: int):
    finding = findings([GOOD] * num_good + [FAILED] * num_failed)["success_rate"]
    n = num_good + num_failed
    if finding.verdict == "bad":
        assert wilson(num_good, n)[1] < 0.99
    if finding.verdict == "good":
        assert num_good >= 0.99 * n
    assert (finding.evidence["n"], finding.evidence["num_served"]) == (n, num_good)


def test_only_what_is_recent_counts():
    old = [FAILED] * 50
    now_s = WINDOW_S + 1
    assert findings(old + [GOOD._replace(at_s=now_s)] * 50, now_s)["success_rate"].verdict == "good"


def test_a_quiet_server_is_judged_by_its_last_requests():
    rows = [FAILED._replace(at_s=60.0 * i) for i in range(MIN_REQUESTS)]
    finding = findings(rows, rows[-1].at_s)["success_rate"]
    assert (finding.verdict, finding.evidence["n"], finding.evidence["window_s"]) == ("bad", 20, 1140.0)
    assert findings(rows, LONGEST_WINDOW_S + 1)["success_rate"].verdict == "unclear"


def test_a_percentile_is_stated_only_where_there_are_enough():
    assert findings([SLOW] * 71)["ttfa_p95"].evidence["p95_ms"] is None
    assert findings([SLOW] * 72)["ttfa_p95"].evidence["p95_ms"] == 3000.0


def test_who_gave_up_waited_for_ever():
    gave_up = Seen(0.0, None, True, None, None)
    finding = findings([SLOW] * 60 + [gave_up] * 20)["ttfa_p95"]
    assert (finding.verdict, finding.evidence["p95_ms"]) == ("bad", None)


@pytest.mark.parametrize(
    ("state", "expected"), [("ready", "good"), ("starting", "unclear"), ("resting", "bad"), ("failed", "bad")]
)
def test_an_engine_is_judged_by_its_state(state, expected: str):
    (finding,) = judge_engines([EngineStatus("kokoro", state, 0.0, "why")])
    assert (finding.name, finding.verdict, finding.message) == ("engine:kokoro", expected, "why")


def test_the_disk_is_bad_below_one_limit_and_good_from_twice_that():
    sizes = (LOW_DISK_BYTES - 1, LOW_DISK_BYTES, FREE_DISK_BYTES)
    assert [judge_disk(size).verdict for size in sizes] == ["bad", "unclear", "good"]


def test_measurements_that_are_not_kept_are_bad():
    assert (judge_store("disk full").verdict, judge_store("disk full").message) == ("bad", "disk full")
    assert judge_store("").verdict == "good"
