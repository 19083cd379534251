"""The tuner as a whole: what is bad it mends, what is good it leaves alone, what harms it stops."""

import asyncio
import gc
import logging
import threading

import pytest

from firstaudio.errors import ConflictError, RequestError
from firstaudio.telemetry.tuner import tuner as module
from firstaudio.telemetry.tuner.telling import as_dict, recommendations
from firstaudio.trace import Trace

from .conftest import BLANK, measurement

BAD = {"min_chunk_size_ms": 400, "max_chunk_size_ms": 1000}


async def test_a_bad_setting_is_found_and_kept_where_that_is_allowed(make):
    world = make(BAD, apply=True, cool_down_s=0.0)
    await world.tuner.start()
    decisions = await world.settle(1500)
    kept = [d for d in decisions if d.action == "kept"]
    assert [(d.current, d.candidate) for d in kept[:2]] == [(400, 100), (100, 25)]
    assert kept[0].evidence["target"]["high"] < 1
    [(setting, configured, now)] = world.tuner.status().changed
    assert (setting, configured) == ("streaming.min_chunk_size_ms", 400)
    assert now == world.synthesizer.streaming.min_chunk_size_ms <= 25
    await world.tuner.close()


async def test_without_leave_to_apply_it_recommends_and_nothing_changes(make):
    world = make(BAD)
    await world.tuner.start()
    decisions = await world.settle(600)
    assert [decision.action for decision in decisions] == ["recommended"]
    assert world.synthesizer.streaming == world.config.streaming
    found = recommendations(world.tuner.status())
    assert [(r.setting.key, r.setting.value) for r in found] == [("streaming.min_chunk_size_ms", 100)]
    assert found[0].action == "put streaming.min_chunk_size_ms = 100 into the configuration"
    assert found[0].gain.ttfa_ms_at_most == pytest.approx(300, abs=40)
    await world.tuner.close()


async def test_a_good_setting_is_left_alone(make):
    world = make({"min_chunk_size_ms": 20}, apply=True)
    await world.tuner.start()
    assert await world.settle(200) == []
    status = world.tuner.status()
    assert (status.state, status.changed) == ("observing", ())
    assert "nothing is left to try" in status.remark
    await world.tuner.close()


async def test_a_setting_compared_with_itself_is_left(make):
    """Ten A/A experiments: chance would let one pass in 13 % of tests at worst, and it does not with this seed."""
    world = make({"min_chunk_size_ms": 200, "max_chunk_size_ms": 400}, apply=True)
    await world.tuner.start()
    world.tuner._resting._until_s = {("streaming.min_chunk_size_ms", 200, value): 1e9 for value in (50, 100)}
    actions = []
    for _ in range(10):
        world.tuner.trigger("streaming.min_chunk_size_ms", 200)
        actions += [decision.action for decision in await world.settle(120)]
    assert actions == ["left"] * 10
    await world.tuner.close()


async def test_both_arms_are_served_in_balance_and_labelled(make):
    world = make(BAD)
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    answers = [world.speak() for _ in range(40)]
    arms = [answer.arm.split("/")[1] for answer in answers]
    assert (arms.count("a"), arms.count("b")) == (20, 20)
    assert all({arms[2 * k], arms[2 * k + 1]} == {"a", "b"} for k in range(20))
    assert len({tuple(arms[2 * k : 2 * k + 2]) for k in range(20)}) == 2  # in random order


async def test_benchmarks_and_warm_up_get_what_holds_and_no_label(make):
    world = make(BAD)
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    answers = [world.speak(origin=origin) for origin in ("benchmark", "warmup") * 10]
    assert {answer.arm for answer in answers} == {""}
    assert all(answer.ttfa_ms > 200 for answer in answers)
    assert world.tuner.status().experiment.num_answers == 0


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("stuttered", {"ttgp_ms": lambda s: 900.0 if s.min_chunk_size_ms == 20 else 400.0, "ttfa_ms": 400.0}),
        ("failed", {"outcome": lambda s: "failed" if s.min_chunk_size_ms == 20 else "completed"}),
    ],
)
async def test_harm_ends_an_experiment_at_once(make, name, bad):
    world = make(BAD, apply=True)
    await world.tuner.start()
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    while not world.tuner.status().experiment.harm:
        world.speak(**bad)
    assert world.tuner.status().experiment.counts["b"].assigned <= 5
    assert world.speak().arm == ""  # before any pass was made
    decision = await world.tuner.optimize_system()
    assert (decision.action, decision.verdict) == ("stopped", "harmful")
    assert name in decision.sentence
    assert decision.evidence["counts"]["b"]["assigned"] <= 5
    assert world.synthesizer.streaming == world.config.streaming
    await world.tuner.close()


