"""Results as CSV: one row a cell, the eight columns that spreadsheets already know first.

A figure that could not be had is an empty field, never 0; a percentile that is a failure is `inf`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from firstaudio.bench.report.figures import QUANTILES, concurrency, quantile
from firstaudio.bench.result import CellResult, Estimate
from firstaudio.bench.sessions.session import Session

Field = str | int | float | None

LEADING = ("Concurrency", "ASPS", "RTF_Mean", "RTF_Median", "RPS", "CPS", "TTFA_p95_ms", "Success_Rate_%")
DISTRIBUTIONS = {
    "TTFA": "ttfa_ms",
    "Audible_TTFA": "audible_ttfa_ms",
    "Scheduled_TTFA": "scheduled_ttfa_ms",
    "TTGP": "ttgp_ms",
    "Preroll": "preroll_ms",
    "Latency": "latency_ms",
}
COUNTS = ("Issued", "OK", "Failed", "Cancelled")
TOTALS = {"Target_Attainment_%": "target_attainment", "Goodput_1/s": "goodput", "Gapless_Share_%": "gapless_share"}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a text that begins with one of these


def csv_text(session: Session) -> str:
    """All cells of a session."""
    return cells_csv(session.cells)


def cells_csv(cells: Sequence[CellResult]) -> str:
    """Some cells; a header alone if there are none."""
    axes = sorted({name for cell in cells for name in cell.axes if name != "concurrency"})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*LEADING, "Cell", *(_guarded(name) for name in axes), *_further_header()])
    for cell in cells:
        placed = [_guarded(cell.axes.get(name)) for name in axes]
        writer.writerow([*_leading(cell), _guarded(cell.name), *placed, *_further(cell)])
    return out.getvalue()


def _leading(cell: CellResult) -> list[Field]:
    figures = [cell.totals.get(name) for name in ("asps", "rtf_mean", "rtf_median", "rps", "cps")]
    level = concurrency(cell)
    return [level, *figures, _value(quantile(cell, "ttfa_ms", "p95")), cell.totals.get("success_rate")]


def _further_header() -> list[str]:
    spread = [f"{head}_{q}{end}_ms" for head in DISTRIBUTIONS for q in QUANTILES for end in ("", "_low", "_high")]
    kept = [name for name in spread if name != "TTFA_p95_ms"]
    return ["Label", *COUNTS, *kept, *TOTALS, "Client_Floor_p50_ms", "Client_Floor_p99_ms", "Completed", "Valid"]


def _further(cell: CellResult) -> list[Field]:
    counts: list[Field] = [cell.issued, cell.ok, cell.failed, cell.cancelled]
    totals = [cell.totals.get(name) for name in TOTALS.values()]
    floor = cell.client.floor if cell.client else None
    floors = [floor.p50_ms, floor.p99_ms] if floor else [None, None]
    return [cell.label, *counts, *_spread(cell), *totals, *floors, str(cell.completed).lower(), str(cell.valid).lower()]


def _spread(cell: CellResult) -> list[Field]:
    row: list[Field] = []
    for metric in DISTRIBUTIONS.values():
        for name in QUANTILES:
            figure = quantile(cell, metric, name)
            ends: list[Field] = [None, None] if figure is None else [figure.low, figure.high]
            row += ends if (metric, name) == ("ttfa_ms", "p95") else [_value(figure), *ends]
    return row


def _value(figure: Estimate | None) -> float | None:
    if figure is None:
        return None
    return math.inf if figure.infinite else figure.value


def _guarded(value: str | int | float | None) -> Field:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
