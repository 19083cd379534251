"""Files that lie in a model's folder under a published name: which of them can be the published one, and what is wrong.

Looks at names and sizes, and at sums only where it is asked to: whoever copied a file by hand is told at once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from firstaudio.engines.kokoro.disk import sha256_of
from firstaudio.engines.kokoro.release import KOKORO, Release, ReleaseFile

PULL = f"run: firstaudio models pull {KOKORO.name}"


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file that somebody put there, and that no manifest lists.

    Attributes:
        path: Where.
        num_bytes: Its size.
        published: The file whose name it has.
    """

    path: Path
    num_bytes: int
    published: ReleaseFile

    @property
    def has_right_size(self) -> bool:
        """Whether it can be the published file."""
        return self.num_bytes == self.published.num_bytes

    @property
    def advice(self) -> str:
        """What it is and what to do, for people."""
        if self.has_right_size:
            return f"never checked; {PULL} (it fetches only what is not right)"
        return f"{wrong_size(self.num_bytes, self.published)}: replace it, or {PULL}"

    def __str__(self) -> str:
        """The same as a sentence that names it."""
        return f"{self.path} {'was ' if self.has_right_size else ''}{self.advice}"


def copied_files(model: Path, release: Release, listed: Collection[str]) -> list[CopiedFile]:
    """Files of a release that lie in its folder and are not listed. Raises OSError.

    Args:
        model: The model's folder; it need not exist.
        release: What could lie there.
        listed: Names that the manifest lists.
    """
    wanted = [(model / file.file, file) for file in release.files if file.file not in listed]
    return [CopiedFile(path, path.stat().st_size, file) for path, file in wanted if path.is_file()]


def fault(path: Path, published: ReleaseFile) -> str | None:
    """What is wrong with a file that should be a published one: empty where it is right, None where there is none.

    Raises:
        OSError: It cannot be read.
    """
    if not path.is_file():
        return None
    if (num_bytes := path.stat().st_size) != published.num_bytes:
        return wrong_size(num_bytes, published)
    if (found := sha256_of(path)) != published.sha256:
        return f"is there but its SHA-256 is {found}, that of the published file {published.sha256}"
    return ""


def wrong_size(num_bytes: int, published: ReleaseFile) -> str:
    """Both sizes, in bytes."""
    return f"is there but has {num_bytes} bytes, the published file has {published.num_bytes}"
