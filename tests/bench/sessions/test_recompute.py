"""A saved session computed again from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.figures.aggregate import summarise
from firstaudio.bench.figures.metrics import definitions
from firstaudio.bench.record import ChunkRow, RequestRecord
from firstaudio.bench.result import Check, ClientSide
from firstaudio.bench.sessions.recompute import cell_from_json, goals_of, recompute
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import SessionWriter, load_session, read_records
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load, Texts, Workload
from firstaudio.clock import NS_PER_MS
from firstaudio.errors import BenchError

SPEC = TargetSpec("openai", "http://h", name="h", token="hush", headers={"X-Key": "hush"}, command=("a", "b"))
CLIENT = ClientSide(0.1, 0.1, None, None, 1.0, 0.0, 1)


def row(index: int, cell: str = "c=1", ttfa_ms: int = 50, **changes: Any) -> RequestRecord:
    """One request a second, half a second of audio in one chunk."""
    sent = index * 1000 * NS_PER_MS
    first = sent + ttfa_ms * NS_PER_MS
    fields: dict[str, Any] = {
        "cell": cell,
        "index": index,
        "client": 0,
        "phase": "measured",
        "label": "warm",
        "text": "Hello there.",
        "text_class": "short",
        "voice": None,
        "speed": 1.0,
        "language": None,
        "outcome": "ok",
        "message": "",
        "scheduled_ns": sent,
        "dispatched_ns": sent,
        "connected_ns": None,
        "sent_ns": sent,
        "headers_ns": first,
        "first_byte_ns": first,
        "first_sample_ns": first,
        "audible_ns": first,
        "last_byte_ns": first,
        "status": 200,
        "container": "wav",
        "sample_rate": 24000,
        "onset_sample": 0,
        "chunks": (ChunkRow(first, 24000, 12000),),
    }
    return RequestRecord(**{**fields, **changes})


def saved(rows: Sequence[RequestRecord], names: Sequence[str] = ("c=1",), goals: Goals | None = None) -> Session:
    """A session in which each named cell has been measured."""
    cells = tuple(Cell(name, SPEC, {"concurrency": 1}) for name in names)
    workload = Workload("server", cells, goals or Goals())
    results = [
        summarise(cell, [r for r in rows if r.cell == cell.name], workload.goals, client=CLIENT) for cell in cells
    ]
    return Session(
        name="s",
        mode="server",
        created="2025-01-01T00:00:00+00:00",
        origin_ns=0,
        command=[],
        configuration=workload.public(),
        workload_hash=workload.hash,
        environment={},
        definitions=definitions(),
        cells=results,
        completed=True,
    )


def test_the_same_rows_give_the_same_figures(tmp_path: Path):
    rows = [row(index) for index in range(40)]
    writer = SessionWriter(tmp_path, saved(rows))
    writer.append(rows)
    session = load_session("s", tmp_path)
    again = recompute(session, read_records(writer.folder))

    assert [cell.distributions for cell in again.cells] == [cell.distributions for cell in session.cells]
    assert [cell.totals for cell in again.cells] == [cell.totals for cell in session.cells]
    assert again.cells[0].client == CLIENT
    assert "computed again" in again.warnings[0]
    assert session.warnings == []


def test_computing_again_twice_is_computing_again_once():
    rows = [row(index) for index in range(5)]
    once = recompute(saved(rows), rows)

    assert once == recompute(once, rows)


def test_other_goals_give_another_attainment():
    rows = [row(index, ttfa_ms=100 * (index + 1)) for index in range(10)]
    session = saved(rows)
    strict = recompute(session, rows, goals_of(session, ttfa_ms=500.0))

    assert session.cells[0].totals["target_attainment"] == 80.0
    assert strict.cells[0].totals["target_attainment"] == 50.0
    assert strict.configuration["goals"] == {"ttfa_ms": 500.0, "short_ttfa_ms": 400.0, "buffer_ms": 0.0}


def test_a_target_of_a_cell_s_own_stays_until_another_one_is_stated():
    rows = [row(index, ttfa_ms=100 * (index + 1)) for index in range(10)]
    session = saved(rows)
    session.cells[0] = summarise(cell_from_json({**session.cells[0].cell, "ttfa_target_ms": 200.0}), rows, Goals())
    again = recompute(session, rows, goals_of(session, buffer_ms=50.0))
    stated = recompute(session, rows, goals_of(session, ttfa_ms=500.0))

    assert [s.cells[0].totals["target_attainment"] for s in (session, again, stated)] == [20.0, 20.0, 50.0]
    assert [s.cells[0].cell["ttfa_target_ms"] for s in (again, stated)] == [200.0, None]


def test_a_cell_that_was_interrupted_gets_a_result_that_says_so():
    rows = [row(0, "c=1"), row(0, "c=2"), row(1, "c=2")]
    session = saved(rows, ["c=1", "c=2", "c=4"])
    again = recompute(replace(session, cells=session.cells[:1]), rows)

    assert [(cell.name, cell.issued, cell.completed) for cell in again.cells] == [("c=1", 1, True), ("c=2", 2, False)]


def test_a_cell_without_rows_keeps_its_place_and_has_no_figures():
    again = recompute(saved([row(0)]), [])

    assert (again.cells[0].issued, again.cells[0].totals["asps"]) == (0, None)


def test_rows_of_another_session_are_refused():
    with pytest.raises(BenchError, match="rows of cell 'c=9' are no part of session 's'"):
        recompute(saved([row(0)]), [row(0), row(0, "c=9")])


def test_what_only_the_run_could_judge_is_kept():
    session = saved([row(0)])
    throttled = Check("throttling", False, "was throttled")
    judged = replace(session.cells[0], checks=(*session.cells[0].checks, throttled), server={"cpu_s": 1.0})
    again = recompute(replace(session, cells=[judged]), [row(0)]).cells[0]

    assert throttled in again.checks
    assert len({check.name for check in again.checks}) == len({check.name for check in judged.checks})
    assert again.server == {"cpu_s": 1.0}


cells = st.builds(
    Cell,
    name=st.text(),
    target=st.just(SPEC),
    axes=st.dictionaries(st.text(), st.integers() | st.text()),
    voice=st.none() | st.text(),
    speed=st.floats(0.25, 4.0),
    texts=st.builds(Texts, custom=st.lists(st.text()).map(tuple), unique=st.booleans()),
    load=st.builds(Load, offsets_s=st.lists(st.floats(0, 9)).map(tuple), concurrency=st.integers(1, 99)),
)


@given(cells)
def test_a_cell_comes_back_from_its_json_but_for_its_secrets(cell: Cell):
    back = cell_from_json(cell.public())

    assert cell.public() == back.public()
    assert back.replace(target=SPEC) == cell
    assert "hush" not in repr(back)


@pytest.mark.parametrize("broken", [{"name": "x"}, {**Cell("x", SPEC).public(), "colour": 1}])
def test_a_cell_of_another_shape_is_an_error(broken: dict[str, Any]):
    with pytest.raises(BenchError, match="cell 'x' has another shape"):
        cell_from_json(broken)
