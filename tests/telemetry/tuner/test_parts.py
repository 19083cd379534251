"""What each part of the tuner does alone: allocation, experiment, proposal, decisions, own texts."""

import asyncio
import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.config import Config, EngineConfig, StreamingConfig, SyntheticConfig
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.telemetry.tuner.decisions import FILE_NAME, MAX_DECISIONS, Decision, DecisionLog
from firstaudio.telemetry.tuner.idle import QUIET_S, IdleTraffic, texts
from firstaudio.telemetry.tuner.knobs import knob_of
from firstaudio.telemetry.tuner.proposal import Nothing, Proposal, propose
from firstaudio.telemetry.tuner.trial.allocation import MAX_OPEN, WASHOUT_S, WINDOW_S, Pairs, Windows
from firstaudio.telemetry.tuner.trial.experiment import Experiment, Label, Plan
from firstaudio.trace import Trace

from .conftest import BLANK, Clock, measurement

# Allocation.


@given(st.lists(st.integers(0, 5), max_size=200), st.integers())
def test_in_every_kind_of_utterance_the_arms_are_balanced_at_any_time(kinds, seed):
    pairs, seen = Pairs(random.Random(seed)), {}
    for kind in kinds:
        place = pairs.place(kind, 0.0)
        seen.setdefault(kind, []).append(place)
        arms = [each.arm for each in seen[kind]]
        assert abs(arms.count("a") - arms.count("b")) <= 1
        for first, second in zip(seen[kind][::2], seen[kind][1::2], strict=False):
            assert (first.block, {first.arm, second.arm}) == (second.block, {"a", "b"})


def test_kinds_without_end_do_not_fill_the_memory():
    pairs = Pairs(random.Random(1))
    for kind in range(10 * MAX_OPEN):
        pairs.place(kind, 0.0)
    assert len(pairs._open) == MAX_OPEN


def test_windows_alternate_in_random_order_and_leave_out_their_beginning():
    windows = Windows(random.Random(1), 1000.0)
    at = [1000.0 + WINDOW_S * k + WASHOUT_S + 1 for k in range(40)]
    places = [windows.place("any", now_s) for now_s in at]
    assert [place.block for place in places] == [k // 2 for k in range(40)]
    orders = {(a.arm, b.arm) for a, b in zip(places[::2], places[1::2], strict=True)}
    assert orders == {("a", "b"), ("b", "a")}
    assert windows.place("any", 1000.0 + WINDOW_S * 3 + WASHOUT_S / 2) is None
    assert windows.arm(at[3]) == places[3].arm


# Experiment.


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


def test_answers_that_say_nothing_of_speed_do_not_count():
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


def test_a_listener_who_leaves_in_the_middle_has_heard_the_first_audio():
    one = experiment()
    one.record(measurement(arm="x1/a/0"))
    one.record(measurement(arm="x1/b/0", outcome="cancelled", ttfa_ms=50.0))
    assert one.num_rounds == 1


def test_an_answer_that_another_engine_spoke_has_no_counterpart():
    one = experiment()
    one.record(measurement(arm="x1/a/0"))
    one.record(measurement(arm="x1/b/0", engine="espeak"))
    assert one.num_rounds == 0


def test_looks_are_due_at_half_and_at_the_end_and_once_each():
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


# Proposal.


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


# Decisions.


def decision(number=0, **fields):
    told = {
        "at": float(number),
        "experiment": f"x{number}",
        "setting": "streaming.first_segment_s",
        "current": 5.0,
        "candidate": 1.25,
        "action": "kept",
        "verdict": "better",
        "sentence": "it is faster",
        "evidence": {"n": 40},
    }
    return Decision(**told | fields)


def test_decisions_are_read_again(tmp_path):
    log = DecisionLog(tmp_path / "tuner")
    made = [decision(0), decision(1, current=False, candidate=True), decision(2, current=50, candidate=20)]
    for each in made:
        log.append(each)
    again = DecisionLog(tmp_path / "tuner")
    again.load()
    assert again.last() == made[::-1]
    assert [type(each.current) for each in again.last()] == [int, bool, float]


def test_the_file_is_bounded(tmp_path):
    log = DecisionLog(tmp_path)
    for number in range(3 * MAX_DECISIONS):
        log.append(decision(number))
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) <= 2 * MAX_DECISIONS
    again = DecisionLog(tmp_path)
    again.load()
    assert [each.at for each in again.last(3)] == [3.0 * MAX_DECISIONS - k for k in (1, 2, 3)]
    assert len(again.last()) == MAX_DECISIONS


def test_a_torn_line_costs_itself_alone(tmp_path, caplog):
    log = DecisionLog(tmp_path)
    log.append(decision(1))
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text() + '{"at": 2.0, "exper')
    log.append(decision(3))
    again = DecisionLog(tmp_path)
    again.load()
    assert [each.at for each in again.last()] == [3.0, 1.0]
    assert "1 of 3 lines" in caplog.text


