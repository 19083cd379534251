"""What Prometheus reads: whose requests are sorted in, which series there can be, how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from firstaudio.config import Config, EngineConfig
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.export.gauges import CACHE_COUNTERS, CACHE_GAUGES, COUNTERS, GAUGES
from firstaudio.telemetry.export.metrics import BATCH, TTFA_BUCKETS, Metrics
from firstaudio.telemetry.measurement import Measurement
from firstaudio.trace import STAGES, Outcome

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Make = Callable[..., Measurement]


def synthesizer() -> Synthesizer:
    return Synthesizer(Config(engine=EngineConfig(names=("synthetic",), default_voice="alloy")))


async def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every series and its value."""
    body, _ = await metrics.render()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(body.decode())
        for sample in family.samples
    }


def labels(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


async def total(metrics: Metrics, name: str) -> float:
    return sum(value for (found, _), value in (await read(metrics)).items() if found == f"firstaudio_{name}")


async def test_a_clients_request_is_in_every_figure_that_it_has(measurement: Make):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement(ttfa_ms=100.0, ttgp_ms=120.0, num_ahead=3, predicted_ttfa_ms=90.0, rtf=0.25))
    series = await read(metrics)

    ttfa = {"engine": "synthetic", "warmth": "warm", "text_class": "short"}
    assert series["firstaudio_ttfa_seconds_sum", labels(**ttfa)] == pytest.approx(0.1)
    assert series["firstaudio_ttfa_seconds_bucket", labels(**ttfa, le="0.1")] == 1
    assert series["firstaudio_ttfa_seconds_bucket", labels(**ttfa, le="0.05")] == 0
    stage = {"engine": "synthetic", "stage": "model_inference"}
    assert series["firstaudio_first_audio_stage_seconds_sum", labels(**stage)] == pytest.approx(0.1)
    assert series["firstaudio_rtf_sum", labels(engine="synthetic", warmth="warm")] == 0.25
    assert series["firstaudio_preroll_needed_seconds_sum", labels(engine="synthetic")] == pytest.approx(0.02)
    assert series["firstaudio_streams_ahead_sum", labels(engine="synthetic")] == 3
    assert series["firstaudio_ttfa_prediction_error_seconds_sum", labels(engine="synthetic")] == pytest.approx(0.01)
    counted = {"engine": "synthetic", "origin": "client"}
    assert series["firstaudio_requests_total", labels(**counted, outcome="completed")] == 1
    assert series["firstaudio_audio_seconds_total", labels(**counted)] == 2.0


@pytest.mark.parametrize("origin", ["benchmark", "tuner", "warmup"])
async def test_who_is_no_client_is_counted_and_in_no_histogram(measurement: Make, origin: str):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement(origin=origin))

    assert await total(metrics, "ttfa_seconds_count") == 0
    assert await total(metrics, "streams_ahead_count") == 0
    series = await read(metrics)
    assert series["firstaudio_requests_total", labels(engine="synthetic", origin=origin, outcome="completed")] == 1


async def test_a_cached_answer_is_a_series_of_its_own(measurement: Make):
    metrics = Metrics(synthesizer())
    for warmth in ("warm", "cached"):
        metrics.observe(measurement(warmth=warmth))
    series = await read(metrics)

    for warmth in ("warm", "cached"):
        where = labels(engine="synthetic", warmth=warmth, text_class="short")
        assert series["firstaudio_ttfa_seconds_count", where] == 1


async def test_who_left_early_has_a_ttfa_and_no_rtf(measurement: Make):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement(outcome="cancelled"))

    counts = {name: await total(metrics, f"{name}_count") for name in ("ttfa_seconds", "rtf", "preroll_needed_seconds")}
    assert counts == {"ttfa_seconds": 1, "rtf": 0, "preroll_needed_seconds": 0}


async def test_who_was_refused_is_counted_under_no_engine(measurement: Make):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement(outcome="refused", engine="", voice="", text_class="", ttfa_ms=None))
    series = await read(metrics)

    assert series["firstaudio_requests_total", labels(engine="none", origin="client", outcome="refused")] == 1
    assert await total(metrics, "ttfa_seconds_count") == 0


async def test_the_first_failure_of_a_client_is_a_step_from_zero(measurement: Make):
    metrics = Metrics(synthesizer())
    before = await read(metrics)
    metrics.observe(measurement(outcome="failed"))
    after = await read(metrics)

    where = {"engine": "synthetic", "origin": "client"}
    names = ("audio_seconds", "stalls", "retries", "failovers")
    assert {before[f"firstaudio_{name}_total", labels(**where)] for name in names} == {0}
    for outcome in get_args(Outcome):
        series = ("firstaudio_requests_total", labels(**where, outcome=outcome))
        assert (before[series], after[series]) == (0, outcome == "failed")
    assert before["firstaudio_requests_total", labels(engine="none", origin="client", outcome="refused")] == 0


async def test_nothing_is_counted_where_nothing_is_observed():
    series = await read(Metrics(synthesizer(), is_fed=False))
    assert not [name for name, _ in series if name.startswith("firstaudio_requests")]


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
async def test_no_series_tells_when_it_was_made(measurement: Make, accept: str):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement())
    body, _ = await metrics.render(accept)
    assert b"firstaudio_ttfa_seconds_count" in body
    assert b"_created" not in body


