"""The figures of a saved session, computed again from its raw rows with the definitions that are in force now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from firstaudio import __version__
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.result import CellResult, Check
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load, Texts
from firstaudio.errors import BenchError


def recompute(session: Session, records: Iterable[RequestRecord], goals: Goals | None = None) -> Session:
    """A copy of the session with every cell summarised again; the session itself is left as it is.

    What rows cannot tell is taken over from the saved result: how the client fared, the server's resources, checks that
    looked at the machine. A cell that was interrupted before it had a result gets one, marked as not completed.

    Args:
        session: As loaded.
        records: All of its rows.
        goals: Other goals than those of the run; None: the same. Another TTFA is for every cell, whatever its own was.

    Raises:
        BenchError: A row belongs to no cell of the session.
    """
    from firstaudio.bench.figures.metrics import definitions

    rows = _by_cell(records)
    known = dict(_known_cells(session))
    if unknown := rows.keys() - known.keys():
        raise BenchError(f"rows of cell {min(unknown)!r} are no part of session {session.name!r}: are they its own?")
    results = {result.name: result for result in session.cells}
    wanted = goals or goals_of(session)
    own = {} if wanted.ttfa_ms == goals_of(session).ttfa_ms else {"ttfa_target_ms": None}
    cells = [
        _summarised(cell_from_json({**cell, **own}), rows.get(name, []), wanted, results.get(name))
        for name, cell in known.items()
        if name in results or name in rows
    ]
    remark = f"figures were computed again by firstaudio {__version__}; findings are still those of the run"
    return replace(
        session,
        cells=cells,
        configuration={**session.configuration, "goals": asdict(wanted)},
        definitions=definitions(),
        warnings=[warning for warning in session.warnings if warning != remark] + [remark],
    )


def goals_of(session: Session, *, ttfa_ms: float | None = None, buffer_ms: float | None = None) -> Goals:
    """The goals of the run, those that are given put in their place."""
    given = {name: value for name, value in (("ttfa_ms", ttfa_ms), ("buffer_ms", buffer_ms)) if value is not None}
    return Goals(**{**session.configuration["goals"], **given})


def cell_from_json(row: Mapping[str, Any]) -> Cell:
    """The inverse of `Cell.public`, but for secrets: they stay masked, so such a cell can be computed, not sent.

    Raises:
        BenchError: It has another shape.
    """
    try:
        target, texts, load = row["target"], row["texts"], row["load"]
        fields = {name: value for name, value in row.items() if name != "label"}
        fields["target"] = TargetSpec(**{**target, "command": tuple(target["command"])})
        fields["texts"] = Texts(**{**texts, "classes": tuple(texts["classes"]), "custom": tuple(texts["custom"])})
        fields["load"] = Load(**{**load, "offsets_s": tuple(load["offsets_s"])})
        return Cell(**fields)
    except (KeyError, TypeError) as error:
        raise BenchError(f"cell {row.get('name')!r} has another shape than this version knows: {error}") from error


def _by_cell(records: Iterable[RequestRecord]) -> dict[str, list[RequestRecord]]:
    rows: dict[str, list[RequestRecord]] = defaultdict(list)
    for record in records:
        rows[record.cell].append(record)
    return rows


def _known_cells(session: Session) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Cells by name: those with a result in their order, then those of the configuration that have none."""
    for result in session.cells:
        yield result.name, result.cell
    names = {result.name for result in session.cells}
    for cell in session.configuration["cells"]:
        if cell["name"] not in names:
            yield cell["name"], cell


def _summarised(cell: Cell, rows: list[RequestRecord], goals: Goals, before: CellResult | None) -> CellResult:
    from firstaudio.bench.figures.aggregate import summarise

    if before is None:
        return summarise(cell, rows, goals, completed=False)
    result = summarise(
        cell,
        rows,
        goals,
        client=before.client,
        server=before.server,
        quality=before.quality,
        completed=before.completed,
    )
    return replace(result, checks=result.checks + tuple(_kept_checks(result, before)))


def _kept_checks(result: CellResult, before: CellResult) -> Iterator[Check]:
    """Checks that looked at what is gone now (throttling, say): they stay as they were judged then."""
    judged = {check.name for check in result.checks}
    return (check for check in before.checks if check.name not in judged)
