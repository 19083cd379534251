"""The rules of `advise` but for those about one stage, which are in `stages`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from firstaudio.slo import RTF_TARGET
from firstaudio.stats.sample import wilson
from firstaudio.telemetry.advice.recommendation import (
    BUFFER_MS,
    LATE_SHARE,
    LITTLE_MS,
    MIN_REQUESTS,
    Context,
    Gain,
    Recommendation,
    Rule,
    Setting,
    Severity,
    evidence,
    failing,
    late,
    share_evidence,
)
from firstaudio.telemetry.advice.stages import bottleneck, unexplained
from firstaudio.telemetry.summary.figures import Share
from firstaudio.telemetry.summary.summary import Group, Summary
from firstaudio.trace import Warmth

MIN_COLD = 3  # cold starts are rare, and each one is seen
MIN_STEPS = 50
MIN_LOOKUPS = 100
_WARM_AND_CACHED: tuple[Warmth, Warmth] = ("warm", "cached")
FEW = 0.01  # a share of requests that is worth a word


def _success(summary: Summary, _: Context) -> Iterator[Recommendation]:
    if summary.success.n >= MIN_REQUESTS and summary.success_alert is not None:
        yield failing(summary)


def _late_by_class(summary: Summary, context: Context) -> Iterator[Recommendation]:
    """Text classes whose audio certainly comes late more often than it may, where that of others does not."""
    known = {name: late(group) for name, group in summary.by_text_class.items()}
    known = {name: share for name, share in known.items() if share.n >= MIN_REQUESTS}
    bad = {name: share for name, share in known.items() if wilson(share.num, share.n)[0] > LATE_SHARE}
    if len(bad) == len(known):
        return  # it is not the text, or there is no other to compare it with
    for name, share in bad.items():
        others = [each for other, each in known.items() if other != name]
        yield Recommendation(
            "target",
            "warning",
            f"{share.num} of {share.n} {name} texts began after {summary.target_ms:g} ms, and "
            f"{sum(each.num for each in others)} of {sum(each.n for each in others)} others",
            _for_class(name, context),
            {
                "text_class": name,
                "num_late": share.num,
                **share_evidence(share),
                **_mean(summary.by_text_class[name]),
                **evidence(summary, share.n),
            },
            Gain(None, "what the text costs was not measured apart from what else happened to these requests"),
        )


def _mean(group: Group) -> dict[str, float | None]:
    return {"mean_ms": None if group.ttfa.mean is None else round(group.ttfa.mean, 1)}


def _for_class(name: str, context: Context) -> str:
    streaming = context.config.streaming
    if name == "complex":
        return "write numbers, dates and addresses out in the text, or look at the stage text_processing"
    if not streaming.fast_path_enabled:
        return "set streaming.fast_path_enabled to true: the length of a text then has no part in its beginning"
    if not streaming.incremental_generation:
        return "set streaming.incremental_generation to true: segments need not be whole to be sent"
    return "look at their stages: GET /ttfa-performance/investigation compares them with the requests in time"


def _cold_starts(summary: Summary, context: Context) -> Iterator[Recommendation]:
    cold, warm = summary.by_warmth.get("cold"), summary.by_warmth.get("warm")
    if cold is None or warm is None or cold.ttfa.mean is None or warm.ttfa.mean is None:
        return
    longer_ms = cold.ttfa.mean - warm.ttfa.mean
    if cold.num_requests < MIN_COLD or warm.num_requests < MIN_REQUESTS or longer_ms <= LITTLE_MS:
        return
    n = cold.num_requests + warm.num_requests
    setting, action = _keep_warm(context)
    yield Recommendation(
        "cold_start",
        "warning" if cold.ttfa.mean > summary.target_ms else "info",
        f"{cold.num_requests} of {n} requests found the engine cold and waited {longer_ms:.0f} ms longer in the mean",
        action,
        {"num_cold": cold.num_requests, "longer_ms": round(longer_ms, 1), **evidence(summary, n)},
        Gain(round(longer_ms * cold.num_requests / n, 1), "what a cold start costs, spread over all requests"),
        setting=setting,
    )


def _keep_warm(context: Context) -> tuple[Setting | None, str]:
    config = context.config
    if config.kokoro.unload_after_s:
        setting = Setting("kokoro.unload_after_s", 0.0)
        return setting, "set kokoro.unload_after_s to 0, so that the model stays in memory, or to a longer time"
    if not config.cache.warm_up:
        return Setting(
            "cache.warm_up", True
        ), "set cache.warm_up to true: the server speaks to nobody before it is ready"
    if not config.cache.warm_voices:
        return Setting("cache.warm_voices", 4), "set cache.warm_voices to 4: the voices most asked for are warmed"
    return None, "raise cache.warm_voices, or let clients wait for GET /ready before the first request"


def _slower_than_speech(_: Summary, context: Context) -> Iterator[Recommendation]:
    """By the engine's work alone: a request's own RTF also counts the time that its client took to read."""
    for name, figures in context.schedulers.items():
        if figures.num_steps >= MIN_STEPS and figures.rtf >= RTF_TARGET:
            yield Recommendation(
                "rtf",
                "critical",
                f"the {name} engine needs {figures.rtf:.2f} s of work for a second of audio: its listeners run dry",
                "run `firstaudio models optimize`, or take a faster engine or machine"
                if name == "kokoro"
                else "take a faster engine or machine, or fewer listeners at the same time",
                {"rtf": round(figures.rtf, 3), "engine": name, "n": figures.num_steps, "window_s": None},
                Gain(None, "RTF below 1 lets playback go on; how fast another engine is here must be measured"),
                command="firstaudio models optimize" if name == "kokoro" else None,
            )


def _stalls(summary: Summary, context: Context) -> Iterator[Recommendation]:
    p95_ms = summary.preroll.percentiles.get("p95")
    if p95_ms is None or p95_ms <= BUFFER_MS:
        return
    utilization = context.config.streaming.max_utilization
    lower = round(max(0.1, utilization - 0.15), 2)
    yield Recommendation(
        "stalls",
        "warning",
        f"1 of 20 listeners needs a buffer of {p95_ms:.0f} ms or more to hear no gap",
        f"lower streaming.max_utilization from {utilization:g} to {lower:g}, so that fewer are let in at once, "
        f"or let players buffer {p95_ms:.0f} ms first; clients that read slowly count as gaps too",
        {
            "preroll_p95_ms": round(p95_ms, 1),
            "num_stalled": summary.num_stalled,
            **evidence(summary, summary.preroll.n),
        },
        Gain(None, "it is about gaps, not about the first audio"),
        setting=Setting("streaming.max_utilization", lower),
    )


def _refused(_: Summary, context: Context) -> Iterator[Recommendation]:
    """What there was no room for, by the engines' own count: requests may be refused for other reasons."""
    for name, figures in context.schedulers.items():
        share = Share(figures.num_refused, figures.num_opened + figures.num_refused)
        if share.n < MIN_REQUESTS or (share.value or 0.0) < FEW:
            continue
        is_limit = figures.peak_streams >= context.config.streaming.max_streams
        yield Recommendation(
            "refused",
            _severity_of_share(share),
            f"{share.num} of {share.n} requests found no room at the {name} engine since the server started",
            f"raise streaming.max_streams, {figures.peak_streams} were reached"
            if is_limit
            else "run another server behind a load balancer, or take a faster engine: more streams would stutter here",
            {
                "num_refused": share.num,
                "peak_streams": figures.peak_streams,
                "num_lanes": figures.num_lanes,
                "engine": name,
                **share_evidence(share),
                "n": share.n,
                "window_s": None,
            },
            Gain(None, "it lets more requests be served; those that are would start no sooner"),
            setting=Setting("streaming.max_streams", 2 * context.config.streaming.max_streams) if is_limit else None,
        )


