"""Options that several commands share, and the configuration that they make."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from firstaudio.config import Config, load

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (TOML); also FIRSTAUDIO_CONFIG.")
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", metavar="NAME", help="Only this engine; default: those of engine.names.")
]
KokoroModelOption = Annotated[
    str | None, typer.Option("--kokoro-model", metavar="PATH", help="Model file, in the place of kokoro.model.")
]
KokoroVoicesOption = Annotated[
    str | None, typer.Option("--kokoro-voices", metavar="PATH", help="Voices file, in the place of kokoro.voices.")
]
TOKEN = "FIRSTAUDIO_BENCH_TOKEN"
"""Environment variable with the API key of a server that is asked something."""
TokenOption = Annotated[
    str | None, typer.Option("--token", help=f"Its API key; default: {TOKEN}, else the configuration's first one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def command_group(name: str, help_: str | None = None) -> typer.Typer:
    """Commands below one name, which alone tells what they are."""
    return typer.Typer(
        name=name,
        help=help_,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # its tables cut long flags short, and cost 65 ms at each --help
    )


def load_with(
    config: Path | None,
    *,
    engine: str | None = None,
    model: str | None = None,
    voices: str | None = None,
    model_folder: str | None = None,
    model_url: str | None = None,
) -> Config:
    """The configuration, with what the options say in the place of what it says; None: they say nothing.

    Args:
        config: See `ConfigOption`.
        engine: In the place of `engine.names`.
        model: In the place of `kokoro.model`.
        voices: In the place of `kokoro.voices`.
        model_folder: In the place of `model.folder`.
        model_url: In the place of `model.url`.

    Raises:
        ConfigError: A value is wrong.
    """
    flags: Mapping[str, Any] = {
        "engine.names": None if engine is None else (engine,),
        "kokoro.model": model,
        "kokoro.voices": voices,
        "model.folder": model_folder,
        "model.url": model_url,
    }
    return load(config, flags=flags)


def talk(message: str) -> None:
    """A line for people, on stderr."""
    print(f"firstaudio: {message}", file=sys.stderr, flush=True)
