"""Benchmarks over HTTP: what can be asked for and what is told of runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from firstaudio.server.schemas.performance import ForecastEntry
from firstaudio.slo import Category
from firstaudio.telemetry.runs.records import BenchmarkType, RunStatus, Trigger, Verdict
from firstaudio.trace import Stage, Warmth

MAX_ID_CHARS = 64
MAX_RUNS, DEFAULT_RUNS = 1000, 50


class BenchmarkRequest(BaseModel):
    """What to run; everything may be left out, and the body as well."""

    model_config = ConfigDict(extra="forbid", strict=True)

    benchmark_type: BenchmarkType = Field("full", description="Which benchmark.")
    include_voice_tests: bool = Field(True, description="Compare voices, too. Without effect on streaming.")
    include_speed_tests: bool = Field(True, description="Vary the speaking speed, too. Without effect on streaming.")
    save_results: bool = Field(
        True, description="Keep the results on disk. Else they can be read until the next such run or the server's end."
    )
    custom_text: str | None = Field(
        None, min_length=1, description="A text of your own that is spoken as well; line breaks become spaces."
    )


class RunQuery(BaseModel):
    """Which run."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(None, max_length=MAX_ID_CHARS, description="Of the run; else the latest that has results.")


class ReportQuery(RunQuery):
    """Which report."""

    format: Literal["markdown", "html"] = Field("markdown", description="html: the page itself, not JSON.")


class RunsQuery(BaseModel):
    """How many runs."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(DEFAULT_RUNS, ge=1, le=MAX_RUNS, description="How many at most.")


class QuickQuery(BaseModel):
    """What to speak."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(None, description="Left out: a sentence of the server's own.")
    voice: str | None = Field(None, min_length=1, max_length=128, description="Left out: the default voice.")


class QuickRequest(QuickQuery):
    """The same as a body, for texts that are too long for a URL."""

    model_config = ConfigDict(strict=True)


class RunStarted(BaseModel):
    """A run has begun."""

    message: str = Field(description="Also says which tests were asked for that this benchmark does not have.")
    benchmark_id: str
    estimated_duration_s: float = Field(
        description="As long as the last run of its kind took here; 30, 45 or 120 before there was one."
    )
    status_endpoint: str
    results_endpoint: str


class CellEntry(BaseModel):
    """One condition of a run, in short."""

    name: str
    label: str = Field(description="cold, warm or cached.")
    concurrency: int | None
    num_requests: int
    num_ok: int
    ttfa_ms: float | None = Field(description="Median; null where there are too few, or half of them failed.")
    rtf: float | None = Field(description="Median.")


class RunSummaryEntry(BaseModel):
    """The figures of a run."""

    verdict: str = Field(description="VALID, or INVALID: do not quote its numbers.")
    reasons: list[str] = Field(description="Why it is INVALID.")
    completed: bool
    num_requests: int
    num_ok: int
    ttfa_ms: float | None = Field(
        description="Geometric mean of the median TTFA of the streamed conditions with one client and no cache."
    )
    rtf: float | None = Field(description="The same of RTF.")
    num_cells: int = Field(description="How many conditions there are.")
    num_typical_cells: int | None = Field(
        description="Of how many of them TTFA and RTF are; null for runs of before this was noted."
    )
    num_warnings: int | None = Field(
        description="What the harness warns of without calling the run INVALID; null for runs of before this was noted."
    )
    first_warning: str | None = Field(description="One of them; the results have all.")
    others_cpu_share: float | None = Field(
        description="The most of the machine that other processes used in one of the conditions, 0..1."
    )
    machine: str = Field(description="Runs with the same one were made on the same machine.")
    workload_hash: str = Field(description="Runs with the same one sent the same texts in the same way.")
    versions: dict[str, str]
    cells: list[CellEntry]


class RunTrendEntry(BaseModel):
    """One figure against those of earlier comparable runs."""

    figure: str
    value: float | None
    verdict: Verdict
    n: int = Field(description="Earlier runs that it was compared with.")
    expected: float | None
    low: float | None = Field(description="Lower end of the 95 % prediction interval.")
    high: float | None
    sentence: str
    forecast: ForecastEntry | None = Field(description="Of ttfa_ms alone; null where none is honest.")


class WaysEntry(BaseModel):
    """How the answers of a run were made: numbers of answers, by name."""

    engines: dict[str, int]
    decodes: dict[str, int] = Field(description="Empty where the engine has no windows; cached answers have none.")
    runtimes: dict[str, int] = Field(description="Empty where the engine tells nothing.")


