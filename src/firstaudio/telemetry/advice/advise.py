"""`advise`: what to do about what was measured. Each recommendation names its evidence; without data there is none.

A rule looks at a summary and at what can be changed here, and yields recommendations. What an action would gain is
stated where the measurements bound it, and else said to be unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from firstaudio.slo import CATEGORIES
from firstaudio.telemetry.advice.recommendation import (
    MIN_REQUESTS,
    SEVERITIES,
    Context,
    Gain,
    Recommendation,
    Setting,
    context_of,
    evidence,
    failing,
)
from firstaudio.telemetry.advice.rules import RULES
from firstaudio.telemetry.summary.summary import Summary

__all__ = ["Context", "Recommendation", "advise", "advise_optimization", "context_of"]

CRITICAL_TTFA_MS = CATEGORIES[2][0]
MIN_OPTIMIZED_SUCCESS = 0.8
MIN_FAST_PATH_REQUESTS = 10


def advise(summary: Summary, context: Context) -> list[Recommendation]:
    """What to do, the most urgent first. Empty where nothing is the matter, or too little was measured to say."""
    found = [recommendation for rule in RULES for recommendation in rule(summary, context)]
    return sorted(found, key=lambda recommendation: SEVERITIES.index(recommendation.severity))


def advise_optimization(summary: Summary, num_fast_path: int, context: Context) -> list[Recommendation]:
    """What `GET /benchmarks/optimization/status` recommends, by its three rules, before all other advice.

    Args:
        summary: Of the requests.
        num_fast_path: How many of them took the fast path.
        context: What can be changed.
    """
    found = list(_optimization_rules(summary, num_fast_path, context))
    known = {(recommendation.type, recommendation.setting) for recommendation in found}
    return found + [r for r in advise(summary, context) if (r.type, r.setting) not in known]


def _optimization_rules(summary: Summary, num_fast_path: int, context: Context) -> Iterator[Recommendation]:
    mean_ms, success = summary.ttfa.mean, summary.success
    if mean_ms is not None and mean_ms > CRITICAL_TTFA_MS and summary.ttfa.n >= MIN_REQUESTS:
        yield Recommendation(
            "ttfa",
            "critical",
            f"the first audio takes {mean_ms:.0f} ms in the mean, more than {CRITICAL_TTFA_MS:g} ms",
            "see GET /ttfa-performance/investigation for the stage that takes it",
            {"mean_ms": round(mean_ms, 1), **evidence(summary, summary.ttfa.n)},
            Gain(None, "the advice about the stage that takes it says how much"),
        )
    if success.value is not None and success.value < MIN_OPTIMIZED_SUCCESS and success.n >= MIN_REQUESTS:
        yield failing(summary)
    is_on = context.config.streaming.fast_path_enabled
    if not is_on and num_fast_path < MIN_FAST_PATH_REQUESTS <= _num_spoken(summary):
        yield _too_few_on_the_fast_path(summary, num_fast_path)


def _num_spoken(summary: Summary) -> int:
    """Requests that got as far as an engine: a refused one takes no path."""
    return summary.num_requests - summary.outcomes.get("refused", 0)


def _too_few_on_the_fast_path(summary: Summary, num_fast_path: int) -> Recommendation:
    num_spoken = _num_spoken(summary)
    key = "streaming.fast_path_enabled"
    return Recommendation(
        "fast_path",
        "info",
        f"only {num_fast_path} of {num_spoken} spoken requests took the fast path",
        f"set {key} to true: answers begin with a short segment",
        {"num_fast_path": num_fast_path, **evidence(summary, num_spoken)},
        Gain(None, "too few requests took the fast path to compare them with the others"),
        setting=Setting(key, True),
    )
