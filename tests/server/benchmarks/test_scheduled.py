"""The task that starts benchmarks by itself, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from firstaudio.config import ScheduleConfig
from firstaudio.errors import ConfigError, ConflictError
from firstaudio.server.benchmarks.scheduled import IDLE_S, ScheduledRuns
from firstaudio.telemetry.runs.memory import ScheduleMemory, read_memory, write_memory
from firstaudio.telemetry.runs.records import RunRecord, RunRequest

START = 1_763_740_000.0
HOUR = 3600.0


@dataclass
class World:
    """A clock, listeners, and runs that end as their script says."""

    now: float = START
    idle_s: float = 100.0
    script: list[str | Exception] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    on_sleep: Callable[[], None] = lambda: None
    until: float = START + 10 * HOUR
    over: asyncio.Event = field(default_factory=asyncio.Event)
    record: RunRecord | None = None
    waits_for_engine: bool = False
    made: list[ScheduledRuns] = field(default_factory=list)

    @property
    def witness(self) -> World:
        return self

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep()
        if self.now > self.until:
            self.over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def start(self, request: RunRequest, trigger: str) -> RunRecord:
        assert trigger == "schedule"
        ending = self.script.pop(0) if self.script else "succeeded"
        self.started.append(self.now - START)
        if isinstance(ending, Exception):
            raise ending
        self.now += 60.0
        error = "it broke" if ending == "failed" else None
        self.record = RunRecord(f"bench_{self.now:.0f}", request, "schedule", ending, self.now, error=error)
        return self.record

    async def finished(self) -> RunRecord | None:
        return self.record


Go = Callable[..., Awaitable[ScheduledRuns]]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def go(world: World, tmp_path: Path) -> AsyncIterator[Go]:
    """Let a schedule run until the world's time is over."""
    made = world.made

    async def go(every: str = "hourly", hours: float = 3.5, **config: Any) -> ScheduledRuns:
        world.until = world.now + hours * HOUR
        settings = ScheduleConfig(every=every, **config)
        runs = ScheduledRuns(settings, world, tmp_path, lambda: world.now, world.sleep)  # type: ignore[arg-type]
        made.append(runs)
        await runs.start()
        if every != "off":
            await asyncio.wait_for(world.over.wait(), 20)
        return runs

    yield go
    for runs in made:
        await runs.close()


async def test_off_does_nothing(go: Go, world: World):
    runs = await go("off")

    assert (world.started, runs.status()["doing"], runs.status()["next_run"]) == ([], "off", None)


async def test_it_runs_at_once_and_then_in_every_period(go: Go, world: World):
    runs = await go()

    assert world.started == pytest.approx([0, HOUR, 2 * HOUR, 3 * HOUR], abs=1)
    assert runs.status()["next_run"] == pytest.approx(START + 4 * HOUR, abs=1)


async def test_a_restart_does_not_run_it_again(go: Go, world: World, tmp_path: Path):
    write_memory(tmp_path, ScheduleMemory(last_run=START - HOUR / 2))
    await go(hours=0.9)

    assert world.started == pytest.approx([HOUR / 2], abs=1)


async def test_a_failure_counts_waits_longer_and_is_remembered(go: Go, world: World, tmp_path: Path):
    world.script = ["failed", "failed", "succeeded"]
    await go(hours=7.5)

    assert world.started == pytest.approx([0, 2 * HOUR, 6 * HOUR, 7 * HOUR], abs=1)
    assert read_memory(tmp_path).num_failures == 0


async def test_a_run_that_cannot_begin_is_a_failure_too(go: Go, world: World, tmp_path: Path):
    world.script = [ConfigError("no room"), ConfigError("no room")]
    await go(hours=1.0)
    memory = read_memory(tmp_path)

    assert world.started == pytest.approx([0], abs=1)
    assert (memory.num_failures, memory.last_error, memory.last_run) == (1, "no room", START)


