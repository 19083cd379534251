"""`POST /v1/audio/speech`: text in, speech out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from firstaudio.audio.encode import FORMATS, make_encoder, output_rate
from firstaudio.errors import RequestError
from firstaudio.server.framing import EventFraming, Framing, RawFraming
from firstaudio.server.openapi import SPEECH_OPERATION
from firstaudio.server.order import SpeechOrder, read_body, read_order
from firstaudio.server.responses import StreamedResponse, WholeResponse
from firstaudio.server.service import service_of
from firstaudio.server.spool import Spool
from firstaudio.synthesis.stream import SpeechStream
from firstaudio.trace import Trace

router = APIRouter(tags=["speech"])

RUN_HEADER = "x-firstaudio-run"  # a benchmark names itself, so that its requests are not taken for a client's
SELF_TEST = "selftest"
"""The name that `firstaudio selftest --url` gives itself."""


@router.post("/v1/audio/speech", summary="Speak a text", response_class=Response, **SPEECH_OPERATION)
async def speak(request: Request) -> Response:
    """Speak a text, as OpenAI's endpoint does; the audio begins to arrive while the rest is still being made.

    The status is sent with the first audio. A failure after it breaks the connection, or, in events, ends them with
    `speech.audio.error`: a body that ends cleanly is complete. A client of HTTP/1.0 gets the whole audio at once.
    With the header `Cache-Control: no-cache` all audio is made for this request alone, and none of it is kept.
    """
    service = service_of(request)
    trace = Trace(request_id=request.state.request_id, origin=getattr(request.state, "origin", "client"))
    trace.accepted_ns = request.state.accepted_ns  # finding this route took time, too
    if run := _run(request):
        trace.origin, trace.run = "benchmark", run
    if service.telemetry.spans is not None:
        trace.keeps_spans, trace.traceparent = True, request.headers.get("traceparent", "")
    body = await read_body(request, service.config.server)
    with trace.stage("text_processing"):
        order = read_order(body, service.config.server)
        if request.scope["http_version"] == "1.0":
            order = _for_http_1_0(order)
    trace.format, trace.delivery = order.format, order.delivery
    is_fresh = "no-cache" in request.headers.get("cache-control", "").lower()
    utterance = replace(order.utterance(trace.request_id), fresh=is_fresh)
    stream = service.synthesizer.stream(utterance, trace, partial(output_rate, order.format))
    try:
        return _response(order, stream)
    except BaseException:
        await stream.aclose()
        raise


def _run(request: Request) -> str:
    """Which benchmark of this server asks; empty for everybody else, whatever they call themselves."""
    named, current = request.headers.get(RUN_HEADER, ""), service_of(request).benchmarks.current
    return named if named == SELF_TEST or (current is not None and named == current.record.id) else ""


def _for_http_1_0(order: SpeechOrder) -> SpeechOrder:
    """HTTP/1.0 knows no chunks: a body has a length, or else its end cannot be told from a broken connection."""
    if order.delivery == "sse":
        raise RequestError(
            "events cannot be sent over HTTP/1.0; use HTTP/1.1 (behind nginx: proxy_http_version 1.1;), "
            "or leave stream_format out",
            param="stream_format",
        )
    return replace(order, delivery="whole")


def _response(order: SpeechOrder, stream: SpeechStream) -> Response:
    encoder, media_type = make_encoder(order.format, stream.sample_rate), FORMATS[order.format].media_type
    if order.delivery == "whole":
        spool = Spool(encoder, stream.sample_rate)
        return WholeResponse(stream, spool, media_type, encoder.output_rate, order.ignored_fields)
    framing: Framing = RawFraming(media_type)
    if order.delivery == "sse":
        framing = EventFraming(order.text, stream.sample_rate, words=order.word_timestamps)
    return StreamedResponse(stream, encoder, framing, order.ignored_fields)
