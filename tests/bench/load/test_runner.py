"""Whole loads against a target in this process."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.load.runner import deadline_s, run_load
from firstaudio.bench.load.schedule import make_schedule
from firstaudio.bench.load.taken import LoadRun, Taken
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.texts import TextSource
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell, Load, Texts
from firstaudio.clock import NS_PER_S, now_ns
from firstaudio.errors import BenchError


def cell(*, spec: dict[str, Any] | None = None, **load: Any) -> Cell:
    plan = Load(**{"num_requests": 8, "stagger_s": 0.0, "warmup_requests": 0, **load})
    return Cell("cell", TargetSpec("openai", **(spec or {})), texts=Texts(("short",)), load=plan)


async def load(target: Any, a_cell: Cell, **others: Any) -> LoadRun:
    return await run_load(target, a_cell, TextSource.of(a_cell), **others)


def measured(run: LoadRun) -> list[Taken]:
    return [taken for taken in run.taken if taken.phase == "measured"]


def outcomes(taken: list[Taken]) -> Counter[str]:
    return Counter("ok" if t.exchange.failure is None else str(t.exchange.failure.kind) for t in taken)


async def test_a_closed_loop_sends_its_quota_once_over_one_channel_per_client(target: Any) -> None:
    run = await load(target, cell(concurrency=2, num_requests=9))
    assert outcomes(measured(run)) == {"ok": 9}
    assert (target.opened, target.closed) == (2, 2)
    assert target.most <= 2
    assert run.completed
    assert run.schedule_hash is None
    assert run.warnings == []


async def test_each_client_sends_at_least_four_requests(target: Any) -> None:
    assert len(measured(await load(target, cell(concurrency=3, num_requests=1)))) == 12


async def test_every_request_has_its_own_text_and_the_order_of_sending(target: Any) -> None:
    run = await load(target, cell(concurrency=4, num_requests=40, warmup_requests=16))
    texts = [taken.utterance.text for taken in run.taken]
    assert len(set(texts)) == len(texts)
    assert [taken.index for taken in run.taken] == sorted(taken.index for taken in run.taken)
    dispatched = [taken.exchange.dispatched_ns for taken in run.taken]
    assert dispatched == sorted(dispatched)


async def test_measured_texts_are_the_same_whatever_the_warmup(target: Any) -> None:
    runs = [await load(target, cell(warmup_requests=number)) for number in (0, 8)]
    first, second = [[taken.utterance.text for taken in measured(run)] for run in runs]
    assert first == second


async def test_a_closed_loop_schedules_a_request_when_it_sends_it(target: Any) -> None:
    run = await load(target, cell())
    assert [t.exchange.scheduled_ns for t in run.taken] == [t.exchange.dispatched_ns for t in run.taken]
    assert run.client.dispatch_lag_p99_ms is None
    assert run.client.late_share is None


async def test_the_warmup_hands_over_without_draining(target: Any) -> None:
    """The first warm-up request is answered only after measured ones have been sent."""
    release = asyncio.Event()

    async def hold_the_first(utterance: Utterance, exchange: Exchange) -> None:
        number = len(target.spoken)
        if number == 1:
            await release.wait()
        elif number == 12:
            release.set()
        await asyncio.sleep(0)

    target.behaviour = hold_the_first
    run = await load(target, cell(concurrency=3, num_requests=30, warmup_requests=9))
    assert [taken.phase for taken in run.taken[:12]] == ["warmup"] * 9 + ["measured"] * 3
    assert outcomes(measured(run)) == {"ok": 30}


async def test_the_load_is_kept_up_until_the_last_measured_answer(target: Any) -> None:
    """The last measured request is held back until others have been sent after it."""
    release = asyncio.Event()

    async def hold_one(utterance: Utterance, exchange: Exchange) -> None:
        number = len(target.spoken)
        if number == 4:
            await release.wait()
        elif number == 30:
            release.set()
        await asyncio.sleep(0)

    target.behaviour = hold_one
    run = await load(target, cell(concurrency=2, num_requests=8))
    assert outcomes(measured(run)) == {"ok": 8}
    fillers = [taken for taken in run.taken if taken.phase == "warmup"]
    assert len(fillers) >= 20
    assert outcomes(fillers) == {"ok": len(fillers)}
    assert run.client.mean_in_flight <= 2.0


async def test_a_duration_ends_the_measurement(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=now_ns() + NS_PER_S)  # the load begins at once: its start is over
    for module in ("closed", "client"):
        monkeypatch.setattr(f"firstaudio.bench.load.{module}.now_ns", lambda: clock.now)

    async def takes_3_ms(utterance: Utterance, exchange: Exchange) -> None:
        clock.now += 3_000_000
        await asyncio.sleep(0)

    target.behaviour = takes_3_ms
    run = await load(target, cell(num_requests=None, duration_s=0.02))
    sent = [taken.exchange.dispatched_ns for taken in measured(run)]
    assert [(at - sent[0]) / 1e6 for at in sent] == [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0]
    assert run.completed


async def test_a_cold_connection_is_made_for_each_request_and_counts(target: Any) -> None:
    run = await load(target, cell(spec={"connections": "cold"}))
    assert target.opened == target.closed == len(target.spoken) >= 8
    connected = [taken.exchange.connected_ns or 0 for taken in run.taken]
    assert all(at >= taken.exchange.dispatched_ns for at, taken in zip(connected, run.taken, strict=True))


async def test_an_exception_of_a_target_concerns_one_request_only(target: Any) -> None:
    async def third_fails(utterance: Utterance, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        if len(target.spoken) == 3:
            raise ZeroDivisionError("oops")

    target.behaviour = third_fails
    run = await load(target, cell())
    assert outcomes(measured(run)) == {"ok": 7, "target_error": 1}
    failure = measured(run)[2].exchange.failure
    assert failure is not None
    assert failure.message == "the target raised ZeroDivisionError: oops"


async def test_a_target_that_never_waits_does_not_hold_up_the_others(target: Any) -> None:
    async def never_waits(utterance: Utterance, exchange: Exchange) -> None:
        exchange.arrived(b"a")

    target.behaviour = never_waits
    run = await load(target, cell(concurrency=2, num_requests=40))
    assert {taken.client for taken in measured(run)} == {0, 1}


async def test_a_request_has_a_deadline_and_its_channel_goes_on(target: Any) -> None:
    async def second_hangs(utterance: Utterance, exchange: Exchange) -> None:
        if len(target.spoken) == 2:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    target.behaviour = second_hangs
    run = await load(target, cell(spec={"timeout_s": 0.02}))
    assert outcomes(measured(run)) == {"ok": 7, "timeout": 1}
    assert target.opened == 1


async def test_a_refusal_is_a_failure_and_the_next_request_goes_on(target: Any) -> None:
    async def first_is_refused(utterance: Utterance, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        if len(target.spoken) == 1:
            exchange.headers["retry-after"] = "0.001"
            raise SpeakError(FailureKind.REFUSED, "no room")

    target.behaviour = first_is_refused
    assert outcomes(measured(await load(target, cell()))) == {"ok": 7, "refused": 1}


@pytest.mark.parametrize("warmup_requests", [0, 24])
async def test_a_target_that_nobody_reaches_is_given_up(
    target: Any, warmup_requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstaudio.bench.load.client.BACKOFF_S", 0.0)
    # -> None:
    target.refuses = SpeakError(FailureKind.UNREACHABLE, "nobody listens on port 9")
    run = await load(target, cell(num_requests=1000, warmup_requests=warmup_requests))
    assert outcomes(measured(run)) == {"unreachable": 8}
    assert run.warnings == ["stopped: the first 8 requests all failed (unreachable): nobody listens on port 9"]
    assert run.completed


async def test_one_success_keeps_a_load_going(target: Any) -> None:
    async def first_succeeds(utterance: Utterance, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        if len(target.spoken) > 1:
            raise SpeakError(FailureKind.NOT_FOUND, "no such path")

    target.behaviour = first_succeeds
    run = await load(target, cell(num_requests=20))
    assert outcomes(measured(run)) == {"ok": 1, "not_found": 19}


async def never(utterance: Utterance, exchange: Exchange) -> None:
    await asyncio.Event().wait()


async def test_the_deadline_of_a_cell_keeps_what_there_is(target: Any) -> None:
    target.behaviour = never
    run = await load(target, cell(concurrency=2, deadline_s=0.02))
    assert outcomes(measured(run)) == {"cancelled": 2}
    assert not run.completed
    assert run.warnings == [
        "the load ended early because its deadline of 0.02 s had come: what was measured until then is kept"
    ]


async def test_an_interruption_keeps_what_there_is(target: Any) -> None:
    stop = asyncio.Event()

    async def third_stops(utterance: Utterance, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        if len(target.spoken) == 3:
            stop.set()
            await asyncio.Event().wait()

    target.behaviour = third_stops
    run = await load(target, cell(), stop=stop)
    assert outcomes(measured(run)) == {"ok": 2, "cancelled": 1}
    assert not run.completed


@pytest.mark.parametrize(
    "load_of",
    [
        {},
        {"arrival": "constant", "rate_per_s": 200.0},
        {"arrival": "trace", "offsets_s": (0.0,) * 8},  # all are due while the first is on its way
    ],
)
async def test_after_an_interruption_nobody_asks_again(target: Any, load_of: dict[str, Any]) -> None:
    stop = asyncio.Event()

    async def third_stops(utterance: Utterance, exchange: Exchange) -> None:
        if len(target.spoken) == 3:
            stop.set()

    target.behaviour = third_stops
    run = await load(target, cell(**load_of), stop=stop)
    assert len(target.spoken) == len(run.taken) == 3
    assert not run.completed


async def test_cancelling_leaves_no_task_and_no_channel(target: Any) -> None:
    target.behaviour = never
    task = asyncio.create_task(load(target, cell(concurrency=3)))
    while target.in_flight < 3:  # noqa: ASYNC110 - the target has no event for it
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (target.opened, target.closed) == (3, 3)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert gc.isenabled()


async def test_texts_that_are_used_up_end_the_run_with_their_error(
    target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstaudio.bench.load.stock.MAX_AHEAD", 0)
    monkeypatch.setattr("firstaudio.bench.texts.MAX_MISSES", 0)
    with pytest.raises(BenchError, match="no unused one"):
        await load(target, cell(concurrency=2))


async def test_an_open_loop_sends_at_its_times_whatever_the_target_does(target: Any) -> None:
    """No answer comes before the last request is sent."""
    release = asyncio.Event()

    async def all_at_once(utterance: Utterance, exchange: Exchange) -> None:
        if len(target.spoken) == 6:
            release.set()
        await release.wait()

    target.behaviour = all_at_once
    an_open = cell(arrival="constant", rate_per_s=500.0, num_requests=6, concurrency=20)
    run = await load(target, an_open)
    sent = measured(run)
    assert outcomes(sent) == {"ok": 6}
    assert [t.exchange.scheduled_ns - sent[0].exchange.scheduled_ns for t in sent] == [k * 2_000_000 for k in range(6)]
    assert all(t.exchange.dispatched_ns >= t.exchange.scheduled_ns for t in sent)
    assert run.schedule_hash == make_schedule(an_open.load).hash
    assert run.client.dispatch_lag_p99_ms is not None
    assert target.opened == 20


async def test_a_request_that_finds_all_clients_busy_waits_and_its_waiting_counts(target: Any) -> None:
    async def two_turns(utterance: Utterance, exchange: Exchange) -> None:
        await asyncio.sleep(0.003)

    target.behaviour = two_turns
    run = await load(target, cell(arrival="trace", offsets_s=(0.0, 0.0, 0.0), concurrency=1))
    sent = [taken.exchange for taken in measured(run)]
    assert target.most == 1
    assert sent[2].dispatched_ns - sent[2].scheduled_ns >= 6_000_000 - 1_000_000
    assert [w for w in run.warnings if "2 of 3 requests found all 1 clients busy" in w] == run.warnings
    assert len(run.warnings) == 1


async def test_an_open_loop_warms_up_and_keeps_its_rate_until_the_end(target: Any) -> None:
    release = asyncio.Event()

    async def hold_the_last(utterance: Utterance, exchange: Exchange) -> None:
        number = len(target.spoken)
        if number == 5:
            await release.wait()
        elif number == 8:
            release.set()

    target.behaviour = hold_the_last
    run = await load(
        target, cell(arrival="constant", rate_per_s=500.0, num_requests=2, concurrency=9, warmup_requests=3)
    )
    assert [taken.phase for taken in run.taken[:8]] == ["warmup"] * 3 + ["measured"] * 2 + ["warmup"] * 3
    assert outcomes(measured(run)) == {"ok": 2}


async def test_an_open_loop_has_a_deadline_too(target: Any) -> None:
    target.behaviour = never
    run = await load(target, cell(arrival="trace", offsets_s=(0.0, 0.001, 60.0), concurrency=5, deadline_s=0.05))
    assert outcomes(measured(run)) == {"cancelled": 2}
    assert not run.completed


async def test_a_sink_takes_what_is_too_much_to_keep(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstaudio.bench.load.runner.MAX_KEPT_BYTES", 15)
    taken: list[Taken] = []
    run = await load(target, cell(), sink=taken.append)
    assert [t.index for t in run.taken if t.phase == "measured"] == [0, 1, 2]
    assert [t.index for t in taken if t.phase == "measured"] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("arrival", ["closed", "trace"])
async def test_an_error_of_a_sink_ends_the_run(target: Any, arrival: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstaudio.bench.load.runner.MAX_KEPT_BYTES", 0)

    def broken(taken: Taken) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await load(target, cell(arrival=arrival, offsets_s=(0.0, 0.1)), sink=broken)


async def test_garbage_collection_is_off_while_it_measures_and_on_again_after(target: Any) -> None:
    seen = []

    async def look(utterance: Utterance, exchange: Exchange) -> None:
        seen.append(gc.isenabled())

    target.behaviour = look
    await load(target, cell())
    assert set(seen) == {False}
    assert gc.isenabled()


async def test_progress_hears_of_measured_requests_only(target: Any) -> None:
    heard: list[object] = []

    class Ear:
        def begin(self, name: str, total: int | None) -> None:
            heard.append((name, total))

        def advance(self, ok: bool) -> None:
            heard.append(ok)

        def end(self) -> None:
            heard.append("end")

        def note(self, message: str) -> None:
            heard.append(message)

    await load(target, cell(warmup_requests=4, num_requests=4), progress=Ear())
    assert heard == [("cell", 4), True, True, True, True, "end"]


def test_the_deadline_of_a_cell_is_longer_than_its_requests_can_take() -> None:
    closed = Load(concurrency=4, num_requests=40, stagger_s=0.5, warmup_requests=0)
    assert deadline_s(closed, 60.0) == 0.5 + (10 + 2) * 61 + 10
    assert deadline_s(Load(deadline_s=3.0), 60.0) == 3.0


async def test_a_load_without_clients_says_so(target: Any) -> None:
    with pytest.raises(BenchError, match="at least 1 client, not 0"):
        await load(target, cell(concurrency=0))
