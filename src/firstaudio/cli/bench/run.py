"""Running one session from the command line: signals, progress, the table, JSON, the exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import typer
from rich.console import Console

from firstaudio.bench.compare.gates import failed_gates, parse_gates
from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.report.console import print_session
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import check_name, free_name
from firstaudio.cli.bench.progress import shown

EXIT_OK, EXIT_ERROR, EXIT_INVALID, EXIT_NOT_STARTED, EXIT_MISSED, EXIT_INTERRUPTED = 0, 1, 2, 3, 99, 130
WIDTH = 110

Measurement = Callable[[dict[str, Any]], Awaitable[tuple[Session, list[Path]]]]


@dataclass(slots=True)
class Outcome:
    """What a run left.

    Attributes:
        session: Saved.
        files: Beside it.
        interrupted: By a person.
    """

    session: Session
    files: list[Path]
    interrupted: bool


def run_options(flags: SimpleNamespace, default_name: str) -> RunOptions:
    """How, from the flags. Raises BenchError for a bad or existing session name."""
    output_dir = Path(flags.output_dir)
    name = check_name(flags.session_name) if flags.session_name else free_name(output_dir, default_name)
    return RunOptions(
        output_dir=output_dir,
        name=name,
        overwrite=flags.overwrite,
        workers=flags.workers,
        floor=flags.floor,
        server_pid=flags.server_pid,
        command=reproduces(sys.argv),
    )


def reproduces(argv: list[str]) -> tuple[str, ...]:
    """The command line without its secrets."""
    hidden, result = False, [Path(argv[0]).name]
    for argument in argv[1:]:
        flag = argument.partition("=")[0]
        secret = flag == "--token"
        result.append("***" if hidden else f"{flag}=***" if secret and "=" in argument else argument)
        hidden = secret and "=" not in argument
    return tuple(result)


def measure(flags: SimpleNamespace, measurement: Measurement) -> Outcome:
    """Run a session; the first Ctrl-C ends it early and keeps what there is, the second one at once."""
    parse_gates(flags.fail_on, changes=False)  # before anything runs
    stopped: list[Runner] = []

    async def main() -> tuple[Session, list[Path]]:
        runners: list[Runner] = []
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            loop.remove_signal_handler(signal.SIGTERM)
            print("stopping; what was measured is kept (once more to leave at once)", file=sys.stderr)
            stopped.extend(runners)
            for runner in runners:
                runner.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        with shown() as progress:
            return await measurement({"progress": progress, "on_start": runners.append})

    session, files = run_async(main())
    return Outcome(session, files, interrupted=bool(stopped))


def run_async(work: Awaitable[Any]) -> Any:
    """On the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_await(work))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_await(work))


async def _await(work: Awaitable[Any]) -> Any:
    return await work


def finish(flags: SimpleNamespace, outcome: Outcome) -> None:
    """Print, and leave with the exit code."""
    session = outcome.session
    missed = failed_gates(session, parse_gates(flags.fail_on, changes=False))
    if flags.json:
        print(json.dumps(session.to_json() | {"missed": missed}, indent=2, allow_nan=False))
    else:
        print_session(session, Console(width=None if sys.stdout.isatty() else WIDTH))
    for sentence in missed:
        print(f"missed: {sentence}", file=sys.stderr)
    if outcome.files:
        folder = os.path.commonpath([*(str(file.parent) for file in outcome.files)])
        print(f"saved in {folder}: {', '.join(sorted(file.name for file in outcome.files))}", file=sys.stderr)
    raise typer.Exit(exit_code(session, missed, outcome.interrupted))


def exit_code(session: Session, missed: list[str], interrupted: bool = False) -> int:
    """0 fine; 1 a cell without a single success; 2 invalid; 3 the target could not be reached; 99 a target missed."""
    if interrupted:
        return EXIT_INTERRUPTED
    if failure := session.findings.get("preflight"):
        return EXIT_NOT_STARTED if failure["kind"] == FailureKind.UNREACHABLE else EXIT_ERROR
    if any(cell.ok == 0 for cell in session.cells):
        return EXIT_ERROR
    if not session.valid:
        return EXIT_INVALID
    return EXIT_MISSED if missed else EXIT_OK
