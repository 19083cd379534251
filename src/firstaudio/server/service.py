"""`Service`: what the routes share while the application runs."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import cast

from starlette.requests import Request

from firstaudio.audio.encode import preload
from firstaudio.clock import NS_PER_S, now_ns
from firstaudio.config import Config
from firstaudio.errors import FirstaudioError, NotReadyError
from firstaudio.server.benchmarks.runner import Benchmarks
from firstaudio.server.benchmarks.scheduled import ScheduledRuns
from firstaudio.server.dashboard.view import View
from firstaudio.server.startup import StartupTimings, born_at
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.warmup import Asked, Rehearse, WarmUp
from firstaudio.telemetry.hub import Telemetry
from firstaudio.telemetry.state import state_place

logger = logging.getLogger(__name__)


class Service:
    """Configuration and synthesizer of one application; made when it starts, on its event loop.

    Attributes:
        config: The whole configuration.
        synthesizer: The one door to speech.
        telemetry: What is known of the requests so far.
        warm_up: Speaks to nobody, so that the first listener waits no longer than later ones.
        benchmarks: Runs of the harness against this server.
        schedule: Starts them by itself.
        dashboard: What the dashboard shows.
        started_at: Seconds since 1970.
        timings: What the parts of the start took.
        failure: Why the engines could not start; None while they start and when they have.
        startup: Ends when requests can be served or `failure` is set; never raises.
        settled: Ends when, after that, no engine is starting any more; never raises.
    """

    def __init__(
        self, config: Config, synthesizer: Synthesizer, url: str | None = None, rehearse: Rehearse | None = None
    ) -> None:
        self.config = config
        self.synthesizer = synthesizer
        self.telemetry = Telemetry(config, synthesizer)
        self.warm_up = WarmUp(synthesizer, config, self._most_asked, rehearse)
        self.benchmarks = Benchmarks(config, synthesizer, url=url)
        self.schedule = ScheduledRuns(config.schedule, self.benchmarks, state_place(config))
        self.telemetry.add_section("benchmarks", self.benchmarks.status)
        self.telemetry.add_section("schedule", self.schedule.status)
        self.dashboard = View(config, synthesizer, self.telemetry)
        self.started_at = int(time.time())
        self.timings = StartupTimings(born_at())
        self.failure: str | None = None
        self.startup = asyncio.create_task(self._start(), name="start engines")
        self.settled = asyncio.create_task(self._settle(), name="wait for all engines")
        self._closing: asyncio.Task[None] | None = None
        self._began_ns = now_ns()

    @property
    def uptime_s(self) -> float:
        """Since it was made."""
        return (now_ns() - self._began_ns) / NS_PER_S

    def require_ready(self) -> None:
        """Raise NotReadyError while the engines are not there to be asked."""
        readiness = self.synthesizer.readiness
        if readiness.state not in ("ready", "draining") or not self.synthesizer.infos():
            raise NotReadyError(f"the server is {readiness.state}: {readiness.message}; GET /health shows the progress")

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse new streams, let running ones finish for `drain_s`, stop the engines.

        The first call sets `drain_s`; later ones wait for the same end.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(drain_s), name="close engines")
        await asyncio.shield(self._closing)

    async def _start(self) -> None:
        try:
            with self.timings.part("total"):
                await self._start_parts()
        except FirstaudioError as error:
            self.failure = error.message
            logger.error("an engine could not start: %s", error.message)  # noqa: TRY400 (the message says it all)
        except Exception as error:  # the boundary of this task: whoever waits for it reads `failure`
            self.failure = repr(error)
            logger.exception("an engine could not start")

    async def _start_parts(self) -> None:
        # Beside the engines, whose start is mostly waiting for processes of their own.
        encoders = asyncio.create_task(self._load_encoders(), name="load encoders")
        try:
            with self.timings.part("telemetry"):
                await self.telemetry.start()
            with self.timings.part("engines"):
                await self.synthesizer.start(warm_up=partial(self._warm, encoders))
        finally:
            await asyncio.wait([encoders])
        self.warm_up.start()
        await self.benchmarks.open()
        await self.schedule.start()

    async def _load_encoders(self) -> None:
        with self.timings.part("encoders"):
            await asyncio.to_thread(preload)

    async def _warm(self, encoders: asyncio.Task[None]) -> None:
        await encoders
        with self.timings.part("warm_up"):
            await self.warm_up.before_ready()

    async def _most_asked(self, num_voices: int) -> list[Asked]:
        counts = await self.telemetry.store.voices(num_voices)
        return [Asked(count.engine, count.voice, count.language) for count in counts]

    async def _settle(self) -> None:
        await asyncio.wait([self.startup])
        await self.synthesizer.settled()

    async def _close(self, drain_s: float) -> None:
        await self.dashboard.close()  # at once: whoever looks on must not hold up the drain
        await self.startup
        await self.warm_up.close()
        # Together: new streams are refused from now on, and a benchmark does not hold up the drain.
        await asyncio.gather(self.schedule.close(), self.benchmarks.close(), self.synthesizer.close(drain_s))
        await self.settled
        await self.telemetry.close()


def service_of(request: Request) -> Service:
    """The service of the application that got `request`."""
    return cast(Service, request.app.state.service)
