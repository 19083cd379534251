"""Two saved sessions: what differs, said with care.

Between two sessions the machine changes: with a shift of 3 % a rank test calls two equal servers different in half of
all cases. So a difference is "suspect" at most, and only where machine, versions and workload are equal, both sessions
are VALID, the difference exceeds the relative and the absolute floor, and the two intervals are disjoint. An
interleaved run of both (`firstaudio bench ab`) is what decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from firstaudio.bench.compare.gates import (
    Gate,
    GateResult,
    judge_change,
    judge_limit,
    parse_gates,
    relative_change,
    unjudged,
)
from firstaudio.bench.compare.rounds import ABSOLUTE_FLOORS, RELATIVE_FLOOR
from firstaudio.bench.figures.metrics import METRICS
from firstaudio.bench.result import CellResult, Distribution
from firstaudio.bench.sessions.session import Session
from firstaudio.stats.sample import MIN_SAMPLES, wilson

Finding = Literal["suspect", "no difference", "not judged"]
QUANTILES_COMPARED = ("p50", "p95")
TOTALS_COMPARED = ("asps", "rps")
SUCCESS_FLOOR = 1.0  # percentage points
EXIT_MISSED, EXIT_INVALID = 99, 2


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of a cell in both sessions.

    Attributes:
        figure: As "ttfa_ms.p95" or "asps".
        a: Before; None if it has none (or is infinite).
        b: After.
        change: (b - a) / a; None if it cannot be stated.
        finding: "not judged": no interval, or sessions that cannot be compared.
        is_worse: Whether b is the worse one; None without a difference to speak of.
        sentence: For people.
    """

    figure: str
    a: float | None
    b: float | None
    change: float | None
    finding: Finding
    is_worse: bool | None
    sentence: str


