"""The harness as a Python API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstaudio.bench import BenchmarkConfig, TTSBenchmarkHarness, create_torch_inference_tts_function, run
from firstaudio.bench.machine import environment
from firstaudio.bench.reference import ReferenceServer, running
from firstaudio.bench.reference.sound import sound
from firstaudio.bench.result import Floor
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import list_sessions, load_session, read_records
from firstaudio.bench.workload import Cell
from firstaudio.errors import BenchError

RATE = 8000


def hum(text: str) -> tuple[np.ndarray, int]:
    number = round(0.06 * len(text) * RATE)
    return np.frombuffer(sound(RATE).part(0, number, number), "<i2"), RATE


async def hum_later(text: str) -> tuple[np.ndarray, int]:
    await asyncio.sleep(0)
    return hum(text)


def hum_in_pieces(text: str) -> Iterator[tuple[np.ndarray, int]]:
    samples, rate = hum(text)
    yield from ((part, rate) for part in np.array_split(samples, 3))


async def hum_in_pieces_later(text: str) -> AsyncIterator[tuple[np.ndarray, int]]:
    for piece in hum_in_pieces(text):
        yield piece


async def floor(cell: Cell, _workers: int, warn: Any = None) -> Floor:
    return Floor(0.25, 0.5, 200, cell.load.concurrency, 1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without watching the neighbours and the client itself, which takes seconds."""
    monkeypatch.setattr(environment, "others_cpu_share", lambda _: 0.0)
    monkeypatch.setattr(run, "measure_floor", floor)


@pytest.fixture
def config(tmp_path: Path) -> BenchmarkConfig:
    return configured(tmp_path)


def configured(output_dir: Path, **changes: Any) -> BenchmarkConfig:
    few = {"concurrency_levels": [1], "iterations_per_level": 4, "warmup": 0, "reports": False}
    return BenchmarkConfig(**{**few, "output_dir": output_dir, **changes})


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with running(ttfa_ms=1.0, rtf=0.0, sample_rate=RATE) as reference:
        yield reference


def check(session: Session, name: str, output_dir: Path) -> None:
    (cell,) = session.cells
    assert (cell.name, cell.issued, cell.ok) == ("c=1", 4, 4)
    assert list(session.targets) == [name]
    saved = load_session(session.name, output_dir)
    assert json.dumps(saved.to_json()) == json.dumps(session.to_json())


@pytest.mark.parametrize(
    ("fn", "is_async", "num_chunks"),
    [
        (hum, None, 1),
        (hum, False, 1),
        (hum_later, True, 1),
        (hum_later, None, 1),
        (hum_in_pieces, None, 3),
        (hum_in_pieces_later, None, 3),
        (lambda text: hum_later(text), True, 1),
    ],
    ids=["sync", "sync, stated", "async, stated", "async", "generator", "async generator", "wrapped"],
)
async def test_a_function_is_measured(fn: Any, is_async: bool | None, num_chunks: int, config: BenchmarkConfig):
    session = await TTSBenchmarkHarness(config).run_benchmark(fn, is_async=is_async)

    check(session, fn.__name__, Path(config.output_dir))
    records = list(read_records(Path(config.output_dir) / session.name))
    assert all(sum(chunk.num_samples > 0 for chunk in record.chunks) == num_chunks for record in records)
    assert len({record.text for record in records}) == 4


def test_a_program_without_an_event_loop_can_run_it(config: BenchmarkConfig):
    check(TTSBenchmarkHarness(config).run(hum, name="mine"), "mine", Path(config.output_dir))


async def test_every_level_is_a_cell(tmp_path: Path):
    config = configured(tmp_path, concurrency_levels=[1, 2], iterations_per_level=8)
    session = await TTSBenchmarkHarness(config).run_benchmark(hum_later)

    assert [(cell.name, cell.ok) for cell in session.cells] == [("c=1", 8), ("c=2", 8)]


async def test_a_second_session_gets_a_number(config: BenchmarkConfig):
    harness = TTSBenchmarkHarness(config)

    assert [(await harness.run_benchmark(hum)).name for _ in range(2)] == ["hum", "hum-2"]


