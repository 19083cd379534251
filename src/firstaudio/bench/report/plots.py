"""Plots as PNG, by matplotlib's object interface: no global state, no display."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firstaudio.bench.report.figures import axis_value, quantile, varying_axes
from firstaudio.bench.report.series import Lines, Scatter, lines
from firstaudio.bench.report.tables import MAX_LINES, needy_curves
from firstaudio.bench.result import CellResult, Estimate
from firstaudio.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2563a8", "#d9730d", "#2e8b57", "#8e44ad", "#b03a48", "#7a6a00", "#0e8a9a", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PERCENTILES = {"p50": "#8ab6e0", "p95": "#2563a8", "p99": "#0b2f5b"}
SHOWN = tuple(PERCENTILES)
DPI = 120
PANELS_PER_ROW = 3
CROWDED = 8  # ticks that stand side by side; more of them, or long ones, are turned
LOG_RATIO = 20.0  # heights that span more than this need a logarithmic axis
CHARACTERS_PER_INCH = 15  # of the small print below a plot
GREY = "#8a8f98"
RED = "#b03a48"
REAL_TIME_FAR = 0.1  # an RTF below it lies on the bottom of a linear axis that holds 1.0


def throughput_png(cells: Sequence[CellResult], heading: str) -> bytes | None:
    """ASPS, RTF and RPS along the axis; None if no cell has any."""
    served, note = _told_apart(lines(cells))
    figure = _figure(12.6, 4.2, heading)
    panels: list[tuple[str, str, Callable[[CellResult], float | None]]] = [
        ("ASPS", "audio seconds per second", lambda cell: cell.totals.get("asps")),
        ("RTF (mean)", "processing time / audio duration", lambda cell: cell.totals.get("rtf_mean")),
        ("RPS", "requests per second", lambda cell: cell.totals.get("rps")),
    ]
    drawn = 0
    for place, (name, label, value) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 3, place)
        drawn += _draw_lines(axes, served, value)
        _dress(axes, served, name, label)
        axes.set_ylim(0, _above(axes))
        if name.startswith("RTF"):
            _mark_real_time(axes)
    _legend(figure, len(served.lines))
    _note(figure, note)
    return _png(figure) if drawn else None


def _told_apart(served: Lines) -> tuple[Lines, str]:
    """At most as many lines as there are colours, and the names of the others."""
    others = [line.label for line in served.lines[MAX_LINES:]]
    note = f"Not drawn, see the CSV: {', '.join(others)}" if others else ""
    return replace(served, lines=served.lines[:MAX_LINES]), note


def _note(figure: Figure, note: str) -> None:
    """Below everything, as far as it fits the width."""
    if note:
        wrapped = "\n".join(textwrap.wrap(note, int(figure.get_figwidth() * CHARACTERS_PER_INCH)))
        figure.supxlabel(_plain(wrapped), fontsize=8, color=GREY, x=0.01, ha="left")


def _mark_real_time(axes: Axes) -> None:
    """A line at 1.0; logarithmic where the server is so fast that nothing else would be seen."""
    low, high = float(axes.dataLim.ymin), float(axes.dataLim.ymax)
    if 0 < low < REAL_TIME_FAR:
        axes.set_yscale("log")
        axes.set_ylim(low / 2, max(1.6, 2 * high))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.minorticks_off()
    else:
        axes.set_ylim(0, max(1.12, _above(axes)))
    axes.axhline(1.0, color=RED, linewidth=1.2, linestyle="--")
    text = axes.annotate("real time", (0.98, 1.0), xycoords=("axes fraction", "data"), color=RED, fontsize=8)
    text.set(horizontalalignment="right", verticalalignment="bottom")


def _above(axes: Axes) -> float:
    """A height that leaves room over what was drawn; 1 if that was nothing."""
    top = float(axes.dataLim.ymax)
    return 1.08 * top if math.isfinite(top) and top > 0 else 1.0


def latency_png(cells: Sequence[CellResult], heading: str) -> bytes | None:
    """TTFA p50, p95 and p99 along the axis with their 95 % intervals, a panel for each line; None without any."""
    served = lines(cells)
    rows = -(-len(served.lines) // PANELS_PER_ROW)
    columns = min(len(served.lines), PANELS_PER_ROW)
    figure = _figure(max(6.8, 4.4 * columns), 1.0 + 3.4 * rows, heading)
    drawn, first = 0, None
    for place, line in enumerate(served.lines, 1):
        first = axes = figure.add_subplot(rows, columns, place, sharey=first)
        shift = {"p50": -1, "p95": 0, "p99": 1}
        for name, colour in PERCENTILES.items():
            drawn += _draw_quantile(axes, served, line.xs, line.cells, name, colour, shift[name])
        _dress(axes, served, line.label or "TTFA", "time to first audio, ms")
        if axes.lines:
            axes.legend(frameon=False, fontsize=9)
    if first is not None and drawn:
        _fit_heights(first)
    return _png(figure) if drawn else None


def comparison_png(cells: Sequence[CellResult], heading: str) -> bytes | None:
    """Bars: TTFA (p50), RTF and ASPS of each cell, as voices are compared; None if nothing was measured."""
    axis = next((name for name in varying_axes(cells) if name != "concurrency"), "")
    names = [axis_value(cell, axis) if axis else cell.name for cell in cells]
    figure = _figure(12.6, 1.6 + 0.42 * len(cells), heading)
    panels: list[tuple[str, Callable[[CellResult], float | None]]] = [
        ("TTFA p50, ms (lower is better)", lambda cell: _median(cell, "ttfa_ms")),
        ("RTF mean (lower is better)", lambda cell: cell.totals.get("rtf_mean")),
        ("ASPS (higher is better)", lambda cell: cell.totals.get("asps")),
    ]
    drawn, first = 0, None
    for place, (name, value) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 3, place, sharey=first)
        drawn += _draw_bars(axes, names, [value(cell) for cell in cells])
        axes.set_title(name, fontsize=10, loc="left")
        axes.tick_params(axis="y", labelleft=first is None, length=0)
        first = first or axes
    if first is not None:
        first.invert_yaxis()
    return _png(figure) if drawn else None


def preroll_png(curves: Mapping[str, Sequence[Sequence[float]]], heading: str) -> bytes | None:
    """Share of answers that play without a gap, by the player's buffer; None if no cell needs one."""
    shown, note = needy_curves(curves)
    if not shown:
        return None
    figure = _figure(7.2, 4.4, heading)
    axes = figure.add_subplot()
    longest = 1.25 * max(buffer for curve in shown.values() for buffer, _ in curve)
    for place, (name, curve) in enumerate(shown.items()):
        points = [*curve, (longest, curve[-1][1])]
        xs, ys = [x for x, _ in points], [100 * share for _, share in points]
        axes.step(xs, ys, where="post", color=COLOURS[place], label=_plain(name))
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(0, longest or 1.0)
    axes.set_ylim(0, 103)
    axes.set_xlabel("buffer before playing, ms")
    axes.set_ylabel("answers without a gap, %")
    _strip(axes)
    axes.legend(frameon=False, fontsize=9)
    _note(figure, note)
    return _png(figure)


