"""`/benchmarks`: runs of the harness against this server, and one quick measurement inside it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.responses import HTMLResponse

from firstaudio.errors import ConfigError, EmptyTextError, RequestError, TextTooLongError
from firstaudio.server.benchmarks.command import VARIED
from firstaudio.server.benchmarks.quick import DEFAULT_TEXT, measure_once, recommendation
from firstaudio.server.openapi import problems
from firstaudio.server.order import read_body
from firstaudio.server.query import once
from firstaudio.server.schemas.benchmarks import (
    BenchmarkCancelled,
    BenchmarkReport,
    BenchmarkRequest,
    BenchmarkResults,
    BenchmarkState,
    BenchmarkStatus,
    QuickQuery,
    QuickRequest,
    QuickTtfa,
    ReportQuery,
    RunCard,
    RunElsewhere,
    RunList,
    RunQuery,
    RunsQuery,
    RunStarted,
    RunSummaryEntry,
    RunTrendEntry,
    WaysEntry,
)
from firstaudio.server.service import Service, service_of
from firstaudio.slo import SHORT_CHARS, SHORT_TTFA_TARGET_MS, category, is_met
from firstaudio.telemetry.runs.records import BENCHMARK_TYPES, RunRecord, RunRequest, RunSummary
from firstaudio.telemetry.runs.summary import session_warnings

router = APIRouter(prefix="/benchmarks", tags=["benchmarks"], dependencies=[Depends(once)])

MAX_FIELD_CHARS = 64
Model = TypeVar("Model", bound=BaseModel)
STATUS_ENDPOINT, RESULTS_ENDPOINT = "/benchmarks/status", "/benchmarks/results"
_BODY = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": BenchmarkRequest.model_json_schema()}},
    }
}
_QUICK_BODY = {
    "requestBody": {"required": False, "content": {"application/json": {"schema": QuickRequest.model_json_schema()}}}
}
_HTML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@router.post(
    "/run", summary="Run a benchmark", openapi_extra=_BODY, responses=problems(400, 401, 408, 409, 413, 415, 500, 503)
)
async def run_benchmark(request: Request) -> RunStarted:
    """Start the harness against this server, as a program of its own; 409 while one runs.

    Its requests are marked as a benchmark's, so they are in no figure about clients. The server goes on serving, and a
    run during which it did is marked as contended.
    """
    service = service_of(request)
    wish = await _wish(request)
    service.require_ready()
    estimate_s = await service.benchmarks.estimate_s(wish.benchmark_type)
    record = await service.benchmarks.start(RunRequest(**wish.model_dump()), "request", _own_url(request))
    return RunStarted(
        message=f"the {wish.benchmark_type} benchmark has begun{_without_effect(wish)}",
        benchmark_id=record.id,
        estimated_duration_s=estimate_s,
        status_endpoint=STATUS_ENDPOINT,
        results_endpoint=f"{RESULTS_ENDPOINT}/{record.id}",
    )


@router.get("/status", summary="Show the progress", responses=problems(401))
async def show_status(request: Request, response: Response) -> BenchmarkStatus:
    """How far the run has come that goes on, how the last one ended, and when the schedule starts the next one."""
    service = service_of(request)
    response.headers["Cache-Control"] = "no-store"
    last, results = await service.benchmarks.latest(), await service.benchmarks.latest_results()
    return BenchmarkStatus(
        status=_state(service, last, results),
        running_elsewhere=_elsewhere(await service.benchmarks.elsewhere()),
        benchmark_types_available=list(BENCHMARK_TYPES),
        last_execution=None if last is None else _card(last),
        schedule=service.schedule.status(),
    )


@router.post("/cancel", summary="End the benchmark", responses=problems(401, 404, 409))
async def cancel_benchmark(request: Request) -> BenchmarkCancelled:
    """End the run that goes on; answers when it has ended. What it measured until then is kept."""
    record = await service_of(request).benchmarks.cancel()
    return BenchmarkCancelled(
        message=f"the benchmark has ended: {record.status}", benchmark_id=record.id, status=record.status
    )


@router.get("/runs", summary="List runs", responses=problems(400, 401))
async def list_runs(request: Request, response: Response, query: Annotated[RunsQuery, Query()]) -> RunList:
    """The runs that are kept, the newest first; `schedule.keep` says how many are."""
    response.headers["Cache-Control"] = "no-store"
    found = await service_of(request).benchmarks.runs()
    cards = [_card(record) for record in found.records[: query.limit]]
    return RunList(runs=cards, count=len(cards), limit=query.limit, unreadable=list(found.unreadable))


@router.get("/results", summary="Show results", responses=problems(400, 401, 404))
async def show_results(request: Request, response: Response, query: Annotated[RunQuery, Query()]) -> BenchmarkResults:
    """The results of the latest run that has some, or of the one that is named."""
    response.headers["Cache-Control"] = "no-store"
    return await _results(service_of(request), query.id)


@router.get(
    "/results/report",
    summary="Show the report",
    response_model=BenchmarkReport,
    responses=problems(400, 401, 404) | _HTML,
)
async def show_report(
    request: Request, response: Response, query: Annotated[ReportQuery, Query()]
) -> BenchmarkReport | Response:
    """The harness's report of the latest run that has results, or of the one that is named: Markdown, or a page."""
    response.headers["Cache-Control"] = "no-store"
    record, text = await service_of(request).benchmarks.report(query.id, query.format)
    if query.format == "html":
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return HTMLResponse(text, headers=headers)
    return BenchmarkReport(
        report=text,
        format="markdown",
        generated_at=_iso(datetime.now(UTC).timestamp()),
        benchmark_timestamp=_iso(record.started_at),
        benchmark_id=record.id,
        contended=record.contended,
        num_other_streams=record.num_other_streams,
        trends=_trends(record),
    )


