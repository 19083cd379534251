"""The harness as a Python API: measure a function, or any target, and keep the session.

```python
from firstaudio.bench import BenchmarkConfig, TTSBenchmarkHarness

harness = TTSBenchmarkHarness(BenchmarkConfig(concurrency_levels=[1, 2, 4], iterations_per_level=25))
session = await harness.run_benchmark(my_async_tts, is_async=True)
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from firstaudio.audio.chunk import Pcm
from firstaudio.bench.modes.plans import workload
from firstaudio.bench.modes.setup import DEFAULT_LEVELS, PLANS, Setup
from firstaudio.bench.preflight import preflight
from firstaudio.bench.progress import Progress
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.report.write import write_reports
from firstaudio.bench.run import Runner, RunOptions, safe_name
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import free_name
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.base import Target
from firstaudio.bench.targets.function import FunctionTarget
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.workload import Cell, Goals, Texts
from firstaudio.errors import BenchError


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured, and where it is kept.

    Attributes:
        concurrency_levels: Clients at once, one cell per level.
        iterations_per_level: Measured requests per level; at least four per client are made.
        output_dir: Where the session's folder is put.
        session_name: Of the folder; an existing one is kept, and the new one numbered. None: what the target is called.
        timeout: Per request, in seconds; None keeps that of a specification, else 60.
        text_classes: "short", "medium", "long", "complex".
        texts: The user's own texts instead.
        voice: Handed to targets that know voices; None leaves it to them.
        sample_rate: Of raw samples that a function returns without their rate, in Hz.
        warmup: Unmeasured requests before each level, at most.
        seed: Of texts and arrivals.
        goals: What a listener expects.
        reports: Whether to write CSV, plots, Markdown and HTML beside the session.
    """

    concurrency_levels: Sequence[int] = DEFAULT_LEVELS
    iterations_per_level: int = PLANS["standard"]
    output_dir: str | Path = "benchmark_sessions"
    session_name: str | None = None
    timeout: float | None = None
    text_classes: Sequence[str] = ("medium",)
    texts: Sequence[str] = ()
    voice: str | None = None
    sample_rate: int | None = None
    warmup: int = 24
    seed: int = 1
    goals: Goals = field(default_factory=Goals)
    reports: bool = True

    def __post_init__(self) -> None:
        if not self.concurrency_levels or min(self.concurrency_levels) < 1:
            raise BenchError("concurrency_levels needs at least one level, each 1 or more")
        if self.iterations_per_level < 1 or (self.timeout is not None and self.timeout <= 0):
            raise BenchError("iterations_per_level must be 1 or more, and timeout positive")


class TTSBenchmarkHarness:
    """Measures targets as a configuration says.

    Args:
        config: What to do.
        progress: Told how far it has come.
    """

    def __init__(self, config: BenchmarkConfig | None = None, progress: Progress | None = None) -> None:
        self.config = config or BenchmarkConfig()
        self._progress = progress

    async def run_benchmark(
        self, tts: Callable[..., Any] | Target | TargetSpec, name: str | None = None, is_async: bool | None = None
    ) -> Session:
        """Measure one target at every level.

        Args:
            tts: A function of the text (sync ones run in threads, async ones as tasks; both may be generators that
                yield audio as it is made), a target, or the specification of one.
            name: What reports call it.
            is_async: Whether the function is; None finds out.

        Returns:
            The saved session; its raw rows are in `records.jsonl` of its folder.

        Raises:
            BenchError: Nothing could be measured at all; the session that says why is saved.
        """
        config = self.config
        spec, target = self._target(tts, name, is_async)
        setup = Setup(
            target=spec,
            voices=(config.voice,) if config.voice else (),
            levels=tuple(config.concurrency_levels),
            requests=config.iterations_per_level,
            texts=Texts(classes=tuple(config.text_classes), custom=tuple(config.texts), seed=config.seed),
            warmup=config.warmup,
            goals=config.goals,
        )
        output_dir = Path(config.output_dir)
        name = free_name(output_dir, config.session_name or safe_name(spec.name))
        options = RunOptions(output_dir, name, floor=not _is_function(tts))
        runner = Runner(workload("server", setup), options, self._progress, {spec.name: target})
        return await self._run(runner)

    def run(self, tts: Callable[..., Any] | Target | TargetSpec, name: str | None = None) -> Session:
        """`run_benchmark` for programs without an event loop."""
        return asyncio.run(self.run_benchmark(tts, name))

    async def _run(self, runner: Runner) -> Session:
        try:
            await runner.run_all()
            session = runner.finish()
        finally:
            await runner.close()
        if self.config.reports:
            write_reports(session, runner.folder, list(runner.records))
        if not any(cell.ok for cell in session.cells):
            raise BenchError(f"no request succeeded: {_first_message(runner.records)}; see {runner.folder}")
        return session

    def _target(
        self, tts: Callable[..., Any] | Target | TargetSpec, name: str | None, is_async: bool | None
    ) -> tuple[TargetSpec, Target]:
        spec = tts if isinstance(tts, TargetSpec) else getattr(tts, "spec", None)
        if isinstance(spec, TargetSpec):
            timeout_s = self.config.timeout or spec.timeout_s
            spec = replace(spec, name=name or spec.name or spec.url or spec.kind, timeout_s=timeout_s)
            return spec, make_target(spec)
        named = str(name or getattr(tts, "__name__", type(tts).__name__))
        stand_in = TargetSpec("command", name=named)
        stand_in = stand_in.replace(timeout_s=self.config.timeout or stand_in.timeout_s)
        if hasattr(tts, "open") and hasattr(tts, "reading"):
            return stand_in, cast("Target", tts)
        fn = cast("Callable[..., Any]", tts)  # refused when it is none
        return stand_in, FunctionTarget(fn, is_async=is_async, sample_rate=self.config.sample_rate)


def create_torch_inference_tts_function(base_url: str, voice: str | None = None, **fields: Any) -> TorchInferenceTTS:
    """A torch-inference server's `/synthesize` as a function; `run_benchmark` measures it on the wire.

    Args:
        base_url: As "http://127.0.0.1:8000".
        voice: Its model or voice.
        fields: Further fields of `TargetSpec`, as `token` or `timeout_s`.
    """
    return TorchInferenceTTS(TargetSpec("torch", url=base_url, model=voice, **fields))


@dataclass(frozen=True)
class TorchInferenceTTS:
    """Callable: text to (samples, sample rate).

    Attributes:
        spec: What it calls.
    """

    spec: TargetSpec

    async def __call__(self, text: str) -> tuple[Pcm, int]:
        """Speak once. Raises BenchError."""
        return await speak_once(self.spec, text)


async def speak_once(spec: TargetSpec, text: str) -> tuple[Pcm, int]:
    """One utterance, untimed: mono samples and their rate in Hz. Raises BenchError with what went wrong."""
    target = make_target(spec)
    try:
        answer = await preflight(target, Cell("speak once", spec, voice=spec.model), text)
    finally:
        await target.close()
    assert answer.heard.pcm is not None
    assert answer.heard.sample_rate is not None
    return answer.heard.pcm, answer.heard.sample_rate


def _is_function(tts: object) -> bool:
    return not isinstance(tts, TargetSpec) and not hasattr(tts, "spec")


def _first_message(records: Sequence[RequestRecord]) -> str:
    return next((record.message for record in records if record.message), "nothing was sent")
