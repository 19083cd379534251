"""What cannot wait, as rules over what happened lately: each says bad, good, or that it cannot tell.

Shares are judged by their Wilson interval: bad where even its better end is beyond the limit, good where the share
itself keeps to it, and in between neither, so that chance alone raises little and an alert does not flicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from firstaudio.slo import CATEGORIES, SUCCESS_TARGET
from firstaudio.stats.sample import MIN_SAMPLES, QUANTILES, quantile, wilson
from firstaudio.synthesis.roster import EngineStatus
from firstaudio.telemetry.measurement import Measurement

Verdict = Literal["bad", "good", "unclear"]

WINDOW_S = 300.0
LONGEST_WINDOW_S = 3600.0
"""Where fewer than `MIN_REQUESTS` came within `WINDOW_S`, as many of the last ones are looked at, but none older."""
MIN_REQUESTS = 20  # with fewer, one single failure would do
SLOW_MS = CATEGORIES[-1][0]
SLOW_SHARE = 1 - QUANTILES["p95"]
STALL_SHARE = 0.05
BUFFER_MS = 100.0  # what a player is taken to hold: shorter gaps are not heard
LOW_DISK_BYTES = 200_000_000
FREE_DISK_BYTES = 2 * LOW_DISK_BYTES


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of this moment.

    Attributes:
        name: Of the rule, and of what it looked at: "success_rate", "engine:kokoro".
        verdict: Bad, good, or unclear.
        message: What is the matter and what to do next.
        evidence: The numbers behind it.
    """

    name: str
    verdict: Verdict
    message: str
    evidence: Mapping[str, float | int | str | None]


class Seen(NamedTuple):
    """What the rules need of one client's request; None where it says nothing.

    Attributes:
        at_s: When it ended, monotonic.
        is_served: Whether the server did its part.
        is_slow: Whether the first audio took `SLOW_MS` or longer.
        is_stalled: Whether a listener with a buffer of `BUFFER_MS` heard a gap.
        ttfa_ms: Time to first audio.
    """

    at_s: float
    is_served: bool | None
    is_slow: bool | None
    is_stalled: bool | None
    ttfa_ms: float | None


def see(measurement: Measurement, at_s: float) -> Seen | None:
    """What the rules keep of a measurement; None where it is not of a client."""
    if measurement.origin != "client":
        return None
    return Seen(at_s, is_served(measurement), _is_slow(measurement), _is_stalled(measurement), measurement.ttfa_ms)


def is_served(measurement: Measurement) -> bool | None:
    """Whether the server did its part: not where it failed or had no room; None where that was not up to it.

    A client that went away says nothing, and neither does a request that was wrong: one that was refused before an
    engine was found for it, or when the engine had begun.
    """
    if measurement.outcome == "completed":
        return True
    has_begun = measurement.stages_ms.get("queue", 0.0) > 0
    found_no_room = measurement.outcome == "refused" and measurement.engine != "" and not has_begun
    return False if measurement.outcome == "failed" or found_no_room else None


def _is_slow(measurement: Measurement) -> bool | None:
    """A client that gave up after `SLOW_MS` without any audio counts.

    Kept audio does not, it is never slow; nor do whole files: how long they take is decided by the text.
    """
    if measurement.warmth == "cached" or measurement.delivery == "whole":
        return None
    if measurement.ttfa_ms is not None:
        return measurement.ttfa_ms >= SLOW_MS
    return True if measurement.outcome == "cancelled" and measurement.duration_ms >= SLOW_MS else None


def _is_stalled(measurement: Measurement) -> bool | None:
    """None where nothing was streamed, and where the time that was missing went by waiting for the client to read."""
    preroll_ms = measurement.preroll_ms
    if measurement.delivery not in ("audio", "sse") or preroll_ms is None:
        return None
    if measurement.stages_ms.get("chunk_delivery", 0.0) >= preroll_ms > 0:
        return None
    return preroll_ms > BUFFER_MS


def judge(seen: Sequence[Seen], now_s: float) -> Iterator[Finding]:
    """Every rule over requests.

    Args:
        seen: In the order in which they came.
        now_s: Monotonic.
    """
    served = _window([(s.at_s, s.is_served) for s in seen if s.is_served is not None], now_s)
    slow = _window([(s.at_s, s.is_slow) for s in seen if s.is_slow is not None], now_s)
    stalled = _window([(s.at_s, s.is_stalled) for s in seen if s.is_stalled is not None], now_s)
    yield _success(served)
    yield _slow_start(slow, _p95([s.ttfa_ms for s in seen if s.is_slow is not None and s.at_s >= slow.since_s]))
    yield _stalls(stalled)


