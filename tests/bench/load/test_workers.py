"""Several load processes, and what becomes of their results."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.load.handover import Collected, Handed, MarkedSpool, bunches, hand_over, mark, merge, places
from firstaudio.bench.load.share import Share
from firstaudio.bench.load.taken import LoadRun, Taken
from firstaudio.bench.load.workers import run_load_in_processes
from firstaudio.bench.progress import Silent
from firstaudio.bench.result import ClientSide
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell, Load, Texts
from firstaudio.errors import BenchError

# Imported by the load processes, so it cannot live in a test.
TARGETS = """
import asyncio, os
from firstaudio.bench.spec import Reading
from firstaudio.clock import now_ns

class Answers:
    reading = Reading()
    def __init__(self, spec):
        self.spec = spec
    async def open(self):
        return self
    async def speak(self, utterance, exchange):
        exchange.sent_ns = now_ns()
        await asyncio.sleep(0)
        if self.spec.name == "dies":
            os._exit(7)
        if self.spec.name == "hangs":
            await asyncio.Event().wait()
        exchange.arrived(str(os.getpid()).encode())
        exchange.last_byte_ns = now_ns()
    async def close(self):
        pass
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "load_process_targets.py").write_text(TARGETS)
    monkeypatch.syspath_prepend(tmp_path)
    from load_process_targets import Answers  # type: ignore[import-not-found]

    yield Answers
    del sys.modules["load_process_targets"]


def cell(name: str = "answers", **load: Any) -> Cell:
    plan = Load(**{"concurrency": 3, "num_requests": 13, "stagger_s": 0.0, "warmup_requests": 6, **load})
    return Cell("cell", TargetSpec("openai", name=name), texts=Texts(("short",)), load=plan)


async def test_two_processes_share_clients_requests_and_texts(make: Any) -> None:
    heard: list[object] = []

    class Ear:
        def begin(self, name: str, total: int | None) -> None:
            heard.append((name, total))

        def advance(self, ok: bool) -> None:
            heard.append(ok)

        def end(self) -> None:
            heard.append("end")

        def note(self, message: str) -> None:
            """Whether so short a warm-up becomes stable is not the question."""

    run = await run_load_in_processes(cell(), 2, progress=Ear(), make=make)
    measured = [taken for taken in run.taken if taken.phase == "measured"]
    assert len(measured) == 13
    assert len({taken.exchange.pieces[0] for taken in measured}) == 2
    assert {taken.client for taken in measured} == {0, 1, 2}
    texts = [taken.utterance.text for taken in run.taken]
    assert len(set(texts)) == len(texts)
    assert [taken.index for taken in run.taken] == list(range(len(run.taken)))
    assert run.client.workers == 2
    assert run.completed
    assert heard == [("cell", 13), *[True] * 13, "end"]


async def test_processes_share_the_arrivals_of_an_open_loop(make: Any) -> None:
    run = await run_load_in_processes(
        cell(arrival="constant", rate_per_s=200.0, num_requests=5, warmup_requests=0), 2, make=make
    )
    scheduled = [taken.exchange.scheduled_ns for taken in run.taken if taken.phase == "measured"]
    assert [at - min(scheduled) for at in sorted(scheduled)] == [k * 5_000_000 for k in range(5)]


async def test_a_process_that_dies_ends_the_run_and_all_others(make: Any) -> None:
    with pytest.raises(BenchError, match=r"process died \(exit code 7\)"):
        await run_load_in_processes(cell("dies"), 2, make=make)


