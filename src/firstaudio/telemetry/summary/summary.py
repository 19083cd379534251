"""`summarise`: what many measurements say, each figure with the number of measurements behind it.

Three things are told apart: whether requests were served (`success`), whether their audio came in time (`attainment`),
and how long it took (`ttfa`). Audio from the cache is fast for another reason than synthesis, so it has figures of its
own (`by_warmth`) and is in no other figure of time.

A failure is an infinite time: it misses every target, and a percentile that reaches it has no value. A client that left
before any audio missed the target if it had waited for so long; else nobody knows, and it counts for neither.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_args

from firstaudio.slo import (
    SHORT_CHARS,
    SHORT_TTFA_TARGET_MS,
    SUCCESS_TARGET,
    TTFA_TARGET_MS,
    Category,
    InvestigationCategory,
    category,
    investigation_category,
    is_met,
)
from firstaudio.telemetry.measurement import Measurement, bottleneck
from firstaudio.telemetry.summary.figures import Figures, Share, figures
from firstaudio.telemetry.summary.trend import Trend, trend_of
from firstaudio.trace import STAGES, Outcome, Stage, TextClass, Warmth

Name = TypeVar("Name", bound=str)

NUM_RECENT = 10


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage's part of TTFA.

    Attributes:
        ms: What it took until the first audio.
        share: Of all TTFA, 0..1.
    """

    ms: Figures
    share: float


