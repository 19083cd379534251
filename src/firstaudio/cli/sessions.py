"""`firstaudio sessions`: saved benchmarks, listed, shown, compared, exported, removed, computed again."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstaudio.cli.options import JsonOption, command_group, talk
from firstaudio.cli.table import print_rows

if TYPE_CHECKING:
    from firstaudio.bench.compare import Comparison
    from firstaudio.bench.record import RequestRecord
    from firstaudio.bench.sessions.session import Session
    from firstaudio.bench.sessions.store import SessionEntry

EXIT_USAGE = 2
WIDTH = 110  # columns of a table that goes into a file or a pipe
MAY_BE_RUNNING = timedelta(hours=1)  # since a partial session was last written to
MAY_BE_WRITING = timedelta(minutes=1)  # the same, where --partial says that no long cell is running
_COLUMNS = ("name", "mode", "created", "cells", "requests", "verdict", "completed")


class ComparisonFormat(StrEnum):
    """How `compare` prints."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


class ExportFormat(StrEnum):
    """What `export` makes of a session."""

    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    JSONL = "jsonl"


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a session, its folder or its JSON file.")]
OutputDirOption = Annotated[Path, typer.Option("--output-dir", metavar="DIR", help="Where sessions are kept.")]
OUTPUT_DIR = Path("benchmark_sessions")

sessions_app = command_group("sessions", "Saved benchmarks: list, show, compare, export, clean, recompute.")


@sessions_app.command("list")
def list_(output_dir: OutputDirOption = OUTPUT_DIR, json_: JsonOption = False) -> None:
    """List the saved sessions, oldest first.

    A table on a terminal; elsewhere tab-separated lines below a line of titles.
    """
    from firstaudio.bench.sessions.store import list_sessions

    entries = list_sessions(output_dir)
    if json_:
        print(json.dumps([_entry_json(entry) for entry in entries], indent=2))
    else:
        print_rows(_COLUMNS, [_entry_row(entry) for entry in entries])
    for entry in entries:
        if entry.problem:
            talk(entry.problem)
    if not entries:
        talk(f"there is no session in {output_dir}; `firstaudio bench demo` makes one")


@sessions_app.command()
def show(name: NameArgument, output_dir: OutputDirOption = OUTPUT_DIR, json_: JsonOption = False) -> None:
    """Show one session: figures, verdict, findings."""
    from firstaudio.bench.sessions.store import load_session

    session = load_session(name, output_dir)
    if json_:
        print(_session_json(session))
        return
    from firstaudio.bench.report.console import print_session

    print_session(session, _console())


@sessions_app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The session to compare with: name, folder or JSON file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The newer session.")],
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", metavar="EXPR", help="Exit with 99 if it holds, as 'ttfa_ms.p95>5%'; repeatable."),
    ] = None,
    format_: Annotated[ComparisonFormat, typer.Option("--format", help="How to print.")] = ComparisonFormat.TABLE,
    output_dir: OutputDirOption = OUTPUT_DIR,
    json_: JsonOption = False,
) -> None:
    """Compare two sessions, with gates for CI.

    A difference between sessions is "suspect" at most; only `firstaudio bench ab` proves one.
    Exit codes: 99 when a --fail-on holds, 2 when none holds but one could not be judged, or no cell is in both.
    """
    from firstaudio.bench.compare import compare_sessions
    from firstaudio.bench.sessions.store import load_session

    comparison = compare_sessions(load_session(a, output_dir), load_session(b, output_dir), tuple(fail_on or ()))
    _print_comparison(comparison, ComparisonFormat.JSON if json_ else format_)
    raise typer.Exit(comparison.exit_code)


@sessions_app.command()
def export(
    name: NameArgument,
    format_: Annotated[ExportFormat, typer.Option("--format", help="jsonl: the raw rows.")] = ExportFormat.CSV,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")] = None,
    output_dir: OutputDirOption = OUTPUT_DIR,
) -> None:
    """Print one session in another form, or write it to a file."""
    from firstaudio.bench.sessions.store import load_session, session_folder

    folder = session_folder(name, output_dir)
    pieces = _exported(load_session(folder, output_dir), folder, format_)
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece.encode())
        sys.stdout.buffer.flush()
        return
    whole = "".join(pieces)  # made before the file is opened: an error leaves an older one alone
    output.write_bytes(whole.encode())
    talk(f"wrote {output}")


@sessions_app.command()
def clean(
    keep: Annotated[int | None, typer.Option("--keep", min=0, metavar="N", help="Keep the newest N.")] = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, metavar="DAYS", help="Keep those of the last DAYS days.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Remove those of runs that broke off, if idle for a minute.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; nothing is removed without it.")] = False,
    output_dir: OutputDirOption = OUTPUT_DIR,
) -> None:
    """Remove old sessions.

    With --keep and --older-than, those go that neither of them keeps; with --partial those of runs that did not come
    to their end go as well. Prints the names. Sessions that cannot be read are left alone, and partial ones that may
    still be running: written to within the last hour, with --partial within the last minute. A run writes at the end
    of each cell: do not use --partial while a cell may take longer than that.
    """
    from firstaudio.bench.sessions.store import list_sessions, remove_session

    if keep is None and older_than is None and not partial:
        raise typer.BadParameter("say which sessions may go: --keep N, --older-than DAYS, or both; or --partial")
    doomed = _doomed(list_sessions(output_dir), keep, older_than, partial, datetime.now(UTC))
    for entry in doomed:
        print(entry.name)
        if yes and not dry_run:
            remove_session(entry.folder.name, output_dir)
    if doomed and not yes and not dry_run:
        talk("nothing was removed; give --yes to remove these sessions with all their files")
        raise typer.Exit(EXIT_USAGE)


