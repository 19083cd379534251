from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from firstaudio.bench.compare import compare_sessions, failed_gates, parse_gates, unjudged_gates
from firstaudio.bench.figures.aggregate import summarise
from firstaudio.bench.result import CellResult
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load
from firstaudio.errors import BenchError


@pytest.fixture
def cell(record: Any, failed: Any) -> Any:
    """80 requests, whose TTFA lies evenly in 1 ms around `ttfa`; some fail."""

    def make(ttfa: float = 100.0, failures: int = 0, n: int = 80, name: str = "c=1") -> CellResult:
        def row(i: int) -> Any:
            first = ttfa + (7 * i % n) / n
            return record(i, sent=1000 * i, chunks=((first, 100), (first + 100, 100)))

        rows = [failed(i, sent=1000 * i) if i < failures else row(i) for i in range(n)]
        wanted = Cell(name, TargetSpec("openai"), {"concurrency": 1}, load=Load(num_requests=n))
        return summarise(wanted, rows, Goals())

    return make


def session(*cells: CellResult, name: str = "a", fingerprint: str = "f", workload: str = "w", **facts: Any) -> Session:
    environment = {"fingerprint": fingerprint, "machine": facts}
    return Session(name, "server", "", 0, [], {}, workload, environment, {}, cells=list(cells), completed=True)


def findings(a: Session, b: Session) -> dict[str, str]:
    [found] = compare_sessions(a, b).cells
    return {each.figure: each.finding for each in found.differences}


def test_equal_sessions_show_no_difference(cell: Any):
    comparison = compare_sessions(session(cell()), session(cell(), name="b"))

    assert comparison.comparable
    assert comparison.suspects == []
    assert (comparison.failed, comparison.exit_code) == (False, 0)


def test_a_difference_beyond_floors_and_intervals_is_suspect_at_most(cell: Any):
    comparison = compare_sessions(session(cell(100)), session(cell(120), name="b"))

    [median] = [each for each in comparison.suspects if each.figure == "ttfa_ms.p50"]
    assert median.is_worse
    assert median.change == pytest.approx(0.2, rel=0.01)
    assert "regression" not in json.dumps(asdict(comparison))


def test_a_better_figure_is_suspect_too_and_not_worse(cell: Any):
    comparison = compare_sessions(session(cell(120)), session(cell(100), name="b"))

    assert {False} == {each.is_worse for each in comparison.suspects}


@pytest.mark.parametrize(("a", "b"), [(1000, 1040), (30, 34)])
def test_one_floor_alone_is_not_exceeded(cell: Any, a: float, b: float):
    """40 ms of a second are 4 %; 4 of 30 ms are 13 %, but 4 ms."""
    assert findings(session(cell(a)), session(cell(b)))["ttfa_ms.p50"] == "no difference"


def test_a_figure_without_interval_is_not_judged(cell: Any):
    found = findings(session(cell(100, n=40)), session(cell(150, n=40)))

    assert {"ttfa_ms.p50": "suspect", "ttfa_ms.p95": "not judged", "asps": "not judged"}.items() <= found.items()


def test_failures_that_began_are_suspect(cell: Any):
    found = compare_sessions(session(cell()), session(cell(failures=20))).suspects

    assert {"success_rate", "ttfa_ms.p95"} <= {each.figure for each in found}
    assert all(each.is_worse for each in found)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"workload": "v"}, "the workloads differ (w, v)"),
        ({"fingerprint": "g", "cpu": "Z80"}, "machine or versions differ: machine cpu None / Z80"),
        ({"fingerprint": "g"}, "fingerprints f and g"),
    ],
)
def test_what_is_not_equal_is_not_compared(cell: Any, changes: dict[str, Any], reason: str):
    comparison = compare_sessions(session(cell(100)), session(cell(200), name="b", **changes))

    assert not comparison.comparable
    assert reason in comparison.reasons[0]
    assert {"not judged"} == {each.finding for each in comparison.cells[0].differences}


def test_an_invalid_session_is_not_compared(cell: Any):
    comparison = compare_sessions(session(cell()), session(cell(n=4), name="b"))

    assert comparison.reasons == ("b is INVALID: c=1: 4 requests show nothing: send 5 at least",)


def test_labels_are_never_mixed_and_what_is_missing_is_told(cell: Any):
    cold = replace(cell(), label="cold")
    comparison = compare_sessions(
        session(cell(), replace(cell(), name="x", axes={"voice": "x"})),
        session(cold, replace(cell(), name="y", axes={"voice": "y"}), name="b"),
    )

    assert comparison.cells == ()
    assert comparison.unmatched == ("c=1 is warm in a and cold in b", "y is only in b", "x is only in a")


