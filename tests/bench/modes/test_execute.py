"""Sessions from beginning to end, however they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firstaudio.bench.capacity import Criterion
from firstaudio.bench.machine import environment
from firstaudio.bench.modes.execute import execute, run_ab, run_capacity, run_mode
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.progress import Silent
from firstaudio.bench.reference import ReferenceServer, running
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import load_session
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Texts, Workload
from firstaudio.errors import BenchError


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with running(ttfa_ms=1.0, rtf=0.0, sample_rate=8000) as reference:
        yield reference


@pytest.fixture
def setup(server: ReferenceServer, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(environment, "others_cpu_share", lambda _: 0.0)  # it watches for a quarter of a second
    spec = TargetSpec("openai", url=server.url, name="reference", timeout_s=30.0)
    return Setup(spec, levels=(1,), requests=4, texts=Texts(("short",)), warmup=0)


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    return RunOptions(tmp_path, "mine", floor=False, reports=False)


def saved(options: RunOptions) -> Session:
    return load_session(options.name, options.output_dir)


class StopAfter(Silent):
    """Stops the run when so many requests have ended."""

    def __init__(self, count: int) -> None:
        self.left, self.stop = count, lambda: None

    def started(self, runner: Runner) -> None:
        self.stop = runner.stop

    def advance(self, ok: bool) -> None:
        assert ok
        self.left -= 1
        if self.left == 0:
            self.stop()


async def test_a_mode_is_measured_concluded_and_saved(setup: Setup, options: RunOptions):
    session, files = await run_mode("server", setup, options, Silent())

    assert (session.completed, files) == (True, [])
    assert [(cell.name, cell.ok) for cell in session.cells] == [("c=1", 4)]
    assert {"first_request", "preroll_curve", "recommendations"} <= set(session.findings)
    assert session.findings["first_request"]["reference"]["container"] == "wav"
    assert saved(options).findings.keys() == session.findings.keys()


async def test_reports_are_files_beside_the_session(setup: Setup, tmp_path: Path):
    _, files = await run_mode("server", setup, RunOptions(tmp_path, "mine", floor=False), Silent())

    assert {path.parent for path in files} == {tmp_path / "mine"}
    assert {"report.md", "report.html"} <= {path.name for path in files}


async def test_a_voice_that_fails_does_not_keep_the_others_from_being_measured(setup: Setup, options: RunOptions):
    several = Setup(setup.target, ("fault-error", "alto"), (1,), 4, setup.texts, warmup=0)
    session, _ = await run_mode("voices", several, options, Silent())

    assert [cell.ok > 0 for cell in session.cells] == [False, True]
    assert "preflight" not in session.findings
    assert list(session.findings["first_request"]) == ["reference"]


@pytest.mark.parametrize("mode", ["server", "capacity", "ab"])
async def test_a_target_that_does_not_speak_is_a_finding(mode: str, setup: Setup, options: RunOptions):
    silent = Setup(setup.target.replace(path="/fault/unauthorized/v1/audio/speech"), (), (1,), 4, warmup=0)
    runs: dict[str, Callable[[], Any]] = {
        "server": lambda: run_mode("server", silent, options, Silent()),
        "capacity": lambda: run_capacity(silent, Criterion(800, 0, 0.9), options, Silent(), start=1, limit=2),
        "ab": lambda: run_ab(setup, silent, options, Silent(), rounds=10, requests=4),
    }
    session, _ = await runs[mode]()

    assert session.findings["preflight"]["kind"] == "unauthorized"
    assert (session.completed, session.cells) == (True, [])
    assert session.reasons == [f"nothing could be measured: {session.findings['preflight']['message']}"]


async def test_a_stop_before_the_first_answer_ends_the_run(setup: Setup, options: RunOptions):
    hanging = Setup(setup.target.replace(path="/fault/hang/v1/audio/speech"), (), (1,), 4, warmup=0)
    started: asyncio.Future[Runner] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_mode("server", hanging, options, Silent(), on_start=started.set_result))
    (await started).stop()
    async with asyncio.timeout(10):
        session, _ = await task

    assert (session.completed, session.cells) == (False, [])
    assert session.reasons == ["the run was interrupted: what is here is partial"]


@pytest.mark.parametrize("after", [1, 5, 13])
async def test_a_comparison_that_is_stopped_has_what_its_rounds_gave(after: int, setup: Setup, options: RunOptions):
    progress = StopAfter(after)
    session, _ = await run_ab(setup, setup, options, progress, rounds=10, requests=4, on_start=progress.started)

    assert not session.completed
    assert all(cell.ok <= after for cell in session.cells)
    assert saved(options).to_json()["verdict"] == "INVALID"


async def test_a_search_that_is_stopped_has_no_answer(setup: Setup, options: RunOptions):
    progress = StopAfter(3)
    criterion = Criterion(60_000, 60_000, 0.9)
    session, _ = await run_capacity(setup, criterion, options, progress, start=1, limit=2, on_start=progress.started)

    assert session.findings["capacity"]["listeners"] is None
    assert session.findings["capacity"]["sentence"] == "the search was interrupted before it had an answer"
    assert not session.completed


async def test_an_error_of_a_mode_leaves_a_partial_session(setup: Setup, options: RunOptions):
    async def body(runner: Runner) -> None:
        await runner.run(setup.cell("one"))
        raise BenchError("the mode fell over")

    with pytest.raises(BenchError, match="the mode fell over"):
        await execute(Workload("odd", ()), options, Silent(), body=body)

    assert [cell.name for cell in saved(options).cells] == ["one"]
    assert not saved(options).completed


async def test_a_cancelled_run_leaves_a_partial_session(setup: Setup, options: RunOptions):
    begun = asyncio.Event()

    async def body(runner: Runner) -> None:
        await runner.run(setup.cell("one"))
        begun.set()
        await asyncio.Future()

    task = asyncio.create_task(execute(Workload("odd", ()), options, Silent(), body=body))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [cell.name for cell in saved(options).cells] == ["one"]