async def test_texts_of_ones_own_are_spoken(tmp_path: Path):
    config = configured(tmp_path, texts=["This is one text.", "And this is another one."])
    session = await TTSBenchmarkHarness(config).run_benchmark(hum)

    assert session.cells[0].label == "cached"
    said = [record.text for record in read_records(tmp_path / "hum")]
    assert sorted(said) == sorted([*config.texts, *config.texts])


async def test_reports_are_written_where_they_are_wanted(tmp_path: Path):
    await TTSBenchmarkHarness(configured(tmp_path, reports=True)).run_benchmark(hum)

    assert {"report.html", "report.md"} <= {path.name for path in (tmp_path / "hum").iterdir()}


def raising(_: str) -> bytes:
    raise ValueError("no such voice")


def rateless(text: str) -> np.ndarray:
    return hum(text)[0]


@pytest.mark.parametrize(
    ("fn", "kind", "part"),
    [
        (raising, "target_error", "the function raised ValueError: no such voice"),
        (rateless, "no_sample_rate", "rate"),
        (lambda _: b"", "empty", "no audio"),
        (lambda text: hum_later(text), "protocol", "is_async=True"),
    ],
    ids=["raises", "without a rate", "returns nothing", "undeclared"],
)
async def test_a_run_without_success_raises_and_says_why(fn: Any, kind: str, part: str, config: BenchmarkConfig):
    with pytest.raises(BenchError, match="no request succeeded: ") as caught:
        await TTSBenchmarkHarness(config).run_benchmark(fn)

    assert part in caught.value.message
    session = load_session(list_sessions(Path(config.output_dir))[0].name, Path(config.output_dir))
    assert dict(session.cells[0].failures) == {kind: 4}
    assert "no request succeeded" in session.reasons


async def test_the_rate_of_raw_samples_may_be_stated(tmp_path: Path):
    session = await TTSBenchmarkHarness(configured(tmp_path, sample_rate=RATE)).run_benchmark(rateless)

    check(session, "rateless", tmp_path)


async def test_torch_inference_is_measured_on_the_wire(server: ReferenceServer, config: BenchmarkConfig):
    fn = create_torch_inference_tts_function(server.url)
    session = await TTSBenchmarkHarness(config).run_benchmark(fn)

    check(session, server.url, Path(config.output_dir))
    assert session.targets[server.url]["kind"] == "torch"
    assert session.cells[0].client.floor == Floor(0.25, 0.5, 200, 1, 1)


async def test_torch_inference_can_be_called(server: ReferenceServer):
    text = "Good morning to everyone."
    samples, rate = await create_torch_inference_tts_function(server.url)(text)

    assert (rate, len(samples)) == (RATE, round(0.06 * len(text) * RATE))


async def test_torch_inference_that_fails_says_why(server: ReferenceServer):
    fn = create_torch_inference_tts_function(server.url, path="/fault/fail/synthesize")

    with pytest.raises(BenchError, match="the reference server fails here, as stated"):
        await fn("Good morning.")


async def test_the_timeout_of_a_specification_is_kept_unless_the_configuration_states_one(
    server: ReferenceServer, tmp_path: Path
):
    fn = create_torch_inference_tts_function(server.url, timeout_s=7.0)
    own = await TTSBenchmarkHarness(configured(tmp_path)).run_benchmark(fn)
    stated = await TTSBenchmarkHarness(configured(tmp_path, timeout=9.0)).run_benchmark(fn)

    assert [session.targets[server.url]["timeout_s"] for session in (own, stated)] == [7.0, 9.0]


@pytest.mark.parametrize(
    "changes",
    [{"concurrency_levels": []}, {"concurrency_levels": [0]}, {"iterations_per_level": 0}, {"timeout": 0}],
    ids=str,
)
def test_a_configuration_that_cannot_be_is_refused(changes: dict[str, Any], tmp_path: Path):
    with pytest.raises(BenchError):
        configured(tmp_path, **changes)


def test_what_cannot_be_called_is_refused(config: BenchmarkConfig):
    with pytest.raises(BenchError, match="cannot be called with a text alone"):
        TTSBenchmarkHarness(config).run(lambda: b"")
    with pytest.raises(BenchError, match="cannot be called"):
        TTSBenchmarkHarness(config).run(42)  # type: ignore[arg-type]
