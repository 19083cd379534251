"""Cells as lines of a plot: what lies along the axis, and what makes a line of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.report.figures import axis_value, concurrency, varying_axes
from firstaudio.bench.result import CellResult
from firstaudio.clock import NS_PER_MS

ALONG = ("concurrency", "rate_per_s", "speed", "round")  # the axis of a plot: the first of these that varies
LOG_RATIO = 8.0  # levels that span more than this are told apart only on a logarithmic axis
MANY_POINTS = 2000  # that a scatter plot can show


@dataclass(frozen=True, slots=True)
class Line:
    """Cells that differ only by the axis, in ascending order.

    Attributes:
        label: What else they have in common; empty if there is only one line.
        xs: Places on the axis.
        cells: One for each place.
    """

    label: str
    xs: tuple[float, ...]
    cells: tuple[CellResult, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """All cells of a plot.

    Attributes:
        axis: Name of the axis; empty where cells are just named.
        lines: One or more.
        ticks: Places on the axis and their texts.
        log: Whether the axis should be logarithmic, base 2.
    """

    axis: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    log: bool

    @property
    def title(self) -> str:
        """Of the axis."""
        return {"rate_per_s": "requests per second"}.get(self.axis, self.axis.replace("_", " "))


def lines(cells: Sequence[CellResult]) -> Lines:
    """The cells along concurrency (or what else is a number), one line for each combination of the other axes.

    A line needs two places: conditions that were measured at one alone are left to the tables, unless all were.
    """
    varying = varying_axes(cells)
    axis = next((name for name in ALONG if name in varying and _are_numbers(cells, name)), "")
    groups: dict[str, list[tuple[float, CellResult]]] = {}
    for cell in cells if axis else ():
        groups.setdefault(_label(cell, axis, varying), []).append((_place(cell, axis), cell))
    long = {label: group for label, group in groups.items() if len({place for place, _ in group}) > 1}
    if not long:
        placed = Line("", tuple(map(float, range(len(cells)))), tuple(cells))
        return Lines("", (placed,), tuple((float(i), cell.name) for i, cell in enumerate(cells)), log=False)
    found = [_line(label, sorted(group, key=lambda pair: pair[0])) for label, group in long.items()]
    places = sorted({x for line in found for x in line.xs})
    log = places[0] > 0 and places[-1] / places[0] >= LOG_RATIO
    return Lines(axis, tuple(found), tuple((x, _tick(x, found)) for x in places), log)


def _tick(place: float, found: Sequence[Line]) -> str:
    """The level, and below it that requests failed there: a point may be missing for that reason."""
    there = [cell for line in found for x, cell in zip(line.xs, line.cells, strict=True) if x == place]
    asked, ok = sum(cell.ok + cell.failed for cell in there), sum(cell.ok for cell in there)
    return f"{place:g}" if ok == asked else f"{place:g}\n({100 * ok / asked:.0f} % ok)"


def _are_numbers(cells: Sequence[CellResult], axis: str) -> bool:
    values = [concurrency(cell) if axis == "concurrency" else cell.axes.get(axis) for cell in cells]
    return all(isinstance(value, int | float) for value in values)


def _place(cell: CellResult, axis: str) -> float:
    value = concurrency(cell) if axis == "concurrency" else cell.axes[axis]
    assert value is not None
    return float(value)


def _label(cell: CellResult, axis: str, varying: Sequence[str]) -> str:
    parts = [axis_value(cell, name) for name in varying if name != axis and name in cell.axes]
    return " ".join(part for part in parts if part)


def _line(label: str, pairs: Sequence[tuple[float, CellResult]]) -> Line:
    return Line(label, tuple(x for x, _ in pairs), tuple(cell for _, cell in pairs))


def ttfa_ms(record: RequestRecord) -> float | None:
    """Time to first audio of one request; None if it had none."""
    if not record.ok or record.first_sample_ns is None or record.sent_ns is None:
        return None
    return (record.first_sample_ns - record.sent_ns) / NS_PER_MS


@dataclass(frozen=True, slots=True)
class Scatter:
    """TTFA against the length of the text.

    Attributes:
        points: (characters, ms).
        cells: Names of the cells that they come from: streamed ones with the least concurrency, which shows the server
            and not its queue.
        num_left_out: Points beyond `MANY_POINTS`, left out evenly.
    """

    points: tuple[tuple[int, float], ...]
    cells: tuple[str, ...]
    num_left_out: int


def by_length(cells: Sequence[CellResult], records: Sequence[RequestRecord]) -> Scatter:
    """The points of the plot, from measured requests of the least loaded cells."""
    levels = {cell.name: concurrency(cell) for cell in cells if cell.ok and _is_streamed(cell)}
    known = {name: float(level) for name, level in levels.items() if level is not None}
    least = {name for name, level in known.items() if level == min(known.values())}
    rows = [(len(r.text), ttfa_ms(r), r.cell) for r in measured(records) if r.cell in least and r.speed == 1.0]
    points = [(length, ms) for length, ms, _ in rows if ms is not None]
    step = -(-len(points) // MANY_POINTS) or 1
    shown = tuple(points[::step])
    named = tuple(cell.name for cell in cells if cell.name in least and any(cell.name == row[2] for row in rows))
    return Scatter(shown, named, len(points) - len(shown))


def _is_streamed(cell: CellResult) -> bool:
    """A whole answer begins when it has ended: it would hide how little the others wait for long texts."""
    return bool(cell.cell.get("target", {}).get("delivery", "stream") == "stream")
