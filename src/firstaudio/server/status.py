"""Puts together what `/status`, `/session-status` and `/startup-progress` tell, from the parts that know."""

from __future__ import annotations

import asyncio
import math
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil  # type: ignore[import-untyped, unused-ignore] # ships no types

from firstaudio import __version__
from firstaudio.engines.base import EngineInfo
from firstaudio.engines.kokoro.runtimes.hardware import processor
from firstaudio.server.schemas.status import (
    EngineInfoReport,
    EngineReport,
    HardwareReport,
    MemoryReport,
    ProcessReport,
    Risk,
    SchedulerFigures,
    SessionHealth,
    SessionReport,
    SessionStatus,
    StartingEngine,
    StartupProgress,
    StatusReport,
)
from firstaudio.server.service import Service
from firstaudio.synthesis.scheduler import SchedulerStatistics
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.memory import BYTES_PER_MB, Memory, read_memory

# Those that shape how speech is made and sent, as far as they are installed.
PACKAGES = (
    "av",
    "espeakng-loader",
    "fastapi",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "opentelemetry-sdk",
    "prometheus-client",
    "pydantic",
    "sentencex",
    "soxr",
    "starlette",
    "uvicorn",
    "uvloop",
)
Reports = Mapping[str, Mapping[str, Any] | None]


async def status_report(service: Service) -> StatusReport:
    """Everything that is known now; what may block is asked in a thread."""
    synthesizer, telemetry = service.synthesizer, service.telemetry
    if service.config.telemetry.enabled:
        await telemetry.summaries.of_window()  # `performance` below shows the latest
    reports, memory, hardware, versions = await asyncio.to_thread(_look_around, synthesizer)
    sections = {name: plain(section) for name, section in telemetry.status().items()}
    readiness = synthesizer.readiness
    engines = _engines(synthesizer, reports)
    return StatusReport(
        service="firstaudio",
        version=__version__,
        status=readiness.state,
        progress=readiness.progress,
        message=readiness.message,
        started_at=service.started_at,
        uptime_s=service.uptime_s,
        model_loaded=engines[0].model_loaded,
        onnx_providers=_runtimes(reports),
        engines=engines,
        session_utilization=_utilization(synthesizer.statistics()),
        hardware=hardware,
        versions=dict(versions),
        memory=memory,
        startup_timings=dict(service.timings.ms),
        cold_start_warmup=plain(service.warm_up.statistics()),
        tts_processing={"cache": plain(synthesizer.cache.statistics())},
        prediction=plain(synthesizer.predictor.statistics()),
        performance=sections.pop("performance", None),
        alerts=sections.pop("alerts", None),
        benchmarks=sections.pop("benchmarks", None),
        scheduled_benchmark=sections.pop("schedule", None),
        real_time_optimization=sections.pop("tuner", None),
        telemetry={"enabled": service.config.telemetry.enabled, **sections},
    )


async def session_status(service: Service) -> SessionStatus:
    """What works now, and what has worked."""
    synthesizer = service.synthesizer
    reports = await asyncio.to_thread(synthesizer.engine_reports)
    statistics = synthesizer.statistics()
    return SessionStatus(
        status=synthesizer.readiness.state,
        uptime_s=service.uptime_s,
        session_utilization=_utilization(statistics),
        sessions=[session for name in statistics for session in _sessions(name, statistics[name], reports.get(name))],
        health_check=session_health(list(statistics.values())),
    )


def startup_progress(service: Service) -> StartupProgress:
    """How far the start has come."""
    synthesizer = service.synthesizer
    readiness = synthesizer.readiness
    return StartupProgress(
        status=readiness.state,
        progress=readiness.progress,
        message=service.failure or readiness.message,
        engines=[StartingEngine.model_validate(asdict(status)) for status in synthesizer.engine_statuses()],
        startup_timings=dict(service.timings.ms),
    )


def session_health(statistics: Sequence[SchedulerStatistics]) -> SessionHealth:
    """Whether listeners wait for one another, of all engines."""
    return SessionHealth(
        concurrent_segments_active=sum(each.num_busy_lanes for each in statistics),
        peak_concurrent=max((each.peak_busy_lanes for each in statistics), default=0),
        total_requests=sum(each.num_opened + each.num_refused for each in statistics),
        blocking_risk=_risk(statistics),
    )


