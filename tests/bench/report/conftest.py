"""Sessions as the harness saves them: with every awkward figure that a report must not get wrong."""

from __future__ import annotations

import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from firstaudio.bench.record import ChunkRow, RequestRecord
from firstaudio.bench.result import CellResult, Check, ClientSide, Distribution, Estimate, Floor
from firstaudio.bench.sessions.session import Clip, Session
from firstaudio.clock import NS_PER_MS as MS

MakeCell = Callable[..., CellResult]
MakeRecord = Callable[..., RequestRecord]
MakeSession = Callable[..., Session]


QUANTILES = ("p50", "p90", "p95", "p99")


def spread(p50: float, n: int, num_failed: int = 0) -> Distribution:
    """Percentiles that widen upwards; with too few samples the upper ones are not available."""

    def at(factor: float, needs: int) -> Estimate:
        value = p50 * factor
        return Estimate(value, value * 0.95, value * 1.08) if n >= needs else Estimate(None, needs=needs)

    quantiles = {"p50": at(1, 6), "p90": at(1.4, 36), "p95": at(1.7, 72), "p99": at(2.5, 368)}
    return Distribution(n, num_failed, p50 * 1.1, p50 * 0.7, p50 * 3, quantiles)


def all_failed(n: int) -> Distribution:
    return Distribution(n, n, None, None, None, dict.fromkeys(QUANTILES, Estimate(None, infinite=True)))


def client(floor_ms: float = 0.4) -> ClientSide:
    return ClientSide(0.21, 1.5, None, None, 3.9, 0.01, 1, Floor(floor_ms, floor_ms * 4, 400, 4, 1))


@pytest.fixture
def make_cell() -> MakeCell:
    def make(
        concurrency: int = 1,
        *,
        ttfa: float = 30.0,
        asps: float = 90.0,
        n: int = 72,
        checks: tuple[Check, ...] = (),
        axes: Mapping[str, str | int | float] | None = None,
        target: str = "synthetic_tts",
        **changes: Any,
    ) -> CellResult:
        axes = {"concurrency": concurrency} if axes is None else axes
        name = f"c={concurrency}" if list(axes) == ["concurrency"] else " ".join(str(v) for v in axes.values())
        totals: dict[str, float | None] = {
            "asps": asps,
            "rps": asps / 2.5,
            "cps": asps * 15,
            "success_rate": 100.0,
            "target_attainment": 98.6,
            "goodput": asps / 2.6,
            "rtf_mean": concurrency / asps,
            "rtf_median": concurrency / asps * 0.98,
            "mean_concurrency": float(concurrency),
            "gapless_share": 97.2,
        }
        metrics = {"ttfb_ms": 0.9, "ttfa_ms": 1.0, "audible_ttfa_ms": 1.2, "ttgp_ms": 1.5, "latency_ms": 8.0}
        given: dict[str, Any] = {
            "name": name,
            "axes": axes,
            "label": "warm",
            "cell": {"target": {"name": target, "kind": "openai"}, "load": {"concurrency": concurrency}},
            "window_s": 20.0,
            "issued": n,
            "ok": n,
            "failed": 0,
            "cancelled": 0,
            "failures": {},
            "distributions": {m: spread(ttfa * factor, n) for m, factor in metrics.items()},
            "totals": totals,
            "quality": {"click_rate": 0.0, "peak_dbfs": -3.1},
            "stages_ms": {"queue": 0.2, "text": 1.1, "engine": 21.0, "encode": 0.4},
            "client": client(),
            "checks": checks,
        }
        return CellResult(**{**given, **changes})

    return make


@pytest.fixture
def failed_cell(make_cell: MakeCell) -> CellResult:
    """A level at which nothing succeeded: no figure at all."""
    nothing = dict.fromkeys(("asps", "rps", "cps", "rtf_mean", "rtf_median", "goodput", "target_attainment"))
    return make_cell(
        32,
        ok=0,
        failed=72,
        failures={"refused": 60, "timeout": 12},
        distributions={"ttfa_ms": all_failed(72), "latency_ms": all_failed(72)},
        totals={**nothing, "success_rate": 0.0},
        quality={},
        stages_ms={},
    )


@pytest.fixture
def voided_cell(make_cell: MakeCell) -> CellResult:
    """The best figures of all, but not to be trusted."""
    cpu = Check("client CPU", False, "the client used 93 % of a core: give it more workers")
    return make_cell(64, ttfa=1.0, asps=9999.0, checks=(cpu,))


@pytest.fixture
def demo_cells(make_cell: MakeCell, failed_cell: CellResult) -> list[CellResult]:
    noisy = Check("other processes", False, "other processes used 9 % of the machine: repeat", voids=False)
    return [
        make_cell(1, ttfa=30.6, asps=98.4),
        make_cell(2, ttfa=31.1, asps=191.0),
        make_cell(4, ttfa=33.8, asps=345.2, checks=(noisy,)),
        make_cell(8, ttfa=70.2, asps=338.9, n=36),
        make_cell(16, ttfa=160.9, asps=341.7, n=368),
        failed_cell,
    ]


