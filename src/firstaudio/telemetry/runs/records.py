"""`RunRecord`: what is known of one benchmark run, from its first moment on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from firstaudio.telemetry.forecast import Forecast

BenchmarkType = Literal["ttfa", "streaming", "full"]
RunStatus = Literal["running", "succeeded", "failed", "cancelled"]
Trigger = Literal["request", "schedule"]
Verdict = Literal["ok", "suspect", "too few", "not judged"]

BENCHMARK_TYPES: tuple[BenchmarkType, ...] = get_args(BenchmarkType)
SERVER_ENDED = "the server ended while it ran"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked for.

    Attributes:
        benchmark_type: Which benchmark.
        include_voice_tests: Whether voices are compared, too.
        include_speed_tests: Whether speaking speeds are varied, too.
        save_results: Whether anything is kept on disk after the end.
        custom_text: A text of the user's that is spoken as well; None: none.
    """

    benchmark_type: BenchmarkType = "full"
    include_voice_tests: bool = True
    include_speed_tests: bool = True
    save_results: bool = True
    custom_text: str | None = None


@dataclass(frozen=True, slots=True)
class CellFigures:
    """One condition of a run, in short.

    Attributes:
        name: Of the cell.
        label: "cold", "warm" or "cached".
        concurrency: Clients at once; None where the cell does not say.
        num_requests: Measured ones.
        num_ok: Of them.
        ttfa_ms: Median; None where there are too few, or half of them failed.
        rtf: Median, likewise.
    """

    name: str
    label: str
    concurrency: int | None
    num_requests: int
    num_ok: int
    ttfa_ms: float | None
    rtf: float | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The figures of a run, taken from its session.

    Attributes:
        verdict: "VALID" or "INVALID": whether the harness lets its numbers be quoted.
        reasons: Why not, one sentence each.
        completed: Whether the run came to its end.
        num_requests: Measured ones, of all cells.
        num_ok: Of them.
        ttfa_ms: Geometric mean of the median TTFA of the typical cells; None unless each of them has one.
        rtf: The same of RTF.
        num_typical_cells: Cells with one client at a time, whose answers are streamed and come from no cache; None in
            records of before this was noted.
        machine: Short hash of processor, cores, memory and system.
        workload_hash: Equal for runs that sent the same texts in the same way.
        versions: Of Python, this package and what it stands on, by name.
        cells: Every cell.
        others_cpu_share: The most of the machine that other processes used in a cell, 0..1; None where it is not known.
        num_warnings: Of the harness, which void nothing; None in records of before this was noted.
        first_warning: One of them; what other processes took goes first. None without one.
    """

    verdict: str
    reasons: tuple[str, ...]
    completed: bool
    num_requests: int
    num_ok: int
    ttfa_ms: float | None
    rtf: float | None
    machine: str
    workload_hash: str
    versions: Mapping[str, str]
    cells: tuple[CellFigures, ...] = ()
    others_cpu_share: float | None = None
    num_typical_cells: int | None = None
    num_warnings: int | None = None
    first_warning: str | None = None

    @property
    def num_cells(self) -> int:
        """How many conditions there are."""
        return len(self.cells)


@dataclass(frozen=True, slots=True)
class Ways:
    """How the answers of a run were made: numbers of answers, by name.

    Attributes:
        engines: Who spoke.
        decodes: "windowed", "whole"; empty where the engine has no windows. Cached answers have none.
        runtimes: What executed the steps, precision included; empty where the engine tells nothing.
    """

    engines: Mapping[str, int]
    decodes: Mapping[str, int]
    runtimes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure of a run against those of earlier comparable ones.

    Attributes:
        figure: "ttfa_ms" or "rtf".
        value: Of this run; None if it has none.
        verdict: "suspect": worse than the earlier ones lead one to expect.
        n: Earlier runs that it was compared with.
        expected: Their geometric mean; None with too few.
        low: Lower end of the 95 % prediction interval.
        high: Upper end.
        sentence: For people.
        forecast: From when on the target of TTFA is missed; None where no forecast is honest.
    """

    figure: str
    value: float | None
    verdict: Verdict
    n: int
    expected: float | None
    low: float | None
    high: float | None
    sentence: str
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run.

    Attributes:
        id: `bench_<seconds since 1970>`, with a number behind it where that was taken.
        request: What was asked for.
        trigger: Who asked: a request over HTTP, or the schedule.
        status: "succeeded": there are results; whether they may be quoted is `summary.verdict`.
        started_at: Seconds since 1970.
        ended_at: The same; None while it runs, and where nobody saw the end.
        exit_code: Of the program, negative for a signal; None where it was not seen.
        error: Why it failed or was cancelled, one sentence; None where it was not.
        stderr: The end of what the program said, without its progress.
        url: What was measured.
        pid: The process that runs it, as that one counts: in another container it is another number; None: not noted.
        engine: Who spoke, joined by commas where it was more than one; until the end the server's default engine.
            None where it was not known.
        num_own_streams: Streams of the run that the server saw; None where nobody looked.
        num_other_streams: Streams of others during the run; None where nobody looked.
        summary: None without a session.
        trends: Against earlier runs; empty for a run without figures.
        changes: What differs from the last comparable run, or without one from the last run of the kind, as
            "firstaudio 0.1.0 -> 0.2.0": versions, settings, and what makes the two no population.
        settings: Those that its figures hang on, by name, as they stood at its beginning; empty where nobody looked.
        ways: How its answers were made; None where nobody looked.
        mixed: Why its figures are of more than one thing, a sentence each; empty where they are of one.
    """

    id: str
    request: RunRequest
    trigger: Trigger
    status: RunStatus
    started_at: float
    ended_at: float | None = None
    exit_code: int | None = None
    error: str | None = None
    stderr: str = ""
    url: str = ""
    pid: int | None = None
    engine: str | None = None
    num_own_streams: int | None = None
    num_other_streams: int | None = None
    summary: RunSummary | None = None
    trends: tuple[Trend, ...] = ()
    changes: tuple[str, ...] = field(default=())
    settings: Mapping[str, str] = field(default_factory=dict)
    ways: Ways | None = None
    mixed: tuple[str, ...] = field(default=())

    @property
    def owner(self) -> str:
        """The process that runs it, as far as it is known, for a sentence."""
        pid = "" if self.pid is None else f" (pid {self.pid})"
        return f"the server at {self.url}{pid}" if self.url else f"another process{pid}"

    @property
    def contended(self) -> bool | None:
        """Whether others were served meanwhile; None where nobody looked."""
        return None if self.num_other_streams is None else self.num_other_streams > 0

    @property
    def is_suspect(self) -> bool:
        """Whether a figure is worse than the earlier runs lead one to expect."""
        return any(trend.verdict == "suspect" for trend in self.trends)