@sessions_app.command()
def recompute(
    name: NameArgument,
    ttfa_target: Annotated[
        float | None, typer.Option("--ttfa-target", min=0.001, metavar="MS", help="Another goal for TTFA.")
    ] = None,
    buffer: Annotated[
        float | None, typer.Option("--buffer", min=0, metavar="MS", help="Another pre-roll of the simulated player.")
    ] = None,
    reports: Annotated[bool, typer.Option(help="Write the reports beside it again.")] = True,
    output_dir: OutputDirOption = OUTPUT_DIR,
    json_: JsonOption = False,
) -> None:
    """Compute a session's figures again.

    From its raw rows, with the definitions of this version; what only the run could judge is kept.
    """
    from firstaudio.bench.sessions.recompute import goals_of
    from firstaudio.bench.sessions.recompute import recompute as compute_again
    from firstaudio.bench.sessions.store import load_session, save_session, session_folder

    folder = session_folder(name, output_dir)
    before, records = load_session(folder, output_dir), _rows(folder)
    session = compute_again(before, records, goals_of(before, ttfa_ms=ttfa_target, buffer_ms=buffer))
    save_session(session, folder)
    if reports:
        _write_reports(session, folder, records)
    if json_:
        print(_session_json(session))
        return
    from firstaudio.bench.report.console import print_session

    print_session(session, _console())


def _doomed(
    entries: Sequence[SessionEntry], keep: int | None, older_than: float | None, partial: bool, now: datetime
) -> list[SessionEntry]:
    """Those that may go, oldest first; what is left alone for its state is told."""
    readable = [entry for entry in entries if entry.problem is None]
    for entry in entries:
        if entry.problem is not None:
            talk(f"{entry.name} is left alone: {entry.problem}")
    old = [] if keep is None and older_than is None else readable
    if keep is not None:
        old = old[: max(0, len(old) - keep)]
    if older_than is not None:
        old = [entry for entry in old if now - _moment(entry) > timedelta(days=older_than)]
    doomed = [entry for entry in readable if entry in old or (partial and not entry.completed)]
    return [entry for entry in doomed if not _may_be_running(entry, now, partial)]


def _moment(entry: SessionEntry) -> datetime:
    moment = datetime.fromisoformat(entry.created)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _may_be_running(entry: SessionEntry, now: datetime, partial: bool) -> bool:
    written = max((file.stat().st_mtime for file in entry.folder.iterdir()), default=0.0)
    grace, words = (MAY_BE_WRITING, "minute") if partial else (MAY_BE_RUNNING, "hour")
    running = not entry.completed and now - datetime.fromtimestamp(written, UTC) < grace
    if running:
        advice = "" if partial else "; --partial removes it if its run was broken off"
        talk(f"{entry.name} is left alone: it is not completed and was written to within the last {words}{advice}")
    return running


def _exported(session: Session, folder: Path, form: ExportFormat) -> Iterator[str]:
    """The session as text, in pieces."""
    if form is ExportFormat.CSV:
        from firstaudio.bench.report.csv import csv_text

        yield csv_text(session)
    elif form is ExportFormat.JSON:
        yield f"{_session_json(session)}\n"
    elif form is ExportFormat.MARKDOWN:
        from firstaudio.bench.report.markdown import markdown

        yield markdown(session)
    elif form is ExportFormat.HTML:
        from firstaudio.bench.report.html import html

        yield html(session, _rows(folder), folder)
    else:
        for record in _rows(folder):
            yield f"{json.dumps(record.to_json(), allow_nan=False)}\n"


def _print_comparison(comparison: Comparison, form: ComparisonFormat) -> None:
    if form is ComparisonFormat.JSON:
        print(json.dumps({**asdict(comparison), "exit_code": comparison.exit_code}, indent=2, allow_nan=False))
    elif form is ComparisonFormat.TABLE and not (comparison.cells or comparison.gates):
        talk(comparison.sentence)
    elif form is ComparisonFormat.TABLE:
        from firstaudio.bench.report.console import print_comparison

        print_comparison(comparison, _console())
    else:
        from firstaudio.bench.report.ci import github, junit

        print((junit if form is ComparisonFormat.JUNIT else github)(comparison))


def _rows(folder: Path) -> list[RequestRecord]:
    """All raw rows; what is odd about them is told."""
    from firstaudio.bench.sessions.store import read_records

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = list(read_records(folder))
    for warning in caught:
        talk(str(warning.message))
    return rows


def _write_reports(session: Session, folder: Path, records: list[RequestRecord]) -> None:
    from firstaudio.bench.report.write import write_reports

    written = write_reports(session, folder, records)
    talk(f"wrote {', '.join(path.name for path in written)} in {folder}")


def _session_json(session: Session) -> str:
    return json.dumps(session.to_json(), indent=2, allow_nan=False)


def _entry_json(entry: SessionEntry) -> dict[str, Any]:
    return {**asdict(entry), "folder": str(entry.folder)}


def _entry_row(entry: SessionEntry) -> tuple[str, ...]:
    completed = "yes" if entry.completed else "no"
    numbers = (str(entry.num_cells), str(entry.num_requests))
    return (entry.name, entry.mode, entry.created, *numbers, entry.verdict, completed)


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH)