async def test_somebody_s_own_run_goes_first_and_is_no_failure(go: Go, world: World):
    world.script = [ConflictError("one runs"), ConflictError("one runs")]
    runs = await go(hours=0.5)

    assert len(world.started) == 3
    assert runs.status()["num_failures"] == 0


async def test_it_waits_until_nobody_listens(go: Go, world: World):
    world.idle_s = 0.0

    def listen() -> None:
        world.idle_s = IDLE_S if world.now > START + 300 else 0.0

    world.on_sleep = listen
    await go(hours=0.5)

    assert world.started == pytest.approx([300], abs=2)


async def test_it_does_not_wait_where_that_is_not_wanted(go: Go, world: World):
    world.idle_s = 0.0
    await go(hours=0.5, only_idle=False)

    assert world.started == [0]


async def test_a_clock_that_is_set_back_neither_repeats_nor_forgets_a_run(go: Go, world: World):
    def set_back() -> None:
        if len(world.started) == 1:
            world.now -= 24 * HOUR
            world.until -= 24 * HOUR
            world.on_sleep = lambda: None

    world.on_sleep = set_back
    await go(hours=2.5)

    back = [moment + 24 * HOUR for moment in world.started[1:]]
    assert world.started[0] == 0
    assert back[0] == pytest.approx(HOUR, abs=120)
    assert len(back) >= 2


async def test_a_clock_that_jumps_ahead_makes_up_for_nothing(go: Go, world: World):
    def jump() -> None:
        if len(world.started) == 1:
            world.now += 100 * HOUR
            world.until += 100 * HOUR
            world.on_sleep = lambda: None

    world.on_sleep = jump
    await go(hours=2.5)

    assert len(world.started) == 4


async def test_the_clock_is_looked_at_often(go: Go, world: World):
    await go(hours=1.5)

    assert max(world.slept) <= 30.0


async def test_a_state_that_cannot_be_written_is_told_and_the_schedule_goes_on(go: Go, world: World, tmp_path: Path):
    (tmp_path / "benchmarks").write_text("a file")
    runs = await go(hours=1.5)

    assert len(world.started) == 2
    assert "telemetry.state_folder" in runs.status()["problem"]


async def test_what_nobody_thought_of_does_not_end_it(go: Go, world: World, caplog: pytest.LogCaptureFixture):
    world.script = [ValueError("unthought of"), "succeeded"]
    await go(hours=0.5)

    assert len(world.started) == 2
    assert "stumbled" in caplog.text


async def test_closing_leaves_no_task(go: Go, world: World):
    runs = await go(hours=0.1)
    await runs.close()

    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "scheduled benchmarks"] == []


async def test_a_scheduled_run_over_http_is_the_runner_s(tools: Any, serve: Any, fake_program: Any, tmp_path: Path):
    write_memory(tmp_path, ScheduleMemory(last_run=4e9))  # far ahead: nothing happens by itself
    with serve(tools, tmp_path, ScheduleConfig(every="daily", only_idle=False)) as benched:
        benched.program("works")
        schedule = benched.service.schedule
        schedule._memory = replace(schedule._memory, last_run=None)
        benched.eventually(lambda: benched.status()["schedule"]["doing"] == "waiting for its time")
        section = benched.get("/status").json["scheduled_benchmark"]

    assert (section["every"], section["benchmark"]) == ("daily", "ttfa")


async def test_it_waits_for_the_default_engine_and_then_for_its_warm_up(go: Go, world: World):
    """Else the run would measure two engines, or would be contended by the warm-up of the second."""
    world.waits_for_engine, seen = True, []

    def become_ready() -> None:
        seen.append(world.made[0].status()["doing"])
        world.waits_for_engine = world.now < START + 300

    world.on_sleep = become_ready
    runs = await go(hours=0.5)

    assert world.started == pytest.approx([300 + IDLE_S], abs=2)
    assert seen[0] == "waiting for the default engine to start"
    assert runs.status()["num_failures"] == 0
