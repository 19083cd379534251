"""Where model files lie: one folder, a sub-folder for each model, a manifest in it that says what was checked.

A file counts as installed when the manifest lists it: the manifest is written last, after the file was checked and
renamed into place, so nothing half-written is ever used. What is made from a model and what was measured of it on this
machine lies beside it (`pieces/`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from firstaudio.config import Config, ModelConfig
from firstaudio.engines.kokoro.copied import PULL, CopiedFile, copied_files
from firstaudio.engines.kokoro.disk import atomic_write, locked, sha256_of, writing
from firstaudio.engines.kokoro.release import KOKORO, RELEASES, VARIANTS, Role
from firstaudio.errors import ConfigError, MissingExtraError

MANIFEST_FILE, PIECES_FOLDER = "manifest.json", "pieces"
PART = ".part"  # a file on its way; beside it `.part.json`, what is known of it
OWN = "own"  # the name of models that are given by path: only what is made from them lies in the folder
SHAPE = "shape"  # the model of Kokoro's shape with random weights
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

State = Literal["ok", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What the engine is to load.

    Attributes:
        model: The ONNX file; it exists and is not empty.
        voices: The voices file, or the folder of them; it exists.
        name: The model's name in the folder of models; `OWN` for files from elsewhere.
        cache: Folder of what is made from the model (`pieces/` goes into it); it need not exist yet.
    """

    model: Path
    voices: Path
    name: str
    cache: Path

    @property
    def pieces(self) -> Path:
        """The folder of the cut files; `models rm NAME` removes it."""
        return self.cache / PIECES_FOLDER


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One line of a manifest.

    Attributes:
        file: Its name beside the manifest.
        role: What the engine uses it for.
        variant: Arithmetic or size of a model file; empty for voices.
        num_bytes: Its size.
        sha256: Its sum, in hexadecimal.
        source: The address that it came from, or how it was made.
        installed_at: When, in UTC, ISO 8601.
    """

    file: str
    role: Role
    variant: str
    num_bytes: int
    sha256: str
    source: str
    installed_at: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lies in a model's folder and was checked."""

    name: str
    licence: str
    files: tuple[StoredFile, ...] = ()

    def with_file(self, file: StoredFile) -> Manifest:
        """The manifest with that file added, in the place of one of the same name."""
        return replace(self, files=(*(known for known in self.files if known.file != file.file), file))

    def get(self, name: str) -> StoredFile | None:
        """The line of that file name, if there is one."""
        return next((file for file in self.files if file.file == name), None)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model's folder, as it is on disk.

    Attributes:
        manifest: What it should hold.
        folder: Where.
        states: How each file of the manifest is, by size alone.
        num_derived_bytes: Size of what was made from it.
        num_partial_bytes: Size of downloads that are not complete.
        problem: Why the manifest could not be read; empty where it could.
        copied: Files that lie there under a published name and are not in the manifest.
    """

    manifest: Manifest
    folder: Path
    states: dict[str, State] = field(default_factory=dict)
    num_derived_bytes: int = 0
    num_partial_bytes: int = 0
    problem: str = ""
    copied: tuple[CopiedFile, ...] = ()


def model_folder(config: ModelConfig) -> Path:
    """The folder of all models: `model.folder`, else `firstaudio/models` in the user's cache folder."""
    if config.folder:
        return Path(config.folder).expanduser().absolute()
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise MissingExtraError("finding the folder of model files (model.folder is not set)", "kokoro") from error
    return user_cache_path("firstaudio") / "models"


def find(config: Config) -> ModelFiles:
    """The files that the configuration asks for; reads sizes, not contents.

    `kokoro.model` and `kokoro.voices` come first; else what was pulled, f32 before int8.

    Raises:
        ConfigError: A file is missing, empty or of another size than when it was checked.
    """
    folder = model_folder(config.model)
    if config.kokoro.model:
        model = _given(config.kokoro.model, "kokoro.model", may_be_folder=False)
        name = _home(model, folder)
    else:
        model, name = _pulled(folder, "model", _preferred), KOKORO.name
    if config.kokoro.voices:
        voices = _given(config.kokoro.voices, "kokoro.voices", may_be_folder=True)
    elif config.kokoro.model:
        voices = _voices_beside(model)
    else:
        voices = _pulled(folder, "voices", lambda files: files[0])
    return ModelFiles(model, voices, name, folder / name)


