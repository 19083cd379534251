"""Compiled graphs on disk, so that the next start reads what this one has compiled.

<folder>/<runtime>-<first digits of the facts' hash>/
    weights.bin        what all of them share; a library maps it
    0.blob, 1.blob ..  a compiled graph for each set of shapes, without its weights
    manifest.json      what they are made from and for, and the sum of each file; written last

A library takes a blob as it takes its own memory, without a doubt. So the folder is its owner's alone, and what has not
the sum that it was written with is never given to a library: it is removed, and made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstaudio.engines.kokoro.disk import atomic_write, locked, sha256_of

logger = logging.getLogger(__name__)

FORMAT = 1  # of the folder: one of another format is stale
WEIGHTS, MANIFEST, BLOB = "weights.bin", "manifest.json", ".blob"
HASH_DIGITS = 16
MAKING = ".making-"  # how the names of folders begin that are being filled
FINISHED = re.compile(rf".+-[0-9a-f]{{{HASH_DIGITS}}}")
PRIVATE = 0o700
# Facts that may change and come back: what was made for other ones is not stale.
PASSING = ("properties",)

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of one graph, checked.

    Attributes:
        weights: The file that the blobs take their weights from.
        blobs: By set of shapes, in their order.
    """

    weights: Path
    blobs: tuple[bytes, ...]


class KeptGraphs:
    """The compiled graphs of one runtime.

    Args:
        folder: Where they lie, those of other runtimes too; made when something is kept.
        name: Of the runtime.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def find(self, facts: Facts) -> Kept | None:
        """What was made from these facts, each file as it was written; None where there is none that can be trusted."""
        place = self._place(facts)
        if not (_is_private(self._folder) and _is_private(place)):
            return None
        try:
            return _read(place, facts)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            logger.warning("the compiled graphs in %s are damaged (%s) and have to be made again", place, error)
            return None

    @contextmanager
    def making(self, facts: Facts) -> Iterator[Path]:
        """An empty folder for `WEIGHTS` and the blobs; at the end it takes its place, and what is stale is removed.

        Others wait meanwhile. Nothing is kept where the block raises.

        Args:
            facts: What `find` will be asked for.

        Raises:
            OSError: The folder cannot be written to, or the disk is full.
        """
        self._folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if not _is_private(self._folder):
            raise PermissionError(f"{self._folder} is not this user's alone")
        with locked(self._folder, self._folder.name):
            _remove(self._folder.glob(f"{MAKING}*"))  # of a process that was killed: the lock is ours
            beside = Path(tempfile.mkdtemp(prefix=MAKING, dir=self._folder))
            try:
                yield beside
                self._put_in_place(beside, facts)
            finally:
                _remove([beside])
            others = (path for path in self._folder.iterdir() if FINISHED.fullmatch(path.name))
            _remove([path for path in others if _is_stale(path, facts)])

    def discard(self, facts: Facts) -> None:
        """Remove what was made from these facts: it is no use."""
        _remove([self._place(facts)])

    def _put_in_place(self, beside: Path, facts: Facts) -> None:
        sums = {path.name: sha256_of(path) for path in beside.iterdir()}
        atomic_write(beside / MANIFEST, json.dumps({"facts": _plain(facts), "files": sums}, indent=2).encode())
        self.discard(facts)
        beside.replace(self._place(facts))

    def _place(self, facts: Facts) -> Path:
        text = json.dumps(_plain(facts), sort_keys=True)
        return self._folder / f"{self._name}-{hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]}"


def _read(place: Path, facts: Facts) -> Kept | None:
    """Raises OSError or ValueError, and what JSON of another shape raises."""
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if manifest["facts"] != _plain(facts):
        raise ValueError("it was made from other facts")
    sums = dict(manifest["files"])
    if sha256_of(place / WEIGHTS) != sums.pop(WEIGHTS):
        raise ValueError(f"{WEIGHTS} has another sum")
    return Kept(place / WEIGHTS, tuple(_blob(place, f"{index}{BLOB}", sums) for index in range(len(sums))))


def _blob(place: Path, name: str, sums: Mapping[str, str]) -> bytes:
    content = (place / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise ValueError(f"{name} has another sum")
    return content


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of this user, into which nobody else can write."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    is_own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISDIR(found.st_mode) and is_own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_stale(place: Path, facts: Facts) -> bool:
    """Whether nobody will ask for it again: another graph, library, processor; the present one's is not."""
    try:
        found = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["facts"]
        return _lasting(found) != _lasting(_plain(facts))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return True


def _lasting(facts: Facts) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in PASSING}


def _plain(facts: Facts) -> dict[str, Any]:
    """As they are when they have been written and read."""
    plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **facts}))
    return plain


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
