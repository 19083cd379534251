"""How it stands at the moment of a scrape: streams, lanes, engines, the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from firstaudio.synthesis.cache import CacheStatistics
from firstaudio.synthesis.roster import EngineState
from firstaudio.synthesis.scheduler import SchedulerStatistics
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.memory import read_memory

NAMESPACE = "firstaudio"
# Fields of a scheduler's statistics, and what each is called and tells.
GAUGES = {
    "num_streams": ("streams", "Streams that have not ended."),
    "num_unstarted": ("streams_unstarted", "Streams that no audio was made for yet."),
    "num_waiting": ("streams_waiting", "Streams whose next step waits for a lane."),
    "num_parked": ("streams_parked", "Streams that need nothing now: their readers have enough."),
    "num_joined": ("streams_joined", "Streams that wait for another one's step, or for the model."),
    "peak_streams": ("streams_peak", "Most streams at the same time since the start."),
    "num_lanes": ("lanes", "Steps that can run at the same time."),
    "num_busy_lanes": ("lanes_busy", "Steps that run."),
    "unread_s": ("unread_audio_seconds", "Audio that no reader has taken yet."),
    "least_lead_s": (
        "least_lead_seconds",
        "Audio ahead of the listener who runs dry first; absent where there is none.",
    ),
    "rtf": ("engine_rtf", "Running seconds of work per second of audio."),
    "first_step_s": ("engine_first_step_seconds", "Running seconds of work until first audio."),
}
COUNTERS = {
    "num_steps": ("steps", "Steps that were run."),
    "num_opened": ("streams_opened", "Streams that were accepted."),
    "num_refused": ("streams_refused", "Streams that there was no room for."),
    "busy_s": ("lanes_busy_seconds", "Time that the lanes have worked, all together."),
}
# Fields of the cache's statistics, likewise.
CACHE_GAUGES = {
    "num_entries": ("cache_entries", "First segments that are kept."),
    "num_bytes": ("cache_bytes", "What they take."),
    "max_bytes": ("cache_bytes_limit", "What they may take."),
}
CACHE_COUNTERS = {
    "num_hits": ("cache_hits", "First segments of clients that were answered from what is kept."),
    "num_misses": ("cache_misses", "First segments of clients that an engine had to make."),
    "num_shared": ("cache_shared", "Segments that joined a synthesis that was running."),
    "num_evictions": ("cache_evictions", "Kept segments that made room for others."),
}


@dataclass(frozen=True, slots=True)
class _Moment:
    schedulers: Mapping[str, SchedulerStatistics] = field(default_factory=dict)
    states: Mapping[str, EngineState] = field(default_factory=dict)
    progress: float = 0.0
    cache: CacheStatistics | None = None


class StateCollector(Collector):
    """Gives the registry what `look` saw last; only `look` touches what lives on the event loop.

    Args:
        synthesizer: Who is looked at.
    """

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer
        self._moment = _Moment()

    def look(self) -> None:
        """Read the state; on the event loop."""
        synthesizer = self._synthesizer
        self._moment = _Moment(
            schedulers=synthesizer.statistics(),
            states={status.name: status.state for status in synthesizer.engine_statuses()},
            progress=synthesizer.readiness.progress,
            cache=synthesizer.cache.statistics(),
        )

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: no two metrics here share a name."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """What was seen, and memory; in a thread."""
        moment = self._moment
        yield _single("startup_progress", "Share of the start of all engines that is done.", moment.progress)
        memory = read_memory()
        yield _single("process_tree_resident_bytes", "Memory of the server and its workers.", memory.rss_bytes)
        yield _single("benchmark_resident_bytes", "Memory of a benchmark that it runs.", memory.beside_rss_bytes)
        yield _engine_states(moment.states)
        for name, (metric, text) in GAUGES.items():
            yield _gauge(metric, text, _field(moment.schedulers, name))
        for name, (metric, text) in COUNTERS.items():
            yield _counter(metric, text, _field(moment.schedulers, name))
        for name, (metric, text) in CACHE_GAUGES.items():
            yield GaugeMetricFamily(f"{NAMESPACE}_{metric}", text, value=getattr(moment.cache, name, None))
        for name, (metric, text) in CACHE_COUNTERS.items():
            yield CounterMetricFamily(f"{NAMESPACE}_{metric}", text, value=getattr(moment.cache, name, None))


def _field(schedulers: Mapping[str, SchedulerStatistics], name: str) -> dict[str, float]:
    """One field of every engine's statistics, where it is known."""
    values = {engine: getattr(statistics, name) for engine, statistics in schedulers.items()}
    return {engine: value for engine, value in values.items() if value is not None}


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", text, value=value)


def _gauge(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"{NAMESPACE}_{name}", text, labels=("engine",))
    for engine, value in values.items():
        family.add_metric((engine,), value)
    return family


def _counter(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"{NAMESPACE}_{name}", text, labels=("engine",))
    for engine, value in values.items():
        family.add_metric((engine,), value)
    return family


def _engine_states(states: Mapping[str, EngineState]) -> Metric:
    """One series for each engine and state, of which one is 1."""
    family = GaugeMetricFamily(f"{NAMESPACE}_engine_state", "1 for the state it is in.", labels=("engine", "state"))
    for engine, now in states.items():
        for state in get_args(EngineState):
            family.add_metric((engine, state), float(state == now))
    return family