def _severity_of_share(share: Share) -> Severity:
    low = wilson(share.num, share.n)[0]
    return "critical" if low > 10 * FEW else "warning" if low > FEW else "info"


class _Count(NamedTuple):
    """Answers that something happened to."""

    told: str
    severity: Severity
    evidence: dict[str, Any]


def _count(summary: Summary, name: str, num: int) -> _Count | None:
    """`num` of all answers; None where they are too few for a word."""
    share = Share(num, summary.num_requests)
    if share.n < MIN_REQUESTS or (share.value or 0.0) < FEW:
        return None
    numbers = {name: num, **share_evidence(share), **evidence(summary, share.n)}
    return _Count(f"{num} of {share.n} answers", _severity_of_share(share), numbers)


def _failover(summary: Summary, _: Context) -> Iterator[Recommendation]:
    if (found := _count(summary, "num_failed_over", summary.num_failed_over)) is not None:
        yield Recommendation(
            "failover",
            found.severity,
            f"{found.told} were spoken by another engine than was asked",
            "GET /health tells why the first engine does not speak; `firstaudio doctor` what it lacks",
            found.evidence,
            Gain(None, "the engine that was asked is another voice, not a faster one"),
            command="firstaudio doctor",
        )


def _retries(summary: Summary, _: Context) -> Iterator[Recommendation]:
    if (found := _count(summary, "num_retried", summary.num_retried)) is not None:
        yield Recommendation(
            "retries",
            found.severity,
            f"in {found.told} a segment was begun once more",
            "read the warnings 'segment retried' in the log: workers die or hang",
            found.evidence,
            Gain(None, "what an attempt in vain took was not measured apart"),
        )


