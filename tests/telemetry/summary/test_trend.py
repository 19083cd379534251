"""A trend is named when it is certain and large enough to matter."""

import random
from collections.abc import Callable

import pytest

from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.summary.trend import MIN_FORECAST, MIN_TREND, trend_of

Make = Callable[..., Measurement]


def series(make: Make, slope: float, noise: float = 5.0, num: int = 100) -> list[Measurement]:
    """One a minute, about 500 ms, `slope` ms more each."""
    random_ = random.Random(1)
    return [make(timestamp=60.0 * i, ttfa_ms=500 + slope * i + random_.gauss(0, noise)) for i in range(num)]


@pytest.mark.parametrize(
    ("slope", "direction"), [(2.0, "degrading"), (-2.0, "improving"), (0.0, "stable"), (0.1, "stable")]
)
def test_a_trend_is_named_when_it_is_certain_and_matters(measurement: Make, slope: float, direction: str):
    trend = trend_of(series(measurement, slope))

    assert trend.direction == direction
    assert (trend.n, trend.span_s) == (100, 99 * 60.0)
    assert trend.low_ms is not None
    assert trend.high_ms is not None
    assert trend.low_ms < 99 * slope < trend.high_ms


def test_a_trend_of_noise_is_unknown(measurement: Make):
    assert trend_of(series(measurement, 0.0, noise=400, num=30)).direction == "unknown"


def test_a_trend_of_few_or_of_one_moment_is_unknown(measurement: Make):
    few = trend_of(series(measurement, 5.0, num=MIN_TREND - 1))
    moment = trend_of([measurement(ttfa_ms=float(i)) for i in range(50)])

    assert [(each.direction, each.change_ms) for each in (few, moment)] == [("unknown", None)] * 2


def test_of_nothing_there_is_no_trend():
    assert trend_of([]).direction == "unknown"
    assert (trend_of([]).n, trend_of([]).span_s) == (0, 0.0)


def test_a_rise_is_continued_to_the_target_with_its_interval_and_n(measurement: Make):
    """500 ms and 1 ms more each minute: 800 ms at minute 300."""
    ahead = trend_of(series(measurement, 1.0, noise=20.0, num=MIN_FORECAST), 800).forecast

    assert ahead is not None
    assert (ahead.target_ms, ahead.n) == (800, MIN_FORECAST)
    assert ahead.high is not None
    assert ahead.low < 300 * 60.0 < ahead.high
    assert ahead.missed_from == pytest.approx(300 * 60.0, rel=0.1)


@pytest.mark.parametrize(
    ("slope", "num", "target_ms", "reason"),
    [
        (1.0, MIN_FORECAST - 1, 800, "too few"),
        (1.0, MIN_FORECAST, 600, "missed already"),
        (1.0, MIN_FORECAST, 2000, "farther ahead than was looked back"),
        (-1.0, MIN_FORECAST, 800, "it gets faster"),
        (0.0, MIN_FORECAST, 501, "no slope"),
    ],
)
def test_else_there_is_no_forecast(measurement: Make, slope: float, num: int, target_ms: float, reason: str):
    assert trend_of(series(measurement, slope, num=num), target_ms).forecast is None, reason


def test_noise_in_which_neighbours_are_alike_is_no_forecast(measurement: Make):
    """As requests of one busy minute are. Fewer than one in twenty windows of mere noise may be continued."""
    random_ = random.Random(2)
    found = 0
    for _ in range(100):
        level, rows = 0.0, []
        for i in range(MIN_FORECAST):
            level = 0.9 * level + random_.gauss(0, 40)
            rows.append(measurement(timestamp=60.0 * i, ttfa_ms=500 + level))
        found += trend_of(rows, 550).forecast is not None

    assert found <= 5