def test_a_cell_with_another_name_is_found_by_its_axes(cell: Any):
    comparison = compare_sessions(session(cell(name="old")), session(cell(name="new"), name="b"))

    assert [each.name for each in comparison.cells] == ["new"]


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("ttfa_ms.p95>5%", 99),
        ("ttfa_ms.p95>50%", 0),
        ("ttfa_ms.p50>110", 99),
        ("ttfa_ms.p50 >= 300", 0),
        ("success_rate<99", 0),
        ("asps<-50%", 0),
        ("rtf_median>+1%", 99),
        ("ttfa_ms.p99>5%", 2),
        ("ttfa_ms.p99>500", 2),
    ],
)
def test_conditions_decide_the_exit_code(cell: Any, expression: str, code: int):
    """TTFA goes from 100 to 120 ms; 80 requests have no p99."""
    comparison = compare_sessions(session(cell(100)), session(cell(120), name="b"), [expression])

    assert code == comparison.exit_code
    assert comparison.failed is (code != 0)


def test_a_change_between_what_cannot_be_compared_has_not_passed(cell: Any):
    other = session(cell(100), name="b", fingerprint="g")

    assert compare_sessions(session(cell(100)), other, ["ttfa_ms.p50>5%"]).exit_code == 2
    assert compare_sessions(session(cell(100)), other, ["ttfa_ms.p50>500"]).exit_code == 0


def test_a_condition_that_is_vanished_has_not_passed(cell: Any):
    both, one = session(cell(), cell(name="c=2")), session(cell(), name="b")

    comparison = compare_sessions(replace_axes(both), replace_axes(one), ["ttfa_ms.p50>5%"])

    assert comparison.exit_code == 2
    assert "c=2 is only in a" in comparison.gates[-1].sentence


def replace_axes(found: Session) -> Session:
    found.cells = [replace(each, axes={"name": each.name}) for each in found.cells]
    return found


@pytest.mark.parametrize("expression", ["asps<-10%", "ttfa_ms.p50>5%", "ttfa_ms.p50>500", "success_rate<99"])
def test_a_cell_that_only_fails_fails_its_conditions(cell: Any, expression: str):
    a, b = session(cell()), session(cell(failures=80), name="b")
    b.workload_hash = a.workload_hash

    assert compare_sessions(a, b, [expression]).exit_code == (2 if "%" in expression else 99)
    assert [s for s in failed_gates(b, parse_gates(["asps<1", "ttfa_ms.p50>500"])) if "asps" in s] != []


def test_one_session_alone_is_held_to_limits(cell: Any):
    gates = parse_gates(["ttfa_ms.p50>110", "ttfa_ms.p50>130", "ttfa_ms.p99>1"])
    tried = session(cell(120))

    assert failed_gates(tried, gates) == ["c=1: ttfa_ms.p50 is 120.5 ms; the condition was ttfa_ms.p50>110"]
    assert unjudged_gates(tried, gates) == [
        "c=1: ttfa_ms.p99>1 cannot be judged: ttfa_ms.p99 is n/a (needs 368 requests)"
    ]


def test_a_session_without_cells_passes_no_condition(cell: Any):
    empty = session(cell(), name="empty")
    empty.cells.clear()

    assert failed_gates(empty, parse_gates(["asps<1"])) == []
    assert unjudged_gates(empty, parse_gates(["asps<1"])) == ["asps<1 cannot be judged: empty has no cells"]


def test_sessions_without_a_common_cell_are_not_compared(cell: Any):
    a, b = session(cell()), session(replace(cell(), name="other", axes={"voice": "x"}), name="b")
    compared = compare_sessions(a, b)

    assert compared.exit_code == 2
    assert compared.sentence == "b cannot be compared with a: no condition is in both (a has c=1; b has other)."


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("fast", "accepted are a limit"),
        ("ttfa_ms.p95", "accepted are a limit"),
        ("ttfa_ms.p95>5s", "accepted are a limit"),
        ("speed>5", "no metric is called 'speed'"),
        ("ttfa_ms>5", "ttfa_ms.p50"),
        ("ttfa_ms.p42>5", "ttfa_ms.p50"),
        ("asps.p50<5", "one figure for the whole cell"),
        ("success_rate<99%", "holds when nothing has changed"),
        ("ttfa_ms.p95>-5%", "holds when nothing has changed"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(expression: str, message: str):
    with pytest.raises(BenchError, match=message):
        parse_gates([expression])


def test_a_change_needs_two_sessions(cell: Any):
    with pytest.raises(BenchError, match="between two sessions"):
        parse_gates(["asps<-10%"], changes=False)
    with pytest.raises(BenchError, match="between two sessions"):
        failed_gates(session(cell()), parse_gates(["asps<-10%"]))


def test_a_comparison_is_json(cell: Any):
    a, b = session(cell(failures=80)), session(cell(failures=10), name="b")

    assert json.loads(json.dumps(asdict(compare_sessions(a, b, ["ttfa_ms.p50>5"])), allow_nan=False))["a"] == "a"
