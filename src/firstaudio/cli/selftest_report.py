"""The self test's findings, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from firstaudio.cli.selftest_checks import Check, Findings, median_ms

TITLE = "firstaudio self test"
MARKS = {"passed": "✅", "missed": "⚠️", "failed": "❌", "not checked": "➖"}
ALL_PASSED = "🎉 All {num} checks passed: the server meets its targets."


def as_text(found: Findings) -> str:
    """Everything, section by section; the last line says what it comes to."""
    head = f"{TITLE}: {found.capabilities['default_engine']} at {found.url}"
    lines = [head, "=" * len(head)]
    sections = (_measured, _optimiser, _texts, _assessment, _checks)
    for section in sections:
        lines += ["", *section(found)]
    return "\n".join([*lines, "", closing(found.checks)])


def closing(checks: list[Check]) -> str:
    """What it comes to: praise only where every check has passed."""
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in MARKS}
    if counts["passed"] == len(checks):
        return ALL_PASSED.format(num=len(checks))
    others = ", ".join(f"{num} {verdict}" for verdict, num in counts.items() if num and verdict != "passed")
    return f"{counts['passed']} of {len(checks)} checks passed; {others}."


def _measured(found: Findings) -> Iterator[str]:
    yield "TTFA Measurement Results"
    quick = found.quick
    if quick is None:
        yield "  not measured"
        return
    yield f"  TTFA: {quick['ttfa_ms']:.1f} ms"
    yield f"  Warmth: {quick['warmth']}"
    yield f"  Target Met: {_yes(quick['target_met'])} ({quick['target_ms']:g} ms)"
    yield f"  Category: {quick['category']}"
    yield f"  Bottleneck: {_bottleneck(quick)}"
    yield f"  Provider: {quick['provider_used']}"
    yield f"  {quick['recommendation']}"
    if found.heard:
        yield f"  Seen by a client: {_client_view(found)}"


def _bottleneck(quick: dict[str, Any]) -> str:
    name = quick["bottleneck"]
    return f"{name} ({quick['stages_ms'][name]:.1f} ms)" if name else "none"


def _client_view(found: Findings) -> str:
    median = median_ms(found.heard)
    audible = [one.audible_ttfa_ms for one in found.heard if one.audible_ttfa_ms is not None]
    if median is None or len(audible) < len(found.heard):
        return "not every text was heard"
    return f"median {median:.1f} ms of {len(found.heard)} texts; audible at {min(audible):.1f} to {max(audible):.1f} ms"


def _optimiser(found: Findings) -> Iterator[str]:
    yield "Streaming Optimiser Status"
    if found.optimization is None:
        yield "  not told"
        return
    config = found.optimization["streaming_optimization"]["config"]
    yield f"  Fast Path: {_on(config['fast_path_enabled'])}"
    yield f"  Incremental: {_on(config['incremental_generation'])}"
    yield f"  First Chunk Target: {config['first_chunk_target_ms']} ms"
    yield f"  Buffer Target: {config['target_buffer_ms']} ms"
    yield f"  Tuner: {found.optimization['tuner']['state']}"


def _texts(found: Findings) -> Iterator[str]:
    yield "Text Coverage"
    for each in found.coverages:
        segments = "an unknown number of" if each.num_segments is None else each.num_segments
        spoken = each.num_words - len(each.missing)
        yield f"  {each.name}: {spoken} of {each.num_words} words spoken, in {segments} segments"
    if not found.coverages:
        yield "  not checked"


def _assessment(found: Findings) -> Iterator[str]:
    yield "Performance Assessment"
    if found.performance is None:
        yield "  not told"
        return
    told = found.performance["ttfa_performance"]
    timing, rate = told["timing_stats_ms"], told["performance"]["target_achievement_rate_percent"]
    yield f"  TTFA p50: {_ms(timing['p50'])} of {timing['n']} requests, average {_ms(timing['average'])}"
    yield f"  Within the target of {told['target_ttfa_ms']:g} ms: {'unknown' if rate is None else f'{rate:.0f} %'}"
    recommendations = told["recommendations"]
    for number, each in enumerate(recommendations, 1):
        yield f"  {number}. {each['message']}: {each['action']}"
    if not recommendations:
        yield "  Recommendations: none"


def _checks(found: Findings) -> Iterator[str]:
    yield "Checks"
    for check in found.checks:
        yield f"  {MARKS[check.verdict]} {check.verdict}: {check.name}: {check.says}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _on(value: bool) -> str:
    return "on" if value else "off"


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} ms"
