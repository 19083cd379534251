import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firstaudio.config import StreamingConfig
from firstaudio.text.boundaries import Kind
from firstaudio.text.plan import (
    FIRST_CLAUSE_MAX_S,
    FIRST_MAX_S,
    FIRST_MIN_S,
    FIRST_START_SHARE,
    LONGEST_S,
    CostModel,
    SpeechRate,
    pause_s,
    plan_budget,
)
from firstaudio.text.segment import Segmenter

DEFAULTS = StreamingConfig()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("a" * 15, 1.0), ("你好世界", 1.07), ("ひらがな", 0.53), ("한국어", 0.5), ("1999", 1.33), ("", 0.0)],
)
def test_scripts_take_their_time(text: str, seconds: float):
    assert round(SpeechRate().seconds(text), 2) == seconds


@given(st.text(), st.text(), st.sampled_from([0.25, 1.0, 4.0]))
def test_the_duration_of_a_sum_is_the_sum_of_durations(a: str, b: str, speed: float):
    rate = SpeechRate()
    assert rate.seconds(a + b, speed) == pytest.approx(rate.seconds(a, speed) + rate.seconds(b, speed))


def test_double_speed_takes_half_the_time():
    assert SpeechRate().seconds("hello there", 2.0) == SpeechRate().seconds("hello there") / 2


def test_the_rate_learns_what_the_engine_really_does():
    rate = SpeechRate()
    for _ in range(30):
        rate.observe("a" * 30, audio_s=0.75, speed=2.0)
    assert rate.factor == pytest.approx(0.75, abs=0.01)
    assert rate.seconds("a" * 30, 2.0) == pytest.approx(0.75, abs=0.01)


@given(st.lists(st.tuples(st.text(max_size=50), st.floats(0, 1e6)), max_size=20))
def test_the_rate_stays_within_its_bounds(observations: list[tuple[str, float]]):
    rate = SpeechRate()
    for text, audio_s in observations:
        rate.observe(text, audio_s)
    assert SpeechRate.MIN_FACTOR <= rate.factor <= SpeechRate.MAX_FACTOR


def test_the_cost_model_begins_with_the_expectation():
    cost = CostModel(expected_rtf=0.3, expected_overhead_s=0.1)
    assert cost.rtf == pytest.approx(0.3)
    assert cost.overhead_s == pytest.approx(0.1)
    assert cost.predict_s(10.0) == pytest.approx(3.1)


def test_the_cost_model_finds_the_line_it_is_shown():
    cost = CostModel(expected_rtf=1.0)
    for count in range(200):
        audio_s = 1.0 + count % 5
        cost.observe(audio_s, 0.2 + 0.1 * audio_s)
    assert cost.overhead_s == pytest.approx(0.2, abs=0.01)
    assert cost.rtf == pytest.approx(0.1, abs=0.01)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=60))
def test_a_prediction_is_never_negative(observations: list[tuple[float, float]]):
    cost = CostModel(0.2)
    for audio_s, work_s in observations:
        cost.observe(audio_s, work_s)
    assert cost.overhead_s >= 0
    assert cost.rtf >= 0


def test_the_first_segment_is_a_short_clause():
    streaming = plan_budget(0, 0.0, CostModel(0.1), DEFAULTS, incremental=True)
    whole = plan_budget(0, 0.0, CostModel(0.1), DEFAULTS, incremental=False)
    assert streaming.natural is whole.natural is Kind.CLAUSE
    assert streaming.target_s == whole.target_s == FIRST_MIN_S
    assert whole.max_s == FIRST_MAX_S < streaming.max_s


def test_in_a_crowd_no_engine_begins_with_a_long_clause():
    crowded = plan_budget(0, 0.0, CostModel(0.1), DEFAULTS, incremental=True, crowded=True)
    assert crowded == plan_budget(0, 0.0, CostModel(0.1), DEFAULTS, incremental=False)


def test_incremental_generation_off_means_that_no_engine_streams_inside_a_segment():
    off = StreamingConfig(incremental_generation=False)
    for index, lead_s in ((0, 0.0), (1, 2.0)):
        assert plan_budget(index, lead_s, CostModel(0.1), off, incremental=True) == plan_budget(
            index, lead_s, CostModel(0.1), DEFAULTS, incremental=False
        )


def first_max_s(overhead_s: float, startup_rtf: float, target_ms: int = 200) -> float:
    """The longest first clause of an engine that streams, whose start-up grows."""
    streaming = StreamingConfig(first_chunk_target_ms=target_ms)
    startup = CostModel(startup_rtf, overhead_s)
    return plan_budget(0, 0.0, CostModel(0.1), streaming, incremental=True, startup=startup).max_s


def test_where_the_start_up_grows_the_first_clause_is_what_keeps_it_within_its_share_of_the_target():
    assert first_max_s(0.04, 0.02) == pytest.approx((0.2 * FIRST_START_SHARE - 0.04) / 0.02)
    assert first_max_s(0.04, 0.005) == FIRST_CLAUSE_MAX_S
    assert first_max_s(0.04, 0.2) == first_max_s(0.5, 0.02) == FIRST_MAX_S
    assert first_max_s(0.5, 0.02, target_ms=2000) == FIRST_CLAUSE_MAX_S


