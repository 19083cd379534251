"""`Telemetry`: everything that the server knows of itself, fed with finished traces."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firstaudio.config import Config
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.advice.recommendation import Context, context_of
from firstaudio.telemetry.alerts.alerts import Alerts
from firstaudio.telemetry.alerts.webhook import Webhook
from firstaudio.telemetry.export.metrics import Metrics
from firstaudio.telemetry.export.spans import Spans, otlp_exporter
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.telemetry.misses.investigation import Investigation, investigate
from firstaudio.telemetry.state import state_place
from firstaudio.telemetry.store.store import MeasurementStore
from firstaudio.telemetry.summary.summaries import MAX_ROWS, Summaries
from firstaudio.telemetry.tuner import telling
from firstaudio.telemetry.tuner.tuner import RealTimeOptimizer
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

Observer = Callable[[Measurement], None]


def _file(config: Config) -> Path:
    """Its own for each port: servers that share a folder are not to answer for each other."""
    return state_place(config) / f"measurements-{config.server.port}.db"


class Telemetry:
    """Makes a measurement of every finished trace and gives it to whoever observes; lives on the event loop.

    Args:
        config: The whole configuration.
        synthesizer: Whose traces it hears.
        wall_clock: Seconds since 1970.

    Attributes:
        store: The last measurements.
        summaries: What clients got in the last hours.
        metrics: For Prometheus.
        spans: For OpenTelemetry; None: nobody wants any.
        alerts: What cannot wait.
        tuner: Tries settings.
    """

    def __init__(self, config: Config, synthesizer: Synthesizer, wall_clock: Callable[[], float] = time.time) -> None:
        self._config, self._synthesizer, self._wall_clock = config, synthesizer, wall_clock
        self._observers: list[Observer] = []
        self._sections: dict[str, Callable[[], Any]] = {}
        settings = config.telemetry
        self.store = MeasurementStore(_file(config), settings.max_rows, settings.max_age_days, wall_clock=wall_clock)
        self.summaries = Summaries(self.store, settings.ttfa_target_ms, wall_clock)
        self.add_observer(self.store.add)
        self.metrics = Metrics(synthesizer, is_fed=settings.enabled)
        self.spans: Spans | None = None
        self.add_observer(self.metrics.observe)
        webhook = Webhook(settings.webhook_url, "telemetry.webhook_url") if settings.webhook_url else None
        self.alerts = Alerts(
            synthesizer.engine_statuses,
            lambda: self.store.problem,
            state_place(config) if settings.enabled else None,
            webhook,
            wall_clock=wall_clock,
        )
        self.add_observer(self.alerts.observe)
        self.tuner = RealTimeOptimizer(config, synthesizer, wall_clock)
        self.add_observer(self.tuner.observe)
        if config.telemetry.enabled:
            synthesizer.add_listener(self.observe)

    def add_observer(self, observer: Observer) -> None:
        """Call `observer` on the event loop with each measurement; it must return at once."""
        self._observers.append(observer)

    def add_section(self, name: str, told: Callable[[], Any]) -> None:
        """Have a part that is no part of this one tell of itself under `name`; as in `status`, it never blocks."""
        self._sections[name] = told

    def observe(self, trace: Trace) -> None:
        """A trace has finished."""
        measurement = measure(trace, self._wall_clock())
        for observer in self._observers:
            try:
                observer(measurement)
            except Exception:  # an observer's failure is its own
                logger.exception("an observer of measurements failed")

    def status(self) -> dict[str, Any]:
        """What each part tells of itself, by section of `GET /status`: JSON values, no text of a user's, no secrets.

        None: nothing is known. Called on the event loop; never blocks.
        """
        return {
            "store": self.store.status() if self._config.telemetry.enabled else None,
            "performance": None if self.summaries.last is None else self.summaries.last.as_dict(),
            "alerts": self.alerts.status() if self._config.telemetry.enabled else None,
            "tuner": telling.as_dict(self.tuner.status()),
            "benchmarks": None,
            "schedule": None,
            "spans": None if self.spans is None else asdict(self.spans.status()),
            **{name: told() for name, told in self._sections.items()},
        }

    async def context(self) -> Context:
        """What there is to go by for recommendations."""
        reports = await asyncio.to_thread(self._synthesizer.engine_reports)
        told = {name: report for name, report in reports.items() if report is not None}
        return context_of(self._config, self._synthesizer, told)

    async def investigate(self, window_s: float) -> tuple[Investigation, bool]:
        """Why requests of the last `window_s` seconds missed the target; whether every request was looked at."""
        rows = await self.store.recent(MAX_ROWS + 1, since=self._wall_clock() - window_s, origin="client")
        target_ms, context = self._config.telemetry.ttfa_target_ms, await self.context()
        return await asyncio.to_thread(investigate, rows[:MAX_ROWS], target_ms, context), len(rows) <= MAX_ROWS

    async def start(self) -> None:
        """Open what is kept on disk and begin what runs beside the server.

        Raises:
            MissingExtraError: Spans are wanted, and the packages for them are not installed.
        """
        if self._config.telemetry.enabled:
            self.store.open()
            await self.alerts.start()
        await self.tuner.start(state_place(self._config) / "tuner")
        if endpoint := self._config.telemetry.otlp_endpoint:
            self.spans = Spans(await asyncio.to_thread(otlp_exporter, endpoint), endpoint)
            self._synthesizer.add_listener(self.spans.observe)

    async def close(self) -> None:
        """Stop, and write what is not written yet."""
        await self.tuner.close()
        await self.alerts.close()
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)
        await self.store.close()
