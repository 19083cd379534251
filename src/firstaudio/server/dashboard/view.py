"""`View`: everything that the dashboard shows, gathered from the service once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from firstaudio import __version__
from firstaudio.clock import now_ns
from firstaudio.config import Config
from firstaudio.server.dashboard.feed import Feed
from firstaudio.server.dashboard.hour import Hour
from firstaudio.server.dashboard.window import Answer, Window, groups
from firstaudio.server.schemas.dashboard import (
    DashboardSnapshot,
    EngineNow,
    RequestNow,
    SlotNow,
    StreamNow,
    TtfaNow,
)
from firstaudio.synthesis.stream import StreamSnapshot
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.hub import Telemetry
from firstaudio.telemetry.measurement import Measurement

MAX_STREAMS = 64


class View:
    """Watches the requests of one server; lives on the event loop.

    Args:
        config: The whole configuration.
        synthesizer: Whose streams are shown.
        telemetry: Tells of finished requests, and has the other sections.
        wall_clock: Seconds since 1970.

    Attributes:
        feed: For the page: a snapshot a second while somebody watches.
    """

    def __init__(
        self,
        config: Config,
        synthesizer: Synthesizer,
        telemetry: Telemetry,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._synthesizer, self._telemetry = config, synthesizer, telemetry
        self._wall_clock = wall_clock
        self._started_ns = now_ns()
        self._window = Window()
        self._hour = Hour(telemetry)
        self._sections: dict[str, Callable[[], Any]] = {
            "cache": lambda: asdict(synthesizer.cache.statistics()),
            "prediction": lambda: asdict(synthesizer.predictor.statistics()),
        }
        self.feed = Feed(self._line)
        telemetry.add_observer(self._window.add)

    async def snapshot(self) -> DashboardSnapshot:
        """What the server does now; statistics are made on a thread."""
        answers, reach_s = self._window.answers(), self._window.reach_s()
        reports, hour = await self._reports(), await self._last_hour()
        shown = self._now(reports, reach_s)
        shown.sections["last_hour"] = hour
        target_ms = self._config.telemetry.ttfa_target_ms
        shown.ttfa = await asyncio.to_thread(_ttfa, answers, target_ms)
        return shown

    async def close(self) -> None:
        """End the feed."""
        await self.feed.close()

    async def _line(self) -> bytes:
        snapshot = await self.snapshot()
        return (await asyncio.to_thread(snapshot.model_dump_json)).encode()

    async def _last_hour(self) -> dict[str, Any] | None:
        return await self._hour.current() if self._config.telemetry.enabled else None

    async def _reports(self) -> Mapping[str, Mapping[str, Any] | None]:
        """What the engines tell of themselves; they may have to wait for something, so not on the loop."""
        return await asyncio.to_thread(self._synthesizer.engine_reports)

    def _now(self, reports: Mapping[str, Mapping[str, Any] | None], reach_s: float) -> DashboardSnapshot:
        """What only the event loop may look at."""
        readiness, streams = self._synthesizer.readiness, self._synthesizer.snapshot()
        return DashboardSnapshot(
            at=self._wall_clock(),
            version=__version__,
            uptime_s=(now_ns() - self._started_ns) / 1e9,
            state=readiness.state,
            message=readiness.message,
            is_measured=self._config.telemetry.enabled,
            ttfa_target_ms=self._config.telemetry.ttfa_target_ms,
            max_lead_s=self._synthesizer.streaming.max_lead_s,
            num_streams=len(streams),
            streams=[_stream(stream) for stream in streams[:MAX_STREAMS]],
            engines=self._engines(reports),
            ttfa=[],
            ttfa_window_s=reach_s,
            throughput=[SlotNow(**asdict(slot)) for slot in self._window.slots()],
            recent=[_request(measurement) for measurement in self._window.recent()],
            sections=self._told(),
        )

    def _told(self) -> dict[str, Any]:
        told = self._telemetry.status() | {name: tell() for name, tell in self._sections.items()}
        told.pop("performance", None)  # `last_hour` has what is shown of it
        return told

    def _engines(self, reports: Mapping[str, Mapping[str, Any] | None]) -> list[EngineNow]:
        lanes = self._synthesizer.statistics()
        return [
            EngineNow(
                name=engine.name,
                state=engine.state,
                message=engine.message,
                lanes=asdict(lanes[engine.name]) if engine.name in lanes else None,
                report=dict(reports.get(engine.name) or {}) or None,
            )
            for engine in self._synthesizer.engine_statuses()
        ]


def _ttfa(answers: Sequence[Answer], target_ms: float) -> list[TtfaNow]:
    return [TtfaNow.model_validate(asdict(group)) for group in groups(answers, target_ms)]


def _stream(stream: StreamSnapshot) -> StreamNow:
    return StreamNow(
        request_id=stream.request_id,
        engine=stream.engine,
        voice=stream.voice,
        origin=stream.origin,
        num_characters=stream.num_characters,
        **asdict(stream.figures),
    )


def _request(measurement: Measurement) -> RequestNow:
    fields = RequestNow.model_fields.keys() - {"at", "first_audio_ms"}
    return RequestNow(
        at=measurement.timestamp + measurement.duration_ms / 1000,
        first_audio_ms=dict(measurement.first_audio_ms),
        **{name: getattr(measurement, name) for name in fields},
    )