def length_png(scatter: Scatter, fit: Mapping[str, Any] | None, heading: str) -> bytes | None:
    """TTFA against characters, with the fitted line."""
    if not scatter.points:
        return None
    figure = _figure(7.2, 4.4, heading)
    axes = figure.add_subplot()
    longest = max(x for x, _ in scatter.points)
    xs, ys = [x for x, _ in scatter.points], [y for _, y in scatter.points]
    axes.scatter(xs, ys, s=14, color=COLOURS[0], alpha=0.6, linewidths=0, label="requests")
    if fit and fit.get("a_ms") is not None and fit.get("b_ms_per_char") is not None:
        a, b = float(fit["a_ms"]), float(fit["b_ms_per_char"])
        axes.plot([0, longest], [a, a + b * longest], color=COLOURS[1], label=f"{a:.1f} ms + {b:.3g} ms per character")
    axes.legend(frameon=False, fontsize=9)
    axes.set_xlim(0, longest * 1.05)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("characters")
    axes.set_ylabel("time to first audio, ms")
    _strip(axes)
    return _png(figure)


def _figure(width: float, height: float, heading: str) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a plot", "bench") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(_plain(heading), fontsize=12, x=0.01, ha="left", fontweight="bold")
    return figure


def _plain(text: str) -> str:
    """A name as it is: a dollar sign would begin a formula, a leading underscore hide it from the legend."""
    return text.replace("$", r"\$").removeprefix("_")


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def _draw_lines(axes: Axes, served: Lines, value: Callable[[CellResult], float | None]) -> int:
    drawn = 0
    for place, line in enumerate(served.lines):
        ys = [math.nan if (y := value(cell)) is None else y for cell in line.cells]
        style = {"color": COLOURS[place], "marker": MARKERS[place]}
        joined = "-" if served.axis else ""
        axes.plot(line.xs, ys, linestyle=joined, label=_plain(line.label), markersize=5, **style)  # type: ignore[arg-type]
        drawn += sum(not math.isnan(y) for y in ys)
    return drawn