async def test_what_was_kept_is_taken_back_when_it_harms_later(make, caplog):
    world = make(BAD, apply=True)
    await world.tuner.start()
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    assert [d.action for d in await world.settle(100)] == ["kept"]
    assert world.tuner.status().on_probation == "streaming.min_chunk_size_ms"
    decisions = await world.settle(40, outcome="failed")
    assert decisions[0].action == "rolled_back"
    assert world.synthesizer.streaming == world.config.streaming
    assert "rolled_back" in caplog.text
    await world.tuner.close()


async def test_probation_ends_after_enough_good_answers(make):
    world = make(BAD, apply=True)
    await world.tuner.start()
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    await world.settle(350)
    assert (world.tuner.status().on_probation, world.synthesizer.streaming.min_chunk_size_ms) == ("", 20)
    await world.tuner.close()


async def test_reset_goes_back_to_the_configuration(make):
    world = make(BAD, apply=True)
    await world.tuner.start()
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    await world.settle(100)
    decision = await world.tuner.reset()
    assert (decision.action, decision.current, decision.candidate) == ("reset", 400, 20)
    assert world.synthesizer.streaming == world.config.streaming
    assert await world.tuner.reset() is None
    await world.tuner.close()


async def test_after_an_experiment_it_rests(make):
    world = make(BAD, cool_down_s=500.0, apply=True)
    await world.tuner.start()
    assert len(await world.settle(400)) == 1
    status = world.tuner.status()
    assert status.state == "cooling_down"
    assert 400 < status.cool_down_s < 500
    world.clock.now_s += 500
    assert len(await world.settle(400)) == 1
    await world.tuner.close()


async def test_what_was_judged_is_not_tried_again_for_a_day(make):
    world = make({"min_chunk_size_ms": 40}, cool_down_s=0.0)
    world.ttfa_ms = lambda streaming: 100.0
    await world.tuner.start()
    first = await world.settle(1000)
    assert [(d.setting, d.candidate, d.action) for d in first] == [("streaming.min_chunk_size_ms", 20, "left")]
    world.clock.now_s += 90_000
    assert len(await world.settle(400)) == 1
    await world.tuner.close()


async def test_a_restart_remembers_what_was_judged(make, tmp_path):
    for expected in (1, 0):
        world = make({"min_chunk_size_ms": 40})
        world.clock.now_s += 1000 * (1 - expected)
        world.ttfa_ms = lambda streaming: 100.0
        await world.tuner.start(tmp_path / "tuner")
        assert len(await world.settle(400)) == expected
        await world.tuner.close()


async def test_few_answers_until_time_is_up_decide_nothing(make):
    world = make(BAD, max_experiment_s=60.0)
    await world.tuner.start()
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    for _ in range(6):
        world.speak()
    world.clock.now_s += 60
    decision = await world.tuner.optimize_system()
    assert (decision.action, decision.verdict) == ("left", "inconclusive")
    await world.tuner.close()


async def test_closing_abandons_the_experiment_and_leaves_no_task(make):
    world = make(BAD, idle_traffic=True)
    before = asyncio.all_tasks()
    await world.tuner.start()
    world.tuner.trigger()
    await world.tuner.close()
    assert asyncio.all_tasks() == before
    assert [d.action for d in world.tuner.status().decisions] == ["abandoned"]


async def test_a_second_trigger_is_refused(make):
    world = make(BAD)
    world.tuner.trigger()
    with pytest.raises(ConflictError, match="is running"):
        world.tuner.trigger()


async def test_a_setting_that_nobody_can_try_is_refused(make):
    world = make()
    for setting, value in [("streaming.max_streams", 5), ("streaming.first_segment_s", 99.0), ("nonsense", None)]:
        with pytest.raises(RequestError):
            world.tuner.trigger(setting, value)
    assert world.tuner.status().experiment is None


async def test_speech_goes_on_when_the_tuner_cannot_assign(make, monkeypatch, caplog):
    world = make(BAD)
    experiment = world.tuner.trigger()
    monkeypatch.setattr(experiment, "assign", lambda *_: 1 / 0)
    assert world.speak().arm == ""
    assert "could not assign" in caplog.text


async def test_an_experiment_that_cannot_be_judged_is_abandoned(make, monkeypatch):
    world = make(BAD)
    await world.tuner.start()
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    monkeypatch.setattr("firstaudio.telemetry.tuner.trial.experiment.judge", lambda *_, **__: 1 / 0)
    for _ in range(80):
        world.speak()
    with pytest.raises(ZeroDivisionError):
        await world.tuner.optimize_system()
    assert world.tuner.status().experiment is None
    assert world.tuner.status().decisions[0].action == "abandoned"
    await world.tuner.close()


