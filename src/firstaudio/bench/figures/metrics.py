"""Every figure of a benchmark: a metric is data and one pure function; docs/metrics.md is made from the table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any, Literal

from firstaudio.audio.onset import DEFAULT_ONSET
from firstaudio.bench.figures import formulas
from firstaudio.bench.figures.formulas import CellFunction, RequestFunction, Window
from firstaudio.bench.figures.stats import METHODS
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.workload import Goals
from firstaudio.slo import FIRST_CHUNK_TARGET_MS

Better = Literal["lower", "higher", "none"]

EVENTS = {
    "scheduled": "when the load plan wanted the request sent (open loop); equals `dispatched` in a closed loop",
    "dispatched": "when the client began to send it",
    "connected": "connection ready; null when a kept-alive connection was reused",
    "sent": "last request byte handed over",
    "headers": "response headers read",
    "first_byte": "first body byte",
    "first_sample": "first byte of audio: past the RIFF `data` header, ID3 tag, Ogg header pages, FLAC metadata, "
    "SSE or JSON envelope",
    "audible": "when a listener who plays at once hears something: "
    "`max(first_sample + onset / sample_rate, arrival of the chunk that holds the onset)`",
    "last_byte": "end of the body",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What is computed and how.

    Attributes:
        name: As in files.
        title: As in reports.
        formula: In the words of the event table.
        unit: Empty for a pure number.
        better: "none": reported, not scored; its distribution leaves failures out.
        of_request: Set for a metric of one request.
        of_cell: Set for a metric of a whole cell.
        of_flow: Set for a rate: it is taken over answers that ended while the load was steady (`windows.steady`).
    """

    name: str
    title: str
    formula: str
    unit: str
    better: Better
    of_request: RequestFunction | None = None
    of_cell: CellFunction | None = None
    of_flow: bool = False

    @property
    def kind(self) -> Literal["request", "cell"]:
        """Whose figure it is."""
        return "request" if self.of_request else "cell"

    @property
    def of_failure(self) -> float | None:
        """What a failed request counts as in a distribution; None: it is left out."""
        return {"lower": math.inf, "higher": 0.0, "none": None}[self.better]

    def public(self) -> dict[str, str]:
        """As JSON."""
        names = ("name", "title", "formula", "unit", "better", "kind")
        return {name: getattr(self, name) for name in names}


def _request(
    name: str, title: str, unit: str, better: Better, function: RequestFunction, formula: str
) -> tuple[str, Metric]:
    return name, Metric(name, title, formula, unit, better, of_request=function)


def _cell(name: str, title: str, unit: str, better: Better, function: CellFunction, formula: str) -> tuple[str, Metric]:
    return name, Metric(name, title, formula, unit, better, of_cell=function)


def _rate(name: str, title: str, unit: str, function: CellFunction, formula: str) -> tuple[str, Metric]:
    return name, Metric(name, title, formula, unit, "higher", of_cell=function, of_flow=True)


