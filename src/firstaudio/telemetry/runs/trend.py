"""A run against earlier ones of the same kind: is it within what they lead one to expect?

For each figure the 95 % prediction interval of Student's t on logarithms: where one more run of the same population
lies. A run is suspect, never more, when a figure is worse than the interval's end and beyond the floors that the
harness has for differences; between two runs a machine changes, and only `firstaudio bench ab` proves a difference.

Source: G. J. Hahn, "Factors for calculating two-sided prediction intervals for samples from a normal distribution",
Journal of the American Statistical Association 64 (1969).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from firstaudio.errors import MissingExtraError
from firstaudio.slo import TTFA_TARGET_MS
from firstaudio.telemetry.forecast import Forecast, forecast
from firstaudio.telemetry.runs.records import RunRecord, RunSummary, Trend

MIN_RUNS = 5
MAX_RUNS = 30
"""The last so many comparable runs count: what lasts becomes the usual."""
CONFIDENCE = 0.95
RELATIVE_FLOOR = 0.05
ABSOLUTE_FLOORS = {"ttfa_ms": 5.0, "rtf": 0.005}
"""The figures that are judged. The floors are those of the harness (`docs/metrics.md`)."""
UNKNOWN, NONE = "not noted", "none"


def judge(run: RunRecord, earlier: Sequence[RunRecord], target_ms: float = TTFA_TARGET_MS) -> tuple[Trend, ...]:
    """What each figure of a run is, compared with earlier runs.

    Args:
        run: With a summary; without one there is nothing to judge.
        earlier: In any order; the run itself, later ones and those that cannot be compared are left out.
        target_ms: What TTFA is held to, for the forecast.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if run.summary is None:
        return ()
    reason = unfit(run)
    known = comparable(run, earlier)
    trends = tuple(_judge(figure, run.summary, known, reason) for figure in ABSOLUTE_FLOORS)
    ahead = None if reason else _forecast(run, known, target_ms)
    return trends if ahead is None else tuple(_with_forecast(trend, ahead) for trend in trends)


def unfit(run: RunRecord) -> str:
    """Why a run's figures are compared with no others; empty where they can be."""
    if run.summary is None or run.status != "succeeded":
        return "it did not succeed"
    if run.summary.verdict != "VALID":
        return f"it is INVALID: {run.summary.reasons[0] if run.summary.reasons else 'the harness does not say why'}"
    if run.contended:
        return f"{run.num_other_streams} streams of others were served during the run"
    return f"its figures are of more than one thing: {run.mixed[0]}" if run.mixed else ""


def comparable(run: RunRecord, earlier: Sequence[RunRecord]) -> list[RunRecord]:
    """The last `MAX_RUNS` runs before `run` that are of its population (`_population`), oldest first."""
    return [one for one in _before(run, earlier) if _population(one) == _population(run)][-MAX_RUNS:]


def changes(run: RunRecord, earlier: Sequence[RunRecord]) -> tuple[str, ...]:
    """What differs from the last comparable run, and so what a difference may come from.

    Where none is comparable, what differs from the last run of the same benchmark on the same machine: why it is not.
    """
    if run.summary is None or not (last := comparable(run, earlier)[-1:] or _before(run, earlier)[-1:]):
        return ()
    (before,) = last
    assert before.summary is not None
    of_population = _differences(_population(before), _population(run))
    of_versions = _differences(before.summary.versions, run.summary.versions)
    return of_population + of_versions + settings_changed(before.settings, run.settings)