def _draw_quantile(
    axes: Axes, served: Lines, xs: Sequence[float], cells: Sequence[CellResult], name: str, colour: str, shift: int
) -> int:
    """Points beside each other, so that their intervals do not hide one another; a missing one leaves a gap."""
    figures = [quantile(cell, "ttfa_ms", name) or Estimate(None) for cell in cells]
    values = [math.nan if e.value is None or e.infinite else e.value for e in figures]
    if all(map(math.isnan, values)):
        return 0
    places = [x * (1 + 0.02 * shift) if served.log else x + 0.02 * shift * _width(served) for x in xs]
    below = [0.0 if e.low is None else value - e.low for value, e in zip(values, figures, strict=True)]
    above = [0.0 if e.high is None else e.high - value for value, e in zip(values, figures, strict=True)]
    joined = "-" if served.axis else ""
    style = {"color": colour, "marker": "o", "linestyle": joined, "capsize": 3, "markersize": 4, "label": name}
    axes.errorbar(places, values, yerr=[below, above], **style)  # type: ignore[arg-type]
    return sum(not math.isnan(value) for value in values)


def _width(served: Lines) -> float:
    places = [x for x, _ in served.ticks]
    return (max(places) - min(places)) / max(1, len(places) - 1) or 1.0


def _fit_heights(axes: Axes) -> None:
    low, high = axes.get_ylim()
    least = float(axes.dataLim.ymin)
    if least > 0 and high / least > LOG_RATIO:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(min(low, 0), high)


def _draw_bars(axes: Axes, names: Sequence[str], values: Sequence[float | None]) -> int:
    bars = axes.barh(range(len(names)), [value or 0.0 for value in values], color=COLOURS[0], height=0.62)
    axes.bar_label(bars, ["n/a" if value is None else f"{value:.4g}" for value in values], padding=4, fontsize=9)
    axes.set_yticks(range(len(names)), [_plain(name) for name in names])
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    _strip(axes)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return sum(value is not None for value in values)


def _median(cell: CellResult, metric: str) -> float | None:
    figure = quantile(cell, metric, "p50")
    return None if figure is None or figure.infinite else figure.value


def _dress(axes: Axes, served: Lines, name: str, label: str) -> None:
    axes.set_title(_plain(name), fontsize=10, loc="left")
    axes.set_ylabel(label, fontsize=9)
    axes.set_xlabel(served.title, fontsize=9)
    if served.log:
        axes.set_xscale("log", base=2)
    places = [x for x, _ in served.ticks]
    axes.set_xticks(places, [_plain(text) for _, text in served.ticks], fontsize=9)
    axes.minorticks_off()
    if len(places) > CROWDED or max(len(part) for _, text in served.ticks for part in text.split("\n")) > CROWDED:
        axes.tick_params(axis="x", rotation=40)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
    _strip(axes)


def _strip(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.grid(axis="y", color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)


def _legend(figure: Figure, num_lines: int) -> None:
    if num_lines > 1:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(num_lines, 6), frameon=False, fontsize=9)