async def test_its_own_failure_is_told(make, monkeypatch, caplog):
    world = make(interval_s=0.001)
    monkeypatch.setattr(module, "propose", lambda *_: 1 / 0)
    await world.tuner.start()
    while not world.tuner.status().failure:  # noqa: ASYNC110 (a thread looks meanwhile, the test has a time limit)
        await asyncio.sleep(0.001)
    assert "ZeroDivisionError" in world.tuner.status().failure
    assert "RealTimeOptimizer failed, it goes on later" in caplog.text
    await world.tuner.close()


async def test_a_pass_that_is_due_does_not_wait_for_the_interval(make):
    world = make(BAD, interval_s=3600.0)
    await world.tuner.start()
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    for _ in range(80):
        world.speak()
    while not world.tuner.status().decisions:  # noqa: ASYNC110 (a thread judges meanwhile, the test has a time limit)
        await asyncio.sleep(0.001)
    await world.tuner.close()


# Scheduling.


async def test_on_a_running_loop_a_pass_is_a_task_that_is_held(make):
    world = make()
    began = asyncio.Event()
    go_on = asyncio.Event()

    async def slow():
        began.set()
        await go_on.wait()

    world.tuner.optimize_system = slow
    assert world.tuner.schedule_safely()
    await began.wait()
    gc.collect()
    assert [task.get_name() for task in asyncio.all_tasks()].count("RealTimeOptimizer") == 1
    go_on.set()
    await world.tuner.close()
    assert "RealTimeOptimizer" not in [task.get_name() for task in asyncio.all_tasks()]


def test_without_a_loop_a_pass_is_a_daemon_thread_whose_loop_is_closed(make):
    world = make()
    seen = []

    async def look():
        thread = threading.current_thread()
        seen.append((thread.name, thread.daemon, asyncio.get_running_loop()))

    world.tuner.optimize_system = look
    assert world.tuner.schedule_safely()
    world.tuner.join(10)
    [(name, daemon, loop)] = seen
    assert (name, daemon, loop.is_closed()) == ("RealTimeOptimizer", True, True)
    assert "RealTimeOptimizer" not in [thread.name for thread in threading.enumerate()]


def test_without_a_loop_a_whole_experiment_can_be_judged(make):
    world = make(BAD)
    world.tuner.trigger("streaming.min_chunk_size_ms", 20)
    for _ in range(80):
        world.speak()
    world.tuner.schedule_safely()
    world.tuner.join(30)
    assert world.tuner.status().decisions[0].action == "recommended"
    assert threading.active_count() == 1 or "RealTimeOptimizer" not in [t.name for t in threading.enumerate()]


def test_an_error_in_a_thread_is_a_warning(make, caplog):
    world = make()

    async def fail():
        raise RuntimeError("broken")

    world.tuner.optimize_system = fail
    assert world.tuner.schedule_safely()
    world.tuner.join(10)
    assert [(r.levelno, "RealTimeOptimizer failed" in r.message) for r in caplog.records] == [(logging.WARNING, True)]


async def test_an_error_in_a_task_is_a_warning(make, caplog):
    world = make()

    async def fail():
        raise RuntimeError("broken")

    world.tuner.optimize_system = fail
    world.tuner.schedule_safely()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "RealTimeOptimizer"))
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


def test_what_cannot_be_scheduled_is_a_warning_and_not_an_error(make, monkeypatch, caplog):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not make().tuner.schedule_safely()
    assert "could not be scheduled" in caplog.text


async def test_one_pass_at_a_time(make, monkeypatch):
    world = make(BAD)
    await world.tuner.start()
    running, go_on = asyncio.Event(), asyncio.Event()

    async def consider():
        running.set()
        await go_on.wait()

    monkeypatch.setattr(world.tuner, "_consider", consider)
    first = asyncio.create_task(world.tuner.optimize_system())
    await running.wait()
    assert await world.tuner.optimize_system() is None
    go_on.set()
    await first
    await world.tuner.close()


def test_the_status_is_json(make):
    import json

    world = make(BAD)
    world.tuner.trigger()
    told = as_dict(world.tuner.status())
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_where_no_measurements_are_kept_nothing_is_assigned(make):
    world = make(telemetry=False)
    trace = Trace()
    assert world.synthesizer.assign(None, trace) is world.synthesizer.streaming
    assert trace.arm == ""
    with pytest.raises(ConflictError, match=r"telemetry\.enabled"):
        world.tuner.trigger()


async def test_unless_asked_it_only_says_what_is_worth_trying(make):
    world = make(BAD, experiment=False)
    await world.tuner.start()

    assert await world.settle(300) == []
    status = world.tuner.status()
    assert status.state == "observing"
    assert status.remark.startswith("worth trying: streaming.min_chunk_size_ms = 100, because ")

    assert world.tuner.trigger() is not None
    assert [decision.action for decision in await world.settle(600)] == ["recommended"]
    await world.tuner.close()


def test_the_blank_row_is_whole():
    assert set(BLANK) | {"first_audio_ms", "stages_ms"} == set(measurement().__dataclass_fields__)
