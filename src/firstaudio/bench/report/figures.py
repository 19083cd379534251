"""How figures are written, and which of them are best: shared by every report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from firstaudio.bench.figures.metrics import METRICS
from firstaudio.bench.result import CellResult, Estimate

NOT_AVAILABLE = "n/a"
QUANTILES = ("p50", "p90", "p95", "p99")
AXIS_TITLES = {"concurrency": "Conc", "rate_per_s": "Rate/s", "text_class": "Text", "speed": "Speed"}


def title(metric: str) -> str:
    """What people call a metric, without its unit."""
    known = METRICS.get(metric)
    return known.title if known else metric.removesuffix("_ms").replace("_", " ").capitalize()


def unit(metric: str) -> str:
    """Printed behind a figure: of times and shares; rates and ratios have theirs in the title."""
    known = METRICS.get(metric)
    return known.unit if known and known.unit in ("ms", "s", "%") else ""


def number(value: float | None, unit: str = "") -> str:
    """About four significant digits; counts as they are; shares with one decimal; None is `n/a`."""
    if value is None:
        return NOT_AVAILABLE
    if unit == "%":
        return f"{value:.1f} %"
    return f"{_digits(value)} {unit}".rstrip()


def _digits(value: float) -> str:
    size = abs(value)
    if isinstance(value, int) or size >= 1000 or size == 0:
        return f"{value:.0f}"
    if 0 < size < 0.001:
        return f"{value:.2g}"
    return f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4}f}"


def estimate(figure: Estimate | None, unit: str = "", *, interval: bool = False) -> str:
    """A quantile in words: its value, `n/a (needs N)` or `inf (failures)`; with its 95 % interval if asked."""
    if figure is None:
        return NOT_AVAILABLE
    if figure.infinite:
        return "inf (failures)"
    if figure.value is None:
        return NOT_AVAILABLE if figure.needs is None else f"{NOT_AVAILABLE} (needs {figure.needs})"
    shown = number(figure.value, unit)
    return f"{shown} ({_interval(figure)})" if interval and figure.low is not None else shown


def _interval(figure: Estimate) -> str:
    return f"{number(figure.low)}–{'inf' if figure.high is None else number(figure.high)}"


def quantile(cell: CellResult, metric: str, name: str) -> Estimate | None:
    """A quantile of a metric of a cell; None if the cell has no such metric."""
    distribution = cell.distributions.get(metric)
    return None if distribution is None else distribution.quantiles.get(name)


def concurrency(cell: CellResult) -> str | int | float | None:
    """Clients of the cell; None if nothing says so."""
    stated: int | None = cell.cell.get("load", {}).get("concurrency")
    return cell.axes.get("concurrency", stated)


def varying_axes(cells: Iterable[CellResult]) -> list[str]:
    """The axes by which the cells differ, concurrency first; `["concurrency"]` if they differ by none."""
    values: dict[str, list[object]] = {}
    shown = list(cells)
    for cell in shown:
        for name in cell.axes:
            values.setdefault(name, [each.axes.get(name) for each in shown])
    varying = [name for name, column in values.items() if len(set(column)) > 1]
    varying.sort(key=lambda name: name != "concurrency")
    return varying or ["concurrency"]


def axis_value(cell: CellResult, axis: str) -> str:
    """Where a cell lies on an axis; empty if nowhere."""
    value = concurrency(cell) if axis == "concurrency" else cell.axes.get(axis)
    return "" if value is None else number(value) if isinstance(value, float) else str(value)


def place(cell: CellResult, axes: Sequence[str]) -> str:
    """Where a cell lies, in words: "concurrency 4", or its name where more than one thing varies."""
    if len(axes) == 1 and axis_value(cell, axes[0]):
        return f"{axes[0].replace('_', ' ')} {axis_value(cell, axes[0])}"
    return cell.name


def target_of(cell: CellResult) -> str:
    """Name of the target that spoke; empty if the cell does not say."""
    return str(cell.cell.get("target", {}).get("name") or cell.axes.get("target") or "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A figure of which the best cell is named.

    Attributes:
        quantile: Of a distribution; None for a total.
    """

    heading: str
    metric: str
    better: Literal["lower", "higher"]
    quantile: str | None = None

    def figure(self, cell: CellResult) -> Estimate | None:
        """Of one cell; None if the cell has no such figure."""
        if self.quantile is not None:
            return quantile(cell, self.metric, self.quantile)
        total = cell.totals.get(self.metric)
        return None if total is None else Estimate(total)


BEST = (
    Wanted("Highest ASPS", "asps", "higher"),
    Wanted("Lowest RTF", "rtf_mean", "lower"),
    Wanted("Highest RPS", "rps", "higher"),
    Wanted("Lowest TTFA p95", "ttfa_ms", "lower", "p95"),
)
MEDIAN_TTFA = Wanted("Lowest TTFA p50", "ttfa_ms", "lower", "p50")
NOTHING_MEASURED = "Nothing can be called best: no cell is valid, complete and has a success."


@dataclass(frozen=True, slots=True)
class Best:
    """The best figure of a session.

    Attributes:
        value: As text; `n/a (needs N)` where no cell has the figure.
        where: In words; empty where no cell has it.
    """

    heading: str
    value: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.heading}: {self.value}" + (f" at {self.where}" if self.where else "")


def best_figures(cells: Sequence[CellResult]) -> list[Best]:
    """The best of each wanted figure, apart for each label: cold, warm and cached results are never mixed.

    Cells without a success, invalid or interrupted ones, and figures that are not available or infinite never win.
    Empty if nothing can.
    """
    fit = [cell for cell in cells if cell.ok and cell.valid and cell.completed]
    labels = sorted({cell.label for cell in fit})
    axes = varying_axes(cells)
    found = []
    for label in labels:
        group = [cell for cell in fit if cell.label == label]
        found += _best_of(group, axes, f" ({label})" if len(labels) > 1 else "")
    return found


def _best_of(cells: Sequence[CellResult], axes: Sequence[str], suffix: str) -> list[Best]:
    found = [_best(wanted, cells, axes, suffix) for wanted in BEST]
    if not found[-1].where:
        found.append(_best(MEDIAN_TTFA, cells, axes, suffix))
    return found


def _best(wanted: Wanted, cells: Sequence[CellResult], axes: Sequence[str], suffix: str) -> Best:
    figures = [(wanted.figure(cell), cell) for cell in cells]
    known = [(f.value, cell) for f, cell in figures if f is not None and f.value is not None and not f.infinite]
    if not known:
        return Best(wanted.heading + suffix, estimate(next((f for f, _ in figures if f is not None), None)))
    pick = min if wanted.better == "lower" else max
    value, cell = pick(known, key=lambda pair: pair[0])
    return Best(wanted.heading + suffix, number(value, unit(wanted.metric)), place(cell, axes))


def by_target(cells: Iterable[CellResult]) -> Mapping[str, list[CellResult]]:
    """Cells by the name of their target, in order of running."""
    groups: dict[str, list[CellResult]] = {}
    for cell in cells:
        groups.setdefault(target_of(cell), []).append(cell)
    return groups
