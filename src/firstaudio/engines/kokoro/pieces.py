"""The cut files on disk, beside the manifest that vouches for them.

<model folder>/pieces/<first digits of the source's SHA-256>-<version of the cut>/
    front.onnx source.onnx generator.onnx window.onnx tail.onnx norms.npz
    manifest.json       written last: without it, nothing in the folder is used; source, versions, anchors, and of each
                        file its size, SHA-256 and the time at which it was written
    statistics/         what `optimize` measured of each voice, by name and hash of its styles
    fidelity.json       its verdict
    compiled/           what runtimes keep of the window piece (`runtimes/kept.py`)
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.kokoro.disk import atomic_write, locked, sha256_of, writing
from firstaudio.errors import ConfigError

if TYPE_CHECKING:
    from firstaudio.engines.kokoro.surgery.anchors import Anchors
    from firstaudio.engines.kokoro.surgery.cut import Cut
    from firstaudio.engines.kokoro.surgery.graph import Graph

logger = logging.getLogger(__name__)

CUT_VERSION = 1
MANIFEST = "manifest.json"
NAMES = ("front", "source", "generator", "window", "tail")
HASH_DIGITS = 16
COMPILED = "compiled"
FOUND_OUT = ("statistics", "fidelity.json")  # of the model and not of the files: they outlive a damaged piece
FileState = Literal["ok", "missing", "damaged"]
UNREADABLE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, BadZipFile)  # what damage raises

_TEMPORARY: dict[Path, Path] = {}  # where pieces lie that could not lie where they should


@dataclass(frozen=True, slots=True)
class NormParameters:
    """What turns statistics into the input `affine` of the window piece; one row for each channel of each norm.

    Attributes:
        scale: Learned factors, shape (num_channels,).
        bias: Learned offsets, shape (num_channels,).
        epsilon: Added to the variances, shape (num_channels,).
    """

    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    epsilon: NDArray[np.float32]

    def affine(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """Factor and offset of each channel, shape (1, num_channels, 2).

        Args:
            statistics: Mean and variance, shape (num_channels, 2).
        """
        mean, variance = statistics[:, 0], statistics[:, 1]
        factor = self.scale / np.sqrt(variance + self.epsilon)
        return np.stack([factor, self.bias - mean * factor], axis=1)[None].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A cut model.

    Attributes:
        folder: Where the files lie.
        sha256: Of the source file.
        noise: What the source wants, by input: distribution, fixed and per_half_frame sizes, as in `surgery.cut.Noise`.
        anchors: What was found where.
        norms: Parameters of the generator's norms.
    """

    folder: Path
    sha256: str
    noise: dict[str, dict[str, Any]]
    anchors: dict[str, Any]
    norms: NormParameters

    def path(self, name: str) -> Path:
        """The file of one piece."""
        return self.folder / f"{name}.onnx"

    @property
    def compiled(self) -> Path:
        """Where runtimes keep what they have compiled; it need not exist."""
        return self.folder / COMPILED


def pieces_of(model: Path, folder: Path) -> Pieces:
    """The pieces of `model`, cut now unless they are there.

    Args:
        model: An ONNX file.
        folder: Holds the pieces of every model, each in a folder of its own.

    Raises:
        AnchorError: The file cannot be cut.
        ConfigError: It cannot be read, or there is no room for the pieces.
    """
    sha256, target = _place_of(model, folder)
    found = _read(target)
    if found is not None:
        return found
    with _alone_with(target) as place:
        found = _read(place)  # somebody else may have cut it while we waited
        if found is None:
            _cut_into(model, sha256, place)
            found = _read(place)
    assert found is not None
    return found


def cached_pieces(model: Path, folder: Path) -> Pieces | None:
    """The pieces of `model`, if they are there; makes nothing. Arguments as for `pieces_of`. Raises ConfigError."""
    return _read(_place_of(model, folder)[1]) if folder.is_dir() else None


def verify_pieces(folder: Path) -> dict[str, FileState]:
    """How each file is that was cut out of a model, by its SHA-256; by name, which begins with that of its own folder.

    Args:
        folder: Holds the pieces of every model, each in a folder of its own.
    """
    places = sorted(manifest.parent for manifest in folder.glob(f"*/{MANIFEST}"))
    return {f"{place.name}/{name}": state for place in places for name, state in _states(place).items()}


def forget_damaged(pieces: Pieces) -> bool:
    """Whether a file has another SHA-256 than it was written with; then the pieces are not used any more.

    Raises:
        OSError: The folder may not be written.
    """
    if all(state == "ok" for state in _states(pieces.folder).values()):
        return False
    (pieces.folder / MANIFEST).unlink(missing_ok=True)
    return True


def _states(place: Path) -> dict[str, FileState]:
    """How each file is that the manifest vouches for; one that cannot be read is damaged itself."""
    try:
        files = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {name: _state(place / name, written["sha256"]) for name, written in files.items()}
    except UNREADABLE:
        return {MANIFEST: "damaged"}


