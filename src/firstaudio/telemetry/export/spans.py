"""OpenTelemetry: one span per utterance, its stages as children. Needs the extra `otel`.

A finished trace is put on a bounded queue; a thread of its own makes spans of it and sends them. So speech never waits
for a collector; while there is none, utterances go unreported, are counted, and one line in the log tells of it. No
text of the user's goes out, and no error message either, because such a message may quote the request.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from firstaudio import __version__
from firstaudio.clock import now_ns
from firstaudio.errors import MissingExtraError
from firstaudio.trace import MAX_SPANS, Stage, Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

logger = logging.getLogger(__name__)

SERVICE = "firstaudio"
ROOT_SPAN = "speech"
MAX_WAITING = 256  # utterances
MAX_BATCH = 32  # utterances that are sent together
TIMEOUT_S = 5.0  # of one batch, the exporter's own attempts included
CLOSE_S = 2.0  # how long the end of the server waits for spans to leave
# The exporter logs its every attempt; one line of ours stands for them.
EXPORTER_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def otlp_exporter(endpoint: str) -> SpanExporter:
    """What sends spans over HTTP to an OpenTelemetry collector. Imports for a good part of a second.

    Args:
        endpoint: As `http://localhost:4318/v1/traces`.

    Raises:
        MissingExtraError: The packages are not installed.
    """
    try:
        import opentelemetry.sdk.trace  # noqa: F401 -- it is needed later, and it must be known now
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise MissingExtraError("telemetry.otlp_endpoint", "otel") from error
    return OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class SpansStatus:
    """What became of the spans.

    Attributes:
        endpoint: Host and port that they are sent to.
        num_sent: Utterances that a collector has taken.
        num_lost: Utterances that none has taken.
        num_waiting: Utterances that are still to be sent.
        problem: Why the latest could not be sent; empty: they were.
    """

    endpoint: str
    num_sent: int
    num_lost: int
    num_waiting: int
    problem: str


@dataclass(frozen=True, slots=True)
class _Finished:
    """A finished trace, its stages until then, and what turns its times into nanoseconds since 1970."""

    trace: Trace
    stages: tuple[tuple[Stage, int, int], ...]
    epoch_ns: int


class Spans:
    """Sends finished traces as spans, from a thread of its own.

    Args:
        exporter: Sends; used by the thread alone, and shut down by `close`.
        endpoint: Where to, for people.
        wall_clock_ns: Nanoseconds since 1970.
    """

    def __init__(
        self, exporter: SpanExporter, endpoint: str = "", wall_clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._exporter, self._wall_clock_ns = exporter, wall_clock_ns
        self._endpoint = urlsplit(endpoint).netloc.rpartition("@")[2]  # without a password
        self._waiting: queue.SimpleQueue[_Finished | None] = queue.SimpleQueue()
        self._num_sent = self._num_failed = 0
        self._num_dropped = 0  # counted on the event loop, the others in the thread
        self._problem = ""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def observe(self, trace: Trace) -> None:
        """Take a finished trace; on the event loop, never waits."""
        if self._waiting.qsize() >= MAX_WAITING:
            self._num_dropped += 1
            self._tell("the collector is slower than the server")
            return
        self._waiting.put(_Finished(trace, tuple(trace.spans), self._wall_clock_ns() - now_ns()))

    def status(self) -> SpansStatus:
        """Figures of this moment."""
        num_lost = self._num_failed + self._num_dropped
        return SpansStatus(self._endpoint, self._num_sent, num_lost, self._waiting.qsize(), self._problem)

    def close(self) -> None:
        """Send what waits, for `CLOSE_S` at the most, and end the thread. Blocks."""
        self._closing = True
        self._waiting.put(None)
        self._thread.join(CLOSE_S)
        self._exporter.shutdown()  # calls off a further attempt
        self._thread.join(TIMEOUT_S)

    def _tell(self, problem: str) -> None:
        """Say that spans are lost, once until they are taken again."""
        if not self._problem:
            logger.warning("spans of requests are lost until %s takes them: %s", self._endpoint, problem)
        self._problem = problem

    # In the thread.

    def _run(self) -> None:
        with _silenced():
            maker = _SpanMaker()
            while batch := self._take():
                self._send(maker.spans(batch), len(batch))

    def _take(self) -> list[_Finished]:
        """What waits, some at a time; nothing at the end."""
        batch = []
        first = self._waiting.get()
        while first is not None:
            batch.append(first)
            if len(batch) == MAX_BATCH or self._waiting.empty():
                break
            first = self._waiting.get()
        if first is None and batch:
            self._waiting.put(None)  # for the next call
        return batch

    def _send(self, spans: tuple[ReadableSpan, ...], number: int) -> None:
        if not spans:  # none of these clients wants any
            return
        problem = self._problem if self._closing and self._problem else self._export(spans)
        if problem:
            self._num_failed += number
            self._tell(problem)
            return
        self._num_sent += number
        if self._problem:
            logger.info("spans of requests are sent again")
            self._problem = ""

    def _export(self, spans: tuple[ReadableSpan, ...]) -> str:
        """Send; why it could not be done, empty when it was."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 -- foreign code, and the boundary of this thread
            return f"the exporter raised {type(error).__name__}"
        return "" if result.name == "SUCCESS" else "it cannot be reached, or refuses them"


