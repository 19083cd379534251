"""What the written reports lay out alike: columns of their tables, metrics worth a table, and grouped sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from firstaudio.bench.figures.metrics import METRICS
from firstaudio.bench.report.figures import (
    AXIS_TITLES,
    NOT_AVAILABLE,
    UNUSED,
    axis_value,
    concurrency,
    estimate,
    is_open,
    number,
    quantile,
    title,
    varying_axes,
)
from firstaudio.bench.report.findings import Block
from firstaudio.bench.result import CellResult, Distribution, Estimate

SCHEDULED = "scheduled_ttfa_ms"
MATTER = ("ttfa_ms", "audible_ttfa_ms", "ttgp_ms", "preroll_ms", "latency_ms", "rtf")
NO_RESULT = ("rtfx", "characters", SCHEDULED)  # RTF again, what was asked, and TTFA again in a closed loop
EXPLAINED = ("ttfa_ms", "ttgp_ms", "preroll_ms", "asps", "rtf", "rps", "cps")
FLOOR = ("Floor", "median TTFA of the same client against a server that answers at once: what the client itself costs")
KILO = {"B/s": "kB/s"}  # units whose figures are shown in thousands
CHUNKS = ("chunk_interval_p50_ms", "chunk_interval_p95_ms", "chunk_audio_ms", "num_chunks")
MAX_NAMED = 6
MAX_AXES = 2  # beside the figures of a table
NAME = "cell"  # in place of axes
MAX_LINES = 8  # in one chart: more cannot be told apart by colour


def axis_title(axis: str) -> str:
    """Of a column."""
    return AXIS_TITLES.get(axis, axis.replace("_", " ").capitalize())


def axis_text(cell: CellResult, axis: str) -> str:
    """Where a cell lies on an axis; for a rate, with the way in which requests arrive."""
    if axis == NAME:
        return cell.name
    value = axis_value(cell, axis)
    if axis != "rate_per_s" or not is_open(cell):
        return value
    arrival = str(cell.cell["load"]["arrival"])
    return arrival if value in ("", UNUSED) else f"{value} {arrival}"


def placed_by(cells: Sequence[CellResult]) -> tuple[list[str], list[str]]:
    """Axes of the first table and of the second: many axes leave no room for figures, a name says what matters."""
    axes = varying_axes(cells)
    return (axes, axes) if len(axes) <= MAX_AXES else ([NAME], [NAME, *axes])


def unit_of(metric: str) -> str:
    """As it is printed; empty for a pure number."""
    unit = METRICS[metric].unit if metric in METRICS else "ms" if metric.endswith("_ms") else ""
    return KILO.get(unit, unit)


def heading(metric: str) -> str:
    """A metric with its unit."""
    return f"{title(metric)}, {unit_of(metric)}" if unit_of(metric) else title(metric)


def in_units(spread: Distribution, metric: str) -> Distribution:
    """A distribution in the unit that is printed."""
    if metric not in METRICS or METRICS[metric].unit not in KILO:
        return spread
    mean, minimum, maximum = map(_thousandth, (spread.mean, spread.minimum, spread.maximum))
    quantiles = {
        name: replace(e, value=_thousandth(e.value), low=_thousandth(e.low), high=_thousandth(e.high))
        for name, e in spread.quantiles.items()
    }
    return replace(spread, quantiles=quantiles, mean=mean, minimum=minimum, maximum=maximum)


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of every cell.

    Attributes:
        quantile: Of a distribution; empty for a total; "floor" for the client's own.
    """

    metric: str
    quantile: str = ""

    @property
    def title(self) -> str:
        """Without the unit."""
        return "Floor" if self.quantile == "floor" else f"{title(self.metric)} {self.quantile}".strip()

    @property
    def unit(self) -> str:
        """Beside the title; shares have theirs beside each figure."""
        return "" if unit_of(self.metric) == "%" else unit_of(self.metric)

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def text(self, cell: CellResult) -> str:
        """The figure of one cell."""
        if self.quantile == "floor":
            return number(cell.client.floor.p50_ms if cell.client and cell.client.floor else None)
        if self.quantile:
            return estimate(self._estimate(cell))
        return number(cell.totals.get(self.metric), "%" if unit_of(self.metric) == "%" else "")

    def known(self, cells: Iterable[CellResult]) -> bool:
        """Whether any cell has the figure: a quantile that is a failure is one, too."""
        if self.quantile in ("", "floor"):
            return any(self.text(cell) != NOT_AVAILABLE for cell in cells)
        return any(e.infinite or e.value is not None for cell in cells if (e := self._estimate(cell)))

    def _estimate(self, cell: CellResult) -> Estimate | None:
        return None if self.metric == SCHEDULED and not is_open(cell) else quantile(cell, self.metric, self.quantile)


FIRST = (
    Column(SCHEDULED, "p50"),
    Column(SCHEDULED, "p95"),
    Column("ttfa_ms", "p50"),
    Column("ttfa_ms", "p95"),
    Column("ttfa_ms", "floor"),
    Column("asps"),
    Column("rtf_mean"),
    Column("rps"),
    Column("success_rate"),
)
SECOND = tuple(map(Column, ("rtf_median", "cps", "target_attainment", "goodput", "gapless_share")))


