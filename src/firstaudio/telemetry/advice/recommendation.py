"""`Recommendation`: one thing to do, with its evidence; what there is to go by, and what every rule needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from firstaudio.config import Config
from firstaudio.engines.base import EngineInfo
from firstaudio.slo import SUCCESS_TARGET, investigation_category
from firstaudio.stats.sample import wilson
from firstaudio.synthesis.cache import CacheStatistics
from firstaudio.synthesis.scheduler import SchedulerStatistics
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.summary.figures import Share
from firstaudio.telemetry.summary.summary import Group, Summary

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")

MIN_REQUESTS = 10
"""Below that nothing is recommended: 10 of 10 is the first sample whose share certainly lies above 70 %."""
LATE_SHARE = 0.05  # of requests that may miss the target without anything to be said
BUFFER_MS = 100.0  # what a player is taken to hold
LITTLE_MS = 5.0  # the floor of the harness: differences below are none


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting and the value that it should have."""

    key: str
    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Gain:
    """What an action would bring.

    Attributes:
        ttfa_ms_at_most: How much sooner the first audio would come at most, in the mean of all requests; None where
            nobody knows.
        why: What that is drawn from, or why nobody knows.
    """

    ttfa_ms_at_most: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing to do.

    Attributes:
        type: What it is about: a stage, or "success", "target", "cold_start", "stalls", "rtf", "refused", "failover",
            "retries", "cache", "trend", "unexplained".
        severity: "critical", "warning" or "info".
        message: What is the matter.
        action: What to do, for people.
        evidence: The numbers behind it, among them `n` and `window_s`.
        gain: What it would bring.
        setting: The setting that does it, where one does.
        command: The command that does it, where one does.
    """

    type: str
    severity: Severity
    message: str
    action: str
    evidence: Mapping[str, Any]
    gain: Gain
    setting: Setting | None = None
    command: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "type": self.type,
            "severity": self.severity,
            "message": self.message,
            "action": self.action,
            "setting": None if self.setting is None else asdict(self.setting),
            "command": self.command,
            "expected_gain": asdict(self.gain),
            "evidence": dict(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class Context:
    """What is there and can be changed.

    Attributes:
        config: The whole configuration.
        infos: Engines that are ready, by name.
        schedulers: Figures of their lanes, by name.
        reports: What engines tell of themselves, by name; may lack any.
        cache: Figures of the phrase cache; None where nobody looked.
    """

    config: Config
    infos: Mapping[str, EngineInfo] = field(default_factory=dict)
    schedulers: Mapping[str, SchedulerStatistics] = field(default_factory=dict)
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cache: CacheStatistics | None = None


Rule = Callable[[Summary, Context], Iterator[Recommendation]]


def context_of(
    config: Config, synthesizer: Synthesizer, reports: Mapping[str, Mapping[str, Any]] | None = None
) -> Context:
    """What is there now. On the event loop.

    Args:
        config: The whole configuration.
        synthesizer: Whose engines are looked at.
        reports: What engines tell of themselves, which may take a while to ask for.
    """
    infos = {info.name: info for info in synthesizer.infos()}
    return Context(config, infos, synthesizer.statistics(), reports or {}, synthesizer.cache.statistics())


def failing(summary: Summary) -> Recommendation:
    """That requests fail; at least one must have."""
    success = summary.success
    assert success.interval is not None
    is_certain = success.interval[1] < SUCCESS_TARGET
    return Recommendation(
        "success",
        "critical" if is_certain else "warning",
        f"{success.n - success.num} of {success.n} requests failed; {SUCCESS_TARGET:.0%} should be served",
        "read the first error in the log; GET /status tells how engines stand, `firstaudio doctor` what is missing",
        {"num_failed": success.n - success.num, **share_evidence(success), **evidence(summary, success.n)},
        Gain(None, "a failed request has no time to first audio that could become shorter"),
        command="firstaudio doctor",
    )


def evidence(summary: Summary, n: int) -> dict[str, Any]:
    """What every recommendation states: how many measurements, over how long."""
    known = summary.since is not None and summary.until is not None
    window_s = round((summary.until or 0.0) - (summary.since or 0.0), 1) if known else None
    return {"n": n, "window_s": window_s}


def share_evidence(share: Share) -> dict[str, Any]:
    """A share with its interval."""
    low, high = wilson(share.num, share.n)
    return {"share": round(share.value or 0.0, 4), "low": round(low, 4), "high": round(high, 4)}


def late(of: Summary | Group) -> Share:
    """Those that had their audio after the target, or left because they had none by then; not those that failed."""
    num_failed = of.ttfa.num_failed
    return Share(of.attainment.n - of.attainment.num - num_failed, of.attainment.n - num_failed)


def severity_of(summary: Summary) -> Severity:
    """How much it matters that the first audio comes late."""
    share = late(summary).value or 0.0
    name = investigation_category(summary.ttfa.mean, share)
    return "critical" if name == "CRITICAL" else "warning" if share > LATE_SHARE else "info"


def engine_of(summary: Summary, context: Context) -> str:
    """The engine that most was asked of; the default one where nobody has spoken."""
    groups: Sequence[tuple[str, Any]] = list(summary.by_engine.items())
    if not groups:
        return context.config.engine.names[0]
    return max(groups, key=lambda item: item[1].num_requests)[0]