METRICS: dict[str, Metric] = dict(
    (
        _request("ttfb_ms", "TTFB", "ms", "lower", formulas.ttfb_ms, "first_byte - sent"),
        _request("ttfa_ms", "TTFA", "ms", "lower", formulas.ttfa_ms, "first_sample - sent"),
        _request("audible_ttfa_ms", "Audible TTFA", "ms", "lower", formulas.audible_ttfa_ms, "audible - sent"),
        _request(
            "scheduled_ttfa_ms",
            "Scheduled TTFA",
            "ms",
            "lower",
            formulas.scheduled_ttfa_ms,
            "first_sample - scheduled: free of coordinated omission",
        ),
        _request(
            "ttgp_ms",
            "TTGP",
            "ms",
            "lower",
            formulas.ttgp_ms,
            "max over chunks i of (arrival_i - audio_before_i) - sent: the earliest press of play that never stalls",
        ),
        _request(
            "preroll_ms",
            "Pre-roll needed",
            "ms",
            "lower",
            formulas.preroll_ms,
            "max(0, max over chunks i of (arrival_i - arrival_0 - audio_before_i))",
        ),
        _request("latency_ms", "Latency", "ms", "lower", formulas.latency_ms, "last_byte - sent"),
        _request("rtf", "RTF", "", "lower", formulas.rtf, "(last_byte - sent) / audio duration; < 1 is real time"),
        _request("rtfx", "RTFx", "", "higher", formulas.rtfx, "1 / RTF"),
        _request("audio_s", "Audio", "s", "none", formulas.audio_s, "decoded samples / sample rate"),
        _request(
            "streaming_efficiency",
            "Streaming efficiency",
            "%",
            "higher",
            formulas.streaming_efficiency,
            "audio / (audio + stalls of a player that starts `buffer_ms` after the first audio)",
        ),
        _request(
            "stall_count", "Stalls", "", "lower", formulas.stall_count, "times that player ran dry before the end"
        ),
        _request("stall_ms", "Stalled", "ms", "lower", formulas.stall_ms, "sum of that player's stalls"),
        _request(
            "chunk_interval_p50_ms",
            "Chunk interval p50",
            "ms",
            "none",
            formulas.interval_ms(0.50),
            "median of arrival_i - arrival_(i-1) over the chunks of one answer that hold audio",
        ),
        _request(
            "chunk_interval_p95_ms",
            "Chunk interval p95",
            "ms",
            "none",
            formulas.interval_ms(0.95),
            "95th percentile of the same",
        ),
        _request(
            "chunk_audio_ms",
            "Audio per chunk",
            "ms",
            "none",
            formulas.chunk_audio_ms,
            "audio duration / chunks that hold audio",
        ),
        _request("num_chunks", "Chunks", "", "none", formulas.num_chunks, "chunks that hold audio"),
        _request("data_rate", "Data rate", "B/s", "none", formulas.data_rate, "audio bytes / (last_byte - sent)"),
        _request(
            "connect_ms",
            "Connecting",
            "ms",
            "none",
            formulas.connect_ms,
            "connected - dispatched; undefined when a kept connection was used",
        ),
        _request(
            "dispatch_lag_ms",
            "Dispatch lag",
            "ms",
            "none",
            formulas.dispatch_lag_ms,
            "dispatched - scheduled: how late the harness itself was; 0 in a closed loop",
        ),
        _request("characters", "Characters", "", "none", formulas.characters, "characters of the text"),
        _rate(
            "asps",
            "ASPS",
            "audio s/s",
            formulas.per_second(lambda record: record.audio_s or 0.0),
            "sum of audio seconds / wall seconds of the window, over answers that ended while the load was steady",
        ),
        _rate(
            "rps",
            "RPS",
            "1/s",
            formulas.per_second(lambda _: 1.0),
            "successes / wall seconds of the window, while the load was steady",
        ),
        _rate(
            "cps",
            "CPS",
            "characters/s",
            formulas.per_second(lambda record: float(len(record.text))),
            "characters of successes / wall seconds of the window, while the load was steady",
        ),
        _cell(
            "success_rate",
            "Success",
            "%",
            "higher",
            formulas.success_rate,
            "completed with valid audio / issued, without those that the harness cancelled",
        ),
        _cell(
            "target_attainment",
            "Target attainment",
            "%",
            "higher",
            formulas.target_attainment,
            "share with valid audio and TTFA <= `ttfa_ms` of the goals, or the cell's own target",
        ),
        _cell(
            "short_target_attainment",
            "Target attainment, short texts",
            "%",
            "higher",
            formulas.short_target_attainment,
            f"the same for texts under {formulas.SHORT_CHARACTERS} characters and `short_ttfa_ms`",
        ),
        _cell(
            "first_chunk_rate",
            "First chunk in time",
            "%",
            "higher",
            formulas.first_chunk_rate,
            f"share with valid audio and TTFA < {FIRST_CHUNK_TARGET_MS:g} ms",
        ),
        _cell(
            "streaming_efficiency_mean",
            "Streaming efficiency, mean",
            "%",
            "higher",
            formulas.streaming_efficiency_mean,
            "mean of `streaming_efficiency` over all requests; a failed one has 0",
        ),
        _rate(
            "goodput",
            "Goodput",
            "1/s",
            formulas.goodput,
            "requests per second with valid audio that meet every goal: TTFA (for short texts theirs) and pre-roll <= "
            "`buffer_ms`",
        ),
        _cell("rtf_mean", "RTF mean", "", "lower", formulas.over_rtf(fmean), "mean RTF over successes"),
        _cell("rtf_median", "RTF median", "", "lower", formulas.over_rtf(median), "median RTF over successes"),
        _cell(
            "mean_concurrency",
            "Mean concurrency",
            "",
            "none",
            formulas.mean_concurrency,
            "sum of (last stamp - dispatched) over measured requests / window",
        ),
        _cell(
            "gapless_share",
            "Gapless",
            "%",
            "higher",
            formulas.gapless_share,
            "share with valid audio and pre-roll <= `buffer_ms`",
        ),
        _cell(
            "gapless_share_low",
            "Gapless, lower limit",
            "%",
            "higher",
            formulas.gapless_share_low,
            "lower 95 % Wilson limit of the gapless share",
        ),
    )
)
REQUEST_METRICS = {name: metric for name, metric in METRICS.items() if metric.of_request}
CELL_METRICS = {name: metric for name, metric in METRICS.items() if metric.of_cell}


def value(name: str, record: RequestRecord, goals: Goals) -> float | None:
    """A request metric of one record, whether it succeeded or not; None where the record does not define it.

    Raises:
        KeyError: There is no such request metric.
    """
    function = REQUEST_METRICS[name].of_request
    assert function is not None
    return function(record, goals)


def total(name: str, records: Sequence[RequestRecord], window: Window, goals: Goals) -> float | None:
    """A cell metric over measured records; None for a cell without a success (`success_rate` is 0 then).

    Raises:
        KeyError: There is no such cell metric.
    """
    function = CELL_METRICS[name].of_cell
    assert function is not None
    return function(records, window, goals)


def preroll_curve(records: Iterable[RequestRecord], buffers_ms: Iterable[float]) -> list[tuple[float, float]]:
    """P(gapless at buffer x): each buffer with the share 0..1 of measured requests that it would have sufficed for.

    Failed requests suffice with no buffer. Empty without measured requests.
    """
    rows = list(measured(records))
    if not rows:
        return []
    return [
        (buffer_ms, sum(formulas.is_gapless(record, Goals(buffer_ms=buffer_ms)) for record in rows) / len(rows))
        for buffer_ms in buffers_ms
    ]


def definitions() -> dict[str, Any]:
    """What the figures of a session mean, as JSON: it is saved with each."""
    return {
        "clock": "perf_counter_ns of one machine",
        "events": EVENTS,
        "metrics": {name: metric.public() for name, metric in METRICS.items()},
        "statistics": METHODS,
        "onset": asdict(DEFAULT_ONSET),
    }