def plain(value: Any) -> Any:
    """The value as JSON has it: dataclasses as objects, what is not finite as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


# In a thread.


def _look_around(synthesizer: Synthesizer) -> tuple[Reports, MemoryReport, HardwareReport, Mapping[str, str]]:
    return synthesizer.engine_reports(), _memory(read_memory()), _hardware(), _versions()


def _memory(memory: Memory) -> MemoryReport:
    processes = [ProcessReport(pid=p.pid, name=p.name, rss_mb=p.rss_bytes / BYTES_PER_MB) for p in memory.processes]
    beside_mb = memory.beside_rss_bytes / BYTES_PER_MB
    return MemoryReport(rss_mb=memory.rss_bytes / BYTES_PER_MB, processes=processes, benchmark_rss_mb=beside_mb)


@lru_cache(maxsize=1)
def _hardware() -> HardwareReport:
    cpu = processor()
    return HardwareReport(
        platform=platform.platform(),
        processor=cpu.model,
        architecture=cpu.architecture,
        num_cores=cpu.num_cores,
        flags=None if cpu.flags is None else list(cpu.flags),
        has_bf16=cpu.has_bf16,
        is_apple=cpu.is_apple,
        memory_mb=psutil.virtual_memory().total / BYTES_PER_MB,
    )


@lru_cache(maxsize=1)
def _versions() -> Mapping[str, str]:
    return {"python": platform.python_version(), **dict(_installed())}


def _installed() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


# On the event loop.


def _engines(synthesizer: Synthesizer, reports: Reports) -> list[EngineReport]:
    statistics = synthesizer.statistics()
    infos = dict(zip(statistics, synthesizer.infos(), strict=True))  # an engine may call itself otherwise
    return [
        EngineReport(
            **asdict(status),
            model_loaded=status.name in infos and bool((reports.get(status.name) or {}).get("is_loaded", True)),
            info=_info(infos.get(status.name)),
            scheduler=_figures(statistics.get(status.name)),
            report=plain(reports.get(status.name)),
        )
        for status in synthesizer.engine_statuses()
    ]


def _info(info: EngineInfo | None) -> EngineInfoReport | None:
    return None if info is None else EngineInfoReport(**asdict(info), num_languages=len(info.languages))


def _figures(statistics: SchedulerStatistics | None) -> SchedulerFigures | None:
    return None if statistics is None else SchedulerFigures.model_validate(statistics, from_attributes=True)


def _utilization(statistics: Mapping[str, SchedulerStatistics]) -> dict[str, float | None]:
    return {engine: each.utilization for engine, each in statistics.items()}


def _runtimes(reports: Reports) -> list[str]:
    """What runs models, of all engines that tell it, each once."""
    told = [name for report in reports.values() for name in (report or {}).get("runtimes", ())]
    return list(dict.fromkeys(told))


def _sessions(
    engine: str, statistics: SchedulerStatistics, report: Mapping[str, Any] | None
) -> Iterator[SessionReport]:
    told = [plain(session) for session in (report or {}).get("sessions", ())]
    if not told:
        yield _lanes(engine, statistics)
        return
    num_runs: Counter[str | None] = Counter()
    for session in told:
        num_runs[session.get("piece")] += session["num_runs"]
    for session in told:
        of_piece = num_runs[session.get("piece")]
        yield SessionReport(
            engine=engine,
            piece=session.get("piece"),
            name=session["name"],
            is_stand_by=session.get("is_stand_by"),
            is_loaded=session.get("is_loaded"),
            num_runs=session["num_runs"],
            num_failures=session.get("num_failures"),
            num_queued=session.get("num_queued"),
            busy_s=session.get("busy_s"),
            share_of_runs=session["num_runs"] / of_piece if of_piece else None,
            last_failure=session.get("last_failure"),
            retired=(session.get("retired") or {}).get("reason"),
        )


def _lanes(engine: str, statistics: SchedulerStatistics) -> SessionReport:
    """An engine that tells of no sessions: its lanes together."""
    return SessionReport(
        engine=engine,
        piece=None,
        name="lanes",
        is_stand_by=None,
        is_loaded=None,
        num_runs=statistics.num_steps,
        num_failures=None,
        num_queued=statistics.num_busy_lanes + statistics.num_waiting,
        busy_s=statistics.busy_s,
        share_of_runs=1.0 if statistics.num_steps else None,
        last_failure=None,
        retired=None,
    )


def _risk(statistics: Sequence[SchedulerStatistics]) -> Risk:
    """The greatest of any engine."""
    full = [each for each in statistics if each.num_busy_lanes >= each.num_lanes]
    is_dry = any(each.least_lead_s is not None and each.least_lead_s <= 0 for each in statistics)
    if is_dry or any(each.num_waiting and each.num_unstarted for each in full):
        return "high"
    return "medium" if full else "low"