async def test_stalls_retries_and_failovers_are_counted_and_begin_at_zero(measurement: Make):
    metrics = Metrics(synthesizer())
    where = labels(engine="synthetic", origin="client")
    names = ("stalls", "retries", "failovers")
    metrics.observe(measurement())
    before = await read(metrics)
    metrics.observe(measurement(num_stalls=2, num_retries=3, failover='slow; reason="starting"'))
    after = await read(metrics)

    assert [before[f"firstaudio_{name}_total", where] for name in names] == [0, 0, 0]
    assert [after[f"firstaudio_{name}_total", where] for name in names] == [2, 3, 1]


@given(ttfas=st.lists(st.floats(0.01, 20_000.0), max_size=30))
async def test_the_buckets_say_how_many_were_at_most_so_slow(measurement: Make, ttfas: list[float]):
    metrics = Metrics(synthesizer())
    for ttfa_ms in ttfas:
        metrics.observe(measurement(ttfa_ms=ttfa_ms, ttgp_ms=ttfa_ms))
    series = await read(metrics)
    where = {"engine": "synthetic", "warmth": "warm", "text_class": "short"}
    for bucket in TTFA_BUCKETS if ttfas else ():
        expected = sum(ttfa_ms / 1000 <= bucket for ttfa_ms in ttfas)
        assert series["firstaudio_ttfa_seconds_bucket", labels(**where, le=str(float(bucket)))] == expected


async def test_a_client_cannot_make_series(measurement: Make):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement())
    before = set(await read(metrics))
    for number in range(50):
        metrics.observe(
            measurement(
                voice=f"voice{number}",
                request_id=f"id{number}",
                language=f"l{number}",
                run=f"run{number}",
                error=f"error {number}",
                num_characters=number,
            )
        )

    assert set(await read(metrics)) == before


async def test_every_stage_has_a_series(measurement: Make):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement(first_audio_ms=dict.fromkeys(STAGES, 1.0)))
    series = await read(metrics)

    for stage in STAGES:
        assert series["firstaudio_first_audio_stage_seconds_count", labels(engine="synthetic", stage=stage)] == 1


async def test_two_servers_in_one_process_do_not_mix(measurement: Make):
    first, second = Metrics(synthesizer()), Metrics(synthesizer())
    first.observe(measurement())

    assert await total(first, "requests_total") == 1
    assert await total(second, "requests_total") == 0


async def test_both_formats_can_be_read_by_the_reference_parsers(measurement: Make):
    metrics = Metrics(synthesizer())
    metrics.observe(measurement())
    text, text_type = await metrics.render("text/plain")
    openmetrics, openmetrics_type = await metrics.render(OPENMETRICS)

    assert text_type.startswith("text/plain; version=")
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in parse_text(text.decode())}
    assert {family.name for family in parse_openmetrics(openmetrics.decode())} >= {
        name.removesuffix("_total") for name in names
    } - {"firstaudio_build_info"}


@pytest.mark.parametrize("accept", ["", "*/*", "nonsense", "application/openmetrics-text; version=abc"])
async def test_whoever_asks_for_something_odd_gets_plain_text(accept: str):
    _, content_type = await Metrics(synthesizer()).render(accept)
    assert content_type.startswith("text/plain; version=0.0.4")


async def test_gauges_are_what_the_schedulers_say():
    speaker = synthesizer()
    metrics = Metrics(speaker)
    assert (await read(metrics))["firstaudio_startup_progress", ()] == 0.0
    await speaker.start()
    try:
        series = await read(metrics)
        statistics = asdict(speaker.statistics()["synthetic"])
        where = labels(engine="synthetic")
        still = {name: metric for name, (metric, _) in GAUGES.items() if statistics[name] is not None}
        assert {series[f"firstaudio_{metric}", where] == statistics[name] for name, metric in still.items()} == {True}
        assert {series[f"firstaudio_{metric}_total", where] for metric, _ in COUNTERS.values()} == {0.0}
        assert ("firstaudio_least_lead_seconds", where) not in series
        cache = asdict(speaker.cache.statistics())
        assert {series[f"firstaudio_{m}", ()] == cache[name] for name, (m, _) in CACHE_GAUGES.items()} == {True}
        assert {series[f"firstaudio_{m}_total", ()] for m, _ in CACHE_COUNTERS.values()} == {0.0}
        states: dict[str, Any] = {
            dict(found)["state"]: value for (name, found), value in series.items() if name == "firstaudio_engine_state"
        }
        assert states == {"starting": 0, "ready": 1, "resting": 0, "failed": 0}
        assert series["firstaudio_process_tree_resident_bytes", ()] > 1_000_000
    finally:
        await speaker.close()


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
async def test_each_request_is_counted_once_however_many_came_since_the_last_scrape(count: int, measurement: Make):
    metrics = Metrics(synthesizer())
    for _ in range(count):
        metrics.observe(measurement())

    assert await total(metrics, "requests_total") == count
    assert await total(metrics, "requests_total") == count
    assert await total(metrics, "ttfa_seconds_count") == count
