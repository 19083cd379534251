"""`Telemetry`: everything that the server knows of itself, fed with finished traces."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from firstaudio.config import Config
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.telemetry.metrics import Metrics
from firstaudio.telemetry.spans import Spans, otlp_exporter
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

Observer = Callable[[Measurement], None]


class Telemetry:
    """Makes a measurement of every finished trace and gives it to whoever observes; lives on the event loop.

    Args:
        config: The whole configuration.
        synthesizer: Whose traces it hears.
        wall_clock: Seconds since 1970.

    Attributes:
        metrics: For Prometheus.
        spans: For OpenTelemetry; None: nobody wants any.
    """

    def __init__(self, config: Config, synthesizer: Synthesizer, wall_clock: Callable[[], float] = time.time) -> None:
        self._config, self._synthesizer, self._wall_clock = config, synthesizer, wall_clock
        self._observers: list[Observer] = []
        self.metrics = Metrics(synthesizer)
        self.spans: Spans | None = None
        self.add_observer(self.metrics.observe)
        if config.telemetry.enabled:
            synthesizer.add_listener(self.observe)

    def add_observer(self, observer: Observer) -> None:
        """Call `observer` on the event loop with each measurement; it must return at once."""
        self._observers.append(observer)

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
            "store": None,
            "performance": None,
            "alerts": None,
            "tuner": None,
            "schedule": None,
            "spans": None if self.spans is None else asdict(self.spans.status()),
        }

    async def start(self) -> None:
        """Open what is kept on disk and begin what runs beside the server.

        Raises:
            MissingExtraError: Spans are wanted, and the packages for them are not installed.
        """
        if endpoint := self._config.telemetry.otlp_endpoint:
            self.spans = Spans(await asyncio.to_thread(otlp_exporter, endpoint), endpoint)
            self._synthesizer.add_listener(self.spans.observe)

    async def close(self) -> None:
        """Stop, and write what is not written yet."""
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)
