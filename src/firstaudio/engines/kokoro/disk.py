"""Files that are whole or not there: atomic writes, locks between processes, and what a disk's refusal means."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firstaudio.errors import ConfigError, MissingExtraError

LOCKS_FOLDER = ".locks"
FULL = (errno.ENOSPC, errno.EDQUOT)
ELSEWHERE = "set model.folder (FIRSTAUDIO_MODEL_FOLDER) to another folder"


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that others see the old content or the new one, whole, after a power cut too. Raises OSError."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)  # mkstemp's 0600 would lock other users out of a shared folder
        put_in_place(Path(beside), path)
    finally:
        Path(beside).unlink(missing_ok=True)


def put_in_place(beside: Path, path: Path) -> None:
    """Rename a finished file onto `path` and have the folder's entry on disk. Raises OSError."""
    beside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a model's lock: one process at a time pulls, makes or removes it.

    Args:
        folder: The folder of models.
        name: The model.
        on_wait: Called once where another process holds the lock, before this one waits for it.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise MissingExtraError("writing model files", "kokoro") from error
    (folder / LOCKS_FOLDER).mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCKS_FOLDER / f"{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(folder: Path, num_bytes: int = 0) -> Iterator[None]:
    """Turn what the disk refuses into a sentence with the next step.

    Args:
        folder: Where something is being written.
        num_bytes: How much room that needs, where it is known.

    Raises:
        ConfigError: The disk is full, or the folder may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ConfigError(no_room(folder, num_bytes)) from error
        raise ConfigError(
            f"cannot write {error.filename or folder}: {error.strerror or error}; mend it, {ELSEWHERE}, or name files "
            "that are there already with kokoro.model and kokoro.voices"
        ) from error


def no_room(folder: Path, num_bytes: int) -> str:
    """The sentence for a disk that is full: what is needed, what is free, what to do."""
    need = f"{num_bytes / 1e6:.0f} MB are needed and " if num_bytes else ""
    return f"the disk of {folder} is full: {need}{free_bytes(folder) / 1e6:.0f} MB are free; free some, or {ELSEWHERE}"


def free_bytes(folder: Path) -> int:
    """What this user may still write where `folder` lies, or will lie."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(nearest).free


def sha256_of(path: Path) -> str:
    """The sum of a file's content, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
