"""What a time to first audio is called and held to: the one table of targets and the one category function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Category = Literal["excellent", "good", "acceptable", "poor", "critical"]
InvestigationCategory = Literal["EXCELLENT", "GOOD", "NEEDS_IMPROVEMENT", "CRITICAL", "no_data"]

TTFA_TARGET_MS = 800.0
SHORT_TTFA_TARGET_MS = 400.0
"""Also reported for texts of fewer than `SHORT_CHARS` characters."""
SHORT_CHARS = 50
SCENARIO_TARGETS_MS: Mapping[str, float] = {
    "short_text_ttfa": 400.0,
    "medium_text_ttfa": 600.0,
    "long_text_streaming": 800.0,
}
"""TTFA of the scenarios that have a target of their own; the others have `TTFA_TARGET_MS`."""
FIRST_CHUNK_TARGET_MS = 200.0
"""Missed by exactly this."""
RTF_TARGET = 1.0
EFFICIENCY_TARGET = 0.9
"""Missed by exactly this."""
SUCCESS_TARGET = 0.99

# Upper ends in ms, exclusive.
CATEGORIES: tuple[tuple[float, Category], ...] = (
    (400.0, "excellent"),
    (800.0, "good"),
    (1200.0, "acceptable"),
    (2000.0, "poor"),
)
WORST: Category = "critical"

# Highest mean in ms and highest share of missed targets, both inclusive.
INVESTIGATION: tuple[tuple[float, float, InvestigationCategory], ...] = (
    (800.0, 0.10, "EXCELLENT"),
    (1000.0, 0.20, "GOOD"),
    (1500.0, 0.40, "NEEDS_IMPROVEMENT"),
)


def category(ttfa_ms: float) -> Category:
    """What a time to first audio is called, by `CATEGORIES`; "critical" from 2000 ms on."""
    return next((name for limit, name in CATEGORIES if ttfa_ms < limit), WORST)


def limits(name: str) -> str:
    """Between which times a category lies, in words. Raises ValueError for one that does not exist."""
    place = get_args(Category).index(name) if name in get_args(Category) else -1
    if place < 0:
        raise ValueError(f"no category {name!r}; there are {', '.join(get_args(Category))}")
    ends = [limit for limit, _ in CATEGORIES]
    if place == len(ends):
        return f"{ends[-1]:g} ms or more"
    return f"below {ends[place]:g} ms" if place == 0 else f"{ends[place - 1]:g} to {ends[place]:g} ms"


def investigation_category(mean_ms: float | None, miss_rate: float) -> InvestigationCategory:
    """What many times to first audio are called: by their mean and by the share that missed the target.

    Args:
        mean_ms: None when nothing was measured.
        miss_rate: 0..1.
    """
    if mean_ms is None:
        return "no_data"
    return next((name for mean, miss, name in INVESTIGATION if mean_ms <= mean and miss_rate <= miss), "CRITICAL")


def is_met(ttfa_ms: float, target_ms: float = TTFA_TARGET_MS) -> bool:
    """Whether a target is met; exactly the target meets it."""
    return ttfa_ms <= target_ms