@dataclass(frozen=True, slots=True)
class Group:
    """The measurements that have something in common.

    Attributes:
        num_requests: All of them.
        ttfa: Time to first audio, in ms.
        attainment: Those with TTFA within the target.
        category: Of the mean TTFA; None without audio.
    """

    num_requests: int
    ttfa: Figures
    attainment: Share
    category: Category | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What many measurements say. Times are of synthesised audio; `by_warmth` has the cached apart.

    Attributes:
        target_ms: What TTFA is held to.
        since: When the first request was accepted, in seconds since 1970; None where there is none.
        until: When the last one was.
        num_requests: All of them, cached ones too.
        outcomes: How they ended.
        num_abandoned: Clients that left before any audio.
        success: Completed, of those that were completed or failed; refused and cancelled ones are in `outcomes`.
        success_alert: A sentence where success certainly lies below `slo.SUCCESS_TARGET`; None where it does not.
        ttfa: Time to first audio, in ms.
        ttgp: Time to the press of "play" that never stalls, in ms.
        preroll: The buffer with which a listener hears no gap, in ms.
        rtf: Processing time over audio, of complete answers.
        attainment: Those with TTFA within the target.
        short_attainment: Texts below `slo.SHORT_CHARS` characters within `slo.SHORT_TTFA_TARGET_MS`.
        category: Of the mean TTFA; None without audio.
        investigation_category: Of the mean TTFA and the share of misses.
        recent_ms: The last TTFAs, the newest first.
        trend: Of TTFA.
        stages: Parts of TTFA; empty without audio.
        other_ms: Mean TTFA that no stage explains; below zero where stages ran at the same time. None without audio.
        bottleneck: The stage with the largest share.
        by_text_class: Groups of the synthesised.
        by_engine: The same.
        by_warmth: Groups of all but the refused.
        audio_s: Audio that was made for them, the cached included.
        num_stalled: Answers with a gap for a listener who plays at once.
        num_retried: Answers of which a segment was begun once more.
        num_failed_over: Answers of another engine than was asked.
        prediction: Size of the error of the predicted TTFA, in ms.
    """

    target_ms: float
    since: float | None
    until: float | None
    num_requests: int
    outcomes: Mapping[Outcome, int]
    num_abandoned: int
    success: Share
    success_alert: str | None
    ttfa: Figures
    ttgp: Figures
    preroll: Figures
    rtf: Figures
    attainment: Share
    short_attainment: Share
    category: Category | None
    investigation_category: InvestigationCategory
    recent_ms: Sequence[float]
    trend: Trend
    stages: Mapping[Stage, StageFigures]
    other_ms: float | None
    bottleneck: Stage | None
    by_text_class: Mapping[TextClass, Group]
    by_engine: Mapping[str, Group]
    by_warmth: Mapping[Warmth, Group]
    audio_s: float
    num_stalled: int
    num_retried: int
    num_failed_over: int
    prediction: Figures

    @property
    def miss_rate(self) -> float | None:
        """The share that missed the target, 0..1; None where nothing was held to it."""
        return None if self.attainment.value is None else 1 - self.attainment.value

    def as_dict(self) -> dict[str, Any]:
        """It as JSON has it, with the share of misses, and the value and interval of each share."""
        return {"miss_rate": self.miss_rate, **_plain(self)}


def summarise(measurements: Iterable[Measurement], target_ms: float = TTFA_TARGET_MS) -> Summary:
    """What `measurements` say, in whatever order they come; whose they are, the caller has chosen.

    Some ms for a thousand: call it in a thread.

    Args:
        measurements: Any number.
        target_ms: What TTFA is held to.
    """
    everyone = sorted(measurements, key=lambda each: each.timestamp)
    spoken = [each for each in everyone if each.warmth != "cached"]
    ttfa, attainment = figures(map(latency_ms, spoken)), attained(spoken, target_ms)
    outcomes = Counter(each.outcome for each in everyone)
    success = Share(outcomes["completed"], outcomes["completed"] + outcomes["failed"])
    stages = _stages(spoken)
    return Summary(
        target_ms=target_ms,
        since=everyone[0].timestamp if everyone else None,
        until=everyone[-1].timestamp if everyone else None,
        num_requests=len(everyone),
        outcomes={outcome: outcomes[outcome] for outcome in get_args(Outcome)},
        num_abandoned=sum(each.outcome == "cancelled" and each.ttfa_ms is None for each in everyone),
        success=success,
        success_alert=_success_alert(success),
        ttfa=ttfa,
        ttgp=figures(each.ttgp_ms for each in spoken),
        preroll=figures(each.preroll_ms for each in spoken),
        rtf=figures(each.rtf for each in spoken if each.outcome == "completed"),
        attainment=attainment,
        short_attainment=attained((e for e in spoken if e.num_characters < SHORT_CHARS), SHORT_TTFA_TARGET_MS),
        category=_category(ttfa),
        investigation_category=_investigation_category(ttfa, attainment),
        recent_ms=[each.ttfa_ms for each in reversed(spoken) if each.ttfa_ms is not None][:NUM_RECENT],
        trend=trend_of(spoken, target_ms),
        stages=stages,
        other_ms=_other_ms(spoken),
        bottleneck=bottleneck({stage: each.share for stage, each in stages.items()}),
        by_text_class=_groups(spoken, get_args(TextClass), lambda each: each.text_class, target_ms),
        by_engine=_groups(spoken, _engines(spoken), lambda each: each.engine, target_ms),
        by_warmth=_groups(everyone, get_args(Warmth), lambda each: each.warmth, target_ms),
        audio_s=sum(each.audio_s for each in everyone),
        num_stalled=sum(each.num_stalls > 0 for each in everyone),
        num_retried=sum(each.num_retries > 0 for each in everyone),
        num_failed_over=sum(each.failover is not None for each in everyone),
        prediction=figures(
            abs(each.predicted_ttfa_ms - each.ttfa_ms)
            for each in everyone
            if each.predicted_ttfa_ms is not None and each.ttfa_ms is not None
        ),
    )


def latency_ms(measurement: Measurement) -> float | None:
    """TTFA as a sample: infinite for a failure, None where there was neither audio nor a failure."""
    return math.inf if measurement.outcome == "failed" else measurement.ttfa_ms


def meets(measurement: Measurement, target_ms: float) -> bool | None:
    """Whether it had its audio within `target_ms`; None where nobody knows: refused, or left too early to tell."""
    latency = latency_ms(measurement)
    if latency is not None:
        return is_met(latency, target_ms)
    waited_in_vain = measurement.outcome == "cancelled" and measurement.duration_ms > target_ms
    return False if waited_in_vain else None


def attained(measurements: Iterable[Measurement], target_ms: float) -> Share:
    """Those that had their audio within `target_ms`, of those of which that is known."""
    held = [met for met in (meets(each, target_ms) for each in measurements) if met is not None]
    return Share(sum(held), len(held))


def _category(ttfa: Figures) -> Category | None:
    return None if ttfa.mean is None else category(ttfa.mean)


def _investigation_category(ttfa: Figures, attainment: Share) -> InvestigationCategory:
    if attainment.value is None:
        return "no_data"
    return investigation_category(math.inf if ttfa.mean is None else ttfa.mean, 1 - attainment.value)


def _success_alert(success: Share) -> str | None:
    if success.interval is None or success.interval[1] >= SUCCESS_TARGET:
        return None
    return (
        f"{success.n - success.num} of {success.n} requests failed: success lies below {SUCCESS_TARGET:.0%} "
        f"(at most {success.interval[1]:.1%}, 95 % interval); the log names the errors"
    )


def _stages(measurements: Sequence[Measurement]) -> dict[Stage, StageFigures]:
    explained = [each for each in measurements if each.ttfa_ms is not None and each.first_audio_ms]
    total = math.fsum(each.ttfa_ms or 0.0 for each in explained)
    if not total:
        return {}
    times = {stage: [each.first_audio_ms.get(stage, 0.0) for each in explained] for stage in STAGES}
    return {stage: StageFigures(figures(ms), math.fsum(ms) / total) for stage, ms in times.items()}


def _other_ms(measurements: Sequence[Measurement]) -> float | None:
    rest = [
        each.ttfa_ms - math.fsum(each.first_audio_ms.values())
        for each in measurements
        if each.ttfa_ms is not None and each.first_audio_ms
    ]
    return math.fsum(rest) / len(rest) if rest else None


def _engines(measurements: Sequence[Measurement]) -> Sequence[str]:
    return sorted({each.engine for each in measurements} - {""})


def _groups(
    measurements: Sequence[Measurement], names: Sequence[Name], name_of: Callable[[Measurement], str], target_ms: float
) -> dict[Name, Group]:
    members = {name: [each for each in measurements if name_of(each) == name] for name in names}
    return {name: _group(each, target_ms) for name, each in members.items() if each}


def _group(measurements: Sequence[Measurement], target_ms: float) -> Group:
    ttfa = figures(map(latency_ms, measurements))
    return Group(len(measurements), ttfa, attained(measurements, target_ms), _category(ttfa))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return plain | {"value": value.value, "interval": value.interval} if isinstance(value, Share) else plain
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple | list) else value
