"""`firstaudio models build-shape`: a model of Kokoro's shape with random weights, where the real one cannot be had.

It takes as long to run as the real one and speaks noise: for measuring and for trying an installation out.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstaudio.cli.models_options import ModelFolderOption
from firstaudio.cli.options import ConfigOption, load_with, talk
from firstaudio.errors import ConfigError, FirstaudioError

if TYPE_CHECKING:
    from firstaudio.engines.kokoro.release import Role
    from firstaudio.engines.kokoro.store import StoredFile

ENVIRONMENT_FOLDER = ".shape-environment"
READY_FILE = "firstaudio-ready"  # written when all packages are in
PACKAGES = ("torch==2.13.0", "kokoro==0.9.4", "onnx")  # pinned: the same seed gives the same weights
FILES = ("model.onnx", "voices.bin")
SIZES, DIALECTS = ("full", "tiny"), ("tokens", "input_ids", "int_speed")
STDERR = 2  # a descriptor: stdout is for data, and programs talk on theirs
PROBE = "import torch, onnx, kokoro.istftnet"


class BuildError(FirstaudioError):
    """The model of random weights could not be built."""

    code = "build_failed"


def build_shape(
    size: Annotated[
        str, typer.Option(metavar="full|tiny", help="full: the published sizes; tiny: for tests of software.")
    ] = "full",
    dialect: Annotated[
        str, typer.Option(metavar="tokens|input_ids|int_speed", help="Names and types of the inputs.")
    ] = "tokens",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights.")] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write here; default: as `shape` in the folder of models.")
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="An interpreter that has torch, onnx and kokoro; default: one is made."),
    ] = None,
    config: ConfigOption = None,
    model_folder: ModelFolderOption = None,
) -> None:
    """Build a model of Kokoro's shape with random weights: as slow as the real one, and it speaks noise.

    Prints the two options that make the engine use it. Without --python a virtual environment is made beside the
    models and torch and kokoro are installed into it, some 2 GB (more where pip's index has torch with CUDA).
    """
    from firstaudio.engines.kokoro.store import SHAPE
    from firstaudio.engines.kokoro.store import model_folder as folder_of

    _check("--size", size, SIZES)
    _check("--dialect", dialect, DIALECTS)
    folder = folder_of(load_with(config, model_folder=model_folder).model)
    options = ["--size", size, "--dialect", dialect, "--seed", str(seed)]
    target = output.expanduser().absolute() if output else folder / SHAPE
    if not output and _is_built(target, options):
        talk(f"it is in {target} already; to build it again, remove it first: firstaudio models rm {SHAPE} --yes")
    else:
        interpreter = _given_python(python) if python else _own_python(folder)
        _build(interpreter, target, options) if output else _build_and_install(interpreter, folder, options)
    model, voices = (target / name for name in FILES)
    print(f"--kokoro-model {model} --kokoro-voices {voices}")


def _check(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise typer.BadParameter(f"{option} must be one of {', '.join(choices)}, got {value!r}")


def _is_built(target: Path, options: Sequence[str]) -> bool:
    """Whether that very model lies there, whole: weights follow from the options."""
    from firstaudio.engines.kokoro.store import read_manifest, verify

    files = read_manifest(target).files
    is_same = bool(files) and {file.source for file in files} == {_source(options)}
    return is_same and set(verify(target.parent, target.name).values()) == {"ok"}


def _source(options: Sequence[str]) -> str:
    return f"built: shape_model.py {' '.join(options)}"


def _given_python(python: Path) -> Path:
    """The interpreter that was named, if it has what is needed. Raises ConfigError."""
    try:
        found = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConfigError(f"cannot run {python}: {error.strerror}; name a Python interpreter") from error
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(f"{python} cannot import torch, onnx and kokoro ({reason}); {_install_hint(python)}")
    return python


def _own_python(folder: Path) -> Path:
    """The interpreter of an environment of our own, made at the first time."""
    from firstaudio.engines.kokoro.disk import locked, writing

    environment = folder / ENVIRONMENT_FOLDER
    python = environment / "bin" / "python"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "shape-environment", lambda: talk("another process makes the environment; waiting")):
        if not (environment / READY_FILE).exists():
            _make_environment(environment, python)
    return python


def _make_environment(environment: Path, python: Path) -> None:
    talk(f"making an environment in {environment} and installing {', '.join(PACKAGES)}: some 2 GB, minutes")
    remedy = f"name an interpreter that has them with --python; {_install_hint(Path('PATH'))}"
    _run([sys.executable, "-m", "venv", "--clear", str(environment)], f"cannot make {environment}; {remedy}")
    _run([str(python), "-m", "pip", "install", "--progress-bar", "off", *PACKAGES], f"cannot install; {remedy}")
    (environment / READY_FILE).touch()


def _install_hint(python: Path) -> str:
    return f"to install them: {python} -m pip install {' '.join(map(shlex.quote, PACKAGES))}"


def _run(command: Sequence[str], failure: str) -> None:
    """Run a program whose talk goes to stderr. Raises BuildError."""
    if subprocess.run(command, stdout=STDERR, check=False).returncode:
        raise BuildError(f"{failure} (its own words are above)")


def _run_quietly(command: Sequence[str]) -> None:
    """Run the builder; its warnings are shown only where it fails. Raises BuildError."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        print(ran.stderr, file=sys.stderr)
        raise BuildError(f"the model could not be built (exit code {ran.returncode}); mend what is said above")


def _build(python: Path, target: Path, options: Sequence[str]) -> None:
    """Run the program that builds; on a copy of it, so that our folder's modules shadow no others."""
    from firstaudio.engines import kokoro
    from firstaudio.engines.kokoro.disk import writing

    talk("building the model; the full one takes about a minute and 3 GB of memory")
    with tempfile.TemporaryDirectory() as temporary:
        with writing(target):
            target.mkdir(parents=True, exist_ok=True)
            program = shutil.copy(Path(kokoro.__file__).with_name("shape_model.py"), temporary)
        _run_quietly([str(python), str(program), str(target), *options])
    if lacking := [name for name in FILES if not (target / name).is_file()]:
        raise BuildError(f"{python} left no {' and no '.join(lacking)} in {target}; name a Python interpreter")


def _build_and_install(python: Path, folder: Path, options: Sequence[str]) -> None:
    """Build beside, then put the files into the folder of models, the manifest last."""
    from firstaudio.engines.kokoro.disk import locked, writing
    from firstaudio.engines.kokoro.store import SHAPE, Manifest, write_manifest

    target = folder / SHAPE
    with writing(folder):
        target.mkdir(parents=True, exist_ok=True)
    with locked(folder, SHAPE, lambda: talk("another process builds it; waiting")):
        building = target / ".building"
        _build(python, building, options)
        with writing(folder):
            (target / "manifest.json").unlink(missing_ok=True)  # the files that it lists are about to change
            files = tuple(_install(building / name, target, options) for name in FILES)
            write_manifest(target, Manifest(SHAPE, "Apache-2.0", files))
            building.rmdir()


def _install(built: Path, target: Path, options: Sequence[str]) -> StoredFile:
    from firstaudio.engines.kokoro.disk import put_in_place, sha256_of
    from firstaudio.engines.kokoro.pull import now
    from firstaudio.engines.kokoro.store import StoredFile

    path = target / built.name
    put_in_place(built, path)
    role: Role = "model" if path.suffix == ".onnx" else "voices"
    variant = options[1] if role == "model" else ""
    return StoredFile(path.name, role, variant, path.stat().st_size, sha256_of(path), _source(options), now())
