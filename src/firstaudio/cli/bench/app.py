"""The typer application `firstaudio bench`: which verb takes which flags. Nothing heavy is imported before one runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any

import typer

from firstaudio.cli.bench.flags import GOALS, LOAD, SERVER, SESSION, TEXT, VARIETY, command
from firstaudio.cli.options import command_group
from firstaudio.errors import MissingExtraError

app = command_group("bench")

MEASURED = (*TEXT, *LOAD, *GOALS, *SESSION)
TTFA_TEXTS = tuple(name for name in TEXT if name != "text_class")
ONE_LEVEL: dict[str, Any] = {"concurrency": [1]}

# Of each verb: its line in the help, the flags that it takes, and where its defaults differ.
VERBS: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "demo": ("Find the known figures of a server of our own.",
             ("seed", "concurrency", "plan", "iterations", "warmup", *GOALS, *SESSION), {}),
    "server": ("Measure one voice of a server under load.",
               (*SERVER, "voice", *MEASURED), {}),
    "discover": ("Find a server's endpoints, voices and formats.",
                 ("url", "token", "timeout", *SESSION), {"timeout": 10.0}),
    "voices": ("Compare the voices of a server.", (*SERVER, "voices", *MEASURED), ONE_LEVEL),
    "comprehensive": ("Delivery, voices, texts, speeds and concurrency.",
                      (*SERVER, "voices", *MEASURED, *VARIETY), {"plan": "quick"}),
    "ttfa": ("Time to first audio by text, voice and speed.",
             (*SERVER, "voice", "voices", *TTFA_TEXTS, "plan", "iterations", "warmup", *GOALS, *SESSION, *VARIETY),
             ONE_LEVEL),
    "streaming": ("Cadence, stalls, the buffer that listeners need.",
                  (*SERVER, "voice", *TTFA_TEXTS, "plan", "iterations", "warmup", *GOALS, *SESSION), ONE_LEVEL),
    "full": ("Five scenarios, load, CPU, memory, advice.",
             (*SERVER, "voices", *MEASURED, *VARIETY), {"plan": "quick", "concurrency": [1, 4]}),
    "capacity": ("How many listeners at once hear no gap.",
                 (*SERVER, "voice", *TEXT, "warmup", *GOALS, "share", "start", "limit", *SESSION), {}),
    "ab": ("Two targets interleaved: which is faster?",
           ("a", "b", *SERVER[1:], "voice", "voice_a", "voice_b", *TEXT, "concurrency", "rounds", "per_round", "warmup",
            *GOALS, *SESSION), ONE_LEVEL),
    "soak": ("One condition for long: speed and memory.",
             (*SERVER, "voice", *MEASURED), {"concurrency": [2], "duration": 1800.0, "think": 1.0}),
    "run": ("Run a workload that a TOML file describes.", ("file", *SESSION), {}),
}  # fmt: skip


@app.callback()
def _bench(
    context: typer.Context,
    session_name: Annotated[str | None, typer.Option(hidden=True)] = None,
    output_dir: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure any text-to-speech system."""
    given = {"session_name": session_name, "output_dir": output_dir}
    defaults = {name: value for name, value in given.items() if value is not None}
    context.default_map = dict.fromkeys(VERBS, defaults)


def _later(verb: str) -> Callable[[SimpleNamespace], None]:
    def run(flags: SimpleNamespace) -> None:
        try:
            verbs = importlib.import_module("firstaudio.cli.bench.verbs")
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("firstaudio"):
                raise
            raise MissingExtraError("firstaudio bench", "bench") from error
        verbs.check(flags)
        getattr(verbs, verb)(flags)

    run.__name__, run.__doc__ = verb, VERBS[verb][0]
    return run


for _verb, (_help, _names, _defaults) in VERBS.items():
    app.command(_verb, help=_help)(command(_later(_verb), _names, **_defaults))
