"""What many measurements say, held against arithmetic done another way."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.summary.figures import Share
from firstaudio.telemetry.summary.summary import NUM_RECENT, attained, meets, summarise
from firstaudio.trace import STAGES

Make = Callable[..., Measurement]

OUTCOMES = ("completed", "cancelled", "failed", "refused")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.floats(0, 1e6),
            "outcome": st.sampled_from(OUTCOMES),
            "warmth": st.sampled_from(["cold", "warm", "cached"]),
            "text_class": st.sampled_from(["short", "medium", "long", "complex", ""]),
            "engine": st.sampled_from(["espeak", "kokoro", ""]),
            "ttfa_ms": st.none() | st.floats(0.1, 5000),
            "duration_ms": st.floats(0, 6000),
            "num_characters": st.integers(0, 400),
        }
    ),
    max_size=60,
)


def test_of_nothing_nothing_is_said():
    summary = summarise([])

    assert (summary.num_requests, summary.success.value, summary.attainment.value, summary.miss_rate) == (
        0,
        None,
        None,
        None,
    )
    assert (summary.ttfa.mean, summary.category, summary.bottleneck, summary.other_ms) == (None,) * 4
    assert (summary.investigation_category, summary.trend.direction) == ("no_data", "unknown")
    assert (summary.stages, summary.by_warmth, summary.recent_ms, summary.success_alert) == ({}, {}, [], None)


def test_success_and_attainment_are_two_things(measurement: Make):
    slow = [measurement(ttfa_ms=900.0)] * 3
    failed = [measurement(outcome="failed", ttfa_ms=None)]
    summary = summarise([*slow, *failed, measurement(outcome="refused", ttfa_ms=None)], 800)

    assert summary.success == Share(3, 4)
    assert summary.attainment == Share(0, 4)
    assert summary.outcomes == {"completed": 3, "cancelled": 0, "failed": 1, "refused": 1}


def test_a_failure_is_an_infinite_time_even_after_its_first_audio(measurement: Make):
    summary = summarise([measurement(ttfa_ms=10.0)] * 5 + [measurement(outcome="failed", ttfa_ms=10.0)] * 5, 800)

    assert (summary.ttfa.n, summary.ttfa.num_failed, summary.ttfa.mean, summary.ttfa.max) == (10, 5, 10.0, 10.0)
    assert summary.ttfa.percentiles["p50"] is None
    assert summary.attainment == Share(5, 10)
    assert list(summary.recent_ms) == [10.0] * 10


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ttfa_ms": 800.0}, True),
        ({"ttfa_ms": 800.1}, False),
        ({"ttfa_ms": 10.0, "outcome": "cancelled"}, True),
        ({"ttfa_ms": 10.0, "outcome": "failed"}, False),
        ({"ttfa_ms": None, "outcome": "cancelled", "duration_ms": 801.0}, False),
        ({"ttfa_ms": None, "outcome": "cancelled", "duration_ms": 800.0}, None),
        ({"ttfa_ms": None, "outcome": "refused", "duration_ms": 9000.0}, None),
    ],
)
def test_whether_a_target_was_met_is_said_only_where_it_is_known(
    measurement: Make, changes: Any, expected: bool | None
):
    row = measurement(**changes)

    assert meets(row, 800) is expected
    assert attained([row], 800).n == (expected is not None)


def test_cached_answers_are_in_no_figure_of_time_but_their_own(measurement: Make):
    rows = [measurement(ttfa_ms=500.0)] * 6 + [measurement(ttfa_ms=1.0, warmth="cached")] * 100
    rows += [measurement(ttfa_ms=2000.0, warmth="cold")]
    summary = summarise(rows, 800)

    assert summary.num_requests == summary.success.n == 107
    assert summary.ttfa.n == summary.attainment.n == summary.trend.n == summary.stages["queue"].ms.n == 7
    assert {name: group.ttfa.mean for name, group in summary.by_warmth.items()} == {
        "cold": 2000.0,
        "warm": 500.0,
        "cached": 1.0,
    }


@given(ROWS, st.randoms())
def test_the_order_of_the_rows_says_nothing(measurement: Make, rows: Any, shuffle: random.Random):
    made = [measurement(**each, request_id=str(number)) for number, each in enumerate(rows)]
    made = list({each.timestamp: each for each in made}.values())
    mixed = made.copy()
    shuffle.shuffle(mixed)

    assert summarise(mixed) == summarise(made)


@given(ROWS)
def test_every_request_is_counted_once(measurement: Make, rows: Any):
    made = [measurement(**each) for each in rows]
    summary = summarise(made, 800)

    assert sum(summary.outcomes.values()) == summary.num_requests == len(made)
    assert sum(group.num_requests for group in summary.by_warmth.values()) == len(made)
    spoken = [each for each in made if each.warmth != "cached"]
    assert sum(group.num_requests for group in summary.by_text_class.values()) == sum(
        bool(e.text_class) for e in spoken
    )
    assert sum(group.ttfa.n for group in summary.by_engine.values()) == sum(
        bool(e.engine) and (e.ttfa_ms is not None or e.outcome == "failed") for e in spoken
    )
    assert summary.success.num <= summary.success.n <= len(made)
    assert summary.attainment.num <= summary.attainment.n <= len(spoken)
    assert summary.ttfa.n <= summary.attainment.n


@given(ROWS, st.floats(1, 3000), st.floats(1, 3000))
def test_a_harder_target_is_met_by_no_more(measurement: Make, rows: Any, one: float, other: float):
    made = [measurement(**each) for each in rows if each["ttfa_ms"] is not None]
    hard, easy = (attained(made, target) for target in sorted([one, other]))

    assert hard.num <= easy.num
    assert hard.n == easy.n


@given(ROWS)
def test_it_can_be_written_as_json(measurement: Make, rows: Any):
    summary = summarise([measurement(**each) for each in rows])
    told = json.loads(json.dumps(summary.as_dict(), allow_nan=False))

    assert told["num_requests"] == len(rows)
    assert told["success"]["value"] == summary.success.value
    assert told["miss_rate"] == summary.miss_rate


def test_stages_explain_ttfa_and_name_the_bottleneck(measurement: Make):
    stages = dict.fromkeys(STAGES, 0.0)
    rows = [
        measurement(ttfa_ms=100.0, first_audio_ms={**stages, "phonemize": 10.0, "model_inference": 70.0}),
        measurement(ttfa_ms=300.0, first_audio_ms={**stages, "phonemize": 230.0, "model_inference": 50.0}),
    ]
    summary = summarise(rows)

    assert {stage: each.share for stage, each in summary.stages.items() if each.share} == {
        "phonemize": 0.6,
        "model_inference": 0.3,
    }
    assert (summary.bottleneck, summary.stages["model_inference"].ms.mean, summary.other_ms) == (
        "phonemize",
        60.0,
        20.0,
    )


def test_the_last_values_come_first(measurement: Make):
    rows = [measurement(timestamp=float(i), ttfa_ms=float(i + 1)) for i in range(30)]

    assert list(summarise(rows).recent_ms) == [float(30 - i) for i in range(NUM_RECENT)]


@pytest.mark.parametrize(("num_failed", "alerts"), [(0, False), (1, False), (2, False), (6, True)])
def test_success_is_alerted_when_it_certainly_lies_too_low(measurement: Make, num_failed: int, alerts: bool):
    rows = [measurement()] * (100 - num_failed) + [measurement(outcome="failed")] * num_failed
    alert = summarise(rows).success_alert

    assert (alert is not None) == alerts
    assert alert is None or f"{num_failed} of 100" in alert


def test_short_texts_are_also_held_to_the_shorter_target(measurement: Make):
    rows = [measurement(num_characters=49, ttfa_ms=500.0), measurement(num_characters=50, ttfa_ms=500.0)]
    summary = summarise([*rows, measurement(num_characters=10, ttfa_ms=300.0)])

    assert (summary.short_attainment, summary.attainment) == (Share(1, 2), Share(3, 3))


@pytest.mark.parametrize(
    ("ttfa_ms", "num_slow", "expected"),
    [(300.0, 0, "EXCELLENT"), (300.0, 15, "GOOD"), (300.0, 30, "NEEDS_IMPROVEMENT"), (300.0, 60, "CRITICAL")],
)
def test_the_investigation_category_is_of_mean_and_misses(
    measurement: Make, ttfa_ms: float, num_slow: int, expected: str
):
    rows = [measurement(ttfa_ms=ttfa_ms)] * (100 - num_slow) + [measurement(ttfa_ms=810.0)] * num_slow

    assert summarise(rows).investigation_category == expected


def test_when_everything_failed_it_is_critical(measurement: Make):
    assert summarise([measurement(outcome="failed", ttfa_ms=None)]).investigation_category == "CRITICAL"


def test_what_else_happened_is_counted(measurement: Make):
    rows = [
        measurement(num_stalls=3, num_retries=1),
        measurement(num_stalls=1, failover="x", predicted_ttfa_ms=90.0, ttfa_ms=100.0),
        measurement(ttfa_ms=None, outcome="cancelled", predicted_ttfa_ms=5.0),
    ]
    summary = summarise(rows)

    assert (summary.num_stalled, summary.num_retried, summary.num_failed_over, summary.num_abandoned) == (2, 1, 1, 1)
    assert (summary.prediction.n, summary.prediction.mean, summary.audio_s) == (1, 10.0, 4.0)
    assert summary.preroll.mean == 20.0
