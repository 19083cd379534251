"""`ScheduledRuns`: the task that starts benchmarks by itself, when they are due and nobody listens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstaudio.config import ScheduleConfig
from firstaudio.config.every import parse_every
from firstaudio.errors import ConflictError, FirstaudioError
from firstaudio.server.benchmarks.runner import Benchmarks, told
from firstaudio.telemetry.alerts.webhook import Webhook
from firstaudio.telemetry.runs.memory import ScheduleMemory, read_memory, write_memory
from firstaudio.telemetry.runs.records import RunRecord, RunRequest
from firstaudio.telemetry.runs.schedule import next_run

logger = logging.getLogger(__name__)

IDLE_S = 10.0
"""So long must nobody have listened."""
LOOK_S = 30.0
"""The clock is looked at so often while a run is not due: it may be set, and the machine may sleep."""
POLL_S = 1.0
"""The listeners, and an engine that starts, are looked at so often while a run is due."""


class ScheduledRuns:
    """Runs benchmarks on a schedule; lives on the event loop.

    Args:
        config: When, and what.
        benchmarks: Runs them; its rule of one at a time holds.
        state: The state folder.
        wall_clock: Seconds since 1970.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        config: ScheduleConfig,
        benchmarks: Benchmarks,
        state: Path,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config, self._benchmarks, self._state = config, benchmarks, state
        self._wall_clock, self._sleep = wall_clock, sleep
        self._every = parse_every("schedule.every", config.every)
        self._webhook = Webhook(config.webhook_url, "schedule.webhook_url") if config.webhook_url else None
        self._memory = ScheduleMemory()
        self._problem = ""
        self._doing = "off" if self._every is None else "starting"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, where a schedule is configured."""
        if self._every is None or self._task is not None:
            return
        self._memory = await asyncio.to_thread(read_memory, self._state)
        self._task = asyncio.create_task(self._run(self._every), name="scheduled benchmarks")

    async def close(self) -> None:
        """Stop waiting; a run that goes on is ended by `Benchmarks.close`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._webhook is not None:
            await asyncio.to_thread(self._webhook.close)

    def status(self) -> dict[str, Any]:
        """For `GET /status`. Never blocks."""
        return {
            "every": self._config.every,
            "benchmark": self._config.benchmark,
            "only_idle": self._config.only_idle,
            "doing": self._doing,
            "next_run": self._due(self._every) if self._every is not None else None,
            "last_run": self._memory.last_run,
            "last_id": self._memory.last_id,
            "last_error": self._memory.last_error,
            "num_failures": self._memory.num_failures,
            "problem": self._problem or None,
        }

    async def _run(self, every: str | float) -> None:
        """The task; only cancelling ends it."""
        while True:
            try:
                await self._wait_until_due(every)
                await self._wait_for_engine()
                await self._wait_for_silence()
                await self._run_one()
            except Exception:  # the boundary of this task: one failure must not end the schedule
                logger.exception("the schedule of benchmarks stumbled and goes on")
                await self._sleep(LOOK_S)

    def _due(self, every: str | float) -> float:
        return next_run(self._memory.last_run, self._wall_clock(), every, self._memory.num_failures)

    async def _wait_until_due(self, every: str | float) -> None:
        self._doing = "waiting for its time"
        while True:
            now, last = self._wall_clock(), self._memory.last_run
            if last is not None and last > now:  # the clock was set back: from now on it counts from here
                await self._remember(replace(self._memory, last_run=now))
            missing_s = self._due(every) - now
            if missing_s <= 0:
                return
            await self._sleep(min(missing_s, LOOK_S))

    async def _wait_for_engine(self) -> None:
        """A default engine that comes late is warmed then, which a run would disturb and be disturbed by."""
        if not self._benchmarks.waits_for_engine:
            return
        self._doing = "waiting for the default engine to start"
        while self._benchmarks.waits_for_engine:
            await self._sleep(POLL_S)
        await self._sleep(IDLE_S)

    async def _wait_for_silence(self) -> None:
        self._doing = "waiting until nobody listens"
        while self._config.only_idle and self._benchmarks.witness.idle_s < IDLE_S:
            await self._sleep(POLL_S)

    async def _run_one(self) -> None:
        """One run; whatever becomes of it, the next one counts from now."""
        self._doing = "running"
        began = self._wall_clock()
        try:
            await self._benchmarks.start(RunRequest(self._config.benchmark), "schedule")
        except ConflictError:  # somebody's own run goes first
            self._doing = "waiting for another benchmark to end"
            await self._sleep(LOOK_S)
            return
        except FirstaudioError as error:
            logger.warning("the scheduled benchmark could not begin: %s", error.message)
            await self._note(began, None, error.message)
            return
        await self._remember(replace(self._memory, last_run=began))  # also where this process ends meanwhile
        record = await self._benchmarks.finished()
        assert record is not None
        await self._note(began, record, record.error if record.status == "failed" else None)

    async def _note(self, began: float, record: RunRecord | None, error: str | None) -> None:
        failures = 0 if error is None else self._memory.num_failures + 1
        last_id = self._memory.last_id if record is None else record.id
        await self._remember(ScheduleMemory(began, failures, last_id, error))
        if record is not None and record.is_suspect:
            logger.warning("benchmark %s is suspect: %s", record.id, "; ".join(t.sentence for t in record.trends))
        if self._webhook is not None:
            result = {"id": None, "status": "failed", "error": error} if record is None else told(record)
            self._webhook.send({"event": "benchmark", **result})

    async def _remember(self, memory: ScheduleMemory) -> None:
        self._memory = memory
        problem = await asyncio.to_thread(write_memory, self._state, memory)
        if problem and not self._problem:
            logger.warning("%s", problem)
        self._problem = problem
