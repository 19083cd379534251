"""Comparing: two targets round by round inside one session, two saved sessions, and limits stated by the user."""

from firstaudio.bench.compare.gates import Gate, GateResult, failed_gates, parse_gates, unjudged_gates
from firstaudio.bench.compare.rounds import AbResult, MetricVerdict, Pair, compare_rounds, pair_up
from firstaudio.bench.compare.sessions import CellComparison, Comparison, Difference, compare_sessions

__all__ = [
    "AbResult",
    "CellComparison",
    "Comparison",
    "Difference",
    "Gate",
    "GateResult",
    "MetricVerdict",
    "Pair",
    "compare_rounds",
    "compare_sessions",
    "failed_gates",
    "pair_up",
    "parse_gates",
    "unjudged_gates",
]
