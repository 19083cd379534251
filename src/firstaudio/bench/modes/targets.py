"""Modes that have targets of their own (`firstaudio.slo`): what was measured, beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firstaudio.bench.result import CellResult, Estimate
from firstaudio.bench.workload import Goals
from firstaudio.slo import EFFICIENCY_TARGET, FIRST_CHUNK_TARGET_MS, is_met

Judged = dict[str, Any]


def streaming_targets(cells: Sequence[CellResult], goals: Goals) -> Judged:
    """Streaming efficiency and the first chunk of every cell, as JSON.

    `efficiency_met` is of the mean, `first_chunk_met` of the median, as a category is. Both are None where there is no
    figure, and for answers that were not streamed: a whole file plays without a gap.
    """
    targets = {"efficiency_percent": 100 * EFFICIENCY_TARGET, "first_chunk_ms": FIRST_CHUNK_TARGET_MS}
    return {**targets, "buffer_ms": goals.buffer_ms, "cells": {cell.name: _streamed(cell) for cell in cells}}


def _streamed(cell: CellResult) -> Judged:
    efficiency, first = cell.totals.get("streaming_efficiency_mean"), _median_ttfa(cell)
    is_streamed = cell.cell.get("target", {}).get("delivery", "stream") != "whole"
    met = None if efficiency is None else efficiency > 100 * EFFICIENCY_TARGET
    return {
        "n": cell.ok + cell.failed,
        "streamed": is_streamed,
        "efficiency_percent": efficiency,
        "efficiency_met": met if is_streamed else None,
        "first_chunk_ms": first.value,
        "first_chunk_rate_percent": cell.totals.get("first_chunk_rate"),
        "first_chunk_met": _below(first, FIRST_CHUNK_TARGET_MS) if is_streamed else None,
    }


def scenario_targets(cells: Sequence[CellResult], goals: Goals) -> Judged:
    """TTFA of every cell of a scenario beside the target of that scenario, as JSON; `met` is of the median."""
    return {cell.name: _scenario(cell, goals) for cell in cells if "scenario" in cell.axes}


def _scenario(cell: CellResult, goals: Goals) -> Judged:
    target_ms, median = cell.ttfa_target_ms(goals.ttfa_ms), _median_ttfa(cell)
    return {
        "scenario": cell.axes["scenario"],
        "target_ms": target_ms,
        "n": cell.ok + cell.failed,
        "median_ms": median.value,
        "attainment_percent": cell.totals.get("target_attainment"),
        "met": False if median.infinite else None if median.value is None else is_met(median.value, target_ms),
    }


def _below(median: Estimate, limit_ms: float) -> bool | None:
    if median.infinite:
        return False
    return None if median.value is None else median.value < limit_ms


def _median_ttfa(cell: CellResult) -> Estimate:
    spread = cell.distributions.get("ttfa_ms")
    return Estimate(None) if spread is None else spread.median