@router.get("/results/{run_id}", summary="Show the results of one run", responses=problems(401, 404))
async def show_results_of(request: Request, response: Response, run_id: str) -> BenchmarkResults:
    """The results of one run."""
    response.headers["Cache-Control"] = "no-store"
    return await _results(service_of(request), run_id)


@router.post(
    "/ttfa/quick",
    summary="Measure one utterance",
    openapi_extra=_QUICK_BODY,
    responses=problems(400, 401, 404, 408, 413, 415, 429, 500, 503),
)
async def measure_quickly(request: Request, response: Response, query: Annotated[QuickQuery, Query()]) -> QuickTtfa:
    """Speak one text to nobody and say what that took; all of it is spoken, for its RTF.

    The way is a client's, without the network and without the cache. It is one utterance: to know what clients get, ask
    /ttfa-performance or run a benchmark.
    """
    service = service_of(request)
    response.headers["Cache-Control"] = "no-store"
    service.require_ready()
    text, voice = await _quick_wish(request, query)
    try:
        result = await measure_once(service.synthesizer, service.benchmarks.witness, text, voice, request.receive)
    except EmptyTextError as error:
        raise EmptyTextError(error.message, param="text") from error
    found, target_ms = result.measurement, service.config.telemetry.ttfa_target_ms
    assert found.ttfa_ms is not None
    name = category(found.ttfa_ms)
    return QuickTtfa(
        ttfa_ms=found.ttfa_ms,
        target_met=is_met(found.ttfa_ms, target_ms),
        category=name,
        bottleneck=found.bottleneck,
        provider_used=found.runtime or found.engine,
        recommendation=recommendation(found.ttfa_ms, name, found.bottleneck, target_ms),
        text_length=len(text),
        target_ms=target_ms,
        short_target_met=is_met(found.ttfa_ms, SHORT_TTFA_TARGET_MS) if len(text) < SHORT_CHARS else None,
        stages_ms=dict(found.first_audio_ms),
        ttgp_ms=found.ttgp_ms,
        rtf=found.rtf,
        audio_s=found.audio_s,
        warmth=found.warmth,
        contended=result.num_other > 0,
        engine=found.engine,
        voice=found.voice,
        request_id=found.request_id,
    )


async def _wish(request: Request) -> BenchmarkRequest:
    """What the body asks for; nothing asks for the defaults."""
    wish = await _read(request, BenchmarkRequest, '{"benchmark_type": "ttfa"}')
    if wish.custom_text is not None:
        _check_text("custom_text", wish.custom_text, service_of(request))
    return wish


async def _quick_wish(request: Request, query: QuickQuery) -> tuple[str, str | None]:
    """The text and the voice, of the query or of the body; a field that is in both is refused."""
    body = await _read(request, QuickRequest, '{"text": "Hello."}')
    for field in sorted(query.model_fields_set & body.model_fields_set):
        raise RequestError(f"{field} is in the query and in the body; send it once", param=field)
    text, voice = (query.text if body.text is None else body.text), query.voice or body.voice
    if text is None:
        return DEFAULT_TEXT, voice
    _check_text("text", text, service_of(request))
    return text, voice


async def _read(request: Request, model: type[Model], example: str) -> Model:
    """The body as a model; one that is left out has its defaults."""
    is_empty = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    body = b"" if is_empty else await read_body(request, service_of(request).config.server)
    try:
        return model.model_validate_json(body) if body.strip() else model()
    except ValidationError as error:
        raise _refusal(error, model, example) from None