class _SpanMaker:
    """Makes the SDK's spans of finished traces."""

    def __init__(self) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._made = InMemorySpanExporter()
        resource = Resource.create({"service.name": SERVICE, "service.version": __version__})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._made))
        self._tracer = provider.get_tracer(SERVICE, __version__)

    def spans(self, batch: list[_Finished]) -> tuple[ReadableSpan, ...]:
        """Of each utterance its stages and then itself; none of one whose client wants none."""
        for finished in batch:
            self._make(finished)
        made = self._made.get_finished_spans()
        self._made.clear()
        return made

    def _make(self, finished: _Finished) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        trace, at = finished.trace, finished.epoch_ns
        assert trace.finished_ns is not None
        parent = TraceContextTextMapPropagator().extract({"traceparent": trace.traceparent}, Context())
        root = self._tracer.start_span(
            ROOT_SPAN, parent, SpanKind.SERVER, attributes_of(trace), start_time=trace.accepted_ns + at
        )
        if root.is_recording():
            inside = set_span_in_context(root, Context())
            for name, begin_ns, end_ns in finished.stages:
                self._tracer.start_span(name, inside, start_time=begin_ns + at).end(end_ns + at)
            _describe(root, trace, at)
        root.end(trace.finished_ns + at)


def _describe(root: Span, trace: Trace, at: int) -> None:
    from opentelemetry.trace import Status, StatusCode

    if trace.first_sent_ns is not None:
        root.add_event("first audio", timestamp=trace.first_sent_ns + at)
    if trace.outcome == "failed":
        root.set_status(Status(StatusCode.ERROR))


def attributes_of(trace: Trace) -> dict[str, str | int | float | bool]:
    """What a span says of its utterance: numbers and names, none of its words. What is not known is left out."""
    known: dict[str, Any] = {
        "request_id": trace.request_id,
        "engine": trace.engine,
        "voice": trace.voice,
        "language": trace.language,
        "runtime": trace.runtime,
        "decode": trace.decode,
        "format": trace.format,
        "delivery": trace.delivery,
        "warmth": trace.warmth,
        "text_class": trace.text_class,
        "origin": trace.origin,
        "run": trace.run,
        "arm": trace.arm,
        "outcome": trace.outcome,
        "failover": trace.failover,
        "num_characters": trace.num_characters,
        "num_segments": trace.num_segments,
        "num_chunks": trace.num_chunks,
        "num_retries": trace.num_retries,
        "num_stalls": trace.num_stalls,
        "num_ahead": trace.num_ahead,
        "speed": trace.speed,
        "audio_s": trace.audio_s,
        "ttfa_ms": trace.ttfa_ms,
        "ttgp_ms": trace.ttgp_ms,
        "predicted_ttfa_ms": trace.predicted_ttfa_ms,
        "rtf": trace.rtf,
        "has_all_stages": len(trace.spans) < MAX_SPANS,
    }
    return {f"{SERVICE}.{name}": value for name, value in known.items() if value not in (None, "")}


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the exporter's own lines out of the log."""
    exporter = logging.getLogger(EXPORTER_LOGGER)

    def nothing(_: logging.LogRecord) -> bool:
        return False

    exporter.addFilter(nothing)
    try:
        yield
    finally:
        exporter.removeFilter(nothing)
