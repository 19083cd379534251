"""From the records of a cell to its result; pure, so that a saved session can be computed again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median

from firstaudio.bench.figures.checks import check_all
from firstaudio.bench.figures.formulas import Window
from firstaudio.bench.figures.metrics import CELL_METRICS, REQUEST_METRICS, Metric, total, value
from firstaudio.bench.figures.stats import quantile_estimate
from firstaudio.bench.figures.windows import steady, window_of
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.result import CellResult, ClientSide, Distribution
from firstaudio.bench.workload import Cell, Goals
from firstaudio.stats.sample import QUANTILES

SUMS = frozenset({"ttfa", "total"})  # usual names in `Server-Timing` for all stages together


def summarise(
    cell: Cell,
    records: Sequence[RequestRecord],
    goals: Goals,
    *,
    client: ClientSide | None = None,
    server: Mapping[str, float | None] | None = None,
    quality: Mapping[str, float | None] | None = None,
    completed: bool = True,
) -> CellResult:
    """Every figure of a cell, and whether they may be quoted.

    Args:
        cell: What was asked for.
        records: Of the cell, those of the warm-up too: they are left out.
        goals: What a listener expects; a target of the cell's own comes before that.
        client: How the harness fared; None: not known, and the checks that need it are not judged.
        server: Resources of the server's process tree.
        quality: Findings over the cell.
        completed: Whether the load ran to its end.
    """
    goals = cell.goals(goals)
    counted = list(measured(records))
    cancelled = sum(record.phase == "measured" and record.cancelled for record in records)
    failures = Counter(record.outcome for record in counted if not record.ok)
    window = window_of(cell, counted)
    whole, flow = (counted, window), steady(cell, records, counted)
    result = CellResult(
        name=cell.name,
        axes=dict(cell.axes),
        label=cell.label,
        cell=cell.public(),
        window_s=window.seconds,
        issued=len(counted) + cancelled,
        ok=sum(record.ok for record in counted),
        failed=sum(not record.ok for record in counted),
        cancelled=cancelled,
        failures={str(kind): count for kind, count in sorted(failures.items())},
        distributions=distributions(counted, goals),
        totals={
            name: total(name, *(flow if metric.of_flow else whole), goals) for name, metric in CELL_METRICS.items()
        },
        quality=dict(quality or {}),
        stages_ms=_stages_ms(counted),
        server=server,
        client=client,
        completed=completed,
    )
    return _checked(result, cell, counted, window)


def _checked(result: CellResult, cell: Cell, counted: Sequence[RequestRecord], window: Window) -> CellResult:
    return replace(result, checks=tuple(check_all(result, cell, counted, window)))


def distributions(counted: Sequence[RequestRecord], goals: Goals) -> dict[str, Distribution]:
    """Of every request metric that at least one request has; a metric that only failures would have is kept too."""
    found = {metric.name: _distribution(metric, counted, goals) for metric in REQUEST_METRICS.values()}
    return {name: distribution for name, distribution in found.items() if distribution is not None}


def _distribution(metric: Metric, counted: Sequence[RequestRecord], goals: Goals) -> Distribution | None:
    values = [each for record in counted if record.ok and (each := value(metric.name, record, goals)) is not None]
    num_failed = sum(not record.ok for record in counted)
    samples = values if metric.of_failure is None else values + [metric.of_failure] * num_failed
    if not samples:
        return None
    return Distribution(
        n=len(values) + num_failed,
        num_failed=num_failed,
        mean=fmean(values) if values else None,
        minimum=min(values, default=None),
        maximum=max(values, default=None),
        quantiles={name: quantile_estimate(samples, q) for name, q in QUANTILES.items()},
    )


def _stages_ms(counted: Sequence[RequestRecord]) -> dict[str, float]:
    """Median of each stage that the target reports, over its successes."""
    stages: dict[str, list[float]] = defaultdict(list)
    for record in counted:
        for name, took_ms in record.server_timing_ms.items() if record.ok else ():
            if name not in SUMS:
                stages[name].append(took_ms)
    return {name: median(values) for name, values in stages.items()}