def _refusal(error: ValidationError, model: type[BaseModel], example: str) -> RequestError:
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"]:
        return RequestError(f"the body must be a JSON object such as {example}, or be left out")
    field = str(first["loc"][0])[:MAX_FIELD_CHARS]
    if first["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields)
        return RequestError(f"unknown field {field!r}; leave it out. Known fields: {known}", param=field)
    return RequestError(f"{field}: {first['msg']}", param=field)


def _without_effect(wish: BenchmarkRequest) -> str:
    """A remark on tests that were asked for and that this benchmark does not have; empty where there are none.

    They are no mistake: a client that sends every field with its default asks for them.
    """
    has = dict(zip(("include_voice_tests", "include_speed_tests"), VARIED[wish.benchmark_type], strict=True))
    asked = [name for name, is_there in has.items() if not is_there and name in wish.model_fields_set]
    lacking = ", ".join(name for name in asked if getattr(wish, name))
    return f"; without effect: {lacking} (ttfa and full have such tests)" if lacking else ""


def _check_text(field: str, text: str, service: Service) -> None:
    if not text.strip():
        raise RequestError(f"{field} holds nothing to speak; send a text or leave it out", param=field)
    limit = service.config.server.max_input_chars
    if len(text) > limit:
        raise TextTooLongError(f"{field} has {len(text)} characters and may have {limit}; shorten it", param=field)


def _own_url(request: Request) -> str:
    """Where this server was reached: the socket's own address, not what the client calls it."""
    host, port = request.scope.get("server") or (None, None)
    if not host or port is None:
        raise ConfigError("this server listens on no TCP port, and the benchmark needs one; start it with --port")
    return f"{request.scope['scheme']}://{f'[{host}]' if ':' in host else host}:{port}"


def _state(service: Service, last: RunRecord | None, results: RunRecord | None) -> BenchmarkState:
    current = service.benchmarks.current
    summary = results.summary if results else None
    shown = None if summary is None else _summary(summary)
    if current is None:
        return BenchmarkState(
            running=False,
            progress=_ended_progress(last),
            current_test=None,
            estimated_completion_s=None,
            last_results=shown,
            start_time=None,
            benchmark_id=None,
        )
    progress = current.listener.progress
    return BenchmarkState(
        running=True,
        progress=progress.share or 0.0,
        current_test=progress.current_test,
        estimated_completion_s=current.remaining_s,
        last_results=shown,
        start_time=_iso(current.record.started_at),
        benchmark_id=current.record.id,
    )


def _ended_progress(last: RunRecord | None) -> float | None:
    """Of a run that did not succeed nobody knows how far it came."""
    if last is None:
        return 0.0
    return 1.0 if last.status == "succeeded" else None


def _elsewhere(run: RunRecord | None) -> RunElsewhere | None:
    if run is None:
        return None
    return RunElsewhere(benchmark_id=run.id, url=run.url or None, pid=run.pid, start_time=_iso(run.started_at))


async def _results(service: Service, run_id: str | None) -> BenchmarkResults:
    found = await service.benchmarks.results(run_id)
    session = found.session or {}
    return BenchmarkResults(
        run=_card(found.record),
        cells=[_cell(cell) for cell in session.get("cells", [])],
        findings=session.get("findings", {}),
        warnings=session_warnings(session),
        environment=session.get("environment", {}),
        definitions=session.get("definitions", {}),
    )


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    """Without what was sent: texts of a user's own are in the session on disk alone."""
    return {name: value for name, value in cell.items() if name != "cell"}


def _card(record: RunRecord) -> RunCard:
    ended = record.ended_at
    return RunCard(
        id=record.id,
        benchmark_type=record.request.benchmark_type,
        status=record.status,
        trigger=record.trigger,
        start_time=_iso(record.started_at),
        end_time=None if ended is None else _iso(ended),
        duration_s=None if ended is None else round(ended - record.started_at, 3),
        error=record.error,
        exit_code=record.exit_code,
        stderr=record.stderr,
        contended=record.contended,
        num_other_streams=record.num_other_streams,
        engine=record.engine,
        ways=None if record.ways is None else WaysEntry.model_validate(record.ways, from_attributes=True),
        mixed=list(record.mixed),
        settings=dict(record.settings),
        request=BenchmarkRequest.model_validate(record.request, from_attributes=True),
        summary=None if record.summary is None else _summary(record.summary),
        trends=_trends(record),
        changes=list(record.changes),
    )


def _trends(record: RunRecord) -> list[RunTrendEntry]:
    return [RunTrendEntry.model_validate(trend, from_attributes=True) for trend in record.trends]


def _summary(summary: RunSummary) -> RunSummaryEntry:
    return RunSummaryEntry.model_validate(summary, from_attributes=True)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
