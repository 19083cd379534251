"""What was judged rests for a while, over a restart too; what was given up does not."""

import random

import pytest

from firstaudio.config import StreamingConfig
from firstaudio.telemetry.tuner.knobs import knob_of
from firstaudio.telemetry.tuner.resting import REST_S, UNDECIDED_REST_S, Resting
from firstaudio.telemetry.tuner.trial.experiment import Experiment, Plan

from .conftest import decision

SETTING = "streaming.min_chunk_size_ms"
AT = 1.7e9


class Now:
    """Monotonic seconds, moved by hand."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def experiment():
    base = StreamingConfig(min_chunk_size_ms=400, max_chunk_size_ms=1000)
    return Experiment("x1", knob_of(SETTING), base, 50, Plan(40, 600.0), "", 100.0, AT, random.Random(1))


@pytest.mark.parametrize(("verdict", "rest_s"), [("equivalent", REST_S), ("inconclusive", UNDECIDED_REST_S)])
def test_what_was_judged_rests_until_its_time_is_up(verdict, rest_s):
    now = Now()
    resting = Resting(now)
    resting.add(experiment(), "left", verdict)
    now.now_s += rest_s - 1
    assert resting.tried() == {(SETTING, 400, 50)}
    now.now_s += 1
    assert resting.tried() == frozenset()


def test_with_a_gain_that_is_only_recommended_the_whole_setting_rests():
    resting = Resting(Now())
    resting.add(experiment(), "recommended", "better")
    assert resting.tried() == {(SETTING, 400, 50), (SETTING, 400, 100), (SETTING, 400, 200)}


@pytest.mark.parametrize(
    ("action", "applies", "rests"),
    [
        ("left", True, True),
        ("stopped", True, True),
        ("rolled_back", True, True),
        ("recommended", False, True),
        ("recommended", True, False),
        ("kept", True, False),
        ("abandoned", False, False),
        ("reset", False, False),
    ],
)
def test_of_an_earlier_server_no_gain_is_remembered_and_a_gain_is_found_again(action, applies, rests):
    resting = Resting(Now())
    resting.remember([decision(at=AT - 10, action=action)], AT, applies=applies)
    assert len(resting.tried()) == rests


def test_the_rest_of_an_earlier_server_ends_when_it_would_have_ended_there():
    now = Now()
    resting = Resting(now)
    undecided = {"action": "left", "verdict": "inconclusive"}
    resting.remember(
        [
            decision(at=AT - 1000, candidate=2.5, **undecided),
            decision(at=AT - 3000, candidate=1.25, **undecided),
            decision(at=AT - 3700, candidate=0.8, **undecided),
            decision(at=AT + 5, candidate=9.0, **undecided),  # the wall clock was set back
        ],
        AT,
        applies=False,
    )
    assert {candidate for _, _, candidate in resting.tried()} == {2.5, 1.25}
    now.now_s += 600
    assert {candidate for _, _, candidate in resting.tried()} == {2.5}
    now.now_s += 2000
    assert resting.tried() == frozenset()
