from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.bench.modes.conclude import conclude
from firstaudio.bench.record import ChunkRow, RequestRecord
from firstaudio.bench.report.findings import blocks
from firstaudio.bench.result import CellResult, Check, Distribution, Estimate
from firstaudio.bench.workload import Goals

MS = 1_000_000
RATE = 1000  # one sample is one millisecond


def record(index: int, cell: str = "c=1", chars: int = 10, late_ms: int = 0, **changes: Any) -> RequestRecord:
    """TTFA is 10 ms + 1 ms per character; the second half of 100 ms of audio comes `late_ms` late."""
    first, last = (10 + chars) * MS, (10 + chars + 50 + late_ms) * MS
    about = {"cell": cell, "index": index, "client": 0, "phase": "measured", "label": "warm", "text": "x" * chars}
    about |= {"text_class": "short", "voice": None, "speed": 1.0, "language": None, "outcome": "ok", "message": ""}
    stamps = dict.fromkeys(("scheduled_ns", "dispatched_ns", "sent_ns"), 0)
    stamps |= dict.fromkeys(("headers_ns", "first_byte_ns", "first_sample_ns", "audible_ns"), first)
    found = {"connected_ns": None, "last_byte_ns": last, "status": 200, "container": "wav", "sample_rate": RATE}
    found |= {"onset_sample": 0, "chunks": (ChunkRow(first, 100, 50), ChunkRow(last, 100, 50))}
    return RequestRecord(**{**about, **stamps, **found, **changes})


def cell(name: str = "c=1", ttfa_ms: float | None = 100.0, issued: int = 4, **changes: Any) -> CellResult:
    quantiles = dict.fromkeys(("p50", "p90", "p95", "p99"), Estimate(ttfa_ms))
    spread = Distribution(issued, 0, ttfa_ms, ttfa_ms, ttfa_ms, quantiles)
    about = {"name": name, "axes": {}, "label": "warm", "cell": {}, "window_s": 1.0, "failures": {}, "totals": {}}
    about["cell"] = {"load": {"concurrency": 1}, "target": {"delivery": "stream"}}
    counts = {"issued": issued, "ok": issued, "failed": 0, "cancelled": 0}
    return CellResult(**{**about, **counts, "distributions": {"ttfa_ms": spread}, **changes})


def concluded(
    cells: list[CellResult], records: Sequence[RequestRecord] = (), mode: str = "server", targets: str = "a"
) -> dict[str, Any]:
    session = SimpleNamespace(cells=cells, findings={}, mode=mode, targets=dict.fromkeys(targets))
    conclude(session, records, Goals())  # type: ignore[arg-type]
    return session.findings


@pytest.mark.parametrize(("mode", "told"), [("ttfa", True), ("full", True), ("server", False)])
def test_only_modes_about_ttfa_name_a_category(mode: str, told: bool):
    void = (Check("samples", False, "too few"),)
    cells = [cell("fast"), cell("slow", 900.0), cell("unknown", None), cell("failed", ok=0), cell("void", checks=void)]
    fast = {"category": "excellent", "median_ms": 100.0, "limits": "below 400 ms"}
    slow = {"category": "acceptable", "median_ms": 900.0, "limits": "800 to 1200 ms"}

    assert concluded(cells, mode=mode).get("categories") == ({"fast": fast, "slow": slow} if told else None)


def test_a_session_without_a_cell_has_nothing_to_conclude():
    assert concluded([]) == {}


def test_the_preroll_curve_tells_the_share_that_plays_gapless():
    records = [record(0), record(1, late_ms=20), record(2, late_ms=200), record(3, phase="warmup", late_ms=999)]
    curve = dict(map(tuple, concluded([cell()], records)["preroll_curve"]["c=1"]))

    assert curve[0] == pytest.approx(1 / 3, rel=1e-6) or curve[0] == pytest.approx(100 / 3)
    assert curve[20] == 2 * curve[0]
    assert curve[150] == 2 * curve[0]
    assert curve[200] == 3 * curve[0]


def test_a_cell_without_success_has_no_curve():
    findings = concluded([cell(ok=0)], [record(0, outcome="timeout")])

    assert "preroll_curve" not in findings


def lengths(count: int = 20, **changes: Any) -> list[RequestRecord]:
    return [record(index, chars=10 + 10 * index, **changes) for index in range(count)]