def _cache(summary: Summary, context: Context) -> Iterator[Recommendation]:
    """A cache that finds much and throws much away."""
    cache, max_mb = context.cache, context.config.cache.max_mb
    if cache is None or not cache.num_evictions:
        return
    found = Share(cache.num_hits, cache.num_hits + cache.num_misses)
    if found.n < MIN_LOOKUPS or (found.value or 0.0) < FEW:
        return
    yield Recommendation(
        "cache",
        "info",
        f"the cache found {found.num} of {found.n} first segments{_sooner(summary)}, and let go of "
        f"{cache.num_evictions} for want of room",
        f"raise cache.max_mb from {max_mb:g} to {2 * max_mb:g}",
        {
            "num_hits": cache.num_hits,
            "num_misses": cache.num_misses,
            "num_evictions": cache.num_evictions,
            "n": found.n,
            "window_s": None,
        },
        Gain(None, "how many of those that it let go would be asked for again is not known"),
        setting=Setting("cache.max_mb", 2 * max_mb),
    )


def _sooner(summary: Summary) -> str:
    """What a hit brings; empty where that was not measured."""
    warm, cached = (summary.by_warmth.get(name) for name in _WARM_AND_CACHED)
    if warm is None or cached is None or warm.ttfa.mean is None or cached.ttfa.mean is None:
        return ""
    return f", which began {warm.ttfa.mean - cached.ttfa.mean:.0f} ms sooner"


def _trend(summary: Summary, _: Context) -> Iterator[Recommendation]:
    trend = summary.trend
    if trend.direction != "degrading" or trend.change_ms is None:
        return
    yield Recommendation(
        "trend",
        "warning" if (late(summary).value or 0.0) > LATE_SHARE else "info",
        f"the first audio comes {trend.change_ms:.0f} ms later than {trend.span_s / 3600:.1f} h ago",
        "compare the stages then and now in GET /ttfa-measurements; look for other work on the machine, and for memory "
        "that grows, in GET /status",
        {
            "change_ms": round(trend.change_ms, 1),
            "low_ms": trend.low_ms,
            "high_ms": trend.high_ms,
            "n": trend.n,
            "window_s": round(trend.span_s, 1),
        },
        Gain(round(trend.change_ms, 1), "what it has become slower by"),
    )


RULES: tuple[Rule, ...] = (
    _success,
    _slower_than_speech,
    bottleneck,
    _late_by_class,
    _refused,
    _stalls,
    _cold_starts,
    _failover,
    _retries,
    _trend,
    unexplained,
    _cache,
)