class Stopper(Silent):
    """Stops at the first answer."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()

    def advance(self, ok: bool) -> None:
        self.stop.set()


async def test_an_interruption_reaches_every_process(make: Any) -> None:
    stopper = Stopper()
    slow = cell(num_requests=1000, think_s=0.1, warmup_requests=0)
    run = await run_load_in_processes(slow, 2, progress=stopper, stop=stopper.stop, make=make)
    assert not run.completed
    assert 0 < len(run.taken) < 1000


async def test_an_interruption_does_not_wait_for_processes_to_start(make: Any) -> None:
    stop = asyncio.Event()
    stop.set()
    run = await run_load_in_processes(cell("hangs", warmup_requests=0), 2, stop=stop, make=make)
    assert (run.taken, run.completed, run.client.workers) == ([], False, 2)
    assert run.warnings == ["the load was interrupted before it had started: nothing was measured"]


async def test_processes_that_are_never_ready_are_told(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstaudio.bench.load.workers.MARGIN_S", 0.0)
    with pytest.raises(BenchError, match="a load process was not ready within 0 s: try fewer"):
        await run_load_in_processes(cell(), 2, make=make)


async def test_what_is_too_much_to_keep_goes_to_the_sink(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collected.__init__, "__defaults__", (None, 0))
    sunk: list[Taken] = []
    run = await run_load_in_processes(cell(), 2, sink=sunk.append, make=make)
    assert run.taken == []
    assert sorted(taken.index for taken in sunk) == list(range(len(sunk)))
    assert sum(taken.phase == "measured" for taken in sunk) == 13


def side(**changes: Any) -> ClientSide:
    figures = {"cpu_share": 0.1, "loop_lag_p99_ms": 1.0, "dispatch_lag_p99_ms": None, "late_share": None}
    return ClientSide(**{**figures, "mean_in_flight": 2.0, "others_cpu_share": None, "workers": 1, **changes})


def taken(index: int, dispatched_ns: int, last_byte_ns: int) -> Taken:
    return Taken(Utterance("a"), Exchange(dispatched_ns=dispatched_ns, last_byte_ns=last_byte_ns), "measured", 0, index)


def handed(run: LoadRun) -> Handed:
    return Handed(run, [mark(one) for one in run.taken])


def test_merging_keeps_the_worst_of_each_figure_and_sorts_by_number() -> None:
    first = LoadRun([taken(0, 100, 200), taken(1, 300, 500)], side(cpu_share=0.5), True, "hash", ["a"])
    second = LoadRun(
        [taken(0, 200, 300)], side(others_cpu_share=0.2, dispatch_lag_p99_ms=3.0), False, "hash", ["a", "b"]
    )
    both = [handed(first), handed(second)]
    assert places(both) == [[0, 2], [1]]
    run = merge(both, [taken(2, 300, 500), taken(0, 100, 200)])
    assert [one.index for one in run.taken] == [0, 2]
    # 2 in flight during all of 400 ns, and 2 more during 100 ns of them.
    assert run.client == side(
        cpu_share=0.5, others_cpu_share=0.2, dispatch_lag_p99_ms=3.0, mean_in_flight=2.5, workers=2
    )
    assert (run.completed, run.schedule_hash, run.warnings) == (False, "hash", ["a", "b"])


def with_body(index: int, size: int) -> Taken:
    one = taken(index, 100 * index, 100 * index + 50)
    one.exchange.arrived(bytes(size), at_ns=100 * index + 10)
    return one


def test_a_process_hands_over_what_lies_on_disk_and_then_what_it_kept() -> None:
    sent: list[Any] = []
    with MarkedSpool() as spool:
        spool(with_body(1, 5))
        hand_over(sent.append, LoadRun([with_body(0, 5)], side()), spool)
    assert sent[0] == Handed(LoadRun([], side()), [mark(with_body(1, 5)), mark(with_body(0, 5))])
    assert sent[1:] == [[with_body(1, 5), with_body(0, 5)], []]


def test_bunches_have_a_size() -> None:
    sizes = [
        [len(one.exchange.pieces[0]) for one in bunch]
        for bunch in bunches(map(with_body, range(5), [4, 4, 9, 1, 1]), 8)
    ]
    assert sizes == [[4, 4], [9], [1, 1]]


def test_only_what_is_too_much_is_passed_on() -> None:
    sunk: list[Taken] = []
    kept, unlimited = Collected(sunk.append, 10), Collected(None, 10)
    for index in range(3):
        kept.add(with_body(index, 5))
        unlimited.add(with_body(index, 5))
    assert ([one.index for one in kept.taken], [one.index for one in sunk]) == ([0, 1], [2])
    assert len(unlimited.taken) == 3


@pytest.mark.parametrize(("total", "concurrency", "count"), [(13, 3, 2), (7, 7, 3), (100, 8, 8), (1, 2, 2)])
def test_the_quotas_of_all_processes_add_up(total: int, concurrency: int, count: int) -> None:
    shares = [Share(index, count) for index in range(count)]
    assert sum(share.quota(total, concurrency) for share in shares) == total
    assert sorted(k for share in shares for k in share.clients(concurrency)) == list(range(concurrency))
