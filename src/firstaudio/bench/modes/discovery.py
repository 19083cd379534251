"""Mode `discover`: what a server offers, kept as a session without cells; and the voices of a target."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from firstaudio.bench.discovery.discover import discover, list_voices
from firstaudio.bench.exchange import FailureKind, SpeakError
from firstaudio.bench.modes.execute import execute
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.progress import Progress
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Workload
from firstaudio.errors import BenchError

DEFAULT_NUM_VOICES = 3


async def run_discovery(
    url: str, token: str | None, timeout_s: float, options: RunOptions, progress: Progress, **how: Any
) -> tuple[Session, list[Path]]:
    """Look, and keep what was found as the finding "discovery"; "preflight" says why nobody answered."""

    async def body(runner: Runner) -> None:
        try:
            found = await runner.until_stopped(discover(url, token=token, timeout_s=timeout_s))
        except BenchError as error:
            runner.session.findings["preflight"] = {"kind": _kind(error), "message": error.message}
            return
        if found is not None:
            runner.session.findings["discovery"] = asdict(found)

    return await execute(Workload("discover", ()), options, progress, body=body, **how)


def _kind(error: BenchError) -> FailureKind:
    """Why nobody answered."""
    cause = error.__cause__
    if isinstance(cause, SpeakError):
        return cause.failure.kind
    return FailureKind.UNREACHABLE if isinstance(cause, OSError) else FailureKind.PROTOCOL


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