def test_ttfa_is_fitted_to_the_length_of_texts():
    fit = concluded([cell()], lengths())["fit"]

    assert fit["b_ms_per_char"] == pytest.approx(1.0)
    assert fit["a_ms"] == pytest.approx(10.0)


@pytest.mark.parametrize(
    "records",
    [
        lengths(19),
        [record(index, chars=10 + index % 100) for index in range(40)],
        lengths(label="cached"),
        lengths(speed=1.5),
        lengths(outcome="timeout"),
        lengths(cell="another cell"),
    ],
    ids=["too few", "too alike", "cached", "fast", "failed", "elsewhere"],
)
def test_what_says_nothing_about_length_is_not_fitted(records: list[RequestRecord]):
    assert "fit" not in concluded([cell()], records)


@pytest.mark.parametrize(
    ("load", "target"),
    [
        ({"concurrency": 2}, {"delivery": "stream"}),
        ({"concurrency": 1, "arrival": "poisson"}, {"delivery": "stream"}),
        ({"concurrency": 1}, {"delivery": "whole"}),
    ],
    ids=["crowded", "open", "whole"],
)
def test_only_streamed_cells_with_one_client_are_fitted(load: dict[str, Any], target: dict[str, Any]):
    assert "fit" not in concluded([cell(cell={"load": load, "target": target})], lengths())


def test_only_the_voice_with_the_most_requests_is_fitted():
    other = [record(index, cell="other", chars=10 + index, voice="slow", late_ms=900) for index in range(100, 110)]
    fit = concluded([cell(), cell("other")], [*lengths(), *other])["fit"]

    assert fit["n"] == 20


@pytest.mark.parametrize(("mode", "targets"), [("capacity", "a"), ("ab", "ab"), ("server", "ab")])
def test_several_targets_and_searches_have_no_fit_of_their_own(mode: str, targets: str):
    assert "fit" not in concluded([cell()], lengths(), mode, targets)


@pytest.mark.parametrize(("mode", "told"), [("server", True), ("capacity", False), ("ab", False)])
def test_searches_give_no_advice(mode: str, told: bool):
    assert ("recommendations" in concluded([cell(totals={"target_attainment": None})], mode=mode)) is told


def watched(name: str, issued: int, slope: float | None) -> CellResult:
    server = {f"uss_slope{end}_mb_per_1000": slope for end in ("", "_low", "_high", "_detectable")}
    return cell(name, issued=issued, server=server)


def test_the_leak_is_that_of_the_longest_cell():
    leak = concluded([watched("a", 1000, 2.0), watched("b", 2000, 3.0), cell("c", issued=9000)])["leak"]

    assert (leak["requests"], leak["slope_mb_per_1000"], leak["low"], leak["high"]) == (2000, 3.0, 3.0, 3.0)
    assert leak["sentence"] == "the server's own memory over 2000 requests"


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([watched("a", 999, 2.0)], "needs 1000 requests under one condition, the longest had 999"),
        ([watched(f"{n}", 36, None) for n in range(30)], "needs 1000 requests under one condition, the longest had 36"),
        ([watched("a", 5000, None)], "its own memory could not be read, or not often enough"),
        ([watched("a", 5000, 0.0)], "the counter of its memory stood still over 5000 requests"),
        ([cell("a", issued=5000)], "the server's processes were not watched"),
        (
            [replace(watched("a", 1500, 2.0), ok=999, failed=501)],
            "needs 1000 requests under one condition, the longest had 999",
        ),
    ],
    ids=["short", "short cells", "unreadable", "stood still", "not watched", "failed"],
)
def test_a_leak_that_cannot_be_judged_says_why(cells: list[CellResult], why: str):
    """Nobody may take the silence about a leak for its absence."""
    leak = concluded(cells)["leak"]

    assert (leak["judged"], leak["slope_mb_per_1000"], leak["low"]) == (False, None, None)
    assert leak["sentence"] == f"Leak: not judged ({why})."


def test_the_reports_say_that_no_leak_was_looked_for():
    session = SimpleNamespace(cells=[watched("a", 36, None)], findings={}, mode="full", targets={"a": {}})
    conclude(session, (), Goals())  # type: ignore[arg-type]
    shown = [block for block in blocks(session) if block.title == "Memory growth"]  # type: ignore[arg-type]

    assert [block.sentences for block in shown] == [
        ("Leak: not judged (needs 1000 requests under one condition, the longest had 36).",)
    ]
