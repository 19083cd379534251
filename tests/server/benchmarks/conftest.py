"""A server whose benchmark program is a fake."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstaudio.config import ScheduleConfig, TelemetryConfig

FAKE = Path(__file__).with_name("fake_bench.py")


def fake(*mode: object) -> tuple[str, ...]:
    return (sys.executable, str(FAKE), *map(str, mode))


class Benched:
    """A running server with its benchmarks over HTTP."""

    def __init__(self, running: Any, eventually: Callable[[Callable[[], bool]], None]) -> None:
        self.running, self.eventually = running, eventually

    @property
    def service(self) -> Any:
        return self.running.service

    def program(self, *mode: object) -> None:
        self.service.benchmarks.program = fake(*mode)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        if body is not None:
            headers.setdefault("content_type", "application/json")
        return self.running.request("POST", path, data, **headers)

    def get(self, path: str) -> Any:
        return self.running.get(path)

    def start(self, **fields: Any) -> str:
        reply = self.post("/benchmarks/run", fields or None)
        assert reply.status == 200, reply.body
        return reply.json["benchmark_id"]

    def status(self) -> Any:
        return self.get("/benchmarks/status").json

    def ended(self) -> Any:
        """Wait for the end of the run; its card."""
        self.eventually(lambda: not self.status()["status"]["running"])
        return self.status()["last_execution"]

    def run(self, *mode: object, **fields: Any) -> Any:
        """Run the fake in a mode to its end; its card."""
        self.program(*mode)
        name = self.start(**fields)
        card = self.ended()
        assert card["id"] == name
        return card


@pytest.fixture
def benched(tools: Any, tmp_path: Path) -> Iterator[Benched]:
    with serving(tools, tmp_path) as made:
        yield made


class serving:  # noqa: N801 -- a context manager
    """A server with its state in a folder of its own."""

    def __init__(self, tools: Any, state: Path, schedule: ScheduleConfig | None = None, **server: Any) -> None:
        config = replace(
            tools.settings(**server),
            telemetry=TelemetryConfig(state_folder=str(state)),
            schedule=schedule or ScheduleConfig(),
        )
        self._running, self._tools = tools.run(config), tools

    def __enter__(self) -> Benched:
        return Benched(self._running.__enter__(), self._tools.eventually)

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)


@pytest.fixture(scope="session")
def serve() -> Any:
    return serving


@pytest.fixture(scope="session")
def fake_program() -> Any:
    return fake


@pytest.fixture(scope="session")
def wrap() -> Any:
    return Benched
