"""What work costs: expected, then measured, and never beyond what was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.synthesis.pace import SMOOTHING, Pace

ROUNDING = 1e-9
SECONDS = st.floats(0.001, 100.0)


def test_what_was_expected_holds_until_something_is_measured():
    pace = Pace(0.3, 0.5)
    assert (pace.rtf, pace.first_step_s) == (0.3, 0.5)


def test_the_first_streams_count_the_same_and_an_expectation_counts_as_one_of_them():
    pace = Pace(0.0, 3.0)
    for work_s in (1.0, 5.0):
        pace.begun(work_s)
    assert pace.first_step_s == pytest.approx(3.0)
    unknown = Pace(0.0)
    unknown.begun(2.0)
    assert unknown.first_step_s == 2.0


def test_a_short_piece_of_audio_tells_less_of_the_speed():
    whole, half = Pace(0.0), Pace(0.0)
    whole.went_on(2.0, 2.0)
    half.went_on(0.5, 0.5)
    assert (whole.rtf, half.rtf) == (pytest.approx(SMOOTHING), pytest.approx(SMOOTHING / 2))


@given(SECONDS, st.lists(st.tuples(SECONDS, SECONDS), min_size=1))
def test_figures_stay_between_what_was_expected_and_what_was_seen(expected, seen):
    pace = Pace(expected, expected)
    for work_s, audio_s in seen:
        pace.begun(work_s)
        pace.went_on(work_s, audio_s)
    first, speeds = [expected, *(work_s for work_s, _ in seen)], [expected, *(w / a for w, a in seen)]
    for figure, known in ((pace.first_step_s, first), (pace.rtf, speeds)):
        assert min(known) * (1 - ROUNDING) <= figure <= max(known) * (1 + ROUNDING)
