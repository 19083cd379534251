"""What the missed requests have in common is found; where there is nothing in common, nothing is claimed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.config import Config
from firstaudio.slo import investigation_category
from firstaudio.telemetry.advice.recommendation import Context
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.misses.investigation import Investigation, investigate
from firstaudio.telemetry.misses.patterns import MAX_GROUPS, MIN_GROUP, GroupFinding
from firstaudio.trace import STAGES

TARGET_MS = 800.0
Make = Callable[..., Measurement]


@pytest.fixture(scope="module")
def make(measurement: Make) -> Make:
    """A measurement whose time to first audio lies in the stages that are named."""

    def stages(ms: float | None = 100.0, **fields: Any) -> Measurement:
        parts = {stage: fields.pop(stage, 0.0) for stage in STAGES}
        if not any(parts.values()):
            return measurement(ttfa_ms=ms, **fields)
        return measurement(ttfa_ms=sum(parts.values()), first_audio_ms=parts, **fields)

    return stages


def outstanding(found: Investigation) -> list[tuple[str, str]]:
    return [(each.dimension, each.name) for each in found.groups if each.stands_out]


def group(found: Investigation, dimension: str, name: str) -> GroupFinding:
    (one,) = (each for each in found.groups if (each.dimension, each.name) == (dimension, name))
    return one


def test_without_measurements_there_is_no_data():
    found = investigate([])
    assert (found.status, found.category, found.n, found.pattern) == ("no_data", "no_data", 0, "nothing was measured")
    assert (found.miss_rate, found.miss_rate_interval, found.mean_ms, found.observed_s) == (None,) * 4
    assert (found.bottleneck, found.grown_stage, found.groups, found.recommendations) == (None, None, [], ())


def test_requests_that_say_nothing_are_no_data(make: Make):
    """Refused ones, cached ones, and clients that left before anybody could tell."""
    silent = [make(None, outcome="refused"), make(None, outcome="cancelled", duration_ms=10.0), make(warmth="cached")]
    assert investigate(silent).status == "no_data"


@pytest.mark.parametrize("num_missed", [0, 10, 11, 20, 21, 40, 41, 100])
@pytest.mark.parametrize("late_ms", [801.0, 3000.0])
def test_the_category_follows_from_mean_and_misses(make: Make, num_missed: int, late_ms: float):
    found = investigate([make(100.0)] * (100 - num_missed) + [make(late_ms)] * num_missed, TARGET_MS)
    assert (found.n, found.num_missed, found.miss_rate) == (100, num_missed, num_missed / 100)
    mean_ms = 100 + (late_ms - 100) * num_missed / 100
    assert found.mean_ms == pytest.approx(mean_ms)
    assert found.category == investigation_category(mean_ms, num_missed / 100)


def test_exactly_the_target_meets_it(make: Make):
    assert investigate([make(800.0)], 800.0).num_missed == 0


def test_failures_and_clients_that_waited_in_vain_have_missed(make: Make):
    rows = [make(), make(None, outcome="failed"), make(None, outcome="cancelled", duration_ms=900.0)]
    found = investigate(rows, TARGET_MS)
    assert (found.n, found.num_missed, found.num_failed) == (3, 2, 1)


@pytest.mark.parametrize(
    ("dimension", "field", "good", "bad", "name"),
    [
        ("text_class", "text_class", "short", "complex", "complex"),
        ("voice", "voice", "alloy", "premium", "premium"),
        ("engine", "engine", "espeak", "kokoro", "kokoro"),
        ("warmth", "warmth", "warm", "cold", "cold"),
        ("hour", "timestamp", 0.0, 15 * 3600.0, "15 UTC"),
        ("streams_ahead", "num_ahead", 0, 4, "4 or more"),
        ("streams_ahead", "num_ahead", 4, 3, "1 to 3"),
    ],
)
def test_what_missed_requests_have_in_common_stands_out(make: Make, dimension, field, good, bad, name):
    rows = [make(**{field: good})] * 80 + [make(900.0, **{field: bad})] * 15 + [make(**{field: bad})] * 5
    found = investigate(rows, TARGET_MS)
    assert outstanding(found) == [(dimension, name)]
    worst = group(found, dimension, name)
    assert (worst.n, worst.num_missed, worst.share, worst.more) == (20, 15, 0.75, 0.75)
    assert worst.low < 0.75 < worst.high
    assert f"15 of 100 requests missed the target; more often with {dimension} {name} (15 of 20, +75%)" in found.pattern


def test_the_worst_comes_first(make: Make):
    rows = [make()] * 100 + [make(900.0, voice="one"), make(voice="one")] * 20 + [make(900.0, voice="two")] * 40
    found = investigate(rows, TARGET_MS)
    assert outstanding(found)[0] == ("voice", "two")
    assert [each.stands_out for each in found.groups] == sorted((e.stands_out for e in found.groups), reverse=True)


def test_few_requests_never_stand_out(make: Make):
    rows = [make()] * 200 + [make(900.0, voice="rare")] * (MIN_GROUP - 1)
    assert outstanding(investigate(rows, TARGET_MS)) == []
    assert outstanding(investigate([*rows, make(900.0, voice="rare")], TARGET_MS)) == [("voice", "rare")]


def test_what_all_have_in_common_is_no_pattern(make: Make):
    found = investigate([make(900.0)] * 50, TARGET_MS)
    assert found.groups == []
    assert found.pattern == "50 of 50 requests missed the target; no group of them stands out"


def test_chance_seldom_stands_out(make: Make):
    """Misses drawn without regard to anything: in 200 investigations of many groups, few claim a pattern."""
    rng = random.Random(7)

    def by_chance() -> list[Measurement]:
        return [
            make(
                900.0 if rng.random() < 0.3 else 100.0,
                voice=rng.choice("abcdefgh"),
                text_class=rng.choice(["short", "medium", "long"]),
                timestamp=rng.randrange(24) * 3600.0,
            )
            for _ in range(200)
        ]

    claims = sum(bool(outstanding(investigate(by_chance(), TARGET_MS))) for _ in range(200))
    assert claims <= 15


def test_of_many_voices_the_most_asked_for_are_shown(make: Make):
    rows = [make(voice=f"voice {i}") for i in range(MAX_GROUPS + 10)] + [make(voice="favourite")] * 5
    voices = [each.name for each in investigate(rows).groups if each.dimension == "voice"]
    assert len(voices) == MAX_GROUPS
    assert "favourite" in voices


# Stages.


@pytest.mark.parametrize("grown", STAGES)
def test_the_stage_that_grew_is_told_from_the_one_that_is_large(make: Make, grown: str):
    """Inference is large in all of them; another stage is what makes the difference."""
    always = {"model_inference": 500.0}
    late = always | {grown: always.get(grown, 0.0) + 600.0}
    found = investigate([make(**always)] * 20 + [make(**late)] * 20, TARGET_MS)
    assert found.grown_stage == grown
    (stage,) = (each for each in found.stages if each.stage == grown)
    assert stage.difference_ms == pytest.approx(600.0)
    assert f"their {grown} took 600 ms longer" in found.pattern
    assert found.bottleneck == grown  # of the missed ones: 600 of 1100, or all


def test_the_interval_of_a_difference_is_told(make: Make):
    met = [make(queue=100.0 + i) for i in range(20)]
    missed = [make(queue=900.0 + 10 * i) for i in range(20)]
    stage = investigate(met + missed, TARGET_MS).stages[0]
    assert (stage.stage, stage.met_ms, stage.missed_ms) == ("queue", 109.5, 995.0)
    assert stage.low_ms < stage.difference_ms == 885.5 < stage.high_ms


def test_stages_of_few_are_not_compared(make: Make):
    found = investigate([make(queue=100.0)] * 50 + [make(queue=900.0)] * 5, TARGET_MS)
    assert {each.difference_ms for each in found.stages} == {None}
    assert (found.grown_stage, found.bottleneck) == (None, "queue")


def test_a_stage_that_differs_by_nothing_worth_naming_has_not_grown(make: Make):
    met = [make(queue=797.0 + i / 100) for i in range(20)]
    missed = [make(queue=801.0 + i / 100) for i in range(20)]
    assert investigate(met + missed, TARGET_MS).grown_stage is None


def test_failures_have_no_stages(make: Make):
    found = investigate([make(queue=10.0)] * 10 + [make(None, outcome="failed")] * 10, TARGET_MS)
    assert {each.missed_ms for each in found.stages} == {None}
    assert found.bottleneck == "queue"


# All of it.


def test_recommendations_come_with_a_context(make: Make):
    rows = [make(queue=900.0)] * 20
    assert investigate(rows, TARGET_MS).recommendations == ()
    assert [each.type for each in investigate(rows, TARGET_MS, Context(Config())).recommendations] == ["queue"]


outcomes = st.sampled_from(["completed", "failed", "cancelled", "refused"])
times = st.one_of(st.none(), st.floats(0, 1e6))
rows = st.lists(st.tuples(outcomes, times, st.sampled_from(["", "a", "b"]), st.integers(0, 9)), max_size=60)


@given(rows, st.floats(1, 5000))
def test_whatever_was_measured_it_adds_up_and_is_json(measurement: Make, drawn, target_ms: float):
    measurements = [
        measurement(outcome=outcome, ttfa_ms=ms, voice=voice, num_ahead=ahead) for outcome, ms, voice, ahead in drawn
    ]
    found = investigate(measurements, target_ms, Context(Config()))
    assert 0 <= found.num_failed <= found.num_missed <= found.n <= len(measurements)
    for dimension in {each.dimension for each in found.groups}:
        groups = [each for each in found.groups if each.dimension == dimension]
        assert sum(each.n for each in groups) <= found.n
        assert sum(each.num_missed for each in groups) <= found.num_missed
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["n"] == found.n
