"""Spans over HTTP: from a client's traceparent to what a collector gets."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MARKER = "Geheimnis"


class Collector:
    """Takes spans as a collector does."""

    def __init__(self) -> None:
        self.bodies: queue.Queue[bytes] = queue.Queue()
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.put(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def spans(self) -> dict[str, Any]:
        """Of the next batch, by name."""
        request = ExportTraceServiceRequest.FromString(self.bodies.get(timeout=20))
        return {span.name: span for r in request.resource_spans for s in r.scope_spans for span in s.spans}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def traced(tools: Any, collector: Collector) -> Iterator[Any]:
    config = tools.settings()
    config = replace(config, cache=replace(config.cache, warm_up=False))
    with tools.run(replace(config, telemetry=replace(config.telemetry, otlp_endpoint=collector.url))) as running:
        yield running


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@pytest.mark.parametrize("fields", [{}, {"stream_format": "sse"}, {"stream": False}])
def test_an_utterance_arrives_as_spans_without_its_words(traced: Any, collector: Collector, fields: dict[str, Any]):
    assert traced.speak(input=f"{MARKER} and {len(str(fields))} more.", **fields).status == 200  # nothing is cached
    body = collector.bodies.get(timeout=20)
    collector.bodies.put(body)
    spans = collector.spans()

    assert set(spans) == {
        "speech",
        "queue",
        "text_processing",
        "phonemize",
        "model_inference",
        "audio_conversion",
        "chunk_delivery",
    }
    assert attributes(spans["speech"])["firstaudio.outcome"] == "completed"
    assert MARKER.encode() not in body
    assert spans["speech"].start_time_unix_nano <= spans["queue"].start_time_unix_nano
    assert {span.parent_span_id for name, span in spans.items() if name != "speech"} == {spans["speech"].span_id}


def test_the_clients_span_is_the_parent(traced: Any, collector: Collector):
    request = {"content_type": "application/json", "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    traced.request("POST", "/v1/audio/speech", b'{"input": "Hello."}', **request)
    root = collector.spans()["speech"]

    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)


def test_a_refused_request_is_a_span_too(traced: Any, collector: Collector):
    assert traced.speak(voice=MARKER).status == 400
    root = collector.spans()["speech"]
    assert attributes(root)["firstaudio.outcome"] == "refused"
    assert MARKER not in str(root)


def test_the_status_tells_what_was_sent(traced: Any, collector: Collector):
    traced.speak()
    collector.spans()
    status = traced.get("/status").json["telemetry"]["spans"]
    assert status["endpoint"] in collector.url
    assert status["num_lost"] == 0


def test_without_an_endpoint_nothing_is_kept(server: Any):
    assert server.service.telemetry.spans is None
    assert server.get("/status").json["telemetry"]["spans"] is None


def test_without_the_packages_the_server_says_what_to_install_and_ends(
    tools: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    config = tools.settings()
    telemetry = replace(config.telemetry, otlp_endpoint="http://127.0.0.1:9/v1/traces")
    with tools.run(replace(config, telemetry=telemetry), ready=False) as running:
        tools.eventually(lambda: running.server.should_exit)
        assert running.server.exit_code == 3
    assert "pip install 'firstaudio[otel]'" in capfd.readouterr().err
