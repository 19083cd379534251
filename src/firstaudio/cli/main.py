"""The command `firstaudio`: one function per command, imported light; what is heavy is imported inside them.

stdout is data, stderr is talk. Exit codes: 0 fine, 1 something failed, 2 usage or configuration, 3 could not start,
99 a target was missed, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from copy import copy
from typing import Annotated

import typer

from firstaudio import __version__
from firstaudio.cli.bench.app import app as bench_app
from firstaudio.cli.bench.flags import spread
from firstaudio.cli.doctor import doctor
from firstaudio.cli.models import models_app
from firstaudio.cli.options import command_group
from firstaudio.cli.say import say
from firstaudio.cli.schedule import schedule_app
from firstaudio.cli.selftest import selftest
from firstaudio.cli.serve import serve
from firstaudio.cli.sessions import sessions_app
from firstaudio.cli.voices import voices
from firstaudio.errors import FirstaudioError, outside

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

app = command_group("firstaudio")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"firstaudio {__version__}")
        raise typer.Exit


@app.callback()
def _firstaudio(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Text to speech that starts speaking at once."""


app.command()(serve)
app.command()(say)
app.command()(voices)
app.command()(doctor)
app.command()(selftest)
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")
app.add_typer(sessions_app, name="sessions")
app.add_typer(schedule_app, name="schedule")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends with SystemExit.

    Args:
        arguments: Without the program's name; None takes those of the process.
    """
    if sys.stderr is None:  # closed: talk would go to stdout, among the data
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 -- for the rest of the process
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(asked(arguments))
    try:
        if arguments[:1] == ["bench"]:
            arguments = spread(arguments)
        command.main(arguments, prog_name="firstaudio")
    except FirstaudioError as error:
        _fail(error, error.message, outside(error).exit_code)
    except OSError as error:
        _fail(error, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", EXIT_ERROR)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def asked(arguments: Sequence[str]) -> typer.Typer:
    """The application with the one command that is asked for, else whole: to make all takes 25 ms of every start."""
    one, names = copy(app), arguments[:1]
    one.registered_commands = [
        each for each in app.registered_commands if getattr(each.callback, "__name__", "") in names
    ]
    one.registered_groups = [each for each in app.registered_groups if each.name in names]
    return one if one.registered_commands or one.registered_groups else app


def _fail(error: Exception, message: str, exit_code: int) -> None:
    """One sentence on stderr; the traceback only for those who ask for it."""
    if os.environ.get("FIRSTAUDIO_DEBUG") == "1":
        raise error
    print(f"firstaudio: {message}", file=sys.stderr)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
