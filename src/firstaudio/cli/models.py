"""`firstaudio models`: the model files of the kokoro engine. A verb is a function, here or in its own module."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstaudio.cli.models_optimize import optimize
from firstaudio.cli.models_options import ModelFolderOption, ModelUrlOption
from firstaudio.cli.models_quantize import quantize
from firstaudio.cli.models_shape import build_shape
from firstaudio.cli.options import ConfigOption, JsonOption, command_group, load_with, talk
from firstaudio.cli.table import print_rows

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from firstaudio.engines.kokoro.download import Listener
    from firstaudio.engines.kokoro.store import InstalledModel

EXIT_DAMAGED, EXIT_USAGE = 1, 2
PLAIN_STEPS = 10  # lines that a file's progress takes where there is no terminal
_COLUMNS = ("model", "file", "variant", "megabytes", "state", "source")

models_app = command_group(
    "models",
    "Model files of the kokoro engine: list, pull, verify, remove, measure (optimize), make int8 variants (quantize), "
    "build one of random weights.",
)
models_app.command("build-shape")(build_shape)
models_app.command("optimize")(optimize)
models_app.command("quantize")(quantize)


@models_app.command("list")
def list_(config: ConfigOption = None, model_folder: ModelFolderOption = None, json_: JsonOption = False) -> None:
    """List the model files that are there, and those that can be pulled.

    A table on a terminal; elsewhere tab-separated lines below a line of titles.
    """
    from firstaudio.engines.kokoro.store import installed
    from firstaudio.engines.kokoro.store import model_folder as folder_of

    folder = folder_of(load_with(config, model_folder=model_folder).model)
    models = installed(folder)
    if json_:
        print(json.dumps({"folder": str(folder), "models": [_model_json(model) for model in models]}, indent=2))
        return
    rows = [*(row for model in models for row in _rows(model)), *_not_pulled(models)]
    print_rows(_COLUMNS, rows)
    talk(f"models lie in {folder}")


@models_app.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Model to pull.")] = "kokoro",
    variant: Annotated[
        str, typer.Option(metavar="f32|int8", help="Arithmetic of the model file; int8 is smaller, seldom faster.")
    ] = "f32",
    force: Annotated[bool, typer.Option("--force", help="Fetch files again that are there.")] = False,
    config: ConfigOption = None,
    model_url: ModelUrlOption = None,
    model_folder: ModelFolderOption = None,
) -> None:
    """Fetch a model's files, or check those that are there.

    A download that broke off goes on where it ended. Prints the paths of the files.
    """
    from firstaudio.engines.kokoro.pull import pull as pull_release
    from firstaudio.engines.kokoro.release import release_named

    release = release_named(name)
    loaded = load_with(config, model_folder=model_folder, model_url=model_url)
    with _listening() as listener:
        folder = pull_release(release, variant, loaded.model, listener, force=force)
    for file in release.wanted(variant):
        print(folder / file.file)


@models_app.command()
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this model; default: all.")] = None,
    config: ConfigOption = None,
    model_folder: ModelFolderOption = None,
) -> None:
    """Compare every file with the SHA-256 of its manifest, and those that were cut out of it.

    Prints a line for each: state, path. Exits with 1 where one is damaged, missing or was never checked, or where there
    is none.
    """
    from firstaudio.engines.kokoro.store import installed, verify_derived
    from firstaudio.engines.kokoro.store import model_folder as folder_of
    from firstaudio.engines.kokoro.store import verify as verify_model

    folder = folder_of(load_with(config, model_folder=model_folder).model)
    there = {model.folder.name: model for model in installed(folder)}
    names = list(there) if name is None else [name]
    found = [(state, folder / each / file) for each in names for file, state in verify_model(folder, each).items()]
    cut = [(state, folder / each / file) for each in names for file, state in verify_derived(folder, each).items()]
    copied = [file for each in names if each in there for file in there[each].copied]
    for state, path in [*found, *cut, *(("unchecked", file.path) for file in copied)]:
        print(state, path, sep="\t")
    for file in copied:
        talk(str(file))
    if any(state != "ok" for state, _path in cut):
        talk("what was cut out of a model is cut again by: firstaudio models optimize")
    if not found and not cut and not copied:
        talk(f"there are no model files in {folder}; run: firstaudio models pull kokoro")
    elif any(state != "ok" for state, _path in found):
        talk("to mend pulled files run: firstaudio models pull kokoro")
    if not (found or cut) or copied or any(state != "ok" for state, _path in (*found, *cut)):
        raise typer.Exit(EXIT_DAMAGED)


@models_app.command()
def rm(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model to remove.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove; nothing is removed without it.")] = False,
    config: ConfigOption = None,
    model_folder: ModelFolderOption = None,
) -> None:
    """Remove a model, what was made from it, and what was measured of it on this machine."""
    from firstaudio.engines.kokoro.store import existing, remove
    from firstaudio.engines.kokoro.store import model_folder as folder_of

    folder = folder_of(load_with(config, model_folder=model_folder).model)
    print(existing(folder, name))
    if not yes:
        talk("nothing was removed; give --yes to remove this folder")
        raise typer.Exit(EXIT_USAGE)
    talk(f"removed: {remove(folder, name) / 1e6:.0f} MB")


def _model_json(model: InstalledModel) -> dict[str, Any]:
    files = [asdict(file) | {"state": model.states[file.file]} for file in model.manifest.files]
    return {
        "name": model.manifest.name,
        "folder": str(model.folder),
        "licence": model.manifest.licence,
        "files": files,
        "num_derived_bytes": model.num_derived_bytes,
        "num_partial_bytes": model.num_partial_bytes,
        "problem": model.problem,
        "unchecked": [
            {"file": copied.path.name, "num_bytes": copied.num_bytes, "num_published_bytes": copied.published.num_bytes}
            for copied in model.copied
        ],
    }


def _rows(model: InstalledModel) -> Iterator[tuple[str, ...]]:
    """A line for each file, and for what else takes room."""
    name = model.manifest.name
    for file in model.manifest.files:
        yield name, file.file, file.variant, _megabytes(file.num_bytes), model.states[file.file], file.source
    if model.problem:
        yield name, "", "", "", "damaged", model.problem
    if model.num_partial_bytes:
        yield name, "", "", _megabytes(model.num_partial_bytes), "incomplete", "pull again to go on"
    if model.num_derived_bytes:
        yield name, "", "", _megabytes(model.num_derived_bytes), "derived", "made from the model"
    for copied in model.copied:
        variant, megabytes = copied.published.variant, _megabytes(copied.num_bytes)
        yield name, copied.path.name, variant, megabytes, "unchecked", copied.advice


def _not_pulled(models: list[InstalledModel]) -> Iterator[tuple[str, ...]]:
    """What could be pulled and is not there."""
    from firstaudio.engines.kokoro.release import RELEASES

    there = {(model.manifest.name, file.file) for model in models for file in model.manifest.files}
    there |= {(model.manifest.name, copied.path.name) for model in models for copied in model.copied}
    for release in RELEASES.values():
        for file in release.files:
            if (release.name, file.file) not in there:
                yield release.name, file.file, file.variant, _megabytes(file.num_bytes), "not pulled", release.url


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f}"


@contextmanager
def _listening() -> Iterator[Listener]:
    """A bar when stderr is a terminal, else a line from time to time."""
    if not sys.stderr.isatty():
        yield PlainListener()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with RichProgress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        yield BarListener(bars)


class PlainListener:
    """Progress as lines, for logs."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def advanced(self, file: str, num_bytes: int, num_total: int) -> None:
        """Say so at every tenth."""
        step = num_bytes * PLAIN_STEPS // num_total
        if step != self._told.get(file):
            self._told[file] = step
            talk(f"{file}: {_megabytes(num_bytes)} of {_megabytes(num_total)} MB")

    def notice(self, text: str) -> None:
        """Say it."""
        talk(text)


class BarListener:
    """Progress as bars, for people."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def advanced(self, file: str, num_bytes: int, num_total: int) -> None:
        """Move the file's bar."""
        if file not in self._tasks:
            self._tasks[file] = self._bars.add_task(file, total=num_total, completed=num_bytes)
        self._bars.update(self._tasks[file], completed=num_bytes)

    def notice(self, text: str) -> None:
        """Say it above the bars."""
        self._bars.console.print(f"firstaudio: {text}", markup=False, highlight=False)