@dataclass(frozen=True, slots=True)
class CellComparison:
    """One condition in both sessions."""

    name: str
    label: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sessions.

    Attributes:
        a: Name of the one that is compared with.
        b: Name of the newer one.
        comparable: Whether differences may be judged at all.
        reasons: Why not, one sentence each.
        cells: Conditions that both have.
        unmatched: Conditions that cannot be compared, with why.
        gates: What `fail_on` gave.
        sentence: The verdict.
    """

    a: str
    b: str
    comparable: bool
    reasons: tuple[str, ...]
    cells: tuple[CellComparison, ...]
    unmatched: tuple[str, ...]
    gates: tuple[GateResult, ...]
    sentence: str

    @property
    def suspects(self) -> list[Difference]:
        """Differences that an interleaved run should look at."""
        return [each for cell in self.cells for each in cell.differences if each.finding == "suspect"]

    @property
    def failed(self) -> bool:
        """A gate failed, or could not be judged: nothing passes unseen."""
        return any(gate.ok is not True for gate in self.gates)

    @property
    def exit_code(self) -> int:
        """0; 99 when a gate failed; 2 when none did but one could not be judged, or there is nothing to compare."""
        if any(gate.ok is False for gate in self.gates):
            return EXIT_MISSED
        return EXIT_INVALID if self.failed or not self.cells else 0


def compare_sessions(a: Session, b: Session, fail_on: Sequence[str] = ()) -> Comparison:
    """What changed from `a` to `b`.

    Args:
        a: The session that is compared with.
        b: The newer one. Gates without % look at it alone.
        fail_on: Gates, see `gates.FORMS`.

    Raises:
        BenchError: A gate cannot be read.
    """
    gates = parse_gates(fail_on)
    reasons = tuple(_incomparable(a, b))
    pairs, unmatched = _match(a, b)
    cells = tuple(CellComparison(y.name, y.label, tuple(_differences(x, y, not reasons))) for x, y in pairs)
    num_suspect = sum(each.finding == "suspect" for cell in cells for each in cell.differences)
    return Comparison(
        a=a.name,
        b=b.name,
        comparable=not reasons,
        reasons=reasons,
        cells=cells,
        unmatched=tuple(unmatched),
        gates=tuple(result for gate in gates for result in _judged(gate, pairs, unmatched, b, reasons)),
        sentence=_sentence(a.name, b.name, reasons, len(cells), num_suspect) if cells else _nothing_common(a, b),
    )


def _incomparable(a: Session, b: Session) -> Iterator[str]:
    """What forbids to compare two sessions."""
    if a.workload_hash != b.workload_hash:
        yield f"the workloads differ ({a.workload_hash}, {b.workload_hash}): repeat one with the command of the other"
    before, after = a.environment.get("fingerprint"), b.environment.get("fingerprint")
    if before is None or after is None:
        yield "a session does not say on which machine and versions it ran"
    elif before != after:
        facts = list(_changed(a.environment, b.environment))
        yield f"machine or versions differ: {'; '.join(facts) or f'fingerprints {before} and {after}'}"
    for session in (a, b):
        if not session.valid:
            yield f"{session.name} is INVALID: {session.reasons[0]}"


def _changed(a: Mapping[str, Any], b: Mapping[str, Any], room: str = "") -> Iterator[str]:
    """Facts of machine and software that differ."""
    for name in sorted({*a, *b} if room else {"machine", "software"} & {*a, *b}):
        before, after = a.get(name), b.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changed(before, after, f"{room}{name} ")
        elif before != after:
            yield f"{room}{name} {before} / {after}"


def _match(a: Session, b: Session) -> tuple[list[tuple[CellResult, CellResult]], list[str]]:
    """Cells of both by name, else by their axes; only those with the same label."""
    pairs, unmatched, left = [], [], {cell.name: cell for cell in a.cells}
    for cell in b.cells:
        other = left.get(cell.name) or next((x for x in left.values() if cell.axes and x.axes == cell.axes), None)
        if other is None:
            unmatched.append(f"{cell.name} is only in {b.name}")
            continue
        del left[other.name]
        if other.label == cell.label:
            pairs.append((other, cell))
        else:
            unmatched.append(f"{cell.name} is {other.label} in {a.name} and {cell.label} in {b.name}")
    return pairs, unmatched + [f"{name} is only in {a.name}" for name in left]


def _differences(a: CellResult, b: CellResult, comparable: bool) -> Iterator[Difference]:
    for metric, floor in ABSOLUTE_FLOORS.items():
        for name in QUANTILES_COMPARED:
            if metric in a.distributions and metric in b.distributions:
                before, after = (_range(cell.distributions[metric], name) for cell in (a, b))
                yield _difference(f"{metric}.{name}", metric, before, after, floor, comparable)
    for metric in TOTALS_COMPARED:
        ranges = [(cell.totals.get(metric), None, None) for cell in (a, b)]
        yield _difference(metric, metric, ranges[0], ranges[1], 0.0, comparable)
    yield _difference("success_rate", "success_rate", _success(a), _success(b), SUCCESS_FLOOR, comparable)


Range = tuple[float | None, float | None, float | None]
"""Value and interval; infinite ends are infinite."""


def _range(distribution: Distribution, name: str) -> Range:
    """Without an interval no end is given; an open end of one that exists is infinite."""
    estimate = distribution.quantiles[name]
    value = math.inf if estimate.infinite else estimate.value
    if value is None or distribution.n < MIN_SAMPLES[name]:
        return value, None, None
    low, high = (math.inf if end is None else end for end in (estimate.low, estimate.high))
    return value, low, high


def _success(cell: CellResult) -> Range:
    n = cell.ok + cell.failed
    low, high = wilson(cell.ok, n)
    return (100 * cell.ok / n, 100 * low, 100 * high) if n else (None, None, None)


def _difference(figure: str, metric: str, a: Range, b: Range, floor: float, comparable: bool) -> Difference:
    before, after = a[0], b[0]
    change = None if before is None or after is None else relative_change(before, after)
    finding = _finding(a, b, floor, RELATIVE_FLOOR if metric != "success_rate" else 0.0) if comparable else "not judged"
    worse = None
    if finding == "suspect" and before is not None and after is not None:
        worse = (after > before) == (METRICS[metric].better == "lower")
    change = change if change is not None and math.isfinite(change) else None
    words = f"{figure} {_shown(before)} to {_shown(after)}" + (f" ({change:+.1%})" if change is not None else "")
    advice = "; suspect, an interleaved run (`firstaudio bench ab`) decides" if finding == "suspect" else f"; {finding}"
    return Difference(figure, _finite(before), _finite(after), change, finding, worse, words + advice)


def _finding(a: Range, b: Range, floor: float, relative_floor: float) -> Finding:
    (before, low_a, high_a), (after, low_b, high_b) = a, b
    if before is None or after is None or low_a is None or high_a is None or low_b is None or high_b is None:
        return "not judged"
    change = relative_change(before, after)
    exceeds = change is not None and abs(change) > relative_floor and abs(after - before) > floor
    return "suspect" if exceeds and (high_a < low_b or high_b < low_a) else "no difference"


def _shown(figure: float | None) -> str:
    return "n/a" if figure is None else f"{figure:.4g}"


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None


def _judged(
    gate: Gate,
    pairs: Sequence[tuple[CellResult, CellResult]],
    unmatched: Sequence[str],
    b: Session,
    reasons: Sequence[str],
) -> Iterator[GateResult]:
    """A gate at every cell; one that passes on figures that may not be quoted has not passed."""
    if not gate.is_change:
        if not b.cells:
            yield unjudged(gate, f"{b.name} has no cells")
        for cell in b.cells:
            result = judge_limit(gate, cell)
            invalid = result.ok and not cell.valid
            yield unjudged(gate, f"{cell.name} is INVALID") if invalid else result
        return
    if reasons or not pairs:
        yield unjudged(gate, reasons[0] if reasons else "no condition is in both sessions")
        return
    yield from (judge_change(gate, before, after) for before, after in pairs)
    yield from (unjudged(gate, why) for why in unmatched)


def _nothing_common(a: Session, b: Session) -> str:
    held = (f"{s.name} has {', '.join(cell.name for cell in s.cells) or 'no cells'}" for s in (a, b))
    return f"{b.name} cannot be compared with {a.name}: no condition is in both ({'; '.join(held)})."


def _sentence(a: str, b: str, reasons: Sequence[str], num_cells: int, num_suspect: int) -> str:
    if reasons:
        return f"{b} cannot be compared with {a}: {reasons[0]}."
    if num_suspect:
        differences = "difference" if num_suspect == 1 else "differences"
        found = f"{num_suspect} suspect {differences} in {num_cells} cells"
        return f"{b} against {a}: {found}; run both interleaved to decide."
    return f"{b} against {a}: no difference beyond the floors in {num_cells} cells."
