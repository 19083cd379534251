"""Mode `discover`: what a server offers, kept as a session without cells; and the voices of a target."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from firstaudio.bench.discovery.discover import Discovery, discover, list_voices
from firstaudio.bench.modes.execute import execute
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.progress import Progress
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Workload

DEFAULT_NUM_VOICES = 3


async def run_discovery(
    url: str, token: str | None, timeout_s: float, options: RunOptions, progress: Progress
) -> tuple[Session, list[Path], Discovery]:
    """Look, and keep what was found as the finding "discovery". Raises BenchError when nobody answers."""
    found = await discover(url, token=token, timeout_s=timeout_s)

    async def body(runner: Runner) -> None:
        runner.session.findings["discovery"] = asdict(found)

    session, files = await execute(Workload("discover", ()), options, progress, body=body)
    return session, files, found


async def voices_of(spec: TargetSpec, timeout_s: float) -> tuple[str, ...]:
    """All voices that the target's server lists; empty when it lists none."""
    if not spec.url.startswith("http"):
        return ()
    return await list_voices(spec.url, token=spec.token, timeout_s=timeout_s)


async def with_default_voices(setup: Setup) -> Setup:
    """The first few voices of the server where the user named none."""
    if setup.voices:
        return setup
    voices = await voices_of(setup.target, setup.target.timeout_s)
    return replace(setup, voices=voices[:DEFAULT_NUM_VOICES])