def installed(folder: Path) -> list[InstalledModel]:
    """Every model in the folder, by name; states by size, so that this is quick."""
    if not folder.is_dir():
        return []
    return [_look(path) for path in sorted(folder.iterdir()) if path.is_dir() and _is_model(path)]


def verify(folder: Path, name: str) -> dict[str, State]:
    """How each file of a model is, by its SHA-256.

    Raises:
        ConfigError: There is no such model.
    """
    manifest = read_manifest(existing(folder, name))
    return {file.file: _verified(folder / name, file) for file in manifest.files}


def verify_derived(folder: Path, name: str) -> dict[str, State]:
    """How each file is that was cut out of a model, by its SHA-256; by its path from the model's folder.

    Raises:
        ConfigError: There is no such model.
    """
    from firstaudio.engines.kokoro.pieces import verify_pieces

    states = verify_pieces(existing(folder, name) / PIECES_FOLDER)
    return {f"{PIECES_FOLDER}/{file}": state for file, state in states.items()}


def remove(folder: Path, name: str) -> int:
    """Remove a model and what was made from it; nothing outside `folder`.

    Returns:
        The number of bytes that are free now.

    Raises:
        ConfigError: There is no such model, its folder is a link, or it may not be removed.
    """
    path = existing(folder, name)
    if path.is_symlink() or path.resolve().parent != folder.resolve():
        raise ConfigError(f"{path} is a link to another place; remove the link by hand")
    with writing(folder), locked(folder, name):
        num_bytes = _num_bytes(path)
        shutil.rmtree(path)
    return num_bytes


def existing(folder: Path, name: str) -> Path:
    """The folder of an installed model. Raises ConfigError that names those there are."""
    path = folder / checked_name(name)
    if path.is_dir() and _is_model(path):
        return path
    names = ", ".join(map(_named, installed(folder))) or "none"
    raise ConfigError(f"no model {name!r} in {folder}; installed: {names}")


def _named(model: InstalledModel) -> str:
    is_begun = not (model.manifest.files or model.copied or model.num_derived_bytes or model.problem)
    return f"{model.folder.name} (incomplete)" if is_begun else model.folder.name


def checked_name(name: str) -> str:
    """The name, if it can be that of a sub-folder. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of a model; names have lower-case letters, digits, '.', '_' and '-'")
    return name


def read_manifest(model: Path) -> Manifest:
    """What the folder of one model holds; an empty manifest where there is none.

    Raises:
        ConfigError: The manifest is damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    path = model / MANIFEST_FILE
    try:
        manifest = TypeAdapter(Manifest).validate_json(path.read_bytes())
    except FileNotFoundError:
        return Manifest(model.name, licence="")
    except (OSError, ValidationError) as error:
        cure = f"pull {model.name}" if model.name in RELEASES else f"rm {model.name} --yes"
        raise ConfigError(f"{path} cannot be read; run: firstaudio models {cure}") from error
    if any(Path(file.file).name != file.file for file in manifest.files):
        raise ConfigError(f"{path} lists files outside its folder; remove it and pull the model again")
    return manifest


def write_manifest(model: Path, manifest: Manifest) -> None:
    """Put the manifest into the model's folder, atomically. Raises OSError."""
    atomic_write(model / MANIFEST_FILE, (json.dumps(asdict(manifest), indent=2) + "\n").encode())


def _given(path_text: str, key: str, *, may_be_folder: bool) -> Path:
    """The file that a setting names. Raises ConfigError."""
    path = Path(path_text).expanduser().absolute()
    if path.is_dir() and may_be_folder:
        return path
    if path.is_dir():
        raise ConfigError(f"{key} is the folder {path}; name the file in it")
    if not path.exists():
        raise ConfigError(f"{key} names {path}, and there is no such file; mend the path, or {PULL} and leave it empty")
    if not os.access(path, os.R_OK):
        raise ConfigError(f"{key} names {path}, which this user may not read; allow it: chmod a+r {path}")
    if not path.stat().st_size:
        raise ConfigError(f"{key} names {path}, which is empty; copy or download it again")
    return path


