"""Geometry of the charts of the HTML report; the template draws them as SVG, whose colours follow light and dark.

Coordinates are those of a view box of `WIDTH` by `HEIGHT`: narrow enough to be read on a telephone without zooming.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from firstaudio.bench.report.figures import estimate, number, place, quantile, varying_axes
from firstaudio.bench.report.series import Line, Lines, Scatter, lines
from firstaudio.bench.report.tables import needy_curves
from firstaudio.bench.result import CellResult, Estimate

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 14, 46
INSET = 22  # a level at the edge still has room for the text below it
LOG_RATIO = 20.0  # values that span more than this are told apart only on a logarithmic axis
NUM_TICKS = 5
NUM_X_TICKS = 9


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to coordinates, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The coordinate, to a tenth."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point, with the ends of its interval if it has one."""

    x: float
    y: float
    tip: str
    top: float | None = None
    bottom: float | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """One line or cloud of a chart.

    Attributes:
        label: In the legend.
        colour: Name of the colour in the style sheet.
        paths: Of SVG, in pieces where points are missing.
        small: Whether the marks are many and small.
    """

    label: str
    colour: str
    marks: tuple[Mark, ...] = ()
    paths: tuple[str, ...] = ()
    small: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    traces: tuple[Trace, ...]
    note: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def ttfa_charts(cells: Sequence[CellResult]) -> list[Chart]:
    """TTFA p50, p95 and p99 along the axis, a chart for each line; none where cells are not placed by a number."""
    served = lines(cells)
    if not served.axis:
        return []
    drawn = [cell for line in served.lines for cell in line.cells]
    known = [e for cell in drawn for q in ("p50", "p95", "p99") if (e := _known(cell, q))]
    if not known:
        return []
    heights = [value for e in known for value in (e.value, e.low, e.high) if value is not None]
    y = _y_scale(heights)
    return [_ttfa_chart(served, line, y, cells) for line in served.lines]


def _known(cell: CellResult, name: str) -> Estimate | None:
    figure = quantile(cell, "ttfa_ms", name)
    return None if figure is None or figure.infinite or figure.value is None else figure


def _ttfa_chart(served: Lines, line: Line, y: Scale, cells: Sequence[CellResult]) -> Chart:
    places = [x for x, _ in served.ticks]
    x = Scale(places[0], places[-1], LEFT + INSET, WIDTH - RIGHT - INSET, served.log)
    axes = varying_axes(cells)
    traces = [_quantile_trace(line, name, x, y, axes, shift) for name, shift in (("p50", -3), ("p95", 0), ("p99", 3))]
    ticks = _thinned([Tick(x(at), text) for at, text in served.ticks])
    shown = tuple(trace for trace in traces if trace.marks)
    return Chart(line.label, served.title, "TTFA, ms", ticks, _y_ticks(y), shown)


def _quantile_trace(line: Line, name: str, x: Scale, y: Scale, axes: Sequence[str], shift: int) -> Trace:
    marks: list[Mark | None] = []
    for at, cell in zip(line.xs, line.cells, strict=True):
        figure = _known(cell, name)
        if figure is None or figure.value is None:
            marks.append(None)
            continue
        tip = f"{name} at {place(cell, axes)}: {estimate(figure, 'ms', interval=True)}"
        ends = [None if end is None else y(end) for end in (figure.high, figure.low)]
        marks.append(Mark(x(at) + shift, y(figure.value), tip, *ends))
    return Trace(name, name, tuple(mark for mark in marks if mark), _paths(marks))


def _paths(marks: Sequence[Mark | None]) -> tuple[str, ...]:
    """Pieces of two points and more; a missing point is a gap."""
    pieces: list[list[Mark]] = [[]]
    for mark in marks:
        if mark is None:
            pieces.append([])
        else:
            pieces[-1].append(mark)
    return tuple(_path([(mark.x, mark.y) for mark in piece]) for piece in pieces if len(piece) > 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points)


