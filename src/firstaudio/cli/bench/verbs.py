"""The verbs of `firstaudio bench`: each turns its flags into one session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from firstaudio.bench.capacity import Criterion
from firstaudio.bench.modes import ab as ab_mode
from firstaudio.bench.modes import demo as demo_mode
from firstaudio.bench.modes.discovery import run_discovery, with_default_voices
from firstaudio.bench.modes.execute import execute, run_ab, run_capacity, run_mode
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.run import RunOptions
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload_file import read_workload
from firstaudio.cli.bench.judge import UsageError, check, usage
from firstaudio.cli.bench.run import finish, measure, run_async, run_options
from firstaudio.cli.bench.translate import setup, target
from firstaudio.errors import BenchError

__all__ = ["ab", "capacity", "check", "comprehensive", "demo", "discover", "full", "run", "server", "soak", "streaming"]
__all__ += ["ttfa", "voices"]

NO_TARGET = "http://127.0.0.1"  # where the verb itself starts the server that it measures


def demo(flags: SimpleNamespace) -> None:
    """Measure a server of our own whose figures are known, and show that they are found."""
    wish = setup(flags, target(flags, NO_TARGET))
    options = run_options(flags, "demo")
    finish(flags, measure(flags, lambda how: demo_mode.run(wish, options, **how)))


def server(flags: SimpleNamespace) -> None:
    """Measure one voice of a server over concurrency levels, or in an open loop."""
    wish = setup(flags, target(flags))
    _measure_mode("server", wish, flags, f"server_{wish.voice or 'default'}")


def voices(flags: SimpleNamespace) -> None:
    """Compare the voices of a server; without --voices the first few that it lists."""
    wish, listed = _with_voices(setup(flags, target(flags)))
    if listed and not wish.voices:
        raise UsageError("the server lists no voices: name them, as --voices default premium")
    _measure_mode("voices", wish, flags, "voice_comparison", probes=() if listed else (wish.cell("any voice"),))


def comprehensive(flags: SimpleNamespace) -> None:
    """Everything: streamed against whole, voices, text classes, speeds, concurrency."""
    wish, _ = _with_voices(setup(flags, target(flags)))
    _measure_mode("comprehensive", wish, flags, "comprehensive")


def ttfa(flags: SimpleNamespace) -> None:
    """Time to first audio by text length, voice and speed, and the server's own stages where it tells them."""
    _measure_mode("ttfa", setup(flags, target(flags)), flags, "ttfa")


def streaming(flags: SimpleNamespace) -> None:
    """How audio comes: cadence, stalls, the buffer that listeners need."""
    _measure_mode("streaming", setup(flags, target(flags)), flags, "streaming")


def full(flags: SimpleNamespace) -> None:
    """Five scenarios, concurrency, the server's CPU and memory, recommendations."""
    wish, _ = _with_voices(setup(flags, target(flags)))
    _measure_mode("full", wish, flags, "full")


def soak(flags: SimpleNamespace) -> None:
    """One condition for long: does it stay as fast, and does memory stay flat?"""
    _measure_mode("soak", setup(flags, target(flags)), flags, "soak")


def capacity(flags: SimpleNamespace) -> None:
    """How many listeners at once hear no gap: doubling, bisection, two confirmations."""
    if not 0.5 <= flags.share < 1:
        raise UsageError("--share is a part of the requests from 0.5 to below 1, as 0.99")
    if not 1 <= flags.start <= flags.limit:
        raise UsageError("--start and --limit are levels, 1 <= start <= limit")
    wish = setup(flags, target(flags))
    options = _watched(run_options(flags, "capacity"), wish.target)
    criterion = Criterion(flags.ttfa_target, flags.buffer, flags.share)
    search = {"start": flags.start, "limit": flags.limit}
    finish(flags, measure(flags, lambda how: run_capacity(wish, criterion, options, **search, **how)))


def ab(flags: SimpleNamespace) -> None:
    """Two targets in one session, interleaved, the same texts: faster, slower, equivalent or inconclusive."""
    if flags.rounds < ab_mode.MIN_ROUNDS:
        raise UsageError(f"--rounds must be {ab_mode.MIN_ROUNDS} or more: fewer cannot tell noise from a difference")
    sides = [_side(flags, flags.a, flags.voice_a, "A"), _side(flags, flags.b, flags.voice_b, "B")]
    options = run_options(flags, "ab")
    rounds = {"rounds": flags.rounds, "requests": flags.per_round}
    finish(flags, measure(flags, lambda how: run_ab(sides[0], sides[1], options, **rounds, **how)))


def run(flags: SimpleNamespace) -> None:
    """Run a workload that a TOML file describes."""
    with usage():
        work = read_workload(Path(flags.file))
    options = run_options(flags, Path(flags.file).stem)
    finish(flags, measure(flags, lambda how: execute(work, options, **how)))


def discover(flags: SimpleNamespace) -> None:
    """Find what a server offers: endpoints, voices, formats, streaming; writes discovery.json."""
    if not flags.url:
        raise UsageError("--url is missing: the server to look at, as --url http://127.0.0.1:8000")
    target(flags)  # judges the URL
    options = run_options(flags, "discovery")

    async def look(how: dict[str, Any]) -> tuple[Session, list[Path]]:
        return await run_discovery(flags.url, flags.token, flags.timeout, options, **how)

    finish(flags, measure(flags, look))


def _measure_mode(mode: str, wish: Setup, flags: SimpleNamespace, name: str, **more: Any) -> None:
    options = _watched(run_options(flags, name), wish.target)
    finish(flags, measure(flags, lambda how: run_mode(mode, wish, options, **how, **more)))


def _with_voices(wish: Setup) -> tuple[Setup, bool]:
    """With the first voices that the server lists, and whether it could be asked; if not, the preflight says why."""
    try:
        return run_async(with_default_voices(wish)), True
    except BenchError:
        return wish, False


def _side(flags: SimpleNamespace, url: str, voice: str | None, name: str) -> Setup:
    """One side of a comparison; the sides share every flag but the target and the voice."""
    wish = setup(flags, target(flags, url))
    spec = wish.target.replace(name=f"{name} ({wish.target.name}{f', {voice}' if voice else ''})")
    return replace(wish, target=spec, voices=(voice,) if voice else wish.voices, levels=wish.levels[:1])


def _watched(options: RunOptions, spec: TargetSpec) -> RunOptions:
    """With the process of a server on this machine, where it can be found."""
    if options.server_pid is not None:
        return options
    from firstaudio.bench.machine.resources import find_server_pid

    return replace(options, server_pid=find_server_pid(spec.url))
