"""What counts in an experiment, and when it is looked at."""

import random

from hypothesis import given
from hypothesis import strategies as st

from firstaudio.config import StreamingConfig
from firstaudio.telemetry.tuner.knobs import knob_of
from firstaudio.telemetry.tuner.trial.allocation import WASHOUT_S
from firstaudio.telemetry.tuner.trial.experiment import Experiment, Label, Plan
from firstaudio.trace import Trace


def experiment(setting="streaming.min_chunk_size_ms", value=20, **plan):
    return Experiment(
        "x1",
        knob_of(setting),
        StreamingConfig(),
        value,
        Plan(**{"max_rounds": 40, "max_s": 600.0} | plan),
        "a reason",
        100.0,
        1.7e9,
        random.Random(5),
    )


def given_arm(one, now_s=100.0, **fields):
    trace = Trace(delivery="audio", format="pcm", engine="synthetic", text_class="short")
    for name, value in fields.items():
        setattr(trace, name, value)
    return one.assign(trace, now_s), trace.arm


@given(st.text(max_size=30))
def test_a_label_is_read_or_is_none(text):
    found = Label.read(text)
    assert found is None or str(found) == text or text.split("/")[2].lstrip("0") in (str(found.block), "")


def test_a_label_survives_the_row():
    assert Label.read(str(Label("x17-2", "b", 12))) == Label("x17-2", "b", 12)


def test_an_answer_that_is_sent_as_a_whole_has_no_part_in_it():
    streaming, label = given_arm(experiment(), delivery="whole")
    assert (streaming, label) == (StreamingConfig(), "")


def test_answers_that_say_nothing_of_speed_do_not_count(measurement):
    one = experiment()
    for fields in (
        {"warmth": "cached"},
        {"warmth": "cold"},
        {"outcome": "refused", "ttfa_ms": None},
        {"outcome": "cancelled", "ttfa_ms": None, "ttgp_ms": None},
    ):
        one.record(measurement(arm="x1/b/0", **fields))
    one.record(measurement(arm="x0/b/0"))
    one.record(measurement(arm=""))
    assert (one.num_answers, one.num_rounds) == (0, 0)
    assert one.counts["b"].left == 1


def test_a_listener_who_leaves_in_the_middle_has_heard_the_first_audio(measurement):
    one = experiment()
    one.record(measurement(arm="x1/a/0"))
    one.record(measurement(arm="x1/b/0", outcome="cancelled", ttfa_ms=50.0))
    assert one.num_rounds == 1


def test_an_answer_that_another_engine_spoke_has_no_counterpart(measurement):
    one = experiment()
    one.record(measurement(arm="x1/a/0"))
    one.record(measurement(arm="x1/b/0", engine="espeak"))
    assert one.num_rounds == 0


def test_looks_are_due_at_half_and_at_the_end_and_once_each(measurement):
    one, due = experiment(), []
    for block in range(40):
        one.record(measurement(arm=f"x1/a/{block}"))
        one.record(measurement(arm=f"x1/b/{block}"))
        if look := one.due(100.0):
            due.append((one.num_rounds, look.alpha, look.is_last))
            one.take(look)
    assert due == [(20, 0.0052, False), (40, 0.0480, True)]


def test_the_last_look_is_due_when_time_is_up():
    assert experiment().due(699.0) is None
    assert experiment().due(701.0).is_last


def test_what_neighbours_pay_for_is_compared_by_windows():
    one = experiment("streaming.target_buffer_ms", 300)
    assert given_arm(one, now_s=100.0 + WASHOUT_S / 2)[1] == ""
    placed = [given_arm(one, now_s=100.0 + WASHOUT_S + k) for k in range(5)]
    assert len({streaming for streaming, _ in placed}) == 1
    assert {label.split("/")[2] for _, label in placed} == {"0"}
    # In the washout everyone has the window's value already.
    assert given_arm(one, now_s=100.0 + 1)[0] == placed[0][0]
