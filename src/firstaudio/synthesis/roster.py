"""`Roster`: the engines in their order, each at its own stage of starting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from firstaudio.clock import NS_PER_MS, now_ns
from firstaudio.config import StreamingConfig
from firstaudio.engines.base import Engine, EngineInfo
from firstaudio.errors import EngineError, FirstaudioError
from firstaudio.synthesis.circuit import Circuit
from firstaudio.synthesis.scheduled import ScheduledStream
from firstaudio.synthesis.scheduler import StepScheduler
from firstaudio.synthesis.work import EngineFigures

Priority = Callable[[ScheduledStream], float]
EngineState = Literal["starting", "ready", "resting", "failed"]

FIRST_SEGMENT_S = 1.0  # of audio: what the first step of a stream that nobody has heard yet is expected to be about


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How far one engine has come.

    Attributes:
        name: The engine's name.
        state: Whether it can speak; one that rests can, and another one is asked first.
        progress: Share of its start that is done, 0..1; an engine that tells none is at 0 until it is ready.
        message: What it is doing, or why it cannot speak.
        start_ms: What its start took, also one that failed; None while it starts.
    """

    name: str
    state: EngineState
    progress: float
    message: str
    start_ms: float | None = None


class Entry:
    """One engine, and once it is ready what its streams share.

    Attributes:
        name: As the configuration lists it.
        engine: Started or not.
        error: Why it could not start.
        circuit: Whether it fails again and again.
    """

    def __init__(self, name: str, engine: Engine, *, rests: bool = False) -> None:
        self.name, self.engine = name, engine
        self.circuit = Circuit(name, is_on=rests)
        self.error: Exception | None = None
        self._start_ms: float | None = None
        self._scheduler: StepScheduler | None = None
        self._figures: EngineFigures | None = None

    @property
    def state(self) -> EngineState:
        """Whether it can speak."""
        if self.error is not None:
            return "failed"
        if self._scheduler is None:
            return "starting"
        return "resting" if self.circuit.is_open else "ready"

    @property
    def scheduler(self) -> StepScheduler:
        """Its lanes; of a ready engine only."""
        assert self._scheduler is not None, f"the {self.name} engine is not ready"
        return self._scheduler

    @property
    def figures(self) -> EngineFigures:
        """What was measured of it; of a ready engine only."""
        assert self._figures is not None, f"the {self.name} engine is not ready"
        return self._figures

    @property
    def absence(self) -> str | None:
        """Why it is not asked to speak, in a word; None when it is."""
        if self.error is None:
            return None if self.state == "ready" else self.state
        return self.error.code if isinstance(self.error, FirstaudioError) else EngineError.code

    @property
    def status(self) -> EngineStatus:
        """How far it has come."""
        if self.error is not None:
            message = failure_message(self.name, self.error)
            return EngineStatus(self.name, "failed", 0.0, message, self._start_ms)
        if self._scheduler is not None:
            message = self.circuit.message if self.circuit.is_open else "ready"
            return EngineStatus(self.name, self.state, 1.0, message, self._start_ms)
        return EngineStatus(self.name, "starting", *self._progress())

    def report(self) -> Mapping[str, Any] | None:
        """What the engine tells of itself, where it tells anything; may block."""
        status: Callable[[], Mapping[str, Any]] | None = getattr(self.engine, "status", None)
        return None if status is None else status()

    async def start(self, streaming: StreamingConfig, priority: Priority | None) -> None:
        """Start the engine on a thread; a failure is kept in `error`, not raised."""
        begin_ns = now_ns()
        try:
            await asyncio.to_thread(self.engine.start)
            self._make_ready(self.engine.info, streaming, priority)
        except Exception as error:  # noqa: BLE001 -- the boundary of this task: whoever asks reads `error`
            self.error = error
        self._start_ms = (now_ns() - begin_ns) / NS_PER_MS

    def _make_ready(self, info: EngineInfo, streaming: StreamingConfig, priority: Priority | None) -> None:
        first_step_s = info.expected_startup_s + info.expected_startup_rtf * FIRST_SEGMENT_S
        self._figures = EngineFigures(info)
        self._scheduler = StepScheduler(
            info.num_lanes, streaming, info.expected_rtf, priority=priority, expected_first_step_s=first_step_s
        )

    def _progress(self) -> tuple[float, str]:
        """What the engine tells of its start, where it tells anything."""
        progress = getattr(self.engine, "progress", None)
        return (0.0, f"starting the {self.name} engine") if progress is None else progress()


class Roster:
    """Every engine of a synthesizer, the preferred one first.

    Args:
        engines: By name, not started.
        rests: Whether an engine that fails again and again rests while others speak.
    """

    def __init__(self, engines: Mapping[str, Engine], *, rests: bool = False) -> None:
        self._entries = {name: Entry(name, engine, rests=rests) for name, engine in engines.items()}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    @property
    def names(self) -> list[str]:
        """Every name, in order."""
        return list(self._entries)

    def ready(self) -> list[Entry]:
        """The engines that can speak now, those that rest included, in order."""
        return [entry for entry in self if entry.state in ("ready", "resting")]

    @property
    def progress(self) -> float:
        """Share of the start of all engines that is done, 0..1."""
        return sum(entry.status.progress for entry in self) / len(self._entries)

    def __str__(self) -> str:
        """Who speaks, who starts, who cannot: one line for people."""
        absent = [entry.status for entry in self if entry.state != "ready"]
        if not absent:
            return "ready"
        present = [entry.name for entry in self if entry.state == "ready"]
        parts = [f"{' and '.join(present)} {'speaks' if len(present) == 1 else 'speak'}"] if present else []
        return "; ".join([*parts, *(status.message for status in absent)])


def failure_message(name: str, error: Exception) -> str:
    """Why an engine cannot speak, in one sentence."""
    return error.message if isinstance(error, FirstaudioError) else f"the {name} engine: {error!r}"
