"""Options that several commands share, and the configuration that they make."""

from __future__ import annotations

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
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def load_with_engine(config: Path | None, engine: str | None) -> Config:
    """The configuration, with `--engine` in the place of `engine.names`. Raises ConfigError."""
    flags: Mapping[str, Any] = {"engine.names": None if engine is None else (engine,)}
    return load(config, flags=flags)