def _home(model: Path, folder: Path) -> str:
    """The name that a file given by path goes by: its model's where it lies in the folder of models."""
    inside = model.resolve().parent.parent == folder.resolve() and _is_model(model.resolve().parent)
    return model.resolve().parent.name if inside else OWN


def _voices_beside(model: Path) -> Path:
    """The voices that lie beside a model file. Raises ConfigError where there are none, or several."""
    around = [path for path in sorted(model.parent.iterdir()) if path.name.startswith("voices")]
    found = [path for path in around if path.is_dir() or path.suffix in (".bin", ".npz", ".npy")]
    if len(found) == 1:
        return found[0]
    what = f"several: {', '.join(path.name for path in found)}" if found else "none (voices*.bin, .npz, .npy)"
    raise ConfigError(f"kokoro.voices is empty, and of voices files beside {model} there are {what}; set kokoro.voices")


def _pulled(folder: Path, role: Role, choose: Callable[[list[StoredFile]], StoredFile]) -> Path:
    """The pulled file for a role. Raises ConfigError."""
    model = folder / KOKORO.name
    files = [file for file in read_manifest(model).files if file.role == role]
    if not files:
        raise ConfigError(_absent(model, role))
    chosen = choose(files)
    state = _state(model, chosen)
    if state != "ok":
        raise ConfigError(f"{model / chosen.file} is {state}: {chosen.num_bytes} bytes were checked there; {PULL}")
    return model / chosen.file


def _preferred(files: list[StoredFile]) -> StoredFile:
    """f32, else int8, else the first of what else there is."""
    order = {variant: index for index, variant in enumerate(VARIANTS)}
    return min(files, key=lambda file: order.get(file.variant, len(order)))


def _absent(model: Path, role: Role) -> str:
    """Why there is no file for the role, and what to do."""
    copied = [file for file in copied_files(model, KOKORO, ()) if file.published.role == role]
    if copied:
        return str(max(copied, key=lambda file: file.has_right_size))
    return (
        f"the kokoro engine has no {role} file; {PULL}, or set kokoro.model and kokoro.voices to files of your own "
        f"(looked in {model})"
    )


def _is_model(path: Path) -> bool:
    """Whether a sub-folder is one of ours, and not a folder of somebody's who set `model.folder` to it.

    An empty one is what a pull leaves that came to nothing: a place for files that are copied by hand, and no model.
    """
    return (path / MANIFEST_FILE).is_file() or (path.name in (*RELEASES, SHAPE, OWN) and not _is_empty(path))


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False  # what is in it is its owner's secret


def _look(path: Path) -> InstalledModel:
    try:
        manifest, problem = read_manifest(path), ""
    except ConfigError as error:
        manifest, problem = Manifest(path.name, licence=""), error.message
    listed = {file.file: file for file in manifest.files}
    parts = [part for part in path.glob(f"*{PART}") if part.is_file()]
    return InstalledModel(
        manifest=replace(manifest, name=path.name),
        folder=path,
        states={name: _state(path, file) for name, file in listed.items()},
        num_derived_bytes=_num_bytes(path / PIECES_FOLDER),
        num_partial_bytes=sum(part.stat().st_size for part in parts),
        problem=problem,
        copied=tuple(copied_files(path, RELEASES[path.name], listed) if path.name in RELEASES else ()),
    )


def _state(model: Path, file: StoredFile) -> State:
    """By size alone."""
    path = model / file.file
    if not path.is_file():
        return "missing"
    return "ok" if path.stat().st_size == file.num_bytes else "damaged"


def _verified(model: Path, file: StoredFile) -> State:
    state = _state(model, file)
    return "damaged" if state == "ok" and sha256_of(model / file.file) != file.sha256 else state


def _num_bytes(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
