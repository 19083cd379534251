"""Prometheus: what finished requests took, as histograms and counters; `gauges` adds how it stands now.

Histograms are of clients' requests alone: benchmarks, the tuner and the warm-up speak for themselves. Counters tell
them apart by `origin`. Every label takes its values from a list that the configuration or the code sets, so a client
cannot make series; a voice is no label.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from firstaudio import __version__
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.export.gauges import NAMESPACE, StateCollector
from firstaudio.telemetry.measurement import Measurement
from firstaudio.trace import Outcome

BATCH = 32  # measurements that are counted in a row, which keeps the event loop for about a millisecond
NOBODY = "none"  # label of a request that came to no engine
MS_PER_S = 1000.0
# In seconds, from a hit of the cache to a server that has fallen behind; 0.4, 0.8, 1.2 and 2 are where categories end.
TTFA_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0, 5.0, 10.0)
STAGE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
RTF_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5)
PREROLL_BUCKETS = (0.001, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
PREDICTION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
AHEAD_BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)

M = TypeVar("M", Counter, Histogram)


class Metrics:
    """The metrics of one server, in a registry of their own: two servers in one process do not mix.

    Args:
        synthesizer: Whose state is read at each scrape.
        is_fed: Whether requests are observed; if so, clients' counters are there at 0 before the first one.
    """

    def __init__(self, synthesizer: Synthesizer, *, is_fed: bool = True) -> None:
        self._waiting: deque[Measurement] = deque()
        self._registry = _Registry()
        self._state = StateCollector(synthesizer)
        self._counters = _Counters(self._registry)
        if is_fed:
            self._counters.begin([status.name for status in synthesizer.engine_statuses()])
        self._histograms = _Histograms(self._registry)
        self._registry.register(self._state)
        ProcessCollector(registry=self._registry)
        Info("build", "What runs.", namespace=NAMESPACE, registry=self._registry).info({"version": __version__})

    def observe(self, measurement: Measurement) -> None:
        """Count one finished request, with others at the next scrape at the latest: in a row they cost half as much.

        On the event loop.
        """
        self._waiting.append(measurement)
        if len(self._waiting) == BATCH:
            self._count()

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics now. Must be called on the event loop; they are written out in a thread.

        Args:
            accept: Header of the request, which chooses between Prometheus's text and OpenMetrics.

        Returns:
            The body and its content type.
        """
        self._count()
        self._state.look()
        return await asyncio.to_thread(self._write, accept)

    def _count(self) -> None:
        while self._waiting:
            measurement = self._waiting.popleft()
            engine = measurement.engine or NOBODY
            self._counters.observe(engine, measurement)
            if measurement.origin == "client":
                self._histograms.observe(engine, measurement)

    def _write(self, accept: str) -> tuple[bytes, str]:
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # a version that is no number
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type


class _Registry(CollectorRegistry):
    """Without the time at which each series was made: it doubles their number, and nobody asks for it."""

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _Family(Generic[M]):
    """A metric with labels, whose children are looked up once: by the library it costs a lock and a copy each time."""

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._children: dict[tuple[str, ...], M] = {}

    def __call__(self, *labels: str) -> M:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class _Counters:
    def __init__(self, registry: CollectorRegistry) -> None:
        def family(name: str, text: str, *labels: str) -> _Family[Counter]:
            return _Family(Counter(name, text, ("engine", "origin", *labels), namespace=NAMESPACE, registry=registry))

        self._requests = family("requests", "Speech requests that have ended.", "outcome")
        self._audio = family("audio_seconds", "Audio that was made.")
        self._stalls = family("stalls", "Gaps of a listener who plays at once.")
        self._retries = family("retries", "Segments begun once more.")
        self._failovers = family("failovers", "Requests that this engine spoke in another one's place.")

    def begin(self, engines: list[str]) -> None:
        """Have clients' series at 0: a series that begins at 1 hides its first step from `increase()`."""
        self._requests(NOBODY, "client", "refused")
        for engine in engines:
            for outcome in get_args(Outcome):
                self._requests(engine, "client", outcome)
            for family in (self._audio, self._stalls, self._retries, self._failovers):
                family(engine, "client")

    def observe(self, engine: str, measurement: Measurement) -> None:
        """Count one request."""
        origin = measurement.origin
        self._requests(engine, origin, measurement.outcome).inc()
        self._audio(engine, origin).inc(measurement.audio_s)
        # Those that are 0 too, so that the first one is seen as a step.
        self._stalls(engine, origin).inc(measurement.num_stalls)
        self._retries(engine, origin).inc(measurement.num_retries)
        self._failovers(engine, origin).inc(measurement.failover is not None)


class _Histograms:
    def __init__(self, registry: CollectorRegistry) -> None:
        def family(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> _Family[Histogram]:
            names = ("engine", *labels)
            return _Family(Histogram(name, text, names, namespace=NAMESPACE, registry=registry, buckets=buckets))

        self._ttfa = family(
            "ttfa_seconds",
            "Accepted to first audio handed to the client, of every request that got audio.",
            TTFA_BUCKETS,
            "warmth",
            "text_class",
        )
        self._stage = family(
            "first_audio_stage_seconds", "Stages until first audio: the parts of TTFA.", STAGE_BUCKETS, "stage"
        )
        self._rtf = family(
            "rtf", "Processing time over audio, of complete answers; without slow clients' time.", RTF_BUCKETS, "warmth"
        )
        self._preroll = family(
            "preroll_needed_seconds", "Buffer with which a complete answer has no gap.", PREROLL_BUCKETS
        )
        self._ahead = family("streams_ahead", "Streams that were there when a request came.", AHEAD_BUCKETS)
        self._prediction = family(
            "ttfa_prediction_error_seconds", "Distance between predicted and true TTFA.", PREDICTION_BUCKETS
        )

    def observe(self, engine: str, measurement: Measurement) -> None:
        """Sort one client's request in; what it has no figure for is left out."""
        self._ahead(engine).observe(measurement.num_ahead)
        if measurement.ttfa_ms is None:
            return
        self._ttfa(engine, measurement.warmth, measurement.text_class).observe(measurement.ttfa_ms / MS_PER_S)
        for stage, ms in measurement.first_audio_ms.items():
            self._stage(engine, stage).observe(ms / MS_PER_S)
        if measurement.predicted_ttfa_ms is not None:
            error_ms = abs(measurement.predicted_ttfa_ms - measurement.ttfa_ms)
            self._prediction(engine).observe(error_ms / MS_PER_S)
        if measurement.outcome == "completed":
            self._observe_complete(engine, measurement)

    def _observe_complete(self, engine: str, measurement: Measurement) -> None:
        if measurement.rtf is not None:
            self._rtf(engine, measurement.warmth).observe(measurement.rtf)
        if measurement.preroll_ms is not None:
            self._preroll(engine).observe(measurement.preroll_ms / MS_PER_S)
