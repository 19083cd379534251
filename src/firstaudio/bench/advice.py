"""What the numbers of a session suggest. Nothing is said without a number that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.result import CellResult
from firstaudio.bench.workload import Goals

KNEE_GAIN = 1.10  # a level that has 10 % more throughput than the one before is still worth its listeners
KNEE_WAIT_MS = 50.0  # shorter waits for first audio are not worth turning listeners away
LEAK_MB_PER_1000 = 1.0
MIN_LEAK_REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation.

    Attributes:
        action: What to do.
        evidence: The numbers that suggest it.
        gain: What it should bring.
        critical: Whether listeners are failed now.
    """

    action: str
    evidence: str
    gain: str
    critical: bool = False


def advise(cells: Sequence[CellResult], findings: Mapping[str, Any], goals: Goals) -> list[Advice]:
    """Every recommendation that the figures support, critical ones first."""
    found = [advice for rule in RULES for advice in rule(cells, findings, goals)]
    return sorted(found, key=lambda advice: not advice.critical)


def as_finding(advices: Sequence[Advice]) -> list[dict[str, Any]]:
    """As JSON."""
    return [asdict(advice) for advice in advices]


def _failures(cells: Sequence[CellResult], _: Mapping[str, Any], __: Goals) -> Iterator[Advice]:
    for cell in cells:
        if cell.failed:
            kinds = ", ".join(f"{count} {kind}" for kind, count in cell.failures.items())
            yield Advice(
                action=_remedy(cell),
                evidence=f"{cell.failed} of {cell.issued} requests failed ({kinds})",
                gain="a success rate of 100 %",
                critical=cell.failed > 0.01 * cell.issued,
            )


def _remedy(cell: CellResult) -> str:
    if _mostly_refused(cell):
        return f"offer {cell.name} fewer clients at once, or more servers: the target has no room and refuses"
    return f"look at the failures of {cell.name} first; no latency counts while requests fail"


def _mostly_refused(cell: CellResult) -> bool:
    """By answers such as 429 and 503."""
    return 2 * cell.failures.get(FailureKind.REFUSED, 0) > cell.failed


def _whole_synthesis(_: Sequence[CellResult], findings: Mapping[str, Any], __: Goals) -> Iterator[Advice]:
    fit = findings.get("fit")
    if fit and fit.get("verdict") == "whole":
        yield Advice(
            action="let the server send audio while it synthesises, or split texts at clauses before it",
            evidence=fit["sentence"],
            gain=f"about {fit['b_ms_per_char'] * 100:.0f} ms of TTFA for every 100 characters",
        )


def _slow_start(cells: Sequence[CellResult], _: Mapping[str, Any], goals: Goals) -> Iterator[Advice]:
    for cell in cells:
        attained, target_ms = cell.totals.get("target_attainment"), cell.ttfa_target_ms(goals.ttfa_ms)
        if cell.ok and attained is not None and attained < 95.0 and not _only_failures_miss(cell, attained):
            median = cell.distributions["ttfa_ms"].median.value
            stage = max(cell.stages_ms.items(), key=lambda item: item[1], default=None)
            where = f"; the server spends most in {stage[0]} ({stage[1]:.0f} ms)" if stage else ""
            yield Advice(
                action=f"start sooner in {cell.name}: {_sooner(cell)}",
                evidence=f"{attained:.1f} % within {target_ms:g} ms, median {_ms(median)}{where}",
                gain=f"TTFA within {target_ms:g} ms",
                critical=attained < 50.0,
            )


def _only_failures_miss(cell: CellResult, attained: float) -> bool:
    """Whether all that succeeded were in time: what failed has an advice of its own."""
    return cell.failed > 0 and attained >= 100.0 * cell.ok / (cell.ok + cell.failed) - 0.01


def _sooner(cell: CellResult) -> str:
    if cell.cell.get("target", {}).get("delivery") == "whole":
        return "stream the answers, which it was not asked to do"
    if _mostly_refused(cell):
        return "fewer clients, or more servers"
    return "fewer listeners per server, or a shorter first segment"


def _stalls(cells: Sequence[CellResult], _: Mapping[str, Any], goals: Goals) -> Iterator[Advice]:
    for cell in cells:
        preroll = cell.distributions.get("preroll_ms")
        if preroll is None or not cell.ok:
            continue
        known = preroll.quantiles["p95"].value is not None
        quantile = preroll.quantiles["p95"] if known else preroll.median
        part, listeners = ("95 %", "19 of 20 listeners") if known else ("half", "every second listener")
        if quantile.value is not None and quantile.value > goals.buffer_ms:
            yield Advice(
                action=f"let players of {cell.name} buffer {quantile.value:.0f} ms first, or lower the load",
                evidence=f"{part} of the answers play without a stall only after {quantile.value:.0f} ms of buffer",
                gain=f"no stalls for {listeners}",
            )


def _slower_than_speech(cells: Sequence[CellResult], _: Mapping[str, Any], __: Goals) -> Iterator[Advice]:
    for cell in cells:
        rtf = cell.distributions.get("rtf")
        if rtf is not None and rtf.median.value is not None and rtf.median.value > 1.0:
            yield Advice(
                action=f"do not serve {cell.name}: synthesis is slower than speech, every listener runs dry",
                evidence=f"RTF {rtf.median.value:.2f} (median)",
                gain="RTF below 1: playback that can go on",
                critical=True,
            )


def _knee(cells: Sequence[CellResult], _: Mapping[str, Any], __: Goals) -> Iterator[Advice]:
    """Where more listeners no longer bring more audio per second, but a longer wait."""
    levels = {
        c.axes["concurrency"]: c for c in cells if c.ok and set(c.axes) == {"concurrency"}
    }  # the last word on each
    for few, many in pairwise(sorted(levels, key=float)):
        before, after = levels[few].totals.get("asps"), levels[many].totals.get("asps")
        waits = [cell.distributions["ttfa_ms"].median.value or 0.0 for cell in (levels[few], levels[many])]
        if before and after and after < before * KNEE_GAIN and waits[1] - waits[0] > KNEE_WAIT_MS:
            yield Advice(
                action=f"admit about {few} requests at once and let the others wait or be refused",
                evidence=f"ASPS {before:.1f} at {few}, {after:.1f} at {many}; TTFA {_ms(waits[0])} and {_ms(waits[1])}",
                gain="the same throughput with a shorter wait for first audio",
            )
            return


def _leak(_: Sequence[CellResult], findings: Mapping[str, Any], __: Goals) -> Iterator[Advice]:
    leak = findings.get("leak")
    if leak and leak["low"] is not None and leak["low"] > LEAK_MB_PER_1000 and leak["requests"] >= MIN_LEAK_REQUESTS:
        evidence = f"{leak['slope_mb_per_1000']:.1f} MB more for every 1000 requests"
        yield Advice("look for a leak in the server", evidence, "memory that stays flat", critical=True)


RULES: tuple[Callable[[Sequence[CellResult], Mapping[str, Any], Goals], Iterator[Advice]], ...] = (
    _failures,
    _slower_than_speech,
    _slow_start,
    _stalls,
    _whole_synthesis,
    _knee,
    _leak,
)


def _ms(value: float | None) -> str:
    return "not known" if value is None else f"{value:.0f} ms"
