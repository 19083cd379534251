"""How figures are written, and which of them are best: shared by every report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from firstaudio.bench.figures.metrics import METRICS
from firstaudio.bench.result import CellResult, Estimate

NOT_AVAILABLE = "n/a"
UNUSED = "-"
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


def is_open(cell: CellResult) -> bool:
    """Whether requests came by a schedule, whatever the target did; its `concurrency` is only an upper limit then."""
    return bool(cell.cell.get("load", {}).get("arrival", "closed") != "closed")


def varying_axes(cells: Iterable[CellResult]) -> list[str]:
    """The axes by which the cells differ, the load first; the load (`["concurrency"]`) if they differ by none."""
    shown = list(cells)
    load, other = ("rate_per_s", "concurrency") if shown and all(map(is_open, shown)) else ("concurrency", "")
    names = dict.fromkeys(name for cell in shown for name in cell.axes if name != other)
    varying = [name for name in names if len({axis_value(cell, name) for cell in shown}) > 1]
    varying.sort(key=lambda name: name != load)
    return varying or [load]


def axis_value(cell: CellResult, axis: str) -> str:
    """Where a cell lies on an axis; where its plan does not say, what was used; empty if nothing tells."""
    value = cell.axes.get(axis)
    if value is None or axis == "rate_per_s":
        value = _used(cell.cell, axis) or value
    if value is None and cell.cell:
        return UNUSED
    return "" if value is None else str(value)


def _used(plan: Mapping[str, Any], axis: str) -> str | float | None:
    """What a cell was measured with on an axis, by its whole plan."""
    load, texts, target = (plan.get(name) or {} for name in ("load", "texts", "target"))
    found = {
        "concurrency": load.get("concurrency"),
        "rate_per_s": _rate(load),
        "text_class": "own" if texts.get("custom") else ", ".join(texts.get("classes", ())) or None,
        "delivery": target.get("delivery"),
        "target": target.get("name"),
        "speed": plan.get("speed"),
        "voice": plan.get("voice"),
    }
    value: str | float | None = found.get(axis)
    return value


def _rate(load: Mapping[str, Any]) -> str | None:
    """As "5", or "1-9" of a ramp; None where no rate was set."""
    ends = [f"{rate:g}" for rate in (load.get("start_rate_per_s"), load.get("rate_per_s")) if rate]
    return "–".join(ends) or None


def place(cell: CellResult, axes: Sequence[str]) -> str:
    """Where a cell lies, in words: "concurrency 4", "5/s", or its name where more than one thing varies."""
    where = axis_value(cell, axes[0]) if len(axes) == 1 else ""
    if where in ("", UNUSED):
        return cell.name
    return f"{where}/s" if axes[0] == "rate_per_s" else f"{axes[0].replace('_', ' ')} {where}"


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

    def fits(self, cell: CellResult) -> bool:
        """Whether the cell may win: a latency of those that were not refused is no merit."""
        return self.quantile is None or not cell.failed

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

    Cells without a success, invalid or interrupted ones, and figures that are not available or infinite never win;
    nor do cells with failures win a latency. Empty if nothing can, and where cells differ in more than one thing.
    """
    fit = [cell for cell in cells if cell.ok and cell.valid and cell.completed]
    axes = varying_axes(cells)
    if len(axes) > 1:
        return []
    labels = sorted({cell.label for cell in fit})
    among = "" if all(cell.valid for cell in cells) else ", of the valid cells"
    found = []
    for label in labels:
        group = [cell for cell in fit if cell.label == label]
        found += _best_of(group, axes, f" ({label})" if len(labels) > 1 else "", among)
    return found


def _best_of(cells: Sequence[CellResult], axes: Sequence[str], suffix: str, among: str) -> list[Best]:
    found = [_best(wanted, cells, axes, suffix, among) for wanted in BEST]
    if found[-1] is None or not found[-1].where:
        found.append(_best(MEDIAN_TTFA, cells, axes, suffix, among))
    return [best for best in found if best is not None]


def _best(wanted: Wanted, cells: Sequence[CellResult], axes: Sequence[str], suffix: str, among: str) -> Best | None:
    figures = [(figure, cell) for cell in cells if wanted.fits(cell) and (figure := wanted.figure(cell)) is not None]
    known = [(f.value, cell) for f, cell in figures if f.value is not None and not f.infinite]
    if not known:
        missing = next((figure for figure, _ in figures if not figure.infinite), None)
        return None if missing is None else Best(wanted.heading + suffix, estimate(missing))
    pick = min if wanted.better == "lower" else max
    value, cell = pick(known, key=lambda pair: pair[0])
    return Best(wanted.heading + suffix, number(value, unit(wanted.metric)), place(cell, axes) + among)


def by_target(cells: Iterable[CellResult]) -> Mapping[str, list[CellResult]]:
    """Cells by the name of their target, in order of running."""
    groups: dict[str, list[CellResult]] = {}
    for cell in cells:
        groups.setdefault(target_of(cell), []).append(cell)
    return groups
