"""Utterances as spans: what they say, whose children they are, and what an absent collector does to speech."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from firstaudio.clock import NS_PER_MS
from firstaudio.config import TelemetryConfig
from firstaudio.errors import ConfigError, MissingExtraError
from firstaudio.telemetry.export import spans as spans_module
from firstaudio.telemetry.export.spans import MAX_WAITING, Spans, otlp_exporter
from firstaudio.trace import MAX_SPANS, Trace

MS = NS_PER_MS
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01", f"00-{TRACE_ID}-{SPAN_ID}-00"


class Unreachable(SpanExporter):
    """Fails until it is mended; may be held at a gate."""

    def __init__(self, gate: threading.Event | None = None, error: Exception | None = None) -> None:
        self.is_mended = False
        self.num_tries = 0
        self._gate, self._error = gate, error
        self.tried = threading.Semaphore(0)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._gate is not None:
            assert self._gate.wait(10)
        self.num_tries += 1
        is_mended = self.is_mended
        self.tried.release()
        if self._error is not None and not is_mended:
            raise self._error
        return SpanExportResult.SUCCESS if is_mended else SpanExportResult.FAILURE


def finished(outcome: Any = "completed", **fields: Any) -> Trace:
    """An utterance of 10 ms with two stages and a first audio."""
    now = [1_000 * MS]
    trace = Trace(request_id="r-1", engine="synthetic", voice="alloy", keeps_spans=True, clock=lambda: now[0], **fields)
    with trace.stage("phonemize"):
        now[0] += 2 * MS
    with trace.stage("model_inference"):
        now[0] += 5 * MS
    trace.sent(100 * MS)
    now[0] += 3 * MS
    trace.audio_s = 0.1
    trace.finish(outcome, "may quote the words" if outcome == "failed" else None)
    return trace


@contextmanager
def sending(exporter: SpanExporter) -> Iterator[Spans]:
    spans = Spans(exporter, "http://user:secret@collector:4318/v1/traces")
    try:
        yield spans
    finally:
        spans.close()


def sent(*traces: Trace) -> dict[str, ReadableSpan]:
    """What a collector gets, by name."""
    exporter = InMemorySpanExporter()
    with sending(exporter) as spans:
        for trace in traces:
            spans.observe(trace)
    return {span.name: span for span in exporter.get_finished_spans()}


def test_an_utterance_is_a_span_and_its_stages_are_its_children():
    spans = sent(finished())
    root = spans["speech"]

    assert set(spans) == {"speech", "phonemize", "model_inference"}
    assert root.parent is None
    assert root.kind.name == "SERVER"
    for name in ("phonemize", "model_inference"):
        assert spans[name].parent is not None
        assert spans[name].parent.span_id == root.context.span_id
        assert spans[name].context.trace_id == root.context.trace_id


def test_times_are_those_of_the_trace():
    spans = sent(finished())
    begin = spans["speech"].start_time or 0
    assert (spans["speech"].end_time or 0) - begin == 10 * MS
    assert [(spans["model_inference"].start_time or 0) - begin, (spans["model_inference"].end_time or 0) - begin] == [
        2 * MS,
        7 * MS,
    ]
    assert [(event.name, event.timestamp - begin) for event in spans["speech"].events] == [("first audio", 7 * MS)]


def test_a_span_names_its_service_and_its_figures():
    root = sent(finished())["speech"]
    assert root.resource.attributes["service.name"] == "firstaudio"
    attributes = dict(root.attributes or {})
    assert attributes["firstaudio.request_id"] == "r-1"
    assert attributes["firstaudio.ttfa_ms"] == 7.0
    assert attributes["firstaudio.outcome"] == "completed"
    assert "firstaudio.failover" not in attributes
    assert attributes["firstaudio.has_all_stages"] is True


def test_a_failure_is_an_error_without_its_message():
    root = sent(finished("failed"))["speech"]
    assert root.status.status_code.name == "ERROR"
    assert "quote the words" not in root.to_json()


def test_a_client_that_is_traced_is_the_parent():
    root = sent(finished(traceparent=SAMPLED))["speech"]
    assert root.parent is not None
    assert f"{root.context.trace_id:032x}" == TRACE_ID
    assert f"{root.parent.span_id:016x}" == SPAN_ID


def test_a_client_that_wants_no_spans_gets_none():
    assert sent(finished(traceparent=UNSAMPLED)) == {}


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-0-0-01", f"ff-{TRACE_ID}-{SPAN_ID}-01", "\u00e4" * 55])
def test_what_is_no_traceparent_is_no_parent(traceparent: str):
    assert sent(finished(traceparent=traceparent))["speech"].parent is None


def test_stages_that_were_too_many_to_keep_are_told_of():
    trace = finished()
    trace.spans.extend(trace.spans[:1] * MAX_SPANS)
    assert dict(sent(trace)["speech"].attributes or {})["firstaudio.has_all_stages"] is False


def test_an_utterance_without_audio_has_a_span_too():
    trace = Trace(request_id="r-2")
    trace.finish("refused", "no room")
    assert sent(trace)["speech"].events == ()


def test_what_cannot_be_sent_is_counted_and_told_of_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    exporter = Unreachable()
    with sending(exporter) as spans:
        for _ in range(3):
            spans.observe(finished())
            assert exporter.tried.acquire(timeout=10)
        exporter.is_mended = True
        spans.observe(finished())
        assert exporter.tried.acquire(timeout=10)
    status = spans.status()

    assert (status.num_sent, status.num_lost, status.num_waiting, status.problem) == (1, 3, 0, "")
    ours = [record.getMessage() for record in caplog.records if record.name == spans_module.__name__]
    assert ours == [
        "spans of requests are lost until collector:4318 takes them: it cannot be reached, or refuses them",
        "spans of requests are sent again",
    ]


def test_an_exporter_that_raises_is_one_that_cannot_send():
    exporter = Unreachable(error=ZeroDivisionError("secret"))
    with sending(exporter) as spans:
        spans.observe(finished())
    assert spans.status().problem == "the exporter raised ZeroDivisionError"


def test_speech_never_waits_for_a_collector_that_hangs():
    gate = threading.Event()
    exporter = Unreachable(gate)
    exporter.is_mended = True
    spans = Spans(exporter)
    num_utterances = MAX_WAITING + 100
    for _ in range(num_utterances):
        spans.observe(finished())
    status = spans.status()
    gate.set()
    spans.close()

    assert status.num_waiting <= MAX_WAITING
    assert status.num_lost > 0
    after = spans.status()
    assert after.num_sent + after.num_lost == num_utterances


def test_the_end_does_not_try_again_what_has_failed_before():
    gate = threading.Event()
    exporter = Unreachable(gate)
    spans = Spans(exporter)
    for _ in range(200):
        spans.observe(finished())
    closing = threading.Thread(target=spans.close)
    closing.start()
    gate.set()
    closing.join(20)

    assert not closing.is_alive()
    assert exporter.num_tries <= 3
    assert spans.status().num_lost == 200


def test_no_thread_is_left():
    sent(finished())
    assert [thread.name for thread in threading.enumerate() if thread.name == "spans"] == []


def test_a_password_in_the_address_is_not_shown():
    with sending(InMemorySpanExporter()) as spans:
        assert spans.status().endpoint == "collector:4318"


def test_an_address_that_nothing_can_be_sent_to_is_refused_when_it_is_set():
    with pytest.raises(ConfigError, match=r"^telemetry.otlp_endpoint is no address"):
        TelemetryConfig(otlp_endpoint="localhost:4318")


def test_without_the_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MissingExtraError, match=r"telemetry.otlp_endpoint .*firstaudio\[otel\]"):
        otlp_exporter("http://localhost:4318/v1/traces")


def test_the_real_exporter_says_nothing_of_its_own_when_nobody_listens(
    unused_address: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(spans_module, "TIMEOUT_S", 0.5)
    with sending(otlp_exporter(f"http://{unused_address}/v1/traces")) as spans:
        spans.observe(finished())
    assert spans.status().num_lost == 1
    assert {record.name for record in caplog.records} == {spans_module.__name__}
    assert logging.getLogger(spans_module.EXPORTER_LOGGER).filters == []


@pytest.fixture
def unused_address() -> Iterator[str]:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, and connecting is refused
        host, port = taken.getsockname()
        yield f"{host}:{port}"