def test_without_start_up_the_plans_of_an_engine_that_streams_do_not_depend_on_the_lead():
    later = [plan_budget(1, lead_s, CostModel(0.1), DEFAULTS, incremental=True) for lead_s in (0.0, 0.3, 9.0)]
    assert [budget.max_s for budget in later] == [LONGEST_S] * 3
    assert plan_budget(0, 0.0, CostModel(0.1), DEFAULTS, incremental=True).max_s == FIRST_CLAUSE_MAX_S


@given(lead_s=st.floats(0, 20), rtf=st.floats(0, 2), overhead_s=st.floats(0, 1), buffer_ms=st.integers(0, 2000))
def test_an_engine_that_streams_begins_a_segment_before_the_listener_runs_dry(
    lead_s: float, rtf: float, overhead_s: float, buffer_ms: int
):
    startup, streaming = CostModel(rtf, overhead_s), StreamingConfig(target_buffer_ms=buffer_ms)
    budget = plan_budget(1, lead_s, CostModel(0.5), streaming, incremental=True, startup=startup)
    begins_in_time = startup.predict_s(budget.max_s) + buffer_ms / 1000 <= lead_s + 1e-6
    assert begins_in_time or budget.max_s == FIRST_MAX_S
    assert FIRST_MIN_S <= budget.target_s <= budget.max_s <= LONGEST_S


WINDOW_S = 0.3
CLAUSES = ("so, ", "it, ", "is? ", "of, ", "we. ", "at; ")


def gaps_s(text: str, startup: CostModel, rtf: float) -> list[float]:
    """How long a listener who plays at once waits at each later segment and window, in seconds: at most 0 is gapless.

    The engine takes `startup` to a segment's first window, and `rtf` for each second of the windows after it.
    """
    segmenter = Segmenter()
    segmenter.feed(text)
    segmenter.finish()
    gaps: list[float] = []
    index, lead_s = 0, 0.0

    def plan_next():
        budget = plan_budget(index, lead_s, CostModel(rtf), DEFAULTS, incremental=True, startup=startup)
        return segmenter.next_segment(budget)

    while segment := plan_next():
        length_s = segment.estimated_s
        for begin in range(math.ceil(length_s / WINDOW_S)):
            audio_s = min(WINDOW_S, length_s - begin * WINDOW_S)
            work_s = rtf * audio_s if begin else startup.predict_s(length_s)
            if index or begin:
                gaps.append(work_s - lead_s)
                lead_s -= work_s
            lead_s += audio_s
        index += 1
    return gaps


@given(
    st.lists(st.sampled_from(CLAUSES), min_size=40, max_size=120).map("".join),
    st.floats(0, 0.15),
    st.floats(0, 0.3),
    st.floats(0, 0.9),
)
def test_whoever_plays_at_once_never_runs_dry_where_short_segments_keep_up(
    text: str, overhead_s: float, startup_rtf: float, rtf: float
):
    """What a shortest segment leaves covers the start-up of any short one: no plan can help where it does not."""
    startup = CostModel(startup_rtf, overhead_s)
    assume(startup.predict_s(FIRST_MAX_S) <= FIRST_MIN_S - rtf * (FIRST_MIN_S - WINDOW_S))
    assert max(gaps_s(text, startup, rtf), default=0.0) <= 1e-9


def test_that_simulation_finds_the_gaps_of_an_engine_that_does_not_keep_up():
    assert max(gaps_s("so, it is. " * 20, CostModel(0.0, 1.5), 0.5)) > 0.5


@given(lead_s=st.floats(0, 20), rtf=st.floats(0, 2), overhead_s=st.floats(0, 1), buffer_ms=st.integers(0, 2000))
def test_a_segment_is_ready_before_the_listener_runs_dry(lead_s: float, rtf: float, overhead_s: float, buffer_ms: int):
    cost = CostModel(rtf, overhead_s)
    budget = plan_budget(1, lead_s, cost, StreamingConfig(target_buffer_ms=buffer_ms), incremental=False)
    ready_in_time = cost.predict_s(budget.max_s) + buffer_ms / 1000 <= lead_s + 1e-6
    assert ready_in_time or budget.max_s == FIRST_MAX_S


def test_a_larger_safety_buffer_makes_segments_shorter():
    def longest_s(buffer_ms: int) -> float:
        streaming = StreamingConfig(target_buffer_ms=buffer_ms)
        return plan_budget(1, 2.0, CostModel(0.5), streaming, incremental=False).max_s

    assert longest_s(0) == pytest.approx(4.0)
    assert longest_s(500) == pytest.approx(3.0)


def test_with_the_fast_path_off_all_budgets_are_equal():
    off = StreamingConfig(fast_path_enabled=False)
    budgets = [
        plan_budget(index, lead_s, CostModel(0.1), off, incremental=incremental)
        for index, lead_s, incremental in ((0, 0.0, True), (1, 1.0, False), (9, 30.0, True))
    ]
    assert budgets == [budgets[0]] * 3


def test_no_budget_exceeds_the_configured_characters():
    small = StreamingConfig(max_segment_chars=40)
    assert plan_budget(0, 0.0, CostModel(0.1), small, incremental=False).max_chars == 40
    assert plan_budget(5, 9.0, CostModel(0.1), small, incremental=True).max_chars == 40


def test_pauses_grow_with_the_kind_and_shrink_with_the_speed():
    assert [pause_s(kind) for kind in Kind] == [0.0, 0.0, 0.0, 0.16, 0.24, 0.31, 0.54]
    assert pause_s(Kind.SENTENCE, 2.0) == 0.155