def _state(path: Path, sha256: str) -> FileState:
    if not path.is_file():
        return "missing"
    return "ok" if sha256_of(path) == sha256 else "damaged"


def _place_of(model: Path, folder: Path) -> tuple[str, Path]:
    """The sum of that very file, and the folder of its pieces. Raises ConfigError."""
    try:
        sha256 = sha256_of(model)
    except OSError as error:
        raise ConfigError(
            f"cannot read the model {model}: {error.strerror}; set kokoro.model to an ONNX file"
        ) from error
    return sha256, folder / f"{sha256[:HASH_DIGITS]}-{CUT_VERSION}"


def _read(folder: Path) -> Pieces | None:
    """What the manifest vouches for; None where there is none, or a file is not as it says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if all(_is_as_written(folder / name, written) for name, written in manifest["files"].items()):
            norms = _read_norms(folder / "norms.npz")
            return Pieces(folder, manifest["sha256"], manifest["noise"], manifest["anchors"], norms)
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        logger.warning("the pieces in %s are not usable (%s) and have to be made again", folder, error)
        return None
    logger.warning("the pieces in %s are not whole and have to be made again", folder)
    return None


def _is_as_written(path: Path, written: Mapping[str, Any]) -> bool:
    """By size and time; by its sum where the time is another one, as that of a copy is. Raises OSError."""
    found = path.stat()
    if found.st_size != written["num_bytes"]:
        return False
    return bool(found.st_mtime_ns == written["mtime_ns"] or sha256_of(path) == written["sha256"])


def _read_norms(path: Path) -> NormParameters:
    with path.open("rb") as file, np.load(file) as arrays:
        return NormParameters(arrays["scale"], arrays["bias"], arrays["epsilon"])


@contextmanager
def _alone_with(target: Path) -> Iterator[Path]:
    """Hold the lock of `target`; where its place cannot be written, a folder of this process takes its place."""
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            wait = partial(logger.info, "another process is cutting the model: waiting for it")
            stack.enter_context(locked(target.parent, target.name, wait))
        except OSError as error:
            yield _temporary(target, error)
            return
        yield target


def _temporary(target: Path, error: OSError) -> Path:
    """A folder that goes when the process does; the same one whenever the model is loaded again."""
    import atexit

    if target not in _TEMPORARY:
        folder = Path(tempfile.mkdtemp(prefix="firstaudio-pieces-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        logger.warning(
            "%s cannot be written (%s): the model is cut for this process only; set model.folder to a writable folder",
            target.parent,
            error.strerror,
        )
        _TEMPORARY[target] = folder / target.name
    return _TEMPORARY[target]


def _cut_into(model: Path, sha256: str, target: Path) -> None:
    """Cut beside `target` and rename, so that what is there is whole. Raises AnchorError or ConfigError."""
    from firstaudio.engines.kokoro.surgery.anchors import find_anchors
    from firstaudio.engines.kokoro.surgery.cut import cut
    from firstaudio.engines.kokoro.surgery.graph import Graph

    graph = Graph.load(model)
    anchors = find_anchors(graph)
    parts = cut(graph, anchors)
    target.parent.mkdir(parents=True, exist_ok=True)
    size = sum(piece.ByteSize() for piece in parts.pieces.values())
    with writing(target.parent, size), _beside(target) as beside:
        for name, piece in parts.pieces.items():
            (beside / f"{name}.onnx").write_bytes(piece.SerializeToString())
        _write_norms(beside / "norms.npz", parts.norms)
        source = {"sha256": sha256, "source": str(model), "versions": _versions(graph)}
        manifest = source | _found(anchors, parts) | {"files": _written(beside)}
        atomic_write(beside / MANIFEST, json.dumps(manifest, indent=2).encode())
        for name in FOUND_OUT:
            if (target / name).exists():
                (target / name).replace(beside / name)
        shutil.rmtree(target, ignore_errors=True)
        beside.replace(target)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty folder next to `target`, gone afterwards unless it was renamed."""
    folder = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    folder.chmod(0o755)  # mkdtemp's 0700 would lock other users out of a shared folder
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _versions(graph: Graph) -> dict[str, Any]:
    """Of the cut, of what wrote the pieces, and of the operators in them."""
    import onnx

    opsets = {each.domain or "ai.onnx": each.version for each in graph.model.opset_import}
    return {"cut": CUT_VERSION, "onnx": onnx.__version__, "opsets": opsets}


def _found(anchors: Anchors, parts: Cut) -> dict[str, Any]:
    return {"anchors": asdict(anchors), "noise": {name: asdict(want) for name, want in parts.noise.items()}}


def _written(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.name: {
            "num_bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "mtime_ns": path.stat().st_mtime_ns,
        }
        for path in sorted(folder.iterdir())
    }


def _write_norms(path: Path, norms: list[Any]) -> None:
    np.savez(
        path,
        scale=np.concatenate([norm.scale for norm in norms]),
        bias=np.concatenate([norm.bias for norm in norms]),
        epsilon=np.concatenate([np.full(norm.num_channels, norm.epsilon, np.float32) for norm in norms]),
    )
