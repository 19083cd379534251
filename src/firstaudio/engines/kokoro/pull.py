"""`models pull`: the files of a release into the folder of models, each checked before it is listed."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from firstaudio.config import ModelConfig
from firstaudio.engines.kokoro.copied import fault
from firstaudio.engines.kokoro.disk import free_bytes, locked, no_room, writing
from firstaudio.engines.kokoro.download import DownloadError, Listener, Patience, Silent, Wanted, download, partial
from firstaudio.engines.kokoro.release import Release, ReleaseFile, file_url
from firstaudio.engines.kokoro.store import Manifest, StoredFile, model_folder, read_manifest, write_manifest
from firstaudio.errors import ConfigError

BY_HAND = "copied by hand"


def pull(
    release: Release,
    variant: str,
    config: ModelConfig,
    listener: Listener | None = None,
    *,
    force: bool = False,
    patience: Patience | None = None,
) -> Path:
    """Have a release's files in the folder of models, whole, checked and listed.

    Files that are there already, copied by hand too, are checked and not fetched again. Another process that pulls the
    same model is waited for.

    Args:
        release: What to pull.
        variant: Which arithmetic.
        config: Where from, where to.
        listener: Told of progress.
        force: Fetch files that are there, too.
        patience: When to give up.

    Returns:
        The model's folder.

    Raises:
        ConfigError: No such variant; a mirror that is no address; a disk that is full or may not be written.
        DownloadError: A file cannot be had; names all that are still needed, and what is wrong with those that lie
            there.
    """
    listener = listener or Silent()
    files = {file: file_url(release, file, config.url) for file in release.wanted(variant)}
    folder = model_folder(config)
    model = folder / release.name
    with ExitStack() as held:
        with writing(folder):
            model.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(folder, release.name, lambda: listener.notice(_waiting(release))))
        missing = [file for file in files if force or not _is_there(model, release, file, listener)]
        _require_room(model, missing)
        for index, file in enumerate(missing):
            try:
                download(Wanted(files[file], model / file.file, file.num_bytes, file.sha256), listener, patience)
            except DownloadError as error:
                raise DownloadError(f"{error.message}; {_still_needed(model, missing[index:])}") from error
            _list(model, release, file, files[file], listener)
    return model


def _still_needed(model: Path, files: list[ReleaseFile]) -> str:
    """Every file that is not there as it was published, for whoever copies them by hand."""
    return f"still needed in {model}: {', '.join(_needed(model, file) for file in files)}"


def _needed(model: Path, file: ReleaseFile) -> str:
    problem = fault(model / file.file, file)
    return f"{file.file} ({f'{problem}: replace it' if problem else f'{file.num_bytes} bytes'})"


def _is_there(model: Path, release: Release, file: ReleaseFile, listener: Listener) -> bool:
    """Whether the file lies there, whole; then it is listed too."""
    path = model / file.file
    with writing(model):
        problem = fault(path, file)
    if problem:
        listener.notice(f"{file.file} {problem}: fetching it")
    if problem != "":
        return False
    known = _manifest(model, release, listener).get(file.file)
    if known is None or known.sha256 != file.sha256:
        _list(model, release, file, BY_HAND, listener)
    listener.notice(f"{file.file}: is there, its SHA-256 is right")
    return True


def _list(model: Path, release: Release, file: ReleaseFile, source: str, listener: Listener) -> None:
    """Put a file into the manifest: from now on it is used."""
    stored = StoredFile(file.file, file.role, file.variant, file.num_bytes, file.sha256, source, now())
    with writing(model):
        write_manifest(model, _manifest(model, release, listener).with_file(stored))


def now() -> str:
    """The time in UTC, ISO 8601, as a manifest has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _manifest(model: Path, release: Release, listener: Listener) -> Manifest:
    """What is listed; a damaged manifest is written anew, from the files that are checked now."""
    try:
        manifest = read_manifest(model)
    except ConfigError:
        listener.notice(f"the manifest in {model} is damaged; writing a new one")
        manifest = Manifest(release.name, release.licence)
    return Manifest(release.name, release.licence, manifest.files)


def _require_room(model: Path, missing: list[ReleaseFile]) -> None:
    """Raise ConfigError where the disk has no room for what is still to come."""
    num_bytes = sum(file.num_bytes - _num_partial_bytes(model, file) for file in missing)
    if num_bytes > free_bytes(model):
        raise ConfigError(no_room(model, num_bytes))


def _num_partial_bytes(model: Path, file: ReleaseFile) -> int:
    path = partial(model / file.file)
    return path.stat().st_size if path.exists() else 0


def _waiting(release: Release) -> str:
    return f"another process is at work on {release.name}; waiting for it"