def known_columns(columns: Sequence[Column], cells: Sequence[CellResult]) -> list[Column]:
    """Those with a figure in any cell; the columns that everybody looks for stay, even without one."""
    always = ("asps", "rtf_mean", "rps", "success_rate")
    return [c for c in columns if c.metric in always or c == Column("ttfa_ms", "p50") or c.known(cells)]


def metrics_shown(cells: Sequence[CellResult]) -> list[str]:
    """Metrics with a table of percentiles: those that matter, in open loops scheduled TTFA first, and what varies."""
    present = list(dict.fromkeys(name for cell in cells for name in cell.distributions))
    first = [SCHEDULED] if SCHEDULED in present and any(map(is_open, cells)) else []
    others = [name for name in present if name not in (*MATTER, *NO_RESULT) and _varies(name, cells)]
    return [*first, *(name for name in MATTER if name in present), *others]


def _varies(metric: str, cells: Sequence[CellResult]) -> bool:
    spreads = [cell.distributions[metric] for cell in cells if metric in cell.distributions]
    return len({end for d in spreads for end in (d.minimum, d.maximum) if end is not None}) > 1


def cells_with(metric: str, cells: Sequence[CellResult]) -> list[CellResult]:
    """The rows of a table of percentiles."""
    return [cell for cell in cells if metric in cell.distributions and (metric != SCHEDULED or is_open(cell))]


def legend(cells: Sequence[CellResult]) -> list[tuple[str, str]]:
    """What the abbreviations of the tables mean, one line each."""
    names = (SCHEDULED, *EXPLAINED) if any(map(is_open, cells)) else EXPLAINED
    lines = [(title(name), _formula(name)) for name in names]
    return [*lines, FLOOR] if Column("ttfa_ms", "floor").known(cells) else lines


def _formula(metric: str) -> str:
    known = METRICS[metric]
    return f"{known.formula} ({unit_of(metric)})" if known.unit else known.formula


def formulas(metrics: Iterable[str]) -> list[tuple[str, str]]:
    """Title and formula of each metric that this version knows."""
    return [(title(name), _formula(name)) for name in dict.fromkeys(metrics) if name in METRICS]


def grouped(sentences: Sequence[str], cells: Sequence[CellResult]) -> list[str]:
    """Sentences that differ only by the cell they are about, as one; what is said twice, once."""
    names = sorted({cell.name for cell in cells}, key=len, reverse=True)
    groups: dict[str, list[str]] = {}
    for sentence in sentences:
        name = next((name for name in names if sentence.startswith(f"{name}: ")), "")
        about = groups.setdefault(sentence.removeprefix(f"{name}: ") if name else sentence, [])
        if name and name not in about:
            about.append(name)
    return [f"{_named(about, len(names))}: {rest}" if about else rest for rest, about in groups.items()]


def _named(names: Sequence[str], num_cells: int) -> str:
    if len(names) == num_cells > 1:
        return f"all {num_cells} cells"
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def said_once(block: Block, reasons: Sequence[str]) -> Block:
    """A block without the reasons that stand beside the verdict already."""
    closing = [line for line in block.closing if line.removeprefix("- ") not in reasons]
    left_out = len(block.closing) - len(closing)
    if left_out:
        closing.append(f"- {left_out} of them beside the verdict, at the top" if closing else "")
    return replace(block, closing=tuple(line for line in closing if line))


def chunk_block(cells: Sequence[CellResult]) -> Block | None:
    """How the audio comes in: medians over the answers of each cell; None where nothing was streamed."""
    columns = [Column(name, "p50") for name in CHUNKS]
    shown = [column for column in columns if column.known(cells)]
    if not shown:
        return None
    header = ("cell", *(heading(column.metric) for column in shown))
    rows = tuple((cell.name, *(column.text(cell) for column in shown)) for cell in cells)
    return Block("Chunks", ("Medians over the answers of each cell.",), header, rows, answers=True)


def needy_curves(curves: Mapping[str, Sequence[Sequence[float]]]) -> tuple[dict[str, list[tuple[float, float]]], str]:
    """The buffer curves worth a line, the neediest first, and in words what is not drawn.

    None, if every cell plays without a gap and without a buffer.
    """
    points = {name: sorted((float(x), float(y)) for x, y in curve) for name, curve in curves.items() if curve}
    needy = {name: curve for name, curve in points.items() if curve[0][0] > 0 or min(y for _, y in curve) < 1}
    order = sorted(needy, key=lambda name: sum(share for _, share in needy[name]) / len(needy[name]))
    calm = [name for name in points if name not in needy]
    notes = [f"not drawn, they need less: {', '.join(order[MAX_LINES:])}"] if order[MAX_LINES:] else []
    notes += [f"at 100 % without a buffer: {', '.join(calm)}"] if calm and needy else []
    return {name: needy[name] for name in order[:MAX_LINES]}, "; ".join(notes)


def of_single_clients(cells: Sequence[CellResult]) -> list[CellResult]:
    """Cells whose TTFA tells of the length of a text: streamed, to one client that waits for each answer."""
    return [
        cell
        for cell in cells
        if cell.cell.get("target", {}).get("delivery", "stream") != "whole"
        and not is_open(cell)
        and concurrency(cell) == 1
    ]
