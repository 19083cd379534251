"""What the verbs of `firstaudio models` share: where models come from and lie, and how they talk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from firstaudio.config import Config, load

ModelFolderOption = Annotated[
    str | None, typer.Option("--model-folder", metavar="FOLDER", help="Folder of models, in the place of model.folder.")
]
ModelUrlOption = Annotated[
    str | None,
    typer.Option("--model-url", metavar="URL", help="Mirror, in the place of model.url: http(s):// or file:///."),
]


def load_with_model(config: Path | None, *, folder: str | None, url: str | None = None) -> Config:
    """The configuration, with what the options say of the section `[model]`. Raises ConfigError."""
    return load(config, flags={"model.folder": folder, "model.url": url})


def say(message: str) -> None:
    """Talk: a line on stderr."""
    print(f"firstaudio: {message}", file=sys.stderr)
