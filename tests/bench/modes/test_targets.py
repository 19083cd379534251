"""What modes with targets of their own say of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.bench.modes.conclude import conclude
from firstaudio.bench.report.findings import blocks
from firstaudio.bench.result import CellResult, Distribution, Estimate
from firstaudio.bench.workload import Goals


def cell(ttfa: Estimate, efficiency: float | None = 100.0, delivery: str = "stream", **changes: Any) -> CellResult:
    spread = Distribution(36, 0, ttfa.value, ttfa.value, ttfa.value, dict.fromkeys(("p50", "p90", "p95", "p99"), ttfa))
    about: dict[str, Any] = {"name": f"delivery={delivery}", "axes": {}, "label": "warm", "window_s": 1.0}
    about |= {"cell": {"target": {"delivery": delivery}, "load": {"concurrency": 1}}, "failures": {}}
    counts = {"issued": 36, "ok": 36, "failed": 0, "cancelled": 0}
    totals = {"streaming_efficiency_mean": efficiency, "first_chunk_rate": 97.2}
    return CellResult(**{**about, **counts, "totals": totals, "distributions": {"ttfa_ms": spread}, **changes})


def concluded(mode: str, *cells: CellResult) -> Any:
    session = SimpleNamespace(cells=list(cells), findings={}, mode=mode, targets={"a": {}})
    conclude(session, (), Goals())  # type: ignore[arg-type]
    return session


@pytest.mark.parametrize(
    ("ttfa", "efficiency", "met"),
    [
        (Estimate(199.9), 90.1, (True, True)),
        (Estimate(200.0), 90.0, (False, False)),
        (Estimate(None, infinite=True), 40.0, (False, False)),
        (Estimate(None, needs=5), None, (None, None)),
    ],
    ids=["both met", "exactly the targets", "half failed", "too few"],
)
def test_a_streamed_cell_is_held_against_both_targets(
    ttfa: Estimate, efficiency: float | None, met: tuple[bool | None, bool | None]
):
    found = concluded("streaming", cell(ttfa, efficiency)).findings["streaming"]
    (judged,) = found["cells"].values()

    assert (found["efficiency_percent"], found["first_chunk_ms"]) == (90.0, 200.0)
    assert (judged["first_chunk_met"], judged["efficiency_met"]) == met
    assert (judged["efficiency_percent"], judged["first_chunk_rate_percent"], judged["n"]) == (efficiency, 97.2, 36)


def test_a_whole_file_is_told_and_not_judged():
    session = concluded("streaming", cell(Estimate(900.0), delivery="whole"))
    judged = session.findings["streaming"]["cells"]["delivery=whole"]

    assert (judged["first_chunk_ms"], judged["first_chunk_met"], judged["efficiency_met"]) == (900.0, None, None)
    (shown,) = [block for block in blocks(session) if block.title == "Streaming against its targets"]
    assert shown.rows == (("delivery=whole", "36", "100.0 %", "not streamed", "900.0 ms", "97.2 %", "not streamed"),)


def test_every_cell_of_a_streaming_run_is_shown_even_where_all_are_alike():
    cells = [cell(Estimate(30.0)), replace(cell(Estimate(250.0), 80.0), name="listeners=4")]
    (shown,) = [b for b in blocks(concluded("streaming", *cells)) if b.title == "Streaming against its targets"]

    assert shown.answers
    assert [row[0] for row in shown.rows] == ["delivery=stream", "listeners=4"]
    assert [(row[3], row[6]) for row in shown.rows] == [("met", "met"), ("MISSED", "MISSED")]


def test_other_modes_have_no_target_for_streaming():
    assert "streaming" not in concluded("server", cell(Estimate(30.0))).findings


def test_each_scenario_is_shown_with_its_target_and_how_many_met_it():
    plan = {"ttfa_target_ms": 400.0, "target": {}}
    totals = {"target_attainment": 88.9}
    own = cell(Estimate(400.0), name="short_text_ttfa", axes={"scenario": "short_text_ttfa"}, cell=plan)
    common = cell(Estimate(801.0), name="voice_variety a", axes={"scenario": "voice_variety"})
    other = cell(Estimate(20.0), name="c=4")
    session = concluded("full", *(replace(each, totals=totals) for each in (own, common, other)))
    (shown,) = [block for block in blocks(session) if block.title == "Scenarios against their targets"]

    assert session.findings["scenarios"]["short_text_ttfa"] == {
        "scenario": "short_text_ttfa",
        "target_ms": 400.0,
        "n": 36,
        "median_ms": 400.0,
        "attainment_percent": 88.9,
        "met": True,
    }
    assert shown.rows == (
        ("short_text_ttfa", "400.0 ms", "36", "400.0 ms", "88.9 %", "met"),
        ("voice_variety a", "800.0 ms", "36", "801.0 ms", "88.9 %", "MISSED"),
    )
