"""Limits that a user states for a session or for its change against another: `ttfa_ms.p95>300`, `asps<-10%`.

A gate says what is *not* wanted: it fails when its expression holds. One that cannot be judged has not passed.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from firstaudio.bench.figures.metrics import METRICS
from firstaudio.bench.result import CellResult, Distribution, Estimate
from firstaudio.bench.sessions.session import Session
from firstaudio.errors import BenchError
from firstaudio.stats.sample import QUANTILES

OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
PLAIN = {"mean": "mean", "min": "minimum", "max": "maximum"}
STATISTICS = (*QUANTILES, *PLAIN)
FORMS = (
    "accepted are a limit ('ttfa_ms.p95>300', 'success_rate<99') and a change from one session to the other "
    "('ttfa_ms.p95>5%', 'asps<-10%')"
)
_EXPRESSION = re.compile(r"\s*(\w+)(?:\.(\w+))?\s*(<=|>=|<|>)\s*([+-]?\d+(?:\.\d+)?)\s*(%?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit.

    Attributes:
        expression: As the user wrote it.
        metric: Name of a metric.
        statistic: One of `STATISTICS` for a request metric, None for a cell metric.
        comparison: One of `OPERATORS`.
        limit: In the metric's unit; of a change, in %.
        is_change: Whether it needs two sessions.
    """

    expression: str
    metric: str
    statistic: str | None
    comparison: str
    limit: float
    is_change: bool

    @property
    def figure(self) -> str:
        """What it looks at."""
        return f"{self.metric}.{self.statistic}" if self.statistic else self.metric

    def holds(self, found: float) -> bool:
        """Whether what is not wanted is there."""
        return bool(OPERATORS[self.comparison](found, self.limit))


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate at one cell.

    Attributes:
        expression: Of the gate.
        cell: Name of the cell; empty where there is none.
        ok: False when it failed, None when it could not be judged.
        sentence: With numbers.
    """

    expression: str
    cell: str
    ok: bool | None
    sentence: str


def parse_gates(expressions: Sequence[str], *, changes: bool = True) -> tuple[Gate, ...]:
    """The gates that a user states.

    Args:
        expressions: As they were written.
        changes: Whether there are two sessions, so that a change can be judged.

    Raises:
        BenchError: An expression cannot be read, or would hold though nothing changed.
    """
    gates = tuple(map(_parse, expressions))
    for gate in gates:
        if gate.is_change and not changes:
            raise BenchError(_needs_two(gate))
    return gates


def failed_gates(session: Session, gates: Sequence[Gate]) -> list[str]:
    """One sentence for each gate and cell of one session that missed its limit.

    Raises:
        BenchError: A gate is about a change between two sessions.
    """
    return [result.sentence for result in _limits(session, gates) if result.ok is False]


def unjudged_gates(session: Session, gates: Sequence[Gate]) -> list[str]:
    """One sentence for each gate and cell of one session that cannot be judged: neither passed nor missed.

    Raises:
        BenchError: A gate is about a change between two sessions.
    """
    return [result.sentence for result in _limits(session, gates) if result.ok is None]


def _limits(session: Session, gates: Sequence[Gate]) -> list[GateResult]:
    """Every gate at every cell."""
    for gate in gates:
        if gate.is_change:
            raise BenchError(_needs_two(gate))
    if not session.cells:
        return [unjudged(gate, f"{session.name} has no cells") for gate in gates]
    return [judge_limit(gate, cell) for gate in gates for cell in session.cells]


def judge_limit(gate: Gate, cell: CellResult) -> GateResult:
    """A gate with a limit, at one cell."""
    found = read(cell, gate)
    if found is None:
        return _unjudged(gate, cell.name, f"{gate.figure} is {_why_missing(cell, gate)}")
    failed = gate.holds(found)
    unit = METRICS[gate.metric].unit
    sentence = f"{cell.name}: {gate.figure} is {found:.4g} {unit}".rstrip()
    return GateResult(gate.expression, cell.name, not failed, f"{sentence}; {_wanted(gate)}")


def judge_change(gate: Gate, a: CellResult, b: CellResult) -> GateResult:
    """A gate about a change, at one cell of two sessions."""
    before, after = read(a, gate), read(b, gate)
    change = None if before is None or after is None else relative_change(before, after)
    if change is None:
        lacking = b if after is None else a
        why = f"{gate.figure} is {_why_missing(lacking, gate)}" if before is None or after is None else "both fail"
        return _unjudged(gate, b.name, why)
    failed = gate.holds(100 * change)
    sentence = f"{b.name}: {gate.figure} went from {before:.4g} to {after:.4g} ({100 * change:+.1f} %)"
    return GateResult(gate.expression, b.name, not failed, f"{sentence}; {_wanted(gate)}")


def unjudged(gate: Gate, why: str) -> GateResult:
    """A gate for which there is nothing to look at."""
    return _unjudged(gate, "", why)


def relative_change(before: float, after: float) -> float | None:
    """(after - before) / before; infinite from 0 on; None between two failures."""
    if before == after:
        return None if math.isinf(before) else 0.0
    if math.isinf(before):
        return -1.0
    return (after - before) / before if before else math.inf


def read(cell: CellResult, gate: Gate) -> float | None:
    """The figure of a cell; infinite where it is a failure.

    A cell without a success has no totals: it counts as worst, so that its gates fail and are not passed over.
    """
    metric = METRICS[gate.metric]
    if gate.statistic is None:
        found = cell.totals.get(gate.metric)
        return metric.of_failure if found is None and not cell.ok and cell.failed else found
    distribution = cell.distributions.get(gate.metric)
    return None if distribution is None else _statistic(distribution, gate.statistic)


def _statistic(distribution: Distribution, name: str) -> float | None:
    if name in PLAIN:
        found: float | None = getattr(distribution, PLAIN[name])
        return found
    estimate: Estimate = distribution.quantiles[name]
    return math.inf if estimate.infinite else estimate.value


def _parse(expression: str) -> Gate:
    parts = _EXPRESSION.fullmatch(expression)
    if parts is None:
        raise BenchError(f"cannot read the condition {expression!r}: {FORMS}")
    metric, statistic, comparison, limit, percent = parts.groups()
    if metric not in METRICS:
        raise BenchError(f"no metric is called {metric!r} in {expression!r}: take one of {', '.join(METRICS)}")
    gate = Gate(expression.strip(), metric, statistic, comparison, float(limit), bool(percent))
    for fault in _faults(gate):
        raise BenchError(f"{expression!r} {fault}")
    return gate


def _faults(gate: Gate) -> Iterator[str]:
    is_request = METRICS[gate.metric].of_request is not None
    if is_request and gate.statistic not in STATISTICS:
        yield f"must say of what: {', '.join(f'{gate.metric}.{name}' for name in STATISTICS)}"
    if not is_request and gate.statistic is not None:
        yield f"asks for a statistic, but {gate.metric} is one figure for the whole cell: write {gate.metric!r} alone"
    if gate.is_change and gate.holds(0.0):
        yield f"holds when nothing has changed: with % it is about a change; {FORMS}"


def _needs_two(gate: Gate) -> str:
    return (
        f"{gate.expression!r} is about a change between two sessions: state a limit without %, "
        "or use `firstaudio sessions compare`"
    )


def _wanted(gate: Gate) -> str:
    return f"the condition was {gate.expression}"


def _why_missing(cell: CellResult, gate: Gate) -> str:
    """Why a cell lacks a figure, in words."""
    distribution = cell.distributions.get(gate.metric)
    needs = distribution.quantiles[gate.statistic].needs if distribution and gate.statistic in QUANTILES else None
    return f"n/a (needs {needs} requests)" if needs else "not there"


def _unjudged(gate: Gate, cell: str, why: str) -> GateResult:
    place = f"{cell}: " if cell else ""
    return GateResult(gate.expression, cell, None, f"{place}{gate.expression} cannot be judged: {why}")
