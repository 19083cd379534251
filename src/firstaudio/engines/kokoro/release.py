"""What `firstaudio models pull` can fetch, as data: the files of a release, their sizes and their sums.

Source: release `model-files-v1.0` of thewh1teagle/kokoro-onnx on GitHub. The release states no sums of its own; these
are the ones by which independent public projects pin the same files, at least five projects for each file (found by a
search for the sums over public code, 2026-11).
The fp16 file of the release is left out: onnxruntime refuses to load it.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from firstaudio.config.url import parse_url
from firstaudio.errors import ConfigError

Role = Literal["model", "voices"]
VARIANTS = ("f32", "int8")  # the first is the default and the preferred one


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file that can be pulled.

    Attributes:
        file: Its name, at the source and on disk.
        role: What the engine uses it for.
        variant: Arithmetic of a model file; empty for files that go with every variant.
        num_bytes: Its exact size.
        sha256: Its sum, in hexadecimal.
    """

    file: str
    role: Role
    variant: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A model that can be pulled.

    Attributes:
        name: What people call it; also its sub-folder in the folder of models.
        url: Where its files lie; a file's address is this, a slash and its name.
        licence: SPDX name of the weights' licence.
        files: All files of all variants.
    """

    name: str
    url: str
    licence: str
    files: tuple[ReleaseFile, ...]

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that there are, the preferred one first."""
        return tuple(file.variant for file in self.files if file.variant)

    def wanted(self, variant: str) -> tuple[ReleaseFile, ...]:
        """The files that one variant needs. Raises ConfigError where there is no such variant."""
        if variant not in self.variants:
            raise ConfigError(f"{self.name} has no variant {variant!r}; there are: {', '.join(self.variants)}")
        return tuple(file for file in self.files if file.variant in ("", variant))


KOKORO = Release(
    name="kokoro",
    url="https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0",
    licence="Apache-2.0",
    files=(
        ReleaseFile(
            "kokoro-v1.0.onnx",
            "model",
            "f32",
            325_532_387,
            "7d5df8ecf7d4b1878015a32686053fd0eebe2bc377234608764cc0ef3636a6c5",
        ),
        ReleaseFile(
            "kokoro-v1.0.int8.onnx",
            "model",
            "int8",
            92_361_271,
            "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        ),
        ReleaseFile(
            "voices-v1.0.bin",
            "voices",
            "",
            28_214_398,
            "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
        ),
    ),
)
RELEASES = MappingProxyType({release.name: release for release in (KOKORO,)})


def release_named(name: str) -> Release:
    """The release of that name. Raises ConfigError that lists the names there are."""
    if name not in RELEASES:
        near = get_close_matches(name, RELEASES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(RELEASES)}"
        raise ConfigError(f"no model {name!r} can be pulled; {hint}")
    return RELEASES[name]


def file_url(release: Release, file: ReleaseFile, mirror: str = "") -> str:
    """Where a file is fetched from.

    Args:
        release: What it belongs to.
        file: The file.
        mirror: `model.url`: a folder by http(s):// or file://; empty takes the official release.

    Raises:
        ConfigError: `mirror` is no such address.
    """
    base = mirror or release.url
    if not base.lower().startswith(("http://", "https://", "file:///", "file://localhost/")):
        hint = f"; a folder of this machine is file://{base}" if base.startswith("/") else ""
        raise ConfigError(f"model.url must begin with http://, https:// or file:///, got {base!r}{hint}")
    if base.lower().startswith("http"):
        parse_url("model.url", base)
    return f"{base.rstrip('/')}/{quote(file.file)}"
