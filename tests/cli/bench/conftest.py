"""`firstaudio bench`, run in this process against a reference server that is as fast as it can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firstaudio.bench.machine import environment
from firstaudio.bench.reference import Figures, ReferenceServer, running
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import list_sessions, load_session

FIGURES = Figures(ttfa_ms=1.0, rtf=0.0, char_s=0.04, sample_rate=8000)


@dataclass(frozen=True)
class Benched:
    """What a run left, on the terminal and on disk."""

    exit_code: int
    stdout: str
    stderr: str
    output_dir: Path

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in list_sessions(self.output_dir)]

    @property
    def session(self) -> Session:
        (name,) = self.names
        return load_session(name, self.output_dir)

    @property
    def files(self) -> set[str]:
        (name,) = self.names
        return {path.name for path in (self.output_dir / name).iterdir()}


Bench = Callable[..., Benched]


@pytest.fixture(autouse=True)
def loads_begin_soon(young_garbage: None) -> None:
    """For all tests of the harness."""


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with running(FIGURES) as reference:
        yield reference


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def bench(run: Callable[..., Any], here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Run `firstaudio bench ARGUMENTS...`; sessions go to a folder that is not the current one."""
    monkeypatch.setattr(environment, "others_cpu_share", lambda _: 0.0)  # it watches for a quarter of a second

    def bench(*arguments: object) -> Benched:
        result = run("bench", *map(str, arguments), "--output-dir", str(tmp_path / "out"))
        assert list(here.iterdir()) == []
        assert "Traceback" not in result.stderr
        return Benched(result.exit_code, result.stdout.decode(), result.stderr, tmp_path / "out")

    return bench