def test_garbage_is_no_decision(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\n[]\nnull\n{}\n" + b'{"at": "soon"}\n')
    log = DecisionLog(tmp_path)
    log.load()
    assert log.last() == []


def test_a_folder_that_cannot_be_had_is_reported_once_and_memory_serves(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    log = DecisionLog(tmp_path / "file" / "tuner")
    log.load()
    log.append(decision(1))
    log.append(decision(2))
    assert [each.at for each in log.last()] == [2.0, 1.0]
    assert "in memory only" in log.problem
    assert len([r for r in caplog.records if "cannot be kept" in r.message]) == 1


# Own texts.


def test_own_texts_come_in_three_lengths_and_hardly_ever_twice():
    found = list(islice(texts(random.Random(1)), 300))
    assert len({text[:20] for text in found}) == 300
    assert max(map(len, found[::3])) < 140 < min(map(len, found[1::3]))


@pytest.fixture
async def synthesizer():
    config = Config(
        engine=EngineConfig(names=("synthetic",), default_voice="alloy"),
        synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0, char_s=0.01, capacity=1),
    )
    one = Synthesizer(config)
    await one.start()
    yield one
    await one.close()


def idle(synthesizer, clock, wanted=lambda: True):
    """Idle traffic whose waiting is the test's: each wait moves the clock."""
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        clock.now_s += seconds
        await asyncio.sleep(0)
        if len(waits) >= 12:
            raise asyncio.CancelledError

    return IdleTraffic(synthesizer, wanted, random.Random(1), clock, sleep), waits


async def test_it_speaks_when_it_has_been_quiet_for_a_while(synthesizer):
    heard, clock = [], Clock()
    synthesizer.add_listener(heard.append)
    traffic, waits = idle(synthesizer, clock)
    with pytest.raises(asyncio.CancelledError):
        await traffic.run()
    assert waits[:2] == [QUIET_S / 2, QUIET_S / 2]
    assert len(heard) == traffic.num_spoken == 10
    assert {(trace.origin, trace.outcome) for trace in heard} == {("tuner", "completed")}
    assert all(trace.ttfa_ms is not None and trace.ttgp_ms is not None for trace in heard)


async def test_it_says_nothing_where_nothing_is_to_be_learned(synthesizer):
    traffic, _ = idle(synthesizer, Clock(), wanted=lambda: False)
    with pytest.raises(asyncio.CancelledError):
        await traffic.run()
    assert traffic.num_spoken == 0


async def test_it_is_silent_while_somebody_listens(synthesizer):
    async with synthesizer.stream(Utterance("A client is served. " * 50)):
        traffic, _ = idle(synthesizer, Clock())
        with pytest.raises(asyncio.CancelledError):
            await traffic.run()
    assert traffic.num_spoken == 0


class Eager(IdleTraffic):
    """Says when it has been heard."""

    def __init__(self, *args):
        super().__init__(*args)
        self.begun = asyncio.Event()

    async def _listen(self, stream):
        await anext(stream)
        self.begun.set()
        return await super()._listen(stream)


async def test_it_makes_way_before_the_client_is_admitted():
    """The one lane can serve one stream and not two: a client would be refused if the tuner's still counted."""
    config = Config(
        engine=EngineConfig(names=("synthetic",), default_voice="alloy"),
        synthetic=SyntheticConfig(ttfa_ms=1.0, rtf=0.8, step_ms=20.0, capacity=1),
        streaming=StreamingConfig(min_chunk_size_ms=10, max_chunk_size_ms=20),
    )
    synthesizer = Synthesizer(config)
    await synthesizer.start()
    heard = []
    synthesizer.add_listener(heard.append)
    traffic = Eager(synthesizer, lambda: True, random.Random(1), Clock())
    traffic._texts = iter(["A text that goes on and on. " * 200])
    plain = synthesizer.assign

    def assign(utterance, trace):
        if trace.origin != "tuner":
            traffic.make_way()
        return plain(utterance, trace)

    synthesizer.assign = assign
    speaking = asyncio.create_task(traffic._speak())
    await traffic.begun.wait()
    try:
        async with synthesizer.stream(Utterance("A client comes, and has a lot to say. " * 20)) as stream:
            assert await anext(stream)
        assert await speaking
    finally:
        await synthesizer.close()
    assert [(each.origin, each.outcome) for each in heard] == [("tuner", "cancelled"), ("client", "cancelled")]
    assert traffic.num_spoken == 0


async def test_its_failures_make_it_slower(synthesizer, monkeypatch):
    clock = Clock()
    traffic, waits = idle(synthesizer, clock)

    async def fail():
        return False

    monkeypatch.setattr(traffic, "_speak", fail)
    with pytest.raises(asyncio.CancelledError):
        await traffic.run()
    assert waits[2:6] == [2 * QUIET_S, 4 * QUIET_S, 8 * QUIET_S, 16 * QUIET_S]
    assert max(waits) == 300.0


def test_the_blank_row_is_whole():
    assert set(BLANK) | {"first_audio_ms", "stages_ms"} == set(measurement().__dataclass_fields__)
