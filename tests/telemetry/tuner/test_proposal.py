"""What is worth trying follows from what was measured, or from what somebody wishes."""

from dataclasses import replace

import pytest

from firstaudio.config import StreamingConfig
from firstaudio.errors import RequestError
from firstaudio.telemetry.tuner.knobs import KNOBS, knob_of
from firstaudio.telemetry.tuner.proposal import Nothing, Proposal, choose, propose, wished

from .conftest import measurement


def rows(number=30, **fields):
    return [measurement(**fields) for _ in range(number)]


def test_too_few_answers_propose_nothing():
    assert isinstance(propose(rows(19), StreamingConfig(min_chunk_size_ms=90)), Nothing)


@pytest.mark.parametrize(
    "fields", [{"delivery": "whole"}, {"warmth": "cached"}, {"origin": "benchmark"}, {"ttfa_ms": None}]
)
def test_answers_that_no_knob_can_change_propose_nothing(fields):
    assert "0 streamed answers" in propose(rows(**fields), StreamingConfig(first_segment_s=5)).reason


def test_the_fast_path_comes_first():
    found = propose(rows(), StreamingConfig(fast_path_enabled=False, first_segment_s=5))
    assert (found.knob.setting, found.value) == ("streaming.fast_path_enabled", True)
    assert "180.0 of 200.0 ms" in found.reason


def test_a_long_first_segment_is_shortened_in_steps():
    found = propose(rows(), StreamingConfig(first_segment_s=5.0))
    assert (found.knob.setting, found.value) == ("streaming.first_segment_s", 1.25)
    assert knob_of("streaming.first_segment_s").candidates(StreamingConfig(first_segment_s=0.7)) == [0.6]


def test_where_the_stages_that_a_knob_can_shorten_take_no_time_it_is_not_tried():
    found = propose(rows(first_audio_ms={"text_processing": 198.0}), StreamingConfig(first_segment_s=5))
    assert isinstance(found, Nothing)
    assert "no gain that counts" in found.reason


def test_what_was_tried_is_passed_over():
    tried = {("streaming.first_segment_s", 5.0, 1.25)}
    assert propose(rows(), StreamingConfig(first_segment_s=5.0), tried).value == 2.5


def test_gaps_ask_for_other_knobs_than_slowness():
    found = propose(rows(ttfa_ms=5.0, ttgp_ms=300.0, first_audio_ms={"queue": 3.0}), StreamingConfig())
    assert isinstance(found, Proposal)
    assert (found.knob.moves, found.knob.unit) == ("ttgp_ms", "window")
    assert "30 of 30 answers had a gap" in found.reason


def test_the_shipped_settings_of_a_fast_engine_are_left_alone():
    fast = rows(ttfa_ms=3.0, ttgp_ms=3.0, first_audio_ms={"model_inference": 2.0})
    assert isinstance(propose(fast, StreamingConfig()), Nothing)


def test_without_a_symptom_the_first_thing_that_was_not_tried_is_chosen():
    streaming = StreamingConfig(first_segment_s=5.0)
    assert isinstance(propose([], streaming), Nothing)

    found = choose([], streaming)
    assert (found.knob.setting, found.value) == ("streaming.first_segment_s", 1.25)

    tried = {(knob.setting, knob.value(streaming), value) for knob in KNOBS for value in knob.candidates(streaming)}
    assert choose([], streaming, tried) == Nothing("every value worth trying was tried not long ago")


def test_a_symptom_comes_before_what_was_not_tried():
    stalled = rows(ttfa_ms=5.0, ttgp_ms=300.0, first_audio_ms={"queue": 3.0})
    streaming = StreamingConfig(first_segment_s=5.0)
    assert choose(stalled, streaming) == propose(stalled, streaming) != choose([], streaming)


@pytest.mark.parametrize(
    ("value", "says"), [(1.0, "a shorter first segment"), (4.0, "a longer first segment"), (2.0, "against itself")]
)
def test_a_proposal_says_what_its_own_value_does(value, says):
    """Whatever direction the tuner itself would try."""
    assert says in wished(knob_of("streaming.first_segment_s"), value, StreamingConfig(first_segment_s=2.0)).reason


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.field)
def test_every_knob_tries_the_direction_that_its_sentence_is_about(knob):
    streaming = StreamingConfig(
        fast_path_enabled=False, first_segment_s=5.0, min_chunk_size_ms=100, max_chunk_size_ms=1000
    )
    values = knob.candidates(streaming)

    assert values
    assert {knob.reason(streaming, value) for value in values} == {knob.why}
    assert all(knob.reason(replace(streaming, **{knob.field: v}), knob.value(streaming)) == knob.back for v in values)


def test_who_names_a_knob_gets_its_value_or_its_first_candidate_or_the_reason_why_there_is_none():
    knob = knob_of("streaming.min_chunk_size_ms")
    assert wished(knob, 40, StreamingConfig(min_chunk_size_ms=40)).value == 40  # an A/A
    assert wished(knob, None, StreamingConfig(min_chunk_size_ms=400, max_chunk_size_ms=1000)).value == 100
    told = "streaming.min_chunk_size_ms stands at 20, where nothing better is known"
    assert wished(knob, None, StreamingConfig(min_chunk_size_ms=20)) == Nothing(told)
    with pytest.raises(RequestError):
        wished(knob, "short", StreamingConfig())