class RunCard(BaseModel):
    """One run."""

    id: str
    benchmark_type: BenchmarkType
    status: RunStatus = Field(description="succeeded: there are results; summary.verdict says what they are worth.")
    trigger: Trigger = Field(description="Who asked for it.")
    start_time: str = Field(description="ISO 8601.")
    end_time: str | None
    duration_s: float | None
    error: str | None = Field(description="Why it failed or was cancelled.")
    exit_code: int | None = Field(description="Of the benchmark program; negative for the signal that ended it.")
    stderr: str = Field(description="The end of what the program said.")
    contended: bool | None = Field(description="Whether others were served meanwhile; null where nobody looked.")
    num_other_streams: int | None
    engine: str | None = Field(description="Who spoke, joined by commas where it was more than one.")
    ways: WaysEntry | None = Field(description="Null where nobody looked.")
    mixed: list[str] = Field(description="Why its figures are of more than one thing, and so in no trend.")
    settings: dict[str, str] = Field(description="Those that its figures hang on, as they stood at its beginning.")
    request: BenchmarkRequest
    summary: RunSummaryEntry | None
    trends: list[RunTrendEntry]
    changes: list[str] = Field(
        description="What differs from the last comparable run, without one from the last of the kind: versions, "
        "settings, and engine, decode, runtime or workload."
    )


class RunList(BaseModel):
    """Runs, the newest first."""

    runs: list[RunCard]
    count: int
    limit: int
    unreadable: list[str] = Field(description="Runs whose record is damaged.")


class BenchmarkState(BaseModel):
    """What runs now."""

    running: bool
    progress: float | None = Field(
        ge=0,
        le=1,
        description="Of the measured requests; 1 when the last run succeeded, null when it did not, 0 before any.",
    )
    current_test: str | None
    estimated_completion_s: float | None = Field(description="Seconds to go at the pace so far; null until known.")
    last_results: RunSummaryEntry | None
    start_time: str | None = Field(description="Of the run that goes on, ISO 8601.")
    benchmark_id: str | None = Field(description="Of the run that goes on.")


class RunElsewhere(BaseModel):
    """A run of another server with the same state folder."""

    benchmark_id: str
    url: str | None = Field(description="Of that server; null where its record does not say.")
    pid: int | None = Field(description="Of its process, as that one counts; null likewise.")
    start_time: str = Field(description="ISO 8601.")


class BenchmarkStatus(BaseModel):
    """How far the run has come that goes on, and how the last one ended."""

    status: BenchmarkState
    running_elsewhere: RunElsewhere | None = Field(
        description="A run of another process in the same state folder, as its record says."
    )
    benchmark_types_available: list[BenchmarkType]
    last_execution: RunCard | None = Field(description="The last run that has ended, whatever became of it.")
    schedule: dict[str, Any] = Field(description="When the server runs benchmarks by itself.")


class BenchmarkCancelled(BaseModel):
    """A run was ended."""

    message: str
    benchmark_id: str
    status: RunStatus


class BenchmarkResults(BaseModel):
    """The results of one run."""

    run: RunCard
    cells: list[dict[str, Any]] = Field(description="Every condition with its figures, as the harness computed them.")
    findings: dict[str, Any] = Field(description="What the harness found beyond that, by kind.")
    warnings: list[str]
    environment: dict[str, Any] = Field(description="Machine, system and versions.")
    definitions: dict[str, Any] = Field(description="Formulas and statistics that were in force.")


class BenchmarkReport(BaseModel):
    """The harness's report, with what the server adds under its title."""

    report: str
    format: Literal["markdown"]
    generated_at: str = Field(description="When this answer was made, ISO 8601.")
    benchmark_timestamp: str = Field(description="When the run began.")
    benchmark_id: str
    contended: bool | None = Field(description="Whether others were served meanwhile; null where nobody looked.")
    num_other_streams: int | None
    trends: list[RunTrendEntry]


class QuickTtfa(BaseModel):
    """The time to first audio of one utterance, measured inside the server."""

    ttfa_ms: float = Field(description="From the request to the first audio handed over.")
    target_met: bool
    category: Category
    bottleneck: Stage | None = Field(description="The stage with the largest share of it.")
    provider_used: str = Field(description="What ran the engine's steps, or else the engine.")
    recommendation: str
    text_length: int
    target_ms: float
    short_target_met: bool | None = Field(description="Against 400 ms; null for texts of 50 characters or more.")
    stages_ms: dict[Stage, float] = Field(description="The parts of the TTFA.")
    ttgp_ms: float | None = Field(description='Until the earliest press of "play" that never stalls.')
    rtf: float | None
    audio_s: float
    warmth: Warmth = Field(description="warm or cold: all audio is made for this answer, none is taken from the cache.")
    contended: bool = Field(description="Whether others were served meanwhile.")
    engine: str
    voice: str
    request_id: str
