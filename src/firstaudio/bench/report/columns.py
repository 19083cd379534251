"""The table of a session on a terminal: which columns it has, and which of them give way where room is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from firstaudio.bench.report.figures import (
    AXIS_TITLES,
    NOT_AVAILABLE,
    axis_value,
    estimate,
    is_open,
    number,
    quantile,
    varying_axes,
)
from firstaudio.bench.result import CellResult

WAITS = frozenset({"ttfa", "streaming", "ab"})  # modes that are run for the wait, and not for throughput
KEPT = 0
EXPLAINED = {
    "ASPS": "seconds of audio per second",
    "RTF": "time of an answer / duration of its audio (mean)",
    "RPS": "requests per second",
    "CPS": "characters per second",
    "Scheduled TTFA": "to the first audio from when the request was due",
    "TTFA": "time to first audio, from when the request was sent",
    "Audible": "to the first sound that is heard",
    "TTGP": "earliest start of a playback without a gap",
    "Floor": "TTFA of the client itself against a server that answers at once",
    "n": "requests",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        rank: Where room is short the highest one gives way first; `KEPT` never does.
    """

    title: str
    value: Callable[[CellResult], str]
    rank: int = KEPT

    def known(self, cells: Sequence[CellResult]) -> bool:
        """Whether any cell has the figure; one that failed has."""
        return any(not self.value(cell).startswith(NOT_AVAILABLE) for cell in cells)


def columns(cells: Sequence[CellResult], mode: str) -> list[Column]:
    """All columns of a session's table, in order; where the cells lie comes first, the verdict last."""
    found = [*_places(cells), *(_of_waits(cells) if mode in WAITS else _of_load(cells))]
    if any(_verdict(cell) for cell in cells):
        found.append(Column("", _verdict))
    return found


def fitting(shown: Sequence[Column], is_narrow: Callable[[Sequence[Column]], bool]) -> list[Column]:
    """The columns without those that have to give way until the table is narrow enough, as far as any may."""
    left = list(shown)
    while not is_narrow(left) and (last := max(column.rank for column in left)) != KEPT:
        left = [column for column in left if column.rank != last]
    return left


def legend(titles: Sequence[str]) -> str:
    """What the abbreviations among the titles mean, in one line."""
    words = [title.removesuffix(" p50").removesuffix(" p95") for title in titles]
    said = [f"{word}: {EXPLAINED[word]}" for word in dict.fromkeys(words) if word in EXPLAINED]
    return "; ".join(said) + "." if said else ""


def axis_title(axis: str) -> str:
    """Of the column of an axis."""
    return AXIS_TITLES.get(axis, axis.replace("_", " ").capitalize())


def _places(cells: Sequence[CellResult]) -> Iterator[Column]:
    axes = varying_axes(cells)
    for axis in axes:
        yield Column(axis_title(axis), lambda cell, axis=axis: axis_value(cell, axis))  # type: ignore[misc]
    if any(map(is_open, cells)):
        yield Column("Arrival", lambda cell: str(cell.cell.get("load", {}).get("arrival", "closed")))
    if len({cell.label for cell in cells}) > 1:
        yield Column("Label", lambda cell: cell.label)


def _of_load(cells: Sequence[CellResult]) -> list[Column]:
    """Throughput first; in an open loop what a listener waits from when the request was due."""
    tail, middle = _quantile("TTFA p95", "ttfa_ms", "p95"), _quantile("TTFA p50", "ttfa_ms", "p50")
    due = [_quantile(f"Scheduled TTFA {name}", "scheduled_ttfa_ms", name) for name in ("p50", "p95")]
    first = [each for each in due if each.known(cells)] if any(map(is_open, cells)) else []
    wait = [tail] if tail.known(cells) else [middle]
    throughput = [_total("ASPS", "asps", 2), _total("RTF", "rtf_mean", 1), _total("RPS", "rps", 3)]
    throughput.append(_total("CPS", "cps", 4))
    more = [_quantile("TTFA p50", "ttfa_ms", "p50", 5)] if wait == [tail] else []
    order = [*first, *wait, *throughput] if first else [*throughput, *wait]
    return [*order, SUCCESS, *_floor(cells), *more, *FURTHER]


def _of_waits(cells: Sequence[CellResult]) -> list[Column]:
    """What a listener waits first, throughput behind."""
    tail = _quantile("TTFA p95", "ttfa_ms", "p95", 7)
    return [
        _quantile("TTFA p50", "ttfa_ms", "p50"),
        _quantile("Audible p50", "audible_ttfa_ms", "p50", 1),
        _quantile("TTGP p50", "ttgp_ms", "p50", 2),
        *([tail] if tail.known(cells) else []),
        _total("RTF", "rtf_mean", 3),
        _total("ASPS", "asps", 4),
        _total("RPS", "rps", 5),
        _total("CPS", "cps", 6),
        SUCCESS,
        *_floor(cells),
        FURTHER[-1],
    ]


def _total(title: str, name: str, rank: int = KEPT, unit: str = "") -> Column:
    return Column(title, lambda cell: number(cell.totals.get(name), unit), rank)


def _quantile(title: str, metric: str, name: str, rank: int = KEPT) -> Column:
    return Column(title, lambda cell: estimate(quantile(cell, metric, name), "ms"), rank)


def _floor(cells: Sequence[CellResult]) -> list[Column]:
    column = Column("Floor", _floor_ms)
    return [column] if column.known(cells) else []


def _floor_ms(cell: CellResult) -> str:
    return number(cell.client.floor.p50_ms if cell.client and cell.client.floor else None, "ms")


def _verdict(cell: CellResult) -> str:
    return "INVALID" if not cell.valid else "" if cell.completed else "partial"


SUCCESS = _total("Success", "success_rate", unit="%")
FURTHER = (
    _quantile("Audible p50", "audible_ttfa_ms", "p50", 6),
    _quantile("TTGP p50", "ttgp_ms", "p50", 7),
    Column("n", lambda cell: str(cell.issued - cell.cancelled), 8),
)
