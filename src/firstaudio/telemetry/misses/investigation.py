"""`investigate`: why requests miss the target: what the missed ones have in common, and which stage grew in them.

Audio from the cache is left out: it is fast for another reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from firstaudio.slo import TTFA_TARGET_MS, InvestigationCategory
from firstaudio.stats.sample import wilson
from firstaudio.telemetry.advice.advise import Recommendation, advise
from firstaudio.telemetry.advice.recommendation import Context
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.misses.patterns import (
    Dimension,
    GroupFinding,
    StageComparison,
    bottleneck_of,
    compare_groups,
    compare_stages,
    grown_stage,
)
from firstaudio.telemetry.summary.summary import Summary, meets, summarise
from firstaudio.trace import Stage

Status = Literal["no_data", "analysed"]


@dataclass(frozen=True, slots=True)
class Investigation:
    """Why requests miss the target.

    Attributes:
        status: "no_data" where there is no request of which it is known whether it met the target.
        category: Of the mean TTFA and the share of misses; "no_data" likewise.
        target_ms: What TTFA is held to.
        n: Requests of which it is known whether they met the target.
        num_missed: Those that did not.
        num_failed: Of the missed, those that failed.
        miss_rate: 0..1; None without data.
        miss_rate_interval: Of 95 %, by Wilson.
        mean_ms: Mean TTFA of those with audio.
        observed_s: From the first request to the last, in seconds; None without any.
        bottleneck: The stage with the largest part of TTFA: of the missed requests where some had audio, else of all.
        grown_stage: The stage that grew most in the missed ones; None where none certainly did, or nothing can be
            compared.
        pattern: One sentence: what the missed ones have in common.
        groups: Every group that was looked at, those that stand out first.
        stages: Every stage, missed against met.
        recommendations: What to do.
    """

    status: Status
    category: InvestigationCategory
    target_ms: float
    n: int
    num_missed: int
    num_failed: int
    miss_rate: float | None
    miss_rate_interval: tuple[float, float] | None
    mean_ms: float | None
    observed_s: float | None
    bottleneck: Stage | None
    grown_stage: Stage | None
    pattern: str
    groups: Sequence[GroupFinding]
    stages: Sequence[StageComparison]
    recommendations: Sequence[Recommendation]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        recommendations = [each.as_dict() for each in self.recommendations]
        return {**asdict(self), "recommendations": recommendations}


def investigate(
    measurements: Iterable[Measurement], target_ms: float = TTFA_TARGET_MS, context: Context | None = None
) -> Investigation:
    """Why some of `measurements` miss the target. Some ms for a thousand: call it in a thread.

    Args:
        measurements: In any order; whose they are, the caller has chosen.
        target_ms: What TTFA is held to.
        context: What can be changed; without it there are no recommendations.
    """
    everyone = list(measurements)
    summary = summarise(everyone, target_ms)
    judged = [(each, meets(each, target_ms)) for each in everyone if each.warmth != "cached"]
    known = [(each, is_met) for each, is_met in judged if is_met is not None]
    missed, met = ([each for each, is_met in known if is_met is wanted] for wanted in (False, True))
    groups, stages = compare_groups(known), compare_stages(missed, met)
    return Investigation(
        status="analysed" if known else "no_data",
        category=summary.investigation_category,
        target_ms=target_ms,
        n=len(known),
        num_missed=len(missed),
        num_failed=sum(each.outcome == "failed" for each in missed),
        miss_rate=len(missed) / len(known) if known else None,
        miss_rate_interval=wilson(len(missed), len(known)) if known else None,
        mean_ms=summary.ttfa.mean,
        observed_s=_observed_s(summary),
        bottleneck=bottleneck_of(missed) or summary.bottleneck,
        grown_stage=grown_stage(stages),
        pattern=_pattern(len(known), len(missed), groups, stages),
        groups=groups,
        stages=stages,
        recommendations=() if context is None else advise(summary, context),
    )


def _observed_s(summary: Summary) -> float | None:
    return None if summary.since is None or summary.until is None else summary.until - summary.since


def _pattern(n: int, num_missed: int, groups: Sequence[GroupFinding], stages: Sequence[StageComparison]) -> str:
    if not n:
        return "nothing was measured"
    if not num_missed:
        return f"all {n} requests met the target"
    parts = [f"{num_missed} of {n} requests missed the target", _in_common(groups)]
    if grown := grown_stage(stages):
        (stage,) = (each for each in stages if each.stage == grown)
        parts.append(f"their {grown} took {stage.difference_ms:.0f} ms longer than in those in time")
    return "; ".join(parts)


def _in_common(groups: Sequence[GroupFinding]) -> str:
    """What stands out most, of at most two dimensions."""
    best: dict[Dimension, GroupFinding] = {}
    for group in groups:
        if group.stands_out:
            best.setdefault(group.dimension, group)
    named = [
        f"{each.dimension} {each.name} ({each.num_missed} of {each.n}, {each.more or 0.0:+.0%})"
        for each in best.values()
    ]
    return f"more often with {' and '.join(named[:2])}" if named else "no group of them stands out"