class _Window(NamedTuple):
    n: int
    num_true: int
    since_s: float
    length_s: float

    @property
    def evidence(self) -> dict[str, float | int | str | None]:
        return {"n": self.n, "window_s": round(self.length_s, 1)}


def _window(flags: list[tuple[float, bool]], now_s: float) -> _Window:
    """The flags of the last `WINDOW_S`, or more where these are too few."""
    recent = [flag for flag in flags if flag[0] >= now_s - WINDOW_S]
    since_s = now_s - WINDOW_S
    if len(recent) < MIN_REQUESTS:
        recent = [flag for flag in flags[-MIN_REQUESTS:] if flag[0] >= now_s - LONGEST_WINDOW_S]
        since_s = min([since_s, *(at_s for at_s, _ in recent)])
    return _Window(len(recent), sum(is_true for _, is_true in recent), since_s, now_s - since_s)


def _p95(ttfa_ms: Sequence[float | None]) -> float | None:
    """None for too few; who gave up without any audio waited for ever."""
    waits = [float("inf") if ms is None else ms for ms in ttfa_ms]
    value = quantile(waits, QUANTILES["p95"]) if len(waits) >= MIN_SAMPLES["p95"] else float("inf")
    return round(value, 1) if value < float("inf") else None


def _success(window: _Window) -> Finding:
    low, high = wilson(window.num_true, window.n)
    verdict = _verdict(window, is_bad=high < SUCCESS_TARGET, is_good=window.num_true >= SUCCESS_TARGET * window.n)
    return Finding(
        "success_rate",
        verdict,
        f"{window.n - window.num_true} of the last {window.n} requests failed or found no room, and "
        f"{SUCCESS_TARGET:.0%} should be served; read the log for the first failure, and /status for the engines",
        {**window.evidence, "num_served": window.num_true, "low": round(low, 4), "high": round(high, 4)},
    )


def _slow_start(window: _Window, p95_ms: float | None) -> Finding:
    low, high = wilson(window.num_true, window.n)
    verdict = _verdict(window, is_bad=low > SLOW_SHARE, is_good=window.num_true <= SLOW_SHARE * window.n)
    return Finding(
        "ttfa_p95",
        verdict,
        f"{window.num_true} of the last {window.n} requests waited {SLOW_MS:g} ms or longer for their first audio, so "
        "the p95 is critical; GET /ttfa-performance/investigation says which stage takes the time",
        {
            **window.evidence,
            "num_slow": window.num_true,
            "low": round(low, 4),
            "high": round(high, 4),
            "p95_ms": p95_ms,
            "limit_ms": SLOW_MS,
        },
    )


def _stalls(window: _Window) -> Finding:
    low, high = wilson(window.num_true, window.n)
    verdict = _verdict(window, is_bad=low > STALL_SHARE, is_good=window.num_true <= STALL_SHARE * window.n)
    return Finding(
        "stalls",
        verdict,
        f"{window.num_true} of the last {window.n} listeners heard gaps of more than {BUFFER_MS:g} ms; lower "
        "streaming.max_utilization or streaming.max_streams, or run another server",
        {**window.evidence, "num_stalled": window.num_true, "low": round(low, 4), "high": round(high, 4)},
    )


def _verdict(window: _Window, *, is_bad: bool, is_good: bool) -> Verdict:
    if window.n < MIN_REQUESTS:
        return "unclear"
    return "bad" if is_bad else "good" if is_good else "unclear"


def judge_engines(statuses: Iterable[EngineStatus]) -> Iterator[Finding]:
    """One finding for each engine; one that still starts says nothing."""
    for status in statuses:
        verdict: Verdict = {"ready": "good", "starting": "unclear"}.get(status.state, "bad")  # type: ignore[assignment]
        yield Finding(f"engine:{status.name}", verdict, status.message, {"state": status.state})


def judge_store(problem: str) -> Finding:
    """Whether measurements are kept."""
    return Finding("measurements", "bad" if problem else "good", problem, {})


def judge_disk(free_bytes: int) -> Finding:
    """Whether there is room where state lies."""
    verdict: Verdict = "bad" if free_bytes < LOW_DISK_BYTES else "good" if free_bytes >= FREE_DISK_BYTES else "unclear"
    message = (
        f"only {free_bytes / 1e6:.0f} MB are free on the disk of the state folder; make room, or set "
        "telemetry.state_folder to another disk"
    )
    return Finding("disk", verdict, message, {"free_mb": round(free_bytes / 1e6, 1)})
