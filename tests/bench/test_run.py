"""Sessions in this process, of functions that hum."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstaudio.bench import run as module
from firstaudio.bench.load.closed import ClosedLoop
from firstaudio.bench.machine import environment
from firstaudio.bench.reference.sound import sound
from firstaudio.bench.result import Floor
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.store import load_session, read_records
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.function import FunctionTarget
from firstaudio.bench.workload import Cell, Load, Texts, Workload
from firstaudio.errors import BenchError

RATE = 8000
SPEC = TargetSpec("openai", url="http://127.0.0.1:1", name="hum")
FEW = Load(num_requests=4, warmup_requests=0, stagger_s=0.0)
CELL = Cell("one", SPEC, texts=Texts(("short",)), load=FEW)


async def hum(text: str, voice: str = "") -> tuple[np.ndarray, int]:
    number = round(0.06 * len(text) * RATE)
    return np.frombuffer(sound(RATE, voice).part(0, number, number), "<i2"), RATE


class Notes:
    """A progress that remembers."""

    def __init__(self, at: Callable[[], None] = lambda: None) -> None:
        self.seen: list[str] = []
        self._at = at

    def begin(self, name: str, total: int | None) -> None:
        self.seen.append(f"begin {name} {total}")

    def advance(self, ok: bool) -> None:
        self.seen.append("ok" if ok else "failed")
        self._at()

    def end(self) -> None:
        self.seen.append("end")

    def note(self, message: str) -> None:
        self.seen.append(message)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "others_cpu_share", lambda _: 0.0)  # it watches for a quarter of a second


def runner(
    folder: Path, *cells: Cell, fn: Any = hum, progress: Any = None, floor: bool = False, **options: Any
) -> Runner:
    how = RunOptions(folder, "mine", floor=floor, **options)
    return Runner(Workload("server", cells), how, progress, {"hum": FunctionTarget(fn)})


async def test_a_session_is_on_disk_before_anything_is_asked(tmp_path: Path):
    runner(tmp_path, CELL)
    session = load_session("mine", tmp_path)

    assert (session.mode, session.completed, session.cells) == ("server", False, [])
    assert session.reasons == ["the run was interrupted: what is here is partial"]
    assert list(session.targets) == ["hum"]


async def test_every_cell_is_measured_and_saved_in_order(tmp_path: Path):
    notes = Notes()
    run = runner(tmp_path, CELL, CELL.replace(name="two"), progress=notes)
    await run.run_all()
    partial = load_session("mine", tmp_path)
    session = run.finish()
    await run.close()

    assert [(cell.name, cell.ok) for cell in session.cells] == [("one", 4), ("two", 4)]
    assert (partial.completed, len(partial.cells), load_session("mine", tmp_path).completed) == (False, 2, True)
    assert notes.seen[:6] == ["begin one 4", "ok", "ok", "ok", "ok", "end"]
    rows = list(read_records(run.folder))
    assert [(row.cell, row.index) for row in rows] == [(name, i) for name in ("one", "two") for i in range(4)]
    assert rows == list(run.records)


async def test_no_text_is_sent_twice_to_one_target_in_one_voice(tmp_path: Path):
    run = runner(tmp_path, CELL, CELL.replace(name="two"), CELL.replace(name="three", voice="alto"))
    await run.run_all()
    of = {name: [row.text for row in run.records if row.cell == name] for name in ("one", "two", "three")}

    assert len({*of["one"], *of["two"]}) == 8
    assert of["three"] == of["one"]


async def test_parts_of_a_cell_make_one_result(tmp_path: Path):
    run = runner(tmp_path, CELL)
    parts = [await run.measure(CELL, salt="same", number=number) for number in range(2)]
    result = run.keep(CELL, parts)

    assert (result.issued, result.ok) == (8, 8)
    assert [(row.part, row.index) for row in run.records] == [(i // 4, i) for i in range(8)]
    assert [row.text for row in parts[0].records] == [row.text for row in parts[1].records]


async def test_a_run_that_is_stopped_keeps_what_it_has(tmp_path: Path):
    async def slow(text: str) -> tuple[np.ndarray, int]:
        if len(run.records) >= 4:
            run.stop()
            await asyncio.Future()
        return await hum(text)

    run = runner(tmp_path, CELL, CELL.replace(name="two"), CELL.replace(name="three"), fn=slow)
    await run.run_all()
    session = run.finish()
    await run.close()

    assert [(cell.name, cell.ok, cell.completed) for cell in session.cells] == [("one", 4, True), ("two", 0, False)]
    assert not load_session("mine", tmp_path).completed
    assert "two: the load ended early because it was interrupted" in session.warnings[0]


async def test_work_gives_way_to_a_stop(tmp_path: Path):
    run, ended = runner(tmp_path), []

    async def hangs() -> None:
        try:
            run.stop()
            await asyncio.Future()
        finally:
            ended.append("cancelled")

    assert await run.until_stopped(hangs()) is None
    assert ended == ["cancelled"]


async def test_work_that_ends_is_not_disturbed(tmp_path: Path):
    async def answer() -> int:
        return 42

    async def fails() -> int:
        raise BenchError("no")

    run = runner(tmp_path)
    assert await run.until_stopped(answer()) == 42
    with pytest.raises(BenchError, match="no"):
        await run.until_stopped(fails())


async def test_failures_are_counted_and_their_audio_is_kept(tmp_path: Path):
    async def half(text: str) -> Any:
        samples, rate = await hum(text)
        yield samples[: len(samples) // 2], rate
        raise RuntimeError("the model fell over")

    run = runner(tmp_path, CELL, fn=half)
    await run.run_all()
    session = run.finish()

    assert dict(session.cells[0].failures) == {"target_error": 4}
    assert session.cells[0].totals["asps"] is None
    assert "no request succeeded" in session.reasons
    assert {clip.why for clip in session.clips} == {"failed, with audio"}
    assert all((run.folder / clip.file).is_file() for clip in session.clips)


async def test_a_session_that_is_there_is_not_touched(tmp_path: Path):
    runner(tmp_path, CELL)

    with pytest.raises(BenchError, match="already"):
        runner(tmp_path, CELL)
    assert runner(tmp_path, CELL, overwrite=True).folder.is_dir()


class Floors:
    """Stands in for `measure_floor`: p99 by number of workers."""

    def __init__(self, **p99_ms: float | None) -> None:
        self.p99_ms = {int(workers[1:]): value for workers, value in p99_ms.items()}
        self.asked: list[tuple[int, int]] = []

    async def __call__(self, cell: Cell, workers: int, warn: Any = None) -> Floor | None:
        self.asked.append((cell.load.concurrency, workers))
        p99_ms = self.p99_ms[workers]
        return None if p99_ms is None else Floor(0.1, p99_ms, 200, cell.load.concurrency, workers)


@pytest.mark.parametrize(
    ("p99_ms", "cores", "workers"),
    [
        ({"w1": 5.0}, 8, 1),
        ({"w1": 6.0, "w2": 4.0}, 8, 2),
        ({"w1": 9.0, "w2": 7.0, "w4": 3.0}, 8, 4),
        ({"w1": 9.0, "w2": 7.0}, 2, 2),
        ({"w1": 9.0, "w2": 9.5}, 8, 1),
        ({"w1": 9.0}, 1, 1),
        ({"w1": None}, 8, 1),
    ],
    ids=str,
)
async def test_a_client_that_is_slow_itself_gets_help(
    p99_ms: dict[str, float | None], cores: int, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    floors = Floors(**p99_ms)
    monkeypatch.setattr(module, "measure_floor", floors)
    monkeypatch.setattr(module.os, "cpu_count", lambda: cores)
    floor, number = await runner(tmp_path, floor=True)._floor(CELL)

    assert number == workers
    assert (floor.p99_ms if floor else None) == p99_ms[f"w{workers}"]
    assert [asked for _, asked in floors.asked] == sorted(int(name[1:]) for name in p99_ms)


async def test_a_floor_is_measured_once_for_each_kind_of_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    floors = Floors(w1=1.0)
    monkeypatch.setattr(module, "measure_floor", floors)
    four = CELL.replace(name="four", load=Load(concurrency=4, num_requests=4, warmup_requests=0, stagger_s=0.0))
    run = runner(tmp_path, CELL, CELL.replace(name="again", voice="alto"), four, floor=True)
    await run.run_all()

    assert floors.asked == [(1, 1), (4, 1)]
    assert [cell.client.floor.concurrency for cell in run.session.cells if cell.client] == [1, 1, 4]


async def test_a_stop_during_the_floor_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async def hangs(*_: object, **__: object) -> Any:
        run.stop()
        return await asyncio.Future()

    monkeypatch.setattr(module, "measure_floor", hangs)
    run = runner(tmp_path, CELL, CELL.replace(name="two"), fn=hangs, floor=True)
    await run.run_all()
    session = run.finish()

    assert [(cell.name, cell.ok, cell.completed) for cell in session.cells] == [("one", 0, False)]
    assert not session.completed


async def test_a_fault_of_the_harness_itself_leaves_the_session_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = runner(tmp_path, CELL, CELL.replace(name="two"))
    await run.run(CELL)
    monkeypatch.setattr(ClosedLoop, "prepare", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await run.run(CELL.replace(name="two"))

    assert [cell.name for cell in load_session("mine", tmp_path).cells] == ["one"]


async def test_a_few_answers_of_each_cell_go_to_the_recogniser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "NUM_TRANSCRIBED", 2)
    options = RunOptions(tmp_path, "words", floor=False, transcribe=lambda pcm, rate: "nothing of the kind")
    runner = Runner(Workload("server", (CELL,)), options, targets={"hum": FunctionTarget(hum)})

    await runner.run_all()
    await runner.close()

    heard = [record.quality["word_error_rate"] for record in runner.records if "word_error_rate" in record.quality]
    assert len(heard) == 2
    assert runner.session.cells[0].quality["word_error_rate"] == pytest.approx(sum(heard) / 2)