def length_chart(scatter: Scatter, fit: Mapping[str, Any] | None) -> Chart | None:
    """TTFA against characters, with the fitted line; None without points."""
    if not scatter.points:
        return None
    longest = max(length for length, _ in scatter.points)
    x = Scale(0, longest * 1.04, LEFT, WIDTH - RIGHT)
    y = _y_scale([0.0, *(ms for _, ms in scatter.points)])
    marks = tuple(Mark(x(length), y(ms), f"{length} characters: {number(ms, 'ms')}") for length, ms in scatter.points)
    traces = [Trace("requests", "c0", marks, small=True)]
    if fit and fit.get("a_ms") is not None and fit.get("b_ms_per_char") is not None:
        traces.append(_fitted(float(fit["a_ms"]), float(fit["b_ms_per_char"]), longest, x, y))
    ticks = tuple(Tick(x(at), f"{at:g}") for at in _nice(0, longest, NUM_X_TICKS - 3))
    return Chart("", "characters", "TTFA, ms", ticks, _y_ticks(y), tuple(traces))


def _fitted(a_ms: float, b_ms: float, longest: int, x: Scale, y: Scale) -> Trace:
    """Clipped to the chart: a line through outliers may leave it."""
    points = [(length, a_ms + b_ms * length) for length in (longest * i / 40 for i in range(41))]
    inside = [(x(length), y(ms)) for length, ms in points if y.low <= ms <= y.high]
    label = f"{number(a_ms)} ms + {number(b_ms)} ms per character"
    return Trace(label, "c1", paths=(_path(inside),) if len(inside) > 1 else ())


def preroll_chart(curves: Mapping[str, Sequence[Sequence[float]]]) -> Chart | None:
    """Share of answers without a gap by buffer; None without a cell that needs a buffer."""
    points, note = needy_curves(curves)
    if not points:
        return None
    buffers = sorted({x for curve in points.values() for x, _ in curve})
    spread = _Spread(buffers)
    y = Scale(0, 1, HEIGHT - BOTTOM, TOP)
    traces = tuple(_step(name, f"c{i}", curve, spread, y) for i, (name, curve) in enumerate(points.items()))
    ticks = _thinned([Tick(spread(x), f"{x:g}") for x in buffers])
    y_ticks = tuple(Tick(y(share), f"{100 * share:g} %") for share in (0, 0.25, 0.5, 0.75, 1))
    return Chart("", "buffer before playing, ms", "without a gap", ticks, y_ticks, traces, note)


class _Spread:
    """Buffers side by side at the same distance: they are chosen to be told apart, from 0 to seconds."""

    def __init__(self, buffers: Sequence[float]) -> None:
        self._step = (WIDTH - RIGHT - LEFT) / max(1, len(buffers) - 1)
        self._index = {buffer: place for place, buffer in enumerate(buffers)}

    def __call__(self, buffer: float) -> float:
        return round(LEFT + self._step * self._index[buffer], 1)


def _step(name: str, colour: str, curve: Sequence[tuple[float, float]], x: _Spread, y: Scale) -> Trace:
    marks = tuple(Mark(x(b), y(share), f"{name}, {b:g} ms: {100 * share:.1f} %") for b, share in curve)
    corners = [corner for a, b in pairwise(marks) for corner in ((a.x, a.y), (b.x, a.y))]
    return Trace(name, colour, marks, (_path([*corners, (marks[-1].x, marks[-1].y)]),), small=True)


def _y_scale(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    if low > 0 and high / low > LOG_RATIO:
        return Scale(low / 1.3, high * 1.15, HEIGHT - BOTTOM, TOP, log=True)
    return Scale(0, high * 1.08 or 1.0, HEIGHT - BOTTOM, TOP)


def _y_ticks(scale: Scale) -> tuple[Tick, ...]:
    if not scale.log:
        return tuple(Tick(scale(at), f"{at:g}") for at in _nice(0, scale.high, NUM_TICKS))
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    steps = (1, 2, 5) if last - first < 4 else (1,)
    found = [digit * 10.0**power for power in range(first, last + 1) for digit in steps]
    return tuple(Tick(scale(at), f"{at:g}") for at in found if scale.low <= at <= scale.high)


def _nice(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` steps apart by 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= most)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _thinned(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    """Every so many ticks, so that their texts do not touch; the points themselves all stay."""
    return tuple(ticks[:: -(-len(ticks) // NUM_X_TICKS)])
