"""Running one session from the command line: signals, progress, the table, JSON, the exit code."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import typer
from rich.console import Console

from firstaudio.bench.compare.gates import failed_gates, parse_gates, unjudged_gates
from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.reading.intelligibility import Transcriber, transcriber
from firstaudio.bench.report.console import print_session
from firstaudio.bench.report.write import saved_files
from firstaudio.bench.run import Runner, RunOptions, safe_name
from firstaudio.bench.sessions.session import Session
from firstaudio.bench.sessions.store import RECORDS, check_name, free_name
from firstaudio.bench.spec import SECRET, without_secrets
from firstaudio.cli.bench.judge import UsageError, usage
from firstaudio.cli.bench.leash import hold_leash
from firstaudio.cli.bench.lines import JsonLines
from firstaudio.cli.bench.progress import shown

EXIT_OK, EXIT_ERROR, EXIT_INVALID, EXIT_NOT_STARTED, EXIT_MISSED, EXIT_INTERRUPTED = 0, 1, 2, 3, 99, 130
WIDTH = 140
SIGNALS = (signal.SIGINT, signal.SIGTERM)

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
    """How, from the flags. Raises UsageError for a bad or existing session name, a gate or a folder that cannot be."""
    output_dir = Path(flags.output_dir)
    with usage():
        parse_gates(flags.fail_on, changes=False)
        is_named = flags.session_name is not None
        name = _new_name(flags, output_dir) if is_named else free_name(output_dir, safe_name(default_name))
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--output-dir {output_dir} cannot be made: {error.strerror}; choose another folder"
        ) from error
    return RunOptions(
        output_dir=output_dir,
        name=name,
        overwrite=flags.overwrite,
        workers=flags.workers,
        floor=flags.floor,
        server_pid=flags.server_pid,
        reports=flags.reports,
        command=reproduces(sys.argv),
        transcribe=_transcriber(flags),
    )


def _new_name(flags: SimpleNamespace, output_dir: Path) -> str:
    name = check_name(flags.session_name)
    if (output_dir / name).exists() and not flags.overwrite:
        raise UsageError(f"there is a session {name} in {output_dir} already: choose another name, or --overwrite it")
    return name


def _transcriber(flags: SimpleNamespace) -> Transcriber | None:
    if flags.intelligibility is None:
        return None
    return transcriber(flags.intelligibility, flags.language)


def reproduces(argv: list[str]) -> tuple[str, ...]:
    """The command line without its secrets: tokens, what stands in headers, keys in addresses and bodies.

    Of a run that a program started, without what ties it to that program.
    """
    result, flag = ["firstaudio"], ""
    for argument in _by_hand(argv[1:]) if LEASH in argv else argv[1:]:
        name, equals, value = argument.partition("=")
        if flag:
            result.append(SECRETS[flag](argument))
        else:
            result.append(f"{name}={SECRETS[name](value)}" if name in SECRETS and equals else argument)
        flag = name if not flag and name in SECRETS and not equals else ""
    return tuple(result)


def _by_hand(arguments: Sequence[str]) -> Iterator[str]:
    """What a person would type for the same run."""
    left = iter(arguments)
    for argument in left:
        if argument == TEXT_FILE:
            yield from (argument, Path(next(left, "")).name)
        elif argument in TIED:
            next(left, None)
        elif argument != LEASH:
            yield argument


LEASH, TEXT_FILE = "--leash", "--text-file"
TIED = frozenset({"--header", "--progress", "--server-pid", "--session-name", "--output-dir"})
"""Flags with a value by which a program knows its run again; the file with the texts it names in its own folder."""
SECRETS: dict[str, Callable[[str], str]] = {
    "--token": lambda _: SECRET,
    "--header": lambda header: f"{header.partition(':')[0]}: {SECRET}",
    **dict.fromkeys(("--url", "--path", "--body", "--a", "--b"), without_secrets),
}


def measure(flags: SimpleNamespace, measurement: Measurement) -> Outcome:
    """Run a session; the first Ctrl-C ends it early and keeps what there is, the second one at once."""
    stopped: list[Runner] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}

    async def main() -> tuple[Session, list[Path]]:
        runners: list[Runner] = []
        loop = asyncio.get_running_loop()

        def stop() -> None:
            for number in SIGNALS:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])
            print("stopping; what was measured is kept (once more to leave at once)", file=sys.stderr)
            stopped.extend(runners)
            for runner in runners:
                runner.stop()

        for number in SIGNALS:
            loop.add_signal_handler(number, stop)

        def start(runner: Runner) -> None:
            runners.append(runner)
            if isinstance(progress, JsonLines):
                progress.plan({cell.name: cell.load.quota for cell in runner.workload.cells})

        with shown(flags.progress) as progress:
            return await measurement({"progress": progress, "on_start": start})

    if flags.leash:
        hold_leash()
    try:
        session, files = run_async(main())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
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
    gates = parse_gates(flags.fail_on, changes=False)
    missed, unjudged = failed_gates(session, gates), unjudged_gates(session, gates)
    if flags.json:
        document = session.to_json() | {"missed": missed, "unjudged": unjudged}
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        print_session(session, Console(width=None if sys.stdout.isatty() else WIDTH))
    for sentence in missed:
        print(f"missed: {sentence}", file=sys.stderr)
    for sentence in unjudged:
        print(f"not judged: {sentence}", file=sys.stderr)
    folder = Path(flags.output_dir) / session.name
    print(f"saved in {folder}: {', '.join(saved_files(session, folder))}", file=sys.stderr)
    code = exit_code(session, missed, outcome.interrupted)
    if code == EXIT_OK and unjudged:
        raise typer.Exit(EXIT_INVALID)
    if code in (EXIT_ERROR, EXIT_INVALID, EXIT_NOT_STARTED):
        print(f"firstaudio: {why_not(session)}", file=sys.stderr)
    raise typer.Exit(code)


def why_not(session: Session) -> str:
    """What a session that cannot be used says to a person, in one sentence."""
    silent = [cell for cell in session.cells if cell.ok == 0]
    if silent and "preflight" not in session.findings:
        kinds = ", ".join(f"{count} {kind}" for kind, count in silent[0].failures.items()) or "none was sent"
        return f"no request succeeded in {', '.join(cell.name for cell in silent)} ({kinds}): see {RECORDS}"
    if not session.reasons:
        return "nothing that speaks was found: name its endpoint, as --path /speak --kind http"
    more = f" (and {len(session.reasons) - 1} more reasons)" if len(session.reasons) > 1 else ""
    sentence = session.reasons[0] + more
    return sentence if "preflight" in session.findings else f"the session is INVALID: {sentence}"


def exit_code(session: Session, missed: list[str], interrupted: bool = False) -> int:
    """0 fine; 1 a cell without a single success; 2 invalid; 3 the target could not be reached; 99 a target missed.

    130, when a person has ended it, comes before all of them.
    """
    if interrupted:
        return EXIT_INTERRUPTED
    if failure := session.findings.get("preflight"):
        return EXIT_NOT_STARTED if failure["kind"] == FailureKind.UNREACHABLE else EXIT_ERROR
    found = session.findings.get("discovery")
    if any(cell.ok == 0 for cell in session.cells) or (found and not any(e["works"] for e in found["endpoints"])):
        return EXIT_ERROR
    if not session.valid:
        return EXIT_INVALID
    return EXIT_MISSED if missed else EXIT_OK
