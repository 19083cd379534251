"""What is known of the synthetic server against what was measured of it, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.bench.modes.demo import Truth, truth
from firstaudio.bench.record import ChunkRow, RequestRecord
from firstaudio.bench.reference import Figures

MS = 1_000_000
RATE = 4000
TEXT = "x" * 20
# 20 characters of 50 ms are 1 s of audio in ten chunks. The first leaves after 30 ms; the last, which begins at 900 ms
# of audio, after 30 + 0.5 * 900 = 480 ms.
FIGURES = Figures(ttfa_ms=30.0, rtf=0.5, chunk_ms=100.0, char_s=0.05, sample_rate=RATE, capacity=2)


def record(cell: str = "c=1", late_ms: float = 0.0, **changes: Any) -> RequestRecord:
    """A perfect answer, or one that is late as a whole."""
    chunks = tuple(ChunkRow(round((30 + 50 * k + late_ms) * MS), 800, 400) for k in range(10))
    about = {"cell": cell, "index": 0, "client": 0, "phase": "measured", "label": "warm", "text": TEXT}
    about |= {"text_class": "short", "voice": None, "speed": 1.0, "language": None, "outcome": "ok", "message": ""}
    stamps = dict.fromkeys(("scheduled_ns", "dispatched_ns", "sent_ns"), 0)
    stamps |= dict.fromkeys(("headers_ns", "first_byte_ns", "first_sample_ns", "audible_ns"), chunks[0].arrival_ns)
    found = {"connected_ns": None, "last_byte_ns": chunks[-1].arrival_ns, "status": 200, "container": "wav"}
    found |= {"sample_rate": RATE, "onset_sample": 0, "chunks": chunks}
    return RequestRecord(**{**about, **stamps, **found, **changes})


def cell(level: int, asps: float | None = None) -> Any:
    return SimpleNamespace(name=f"c={level}", totals={"asps": asps})


def test_a_perfect_measurement_finds_every_figure():
    found = truth([record(), record()], [cell(1)], FIGURES)

    assert [(each.figure, each.stated, each.measured, each.ok) for each in found] == [
        ("TTFA, 1 client", 30.0, 30.0, True),
        ("TTGP, 1 client", 30.0, 30.0, True),
        ("pre-roll needed, 1 client", 0.0, 0.0, True),
        ("RTF, 1 client", 0.48, 0.48, True),
    ]


@pytest.mark.parametrize(("late_ms", "ok"), [(0.9, True), (1.1, False)])
def test_a_difference_of_more_than_a_millisecond_is_told(late_ms: float, ok: bool):
    by_name = {each.figure: each for each in truth([record(late_ms=late_ms)], [cell(1)], FIGURES)}

    assert by_name["TTFA, 1 client"].ok is ok
    assert by_name["RTF, 1 client"].ok


@pytest.mark.parametrize(
    "records", [[], [record("c=2")], [record(outcome="timeout")], [record(phase="warmup")]], ids=lambda _: ""
)
def test_without_a_success_of_one_client_nothing_is_compared(records: list[RequestRecord]):
    assert truth(records, [cell(1)], FIGURES) == []


@pytest.mark.parametrize(("asps", "ok"), [(2 / 0.48, True), (2 / 0.48 * 1.04, True), (2 / 0.48 * 1.06, False)])
def test_more_clients_than_lanes_show_the_throughput(asps: float, ok: bool):
    """Two lanes, each busy for 480 ms with a second of audio."""
    found = truth([record(), record("c=4"), record("c=4")], [cell(1, 2.0), cell(4, asps)], FIGURES)[-1]

    assert found.figure == "ASPS, 4 clients on 2 lanes"
    assert found.stated == pytest.approx(2 / 0.48)
    assert found.ok is ok


@pytest.mark.parametrize("crowd", [cell(2, 4.0), cell(4, None)], ids=["no more than lanes", "nothing measured"])
def test_throughput_is_not_known_otherwise(crowd: Any):
    found = truth([record(), record(crowd.name)], [cell(1, 2.0), crowd], FIGURES)

    assert [each.figure for each in found if each.figure.startswith("ASPS")] == []


def test_what_is_accepted_is_told():
    assert Truth("TTFA", "ms", 30.0, 31.5, within=1.0).to_json() == {
        "figure": "TTFA",
        "unit": "ms",
        "stated": 30.0,
        "measured": 31.5,
        "within": 1.0,
        "low": 29.0,
        "high": 31.0,
        "ok": False,
    }
