"""A run against earlier ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.telemetry.runs.records import Ways
from firstaudio.telemetry.runs.trend import MAX_RUNS, MIN_RUNS, changes, comparable, judge, prediction_interval


def ways(decode: str = "windowed", runtime: str = "openvino-cpu-bf16") -> Ways:
    return Ways({"kokoro": 40}, {decode: 40}, {runtime: 40})


STEADY = (100.0, 102.0, 98.0, 101.0, 99.0, 100.5)


def series(made: Any, values: Any = STEADY, **fields: Any) -> list[Any]:
    return [made.run(n, made.summary(ttfa_ms=value, **fields)) for n, value in enumerate(values)]


def ttfa(made: Any, value: float | None, earlier: list[Any], **fields: Any) -> Any:
    (trend, _) = judge(made.run(1000, made.summary(ttfa_ms=value), **fields), earlier)
    assert trend.figure == "ttfa_ms"
    return trend


def test_a_run_like_the_earlier_ones_is_ok(made: Any):
    trend = ttfa(made, 101.0, series(made))

    assert (trend.verdict, trend.n) == ("ok", 6)
    assert trend.low < trend.expected < trend.high
    assert trend.expected == pytest.approx(math.exp(np.mean(np.log(STEADY))))


def test_a_run_that_is_much_slower_is_suspect_and_its_record_says_so(made: Any):
    run = made.run(1000, made.summary(ttfa_ms=150.0, others_cpu_share=0.4))
    trends = judge(run, series(made))

    assert [trend.verdict for trend in trends] == ["suspect", "ok"]
    assert trends[0].sentence.endswith("6 runs); other processes used 40% of the machine")
    assert replace(run, trends=trends).is_suspect


def test_a_run_that_is_faster_is_not(made: Any):
    assert ttfa(made, 10.0, series(made)).verdict == "ok"


def test_what_nobody_hears_is_not_suspect_however_steady_the_others_were(made: Any):
    """2 ms to 4 ms is outside of every interval and below the floor of 5 ms."""
    assert ttfa(made, 4.0, series(made, [2.0] * 10)).verdict == "ok"
    assert ttfa(made, 104.0, series(made, [100.0] * 10)).verdict == "ok"
    assert ttfa(made, 106.0, series(made, [100.0] * 10)).verdict == "suspect"


def test_with_fewer_than_five_there_is_no_verdict(made: Any):
    trend = ttfa(made, 500.0, series(made, STEADY[: MIN_RUNS - 1]))

    assert (trend.verdict, trend.n, trend.expected, trend.low, trend.high) == ("too few", 4, None, None, None)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"status": "cancelled"}, "did not succeed"),
        ({"num_other_streams": 2}, "2 streams of others"),
        ({"mixed": ("more than one engine spoke: a (3 answers), b (1 answers)",)}, "more than one engine spoke"),
    ],
)
def test_a_run_that_says_nothing_is_not_judged_and_no_yardstick(made: Any, fields: dict[str, Any], part: str):
    trend = ttfa(made, 500.0, series(made), **fields)

    assert trend.verdict == "not judged"
    assert part in trend.sentence
    assert comparable(made.run(1000), [made.run(1, **fields)]) == []


def test_an_invalid_run_is_not_judged(made: Any):
    run = made.run(1000, made.summary(verdict="INVALID", reasons=("too noisy",)))

    assert {trend.verdict for trend in judge(run, series(made))} == {"not judged"}
    assert "it is INVALID: too noisy" in judge(run, series(made))[0].sentence


def test_a_run_without_a_figure_is_not_judged(made: Any):
    assert ttfa(made, None, series(made)).verdict == "not judged"
    assert judge(replace(made.run(1000), summary=None), series(made)) == ()


@pytest.mark.parametrize(
    "other",
    [
        {"engine": "kokoro"},
        {"ways": ways(decode="whole")},
        {"ways": ways(runtime="another")},
        {"ways": None},
        {"machine": "another"},
        {"workload_hash": "another"},
    ],
)
def test_only_runs_of_the_same_population_are_compared(made: Any, other: dict[str, Any]):
    fields = {name: value for name, value in other.items() if name in ("engine", "ways")}
    figures = {name: value for name, value in other.items() if name not in fields}
    earlier = [made.run(n, made.summary(**figures), **({"ways": ways()} | fields)) for n in range(6)]

    assert ttfa(made, 100.0, earlier, ways=ways()).n == 0
    assert ttfa(made, 100.0, [made.run(n, ways=ways()) for n in range(6)], ways=ways()).n == 6


def test_a_share_of_cached_answers_makes_no_other_population(made: Any):
    few, many = Ways({"kokoro": 40}, {"windowed": 40}, {"r": 40}), Ways({"kokoro": 40}, {"windowed": 9}, {"r": 9})

    assert comparable(made.run(2, ways=few), [made.run(1, ways=many)]) != []


def test_neither_the_run_itself_nor_later_ones_count(made: Any):
    run = made.run(3)
    earlier = [made.run(n) for n in range(6)]

    assert [one.started_at for one in comparable(run, earlier)] == [made.start + n for n in range(3)]


def test_only_the_last_runs_count(made: Any):
    known = comparable(made.run(1000), [made.run(n) for n in range(MAX_RUNS + 10)])

    assert [known[0].started_at, known[-1].started_at] == [made.start + 10, made.start + MAX_RUNS + 9]


def test_versions_that_changed_are_noted(made: Any):
    before = made.run(1, made.summary(versions={"firstaudio": "0.1.0", "numpy": "2.0", "gone": "1"}))
    run = made.run(2, made.summary(versions={"firstaudio": "0.2.0", "numpy": "2.0"}))

    assert changes(run, [before]) == ("firstaudio 0.1.0 -> 0.2.0", "gone 1 -> not there")
    assert changes(run, []) == ()


def test_settings_that_changed_are_noted_where_both_runs_noted_them(made: Any):
    before = made.run(1, settings={"streaming.first_segment_s": "0.6", "cache.max_mb": "64.0"})
    run = made.run(2, settings={"streaming.first_segment_s": "1.2", "cache.max_mb": "64.0"})

    assert changes(run, [before]) == ("streaming.first_segment_s 0.6 -> 1.2",)
    assert changes(run, [made.run(1)]) == ()
    assert len(comparable(run, [before])) == 1


def test_where_nothing_is_comparable_the_reason_is_named(made: Any):
    before = [made.run(1, engine="kokoro", ways=ways())]
    run = made.run(3, engine="kokoro", ways=ways("whole"))

    assert changes(run, before) == ("decode windowed -> whole",)
    assert changes(run, [made.run(1, made.summary(machine="another"), engine="kokoro", ways=ways())]) == ()
    again = [*before, made.run(2, engine="kokoro", ways=ways("whole"))]
    assert changes(run, again) == ()


@given(st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=40), st.floats(0.1, 10.0))
def test_the_interval_holds_its_middle_and_scales_with_the_unit(samples: list[float], factor: float):
    middle, low, high = prediction_interval(samples)
    scaled = prediction_interval([sample * factor for sample in samples])

    assert low <= middle * (1 + 1e-9)
    assert middle <= high * (1 + 1e-9)
    if math.isfinite(high) and low > 1e-200:
        assert scaled == pytest.approx((middle * factor, low * factor, high * factor), rel=1e-6)


def test_one_more_sample_lies_in_it_as_often_as_it_says():
    draw = np.random.default_rng(1)
    rounds, inside = 2000, 0
    for _ in range(rounds):
        *samples, one_more = np.exp(draw.normal(4.0, 0.1, 7))
        _, low, high = prediction_interval(samples)
        inside += low <= one_more <= high

    assert inside / rounds == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("samples", [[], [1.0], [1.0, 0.0], [1.0, -1.0]])
def test_what_has_no_interval_is_an_error(samples: list[float]):
    with pytest.raises(ValueError, match="two samples above 0"):
        prediction_interval(samples)


def rising(made: Any, num: int = 20, step: float = 10.0, **fields: Any) -> list[Any]:
    """A run a second, each 10 ms slower than the one before, with a little noise."""
    draw = np.random.default_rng(5)
    return [made.run(n, made.summary(ttfa_ms=500 + step * n + float(draw.normal(0, 5)), **fields)) for n in range(num)]


def test_a_rise_is_continued_to_the_target(made: Any):
    *earlier, run = rising(made)
    ttfa_trend, rtf_trend = judge(run, earlier, 800)
    ahead = ttfa_trend.forecast

    assert ahead is not None
    assert (ahead.n, ahead.target_ms) == (20, 800)
    assert ahead.missed_from == pytest.approx(made.start + 30, abs=2)
    assert ahead.high is not None
    assert ahead.low < made.start + 30 < ahead.high
    assert "at this slope 800 ms are missed from about 2025-11-21T15:47+00:00 on" in ttfa_trend.sentence
    assert rtf_trend.forecast is None
    assert judge(run, earlier, 2000)[0].forecast is None


def test_a_step_that_another_version_or_setting_made_is_not_continued(made: Any):
    old = [made.run(n, made.summary(ttfa_ms=500.0 + n, versions={"firstaudio": "0.1.0"})) for n in range(15)]
    new = [made.run(15 + n, made.summary(ttfa_ms=700.0 + n, versions={"firstaudio": "0.2.0"})) for n in range(15)]
    turned = [replace(each, summary=made.summary(ttfa_ms=each.summary.ttfa_ms), settings={"a": "1"}) for each in new]

    assert judge(new[-1], old + new, 800)[0].forecast is None
    assert judge(turned[-1], old + turned, 800)[0].forecast is None
    alike = [replace(each, summary=made.summary(ttfa_ms=each.summary.ttfa_ms)) for each in old + new]
    assert judge(alike[-1], alike, 800)[0].forecast is not None


def test_a_run_that_is_not_judged_has_no_forecast(made: Any):
    *earlier, run = rising(made)

    assert {trend.forecast for trend in judge(replace(run, num_other_streams=1), earlier, 800)} == {None}
