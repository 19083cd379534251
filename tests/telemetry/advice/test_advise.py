"""Each recommendation follows from numbers, names them, and says something that can be done here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.config import (
    CacheConfig,
    Config,
    EngineConfig,
    EspeakConfig,
    KokoroConfig,
    StreamingConfig,
    SyntheticConfig,
    settings,
)
from firstaudio.engines.base import EngineInfo
from firstaudio.synthesis.cache import CacheStatistics
from firstaudio.synthesis.scheduler import SchedulerStatistics
from firstaudio.telemetry.advice.advise import Context, Recommendation, advise, advise_optimization
from firstaudio.telemetry.advice.recommendation import MIN_REQUESTS, SEVERITIES, Setting
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.telemetry.summary.summary import Summary, summarise
from firstaudio.trace import STAGES, Outcome, Trace

TARGET_MS = 800.0
KEYS = {setting.key for setting in settings()}
NO_STEPS = SchedulerStatistics(
    **dict.fromkeys(SchedulerStatistics.__dataclass_fields__, 0)  # type: ignore[arg-type]
)
NO_CACHE = CacheStatistics(**dict.fromkeys(CacheStatistics.__dataclass_fields__, 0))


def request(
    stage: str = "model_inference", ms: float = 50.0, outcome: Outcome = "completed", **fields: Any
) -> Measurement:
    """One whose time to first audio is all in one stage."""
    trace = Trace(engine="espeak", text_class="short", delivery="audio", accepted_ns=1)
    for name, value in ({"num_characters": 20} | fields).items():
        setattr(trace, name, value)
    if outcome != "failed":
        trace.stages_ns[stage] = round(ms * 1e6)
        trace.first_sent_ns, trace.first_audio_stages_ns = 1 + round(ms * 1e6), dict(trace.stages_ns)
        trace.gapless_ns = trace.gapless_ns or trace.first_sent_ns
    trace.outcome, trace.finished_ns, trace.audio_s = outcome, 1 + round(ms * 1e6), 1.0
    return measure(trace, 1000.0)


def summary_of(*measurements: Measurement) -> Summary:
    timed = [replace(each, timestamp=1000.0 + i) for i, each in enumerate(measurements)]
    return summarise(timed, TARGET_MS)


def advice(*measurements: Measurement, config: Config | None = None, **context: Any) -> dict[str, Recommendation]:
    found = advise(summary_of(*measurements), Context(config or Config(), **context))
    assert len({each.type for each in found}) == len(found)
    return {each.type: each for each in found}


def slow(stage: str, engine: str = "espeak", num: int = 20) -> list[Measurement]:
    return [request(stage, 1000.0 + i, engine=engine) for i in range(num)]


@pytest.mark.parametrize("stage", STAGES)
def test_the_stage_that_takes_the_time_is_named_with_its_numbers(stage: str):
    found = advice(*slow(stage))
    assert set(found) == {stage}
    told = found[stage]
    assert told.severity == "critical"
    assert told.evidence == {
        "stage_mean_ms": 1009.5,
        "stage_p95_ms": None,
        "stage_share": 1.0,
        "ttfa_mean_ms": 1009.5,
        "late_share": 1.0,
        "n": 20,
        "window_s": 19.0,
    }
    assert (told.gain.ttfa_ms_at_most, bool(told.gain.why)) == (1009.5, True)


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_said_where_nothing_is_the_matter(stage: str):
    assert advice(*[request(stage, 100.0)] * 500) == {}


@given(st.lists(st.sampled_from([50.0, 900.0, 3000.0]), max_size=MIN_REQUESTS - 1), st.sampled_from(STAGES))
def test_nothing_is_said_without_enough_data(times: list[float], stage: str):
    assert advice(*(request(stage, ms) for ms in times)) == {}


def test_how_urgent_it_is_follows_from_mean_and_misses():
    def severity(num_slow: int, ms: float, num: int = 20) -> str:
        times = [ms] * num_slow + [500.0] * (num - num_slow)
        return advice(*(request("queue", each) for each in times))["queue"].severity

    assert [severity(0, 0), severity(3, 900), severity(20, 900), severity(20, 2000)] == [
        "info",
        "warning",
        "critical",
        "critical",
    ]


# What is recommended follows from what is there.


def action(stage: str, engine: str, config: Config | None = None, **context: Any) -> Recommendation:
    return advice(*slow(stage, engine), config=config, **context)[stage]


def info(engine: str, *, incremental: bool) -> dict[str, EngineInfo]:
    return {engine: EngineInfo(engine, 24_000, ("en",), 3, incremental, False, None, 0.1)}


def test_a_queue_asks_for_lanes_where_there_is_a_setting_for_them():
    assert action("queue", "espeak").setting == Setting("espeak.num_workers", 4)
    many = Config(espeak=EspeakConfig(num_workers=12))
    assert action("queue", "espeak", many).setting == Setting("espeak.num_workers", 16)
    assert action("queue", "synthetic").setting == Setting("synthetic.capacity", 4)
    elsewhere = action("queue", "kokoro", infos=info("kokoro", incremental=True))
    assert (elsewhere.setting, "its 3 lanes" in elsewhere.action) == (None, True)


def test_settings_that_make_an_answer_begin_late_come_first():
    off = Config(streaming=StreamingConfig(fast_path_enabled=False))
    assert action("model_inference", "kokoro", off).setting == Setting("streaming.fast_path_enabled", True)
    off = Config(streaming=StreamingConfig(incremental_generation=False))
    assert action("model_inference", "kokoro", off).setting == Setting("streaming.incremental_generation", True)


def test_a_model_that_nobody_has_optimized_is_to_be():
    report = {"decode": "whole", "decode_reason": "nobody has measured", "runtimes": ("openvino-cpu",)}
    told = action("model_inference", "kokoro", reports={"kokoro": report})
    assert told.command == "firstaudio models optimize"
    assert "nobody has measured" in told.action


def test_a_model_that_cannot_be_cut_is_not_to_be_optimized():
    report = {"decode": "whole", "cut_problem": "no anchors", "runtimes": ("onnxruntime-cpu",)}
    assert (
        action("model_inference", "kokoro", reports={"kokoro": report}).command == "pip install 'firstaudio[openvino]'"
    )


def test_whole_clauses_that_were_asked_for_are_named():
    config = Config(kokoro=KokoroConfig(decode="whole"))
    assert action("model_inference", "kokoro", config).setting == Setting("kokoro.decode", "auto")


def test_a_long_first_segment_is_shortened_where_its_length_matters():
    config = Config(streaming=StreamingConfig(first_segment_s=2.0))
    report = {"decode": "windowed", "runtimes": ("openvino-cpu-bf16",)}
    for engine, context in (
        ("kokoro", {"reports": {"kokoro": report}, "infos": info("kokoro", incremental=False)}),
        ("other", {"infos": info("other", incremental=False)}),
    ):
        assert action("model_inference", engine, config, **context).setting == Setting("streaming.first_segment_s", 0.6)
    told = action("model_inference", "other", config, infos=info("other", incremental=True))
    assert (told.setting, told.command) == (None, "firstaudio bench capacity")


def test_misaki_is_named_only_where_it_pronounces():
    for reason, setting in (
        ("misaki pronounces en", Setting("kokoro.g2p", "espeak")),
        ("espeak-ng pronounces en", None),
    ):
        assert action("phonemize", "kokoro", reports={"kokoro": {"g2p": {"en": reason}}}).setting == setting


@pytest.mark.parametrize("stage", ["phonemize", "model_inference"])
def test_an_engine_that_is_slow_on_purpose_says_so(stage: Any):
    config = Config(synthetic=SyntheticConfig(slow_stage=stage, slow_ms=100.0))
    assert action(stage, "synthetic", config).setting == Setting("synthetic.slow_stage", "none")


def test_the_engine_that_most_was_asked_of_is_the_one_to_look_at():
    found = advice(*slow("queue", "synthetic", 12), *slow("queue", "espeak", 4))
    assert found["queue"].setting == Setting("synthetic.capacity", 4)


# Rules that are about no stage.


def test_failures_are_no_fault_of_a_stage():
    assert set(advice(*[request()] * 40, *[request(outcome="failed")] * 10)) == {"success"}


def test_failures_are_told_with_their_share():
    told = advice(*[request()] * 40, *[request(outcome="failed")] * 10)["success"]
    assert (told.severity, told.command) == ("critical", "firstaudio doctor")
    assert {key: told.evidence[key] for key in ("num_failed", "share", "n")} == {
        "num_failed": 10,
        "share": 0.8,
        "n": 50,
    }


def test_texts_that_are_late_more_often_than_others_are_told():
    quick, late = request(ms=50.0), request(ms=900.0, text_class="complex")
    found = advice(*[quick] * 60, *[late] * 20)
    assert found["target"].message == "20 of 20 complex texts began after 800 ms, and 0 of 60 others"
    assert found["target"].evidence["text_class"] == "complex"


def test_where_all_texts_are_late_alike_it_is_not_the_text():
    late = [request(ms=900.0), request(ms=900.0, text_class="long")]
    assert "target" not in advice(*late * 20)


@pytest.mark.parametrize(("warm_ms", "told"), [(10.0, {"cold_start"}), (900.0, {"cold_start", "queue"})])
def test_waiting_for_a_model_is_not_taken_for_too_many_listeners(warm_ms: float, told: set[str]):
    measurements = [request("queue", warm_ms)] * 10 + [request("queue", warm_ms + 2000.0, warmth="cold")] * 5
    assert set(advice(*measurements, config=Config(kokoro=KokoroConfig(unload_after_s=60.0)))) == told


def test_cold_starts_are_told_with_what_they_cost():
    measurements = [request(ms=100.0)] * 20 + [request(ms=600.0, warmth="cold")] * 5
    told = advice(*measurements, config=Config(kokoro=KokoroConfig(unload_after_s=60.0)))["cold_start"]
    assert told.setting == Setting("kokoro.unload_after_s", 0.0)
    assert (told.evidence["num_cold"], told.evidence["longer_ms"], told.gain.ttfa_ms_at_most) == (5, 500.0, 100.0)
    lacks = Config(cache=CacheConfig(warm_up=False))
    assert advice(*measurements, config=lacks)["cold_start"].setting == Setting("cache.warm_up", True)


def test_gaps_are_told_with_the_buffer_that_would_hide_them():
    gap = request(gapless_ns=1 + 350_000_000)
    found = advice(*[request()] * 80, *[gap] * 10)
    assert found["stalls"].evidence["preroll_p95_ms"] == 300.0
    assert found["stalls"].setting == Setting("streaming.max_utilization", 0.8)


def test_an_engine_slower_than_speech_is_told_by_its_own_work():
    figures = replace(NO_STEPS, num_steps=50, rtf=1.2)
    told = advice(schedulers={"kokoro": figures})["rtf"]
    assert (told.severity, told.evidence["rtf"], told.command) == ("critical", 1.2, "firstaudio models optimize")
    assert advice(schedulers={"kokoro": replace(figures, num_steps=49)}) == {}
    assert advice(schedulers={"kokoro": replace(figures, rtf=0.99)}) == {}


def test_who_was_refused_is_told_by_the_engines_count():
    figures = replace(NO_STEPS, num_opened=70, num_refused=30, peak_streams=12)
    told = advice(schedulers={"espeak": figures})["refused"]
    assert (told.severity, told.evidence["share"], told.setting) == ("critical", 0.3, None)
    at_limit = advice(schedulers={"espeak": replace(figures, peak_streams=256)})["refused"]
    assert at_limit.setting == Setting("streaming.max_streams", 512)
    assert advice(schedulers={"espeak": replace(NO_STEPS, num_opened=100)}) == {}


def test_answers_of_another_engine_and_segments_begun_again_are_told():
    found = advice(*[request()] * 20, *[request(failover='kokoro; reason="failed"', num_retries=1)] * 5)
    assert (found["failover"].evidence["num_failed_over"], found["retries"].evidence["num_retried"]) == (5, 5)
    assert "kokoro" not in found["failover"].message


def test_a_cache_that_lets_go_of_what_it_finds_is_to_be_larger():
    figures = replace(NO_CACHE, num_hits=50, num_misses=150, num_evictions=30)
    measurements = [request(ms=100.0)] * 20 + [request(ms=5.0, warmth="cached")] * 20
    told = advice(*measurements, cache=figures)["cache"]
    assert told.setting == Setting("cache.max_mb", 128.0)
    assert "50 of 200 first segments, which began 95 ms sooner" in told.message
    for enough in ({"num_evictions": 0}, {"num_hits": 0}, {"num_misses": 40}):
        assert advice(*measurements, cache=replace(figures, **enough)) == {}


def test_time_that_becomes_longer_is_told():
    told = advice(*(request(ms=100.0 + 5 * i) for i in range(60)))["trend"]
    assert told.severity == "info"
    assert told.gain.ttfa_ms_at_most == pytest.approx(295.0)


def test_time_that_no_stage_explains_is_told():
    late = [replace(each, first_audio_ms={"queue": 100.0}) for each in slow("queue")]
    found = advice(*late)
    assert found["unexplained"].evidence["other_mean_ms"] == 909.5


# All of them.


def troubles() -> dict[str, Any]:
    """Much that is the matter at once."""
    bad = replace(NO_STEPS, num_steps=100, rtf=2.0, num_opened=50, num_refused=50)
    return {
        "schedulers": {"espeak": bad},
        "cache": replace(NO_CACHE, num_hits=100, num_misses=100, num_evictions=9),
    }


def everything() -> dict[str, Recommendation]:
    measurements = [
        *slow("queue", num=60),
        *[request(outcome="failed")] * 20,
        *[request(ms=2500.0, warmth="cold")] * 5,
        *[request(ms=10.0, text_class="long", failover="x", num_retries=1)] * 20,
    ]
    return advice(*measurements, **troubles())


def test_the_most_urgent_comes_first():
    severities = [SEVERITIES.index(each.severity) for each in everything().values()]
    assert severities == sorted(severities)
    assert len(severities) >= 8


def test_each_names_its_evidence_and_a_setting_that_exists():
    for told in everything().values():
        assert told.message
        assert told.action
        assert told.gain.why
        assert told.evidence["n"] >= MIN_REQUESTS or told.type == "cold_start"
        assert "window_s" in told.evidence
        assert told.setting is None or told.setting.key in KEYS
        assert told.setting is None or told.setting.key in told.action


def test_as_json_it_has_what_old_clients_know_and_the_rest():
    told = everything()["queue"].as_dict()
    assert list(told) == [
        *("type", "severity", "message", "action", "setting", "command", "expected_gain", "evidence"),
    ]
    assert told["setting"] == {"key": "espeak.num_workers", "value": 4}
    assert set(told["expected_gain"]) == {"ttfa_ms_at_most", "why"}


# The rules of the optimisation status.


def optimization(*measurements: Measurement, num_fast_path: int = 100, config: Config | None = None) -> list[str]:
    context = Context(config or Config())
    return [each.type for each in advise_optimization(summary_of(*measurements), num_fast_path, context)]


@pytest.mark.parametrize(("ms", "expected"), [(1200.0, False), (1201.0, True)])
def test_a_mean_above_the_limit_is_told(ms: float, expected: bool):
    assert ("ttfa" in optimization(*[request(ms=ms)] * 20)) is expected


@pytest.mark.parametrize("num_failed", [20, 21])
def test_success_below_the_limit_is_told_once_whichever_rule_finds_it(num_failed: int):
    failed = [request(outcome="failed")] * num_failed
    assert optimization(*[request()] * (100 - num_failed), *failed) == ["success"]


def test_success_is_told_before_the_rest():
    found = optimization(*[request("queue", 900.0)] * 20, *[request(outcome="failed")] * 20)
    assert found == ["success", "queue"]


SLOW_PATH = Config(streaming=StreamingConfig(fast_path_enabled=False), engine=EngineConfig())


def test_a_fast_path_that_few_took_is_told_only_where_there_were_requests():
    assert optimization(*[request()] * 20, num_fast_path=9, config=SLOW_PATH) == ["fast_path"]
    assert optimization(*[request()] * 20, num_fast_path=10, config=SLOW_PATH) == []
    assert optimization(*[request()] * 9, num_fast_path=0, config=SLOW_PATH) == []


def test_a_fast_path_that_is_on_needs_no_advice():
    assert optimization(*[request()] * 20, num_fast_path=9) == []


def test_refused_requests_take_no_path():
    refused = [request(outcome="refused")] * 3
    assert optimization(*[request()] * 9, *refused, num_fast_path=9, config=SLOW_PATH) == []
    (told,) = advise_optimization(summary_of(*[request()] * 12, *refused), 9, Context(SLOW_PATH))
    assert (told.message, told.evidence["n"]) == ("only 9 of 12 spoken requests took the fast path", 12)


def test_a_fast_path_that_is_off_is_to_be_turned_on():
    (told,) = advise_optimization(summary_of(*[request()] * 20), 0, Context(SLOW_PATH))
    assert told.setting == Setting("streaming.fast_path_enabled", True)


def test_without_requests_the_optimisation_has_nothing_to_say():
    assert optimization(num_fast_path=0) == []