def settings_changed(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Settings that differ; none where one side was not noted."""
    return _differences(before, after) if before and after else ()


def prediction_interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Geometric mean, and between which values one more sample lies, if logarithms are normal.

    Args:
        samples: Two or more, all above 0.
        confidence: Two-sided.

    Raises:
        MissingExtraError: scipy is not installed.
        ValueError: There are fewer, or one is not above 0.
    """
    if len(samples) < 2 or min(samples) <= 0:
        raise ValueError("a prediction needs two samples above 0 at least")
    try:
        from scipy.special import stdtrit
    except ModuleNotFoundError as error:
        raise MissingExtraError("the trend over benchmark runs", "bench") from error
    n, logs = len(samples), [math.log(sample) for sample in samples]
    mean = math.fsum(logs) / n
    deviation = math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation * math.sqrt(1 + 1 / n)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def _before(run: RunRecord, earlier: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs before `run` of the same benchmark on the same machine that can be compared at all, oldest first."""
    assert run.summary is not None
    kind = run.request.benchmark_type, run.summary.machine
    known = [one for one in earlier if one.started_at < run.started_at and not unfit(one)]
    alike = [one for one in known if one.summary and (one.request.benchmark_type, one.summary.machine) == kind]
    return sorted(alike, key=lambda one: one.started_at)


def _population(run: RunRecord) -> dict[str, str]:
    """What must be equal, beside benchmark and machine, before two runs are compared; the rest is what changes."""
    assert run.summary is not None
    return {
        "engine": run.engine or UNKNOWN,
        "decode": UNKNOWN if run.ways is None else ",".join(sorted(run.ways.decodes)) or NONE,
        "runtime": UNKNOWN if run.ways is None else ",".join(sorted(run.ways.runtimes)) or NONE,
        "workload": run.summary.workload_hash,
    }


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name} {before.get(name, 'not there')} -> {after.get(name, 'not there')}"
        for name in [*after, *sorted(before.keys() - after.keys())]
        if before.get(name) != after.get(name)
    )


def _figure(summary: RunSummary, figure: str) -> float | None:
    value: float | None = getattr(summary, figure)
    return value


def _forecast(run: RunRecord, known: Sequence[RunRecord], target_ms: float) -> Forecast | None:
    """Of the runs with the same versions and settings: another one makes a step, and a step is no slope."""
    times, values = [], []
    for one in (*known, run):
        assert one.summary is not None
        assert run.summary is not None
        is_alike = dict(one.summary.versions) == dict(run.summary.versions) and one.settings == run.settings
        if is_alike and one.summary.ttfa_ms is not None:
            times.append(one.started_at)
            values.append(one.summary.ttfa_ms)
    return forecast(times, values, target_ms)


def _with_forecast(trend: Trend, ahead: Forecast) -> Trend:
    if trend.figure != "ttfa_ms":
        return trend
    return replace(trend, sentence=f"{trend.sentence}; {ahead.sentence}", forecast=ahead)


def _judge(figure: str, summary: RunSummary, known: Sequence[RunRecord], reason: str) -> Trend:
    value = _figure(summary, figure)
    found = [_figure(run.summary, figure) for run in known if run.summary is not None]
    samples = [sample for sample in found if sample is not None and sample > 0]
    if reason or value is None:
        why = reason or "the run has no such figure"
        return Trend(figure, value, "not judged", len(samples), None, None, None, f"{figure} is not judged: {why}")
    if len(samples) < MIN_RUNS:
        sentence = f"{figure} {value:.3g}: {len(samples)} comparable runs, {MIN_RUNS} are needed"
        return Trend(figure, value, "too few", len(samples), None, None, None, sentence)
    expected, low, high = prediction_interval(samples)
    is_suspect = value > high and value > expected * (1 + RELATIVE_FLOOR)
    is_suspect = is_suspect and value - expected > ABSOLUTE_FLOORS[figure]
    sentence = f"{figure} {value:.3g}, expected {expected:.3g} ({low:.3g} to {high:.3g}, {len(samples)} runs)"
    if is_suspect and summary.others_cpu_share is not None:
        sentence += f"; other processes used {summary.others_cpu_share:.0%} of the machine"
    return Trend(figure, value, "suspect" if is_suspect else "ok", len(samples), expected, low, high, sentence)