FINDINGS: dict[str, Any] = {
    "truth": [
        {"figure": "TTFA", "unit": "ms", "stated": 30.0, "measured": 30.6, "low": 29.0, "high": 31.0, "ok": True},
        {"figure": "RTF", "unit": "", "stated": 0.01, "measured": 0.02, "low": 0.009, "high": 0.011, "ok": False},
    ],
    "fit": {
        "a_ms": 28.1,
        "b_ms_per_char": 0.031,
        "b_low": 0.02,
        "b_high": 0.04,
        "verdict": "streams",
        "sentence": "TTFA hardly grows with the text: the server streams.",
    },
    "capacity": {
        "listeners": 4,
        "criterion": "audible TTFA <= 800 ms and pre-roll <= 100 ms",
        "steps": [
            {"concurrency": 4, "n": 500, "good": 500, "share": 1.0, "low": 0.9924, "passed": True},
            {"concurrency": 8, "n": 60, "good": 31, "share": 0.5167, "low": 0.3931, "passed": False},
        ],
        "sentence": "4 listeners hear it without a gap.",
    },
    "ab": {
        "a": "old",
        "b": "new",
        "rounds": 12,
        "metrics": [
            {
                "metric": "ttfa_ms",
                "ratio": 0.9,
                "low": 0.88,
                "high": 0.93,
                "p": 0.0005,
                "verdict": "faster",
                "sentence": "",
            }
        ],
        "verdict": "faster",
        "sentence": "new is 10 % faster to first audio than old.",
        "voided_by": ["2 clips are silent"],
    },
    "leak": {"slope_mb_per_1000": 0.12, "low": -0.3, "high": 0.5, "detectable": 0.8, "sentence": "No growth is seen."},
    "recommendations": [
        {"action": "Run at most 4 at once", "evidence": "ASPS is flat from there on", "gain": "TTFA 70 ms to 34 ms"}
    ],
    "preroll_curve": {"c=1": [[0, 0.9], [50, 0.98], [200, 1.0]], "c=16": [[0, 0.2], [50, 0.5], [200, 0.95]]},
    "discovery": {"engine": "synthetic", "voices": ["alto", "bass"], "streaming": True},
}


@pytest.fixture
def make_session() -> MakeSession:
    def make(cells: list[CellResult], **changes: Any) -> Session:
        given: dict[str, Any] = {
            "name": "demo",
            "mode": "demo",
            "created": "2025-11-03T10:00:00+00:00",
            "origin_ns": 0,
            "command": ["firstaudio", "bench", "demo", "--name", "my demo"],
            "configuration": {"mode": "demo", "goals": {"ttfa_ms": 800.0, "short_ttfa_ms": 400.0, "buffer_ms": 0.0}},
            "workload_hash": "0123456789abcdef",
            "environment": {"cpu": {"model": "Two Core", "cores": 2}, "python": "3.11.7", "packages": {"numpy": "2.1"}},
            "definitions": {
                "metrics": {"ttfa_ms": {"title": "TTFA", "formula": "first_sample - sent", "unit": "ms"}},
                "statistics": {"quantile": "type 7"},
            },
            "targets": {"synthetic_tts": {"kind": "openai", "url": "http://127.0.0.1:9"}},
            "cells": cells,
            "completed": True,
        }
        return Session(**{**given, **changes})

    return make


@pytest.fixture
def demo(make_session: MakeSession, demo_cells: list[CellResult]) -> Session:
    return make_session(
        demo_cells,
        findings=dict(FINDINGS),
        clips=[Clip("c=1", 3, "slowest to first audio", "clips/slowest.wav")],
        warnings=["warm-up did not become stable"],
    )


@pytest.fixture
def voices(make_session: MakeSession, make_cell: MakeCell) -> Session:
    names = ("alto", "bass", "<script>alert(1)</script>", "=HYPERLINK(1)")
    cells = [make_cell(axes={"voice": v}, ttfa=20.0 + 9 * i, asps=90 - 5.0 * i) for i, v in enumerate(names)]
    return make_session(cells, name="voices", mode="voices")


@pytest.fixture
def make_record() -> MakeRecord:
    def make(
        index: int = 0, *, ttfa_ms: int = 30, cell: str = "c=1", outcome: str = "ok", **changes: Any
    ) -> RequestRecord:
        start = (1000 + index * 500) * MS
        ok = outcome == "ok"
        chunks = tuple(ChunkRow(start + (ttfa_ms + 80 * i) * MS, 4800, 2400) for i in range(4)) if ok else ()
        given: dict[str, Any] = {
            "cell": cell,
            "index": index,
            "client": 0,
            "phase": "measured",
            "label": "warm",
            "text": "The ferry leaves at seven. " * (1 + index % 5),
            "text_class": "short",
            "voice": None,
            "speed": 1.0,
            "language": None,
            "outcome": outcome,
            "message": "" if ok else "the server answered 503: lower the load",
            "scheduled_ns": start - MS,
            "dispatched_ns": start - MS,
            "connected_ns": None,
            "sent_ns": start,
            "headers_ns": start + 2 * MS,
            "first_byte_ns": start + 3 * MS if ok else None,
            "first_sample_ns": start + ttfa_ms * MS if ok else None,
            "audible_ns": start + (ttfa_ms + 12) * MS if ok else None,
            "last_byte_ns": start + (ttfa_ms + 240) * MS,
            "status": 200 if ok else 503,
            "container": "wav" if ok else None,
            "sample_rate": 24000 if ok else None,
            "onset_sample": 288 if ok else None,
            "chunks": chunks,
        }
        return RequestRecord(**{**given, **changes})

    return make


@pytest.fixture
def records(make_record: MakeRecord) -> list[RequestRecord]:
    rows = [make_record(i, ttfa_ms=28 + i % 7 + (i % 5)) for i in range(30)]
    rows.append(make_record(31, ttfa_ms=190))
    return [*rows, *(make_record(i, cell="c=32", outcome="refused") for i in range(5))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A session's folder with one clip in it."""
    (tmp_path / "clips").mkdir()
    with wave.open(str(tmp_path / "clips" / "slowest.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24000)
        file.writeframes(b"\x00\x10" * 2400)
    return tmp_path
