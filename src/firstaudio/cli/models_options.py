"""What the verbs of `firstaudio models` share: where models come from and lie, and how far a verb has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from firstaudio.cli.options import talk

ModelFolderOption = Annotated[
    str | None, typer.Option("--model-folder", metavar="FOLDER", help="Folder of models, in the place of model.folder.")
]
ModelUrlOption = Annotated[
    str | None,
    typer.Option("--model-url", metavar="URL", help="Mirror, in the place of model.url: http(s):// or file:///."),
]
ModelFileOption = Annotated[
    str | None,
    typer.Option(
        "--model", "--kokoro-model", metavar="PATH", help="Model file; default: kokoro.model, else the pulled one."
    ),
]
VoicesFileOption = Annotated[
    str | None,
    typer.Option(
        "--voices-file", "--kokoro-voices", metavar="PATH", help="Voices file; default: the one beside the model."
    ),
]

Progress = Callable[[str, int, int], None]
"""What is being done, how many are done, how many there are."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on a terminal, above it a line for what is the only one of its kind; a line for each step elsewhere.

    On stderr.
    """
    if not sys.stderr.isatty():
        yield lambda what, done, total: talk(f"{what} ({done + 1}/{total})")
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1)

        def tell(what: str, done: int, total: int) -> None:
            if total == 1:  # it stays to be read when the bar is gone
                bar.console.print(f"firstaudio: {what}", markup=False, highlight=False)
            bar.update(task, description=what, completed=done, total=total)

        yield tell
