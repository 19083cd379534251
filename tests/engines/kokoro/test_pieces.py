"""The cut files on disk."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from firstaudio.engines.kokoro import pieces as module
from firstaudio.engines.kokoro.disk import LOCKS_FOLDER, locked, sha256_of
from firstaudio.engines.kokoro.pieces import (
    MANIFEST,
    NAMES,
    NormParameters,
    cached_pieces,
    forget_damaged,
    pieces_of,
    verify_pieces,
)
from firstaudio.engines.kokoro.surgery.graph import AnchorError
from firstaudio.errors import ConfigError

WAITING = "another process is cutting the model: waiting for it"
CUTTER = """
import logging, sys
from pathlib import Path
from firstaudio.engines.kokoro import pieces
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
cut_into = pieces._cut_into
def cut(*given):
    print("cut", flush=True)
    cut_into(*given)
pieces._cut_into = cut
print(pieces.pieces_of(Path(sys.argv[1]), Path(sys.argv[2])).folder, flush=True)
"""


@pytest.fixture
def folder(kokoro: Any, tmp_path: Path) -> Path:
    """A folder that holds the pieces of the small model already."""
    shutil.copytree(kokoro.pieces.folder.parent, tmp_path / "pieces")
    return tmp_path / "pieces"


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where something was cut."""
    found: list[Path] = []
    cut_into = module._cut_into

    def noting(model: Path, sha256: str, target: Path) -> None:
        found.append(target)
        cut_into(model, sha256, target)

    monkeypatch.setattr(module, "_cut_into", noting)
    return found


def visible(folder: Path) -> list[str]:
    """What lies in a folder, locks left out."""
    return sorted(path.name for path in folder.iterdir() if path.name != LOCKS_FOLDER) if folder.exists() else []


def test_pieces_lie_under_the_sum_of_their_source_with_a_manifest_of_all_files(kokoro: Any, tools: SimpleNamespace):
    pieces = kokoro.pieces
    assert pieces.sha256 == sha256_of(tools.MODEL)
    assert pieces.folder.name == f"{pieces.sha256[:16]}-{module.CUT_VERSION}"
    files = {f"{name}.onnx" for name in NAMES} | {"norms.npz"}
    assert {path.name for path in pieces.folder.iterdir() if path.is_file()} == files | {MANIFEST}
    manifest = json.loads((pieces.folder / MANIFEST).read_text())
    assert {name: (each["num_bytes"], each["sha256"]) for name, each in manifest["files"].items()} == {
        name: ((pieces.folder / name).stat().st_size, sha256_of(pieces.folder / name)) for name in files
    }
    assert manifest["versions"] == {"cut": module.CUT_VERSION, "onnx": onnx.__version__, "opsets": {"ai.onnx": 17}}
    assert (manifest["source"], manifest["anchors"]) == (str(tools.MODEL), pieces.anchors)


def test_what_is_cut_is_not_cut_again(folder: Path, cuts: list[Path], tools: SimpleNamespace, kokoro: Any):
    again = pieces_of(tools.MODEL, folder)
    assert cuts == []
    assert (again.anchors, again.noise) == (kokoro.pieces.anchors, kokoro.pieces.noise)
    np.testing.assert_array_equal(again.norms.scale, kokoro.pieces.norms.scale)


def test_pieces_need_no_more_than_to_be_read(folder: Path, tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    """A folder on a read-only file system, cut by somebody else."""

    @contextmanager
    def refused(*_: object) -> Iterator[None]:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        yield

    monkeypatch.setattr(module, "locked", refused)
    assert pieces_of(tools.MODEL, folder).folder.parent == folder


@pytest.mark.parametrize("name", [*(f"{name}.onnx" for name in NAMES), "norms.npz"])
@pytest.mark.parametrize("harm", ["truncated", "longer", "missing"])
def test_a_file_that_is_not_as_it_was_is_noticed(folder: Path, tools: SimpleNamespace, name: str, harm: str):
    target = pieces_of(tools.MODEL, folder).folder
    content = (target / name).read_bytes()
    if harm == "missing":
        (target / name).unlink()
    else:
        (target / name).write_bytes(content[: len(content) // 2] if harm == "truncated" else content + b"\0")
    assert module._read(target) is None


def flip(path: Path) -> None:
    """Turn one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def set_mtime_ns(path: Path, mtime_ns: int) -> None:
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_bit_that_was_changed_is_noticed_and_a_copy_with_another_time_is_not_made_again(
    folder: Path, cuts: list[Path], tools: SimpleNamespace
):
    path = pieces_of(tools.MODEL, folder).path("front")
    written_ns, content = path.stat().st_mtime_ns, path.read_bytes()
    set_mtime_ns(path, written_ns + 10**9)
    assert pieces_of(tools.MODEL, folder).path("front") == path
    assert cuts == []
    flip(path)
    set_mtime_ns(path, written_ns + 10**9)
    assert pieces_of(tools.MODEL, folder).path("front").read_bytes() == content
    assert len(cuts) == 1


def test_a_bit_that_changed_by_itself_is_noticed_when_it_is_looked_for(folder: Path, tools: SimpleNamespace):
    """Its file has the time at which it was written: to be sure, all has to be read."""
    pieces = pieces_of(tools.MODEL, folder)
    home, path = pieces.folder.name, pieces.path("window")
    assert not forget_damaged(pieces)
    written_ns = path.stat().st_mtime_ns
    flip(path)
    set_mtime_ns(path, written_ns)
    pieces.path("tail").unlink()
    states = verify_pieces(folder)
    assert {name: state for name, state in states.items() if state != "ok"} == {
        f"{home}/window.onnx": "damaged",
        f"{home}/tail.onnx": "missing",
    }
    assert len(states) == len(NAMES) + 1
    assert forget_damaged(pieces)
    assert cached_pieces(tools.MODEL, folder) is None
    assert verify_pieces(folder) == {}


@pytest.mark.parametrize("content", ["", "[]", '{"files": {"front.onnx": 3}}', '{"files": 3}'])
def test_a_manifest_of_nonsense_is_damaged_itself(folder: Path, tools: SimpleNamespace, content: str):
    pieces = pieces_of(tools.MODEL, folder)
    (pieces.folder / MANIFEST).write_text(content)
    assert verify_pieces(folder) == {f"{pieces.folder.name}/{MANIFEST}": "damaged"}


def test_a_truncated_piece_is_made_again_and_said(
    folder: Path, cuts: list[Path], tools: SimpleNamespace, caplog: pytest.LogCaptureFixture
):
    path = pieces_of(tools.MODEL, folder).path("window")
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    assert pieces_of(tools.MODEL, folder).path("window").read_bytes() == content
    assert len(cuts) == 1
    assert "are not whole and have to be made again" in caplog.text


def test_what_was_found_out_of_a_model_outlives_a_damaged_piece(folder: Path, tools: SimpleNamespace):
    pieces = pieces_of(tools.MODEL, folder)
    (pieces.folder / "statistics").mkdir()
    (pieces.folder / "statistics" / "af_heart.npy").write_bytes(b"numbers")
    (pieces.folder / "fidelity.json").write_text("{}")
    pieces.path("window").write_bytes(b"")
    assert pieces_of(tools.MODEL, folder).path("window").stat().st_size > 1000
    assert (pieces.folder / "statistics" / "af_heart.npy").read_bytes() == b"numbers"
    assert (pieces.folder / "fidelity.json").read_text() == "{}"


def test_pieces_that_are_there_can_be_had_without_making_any(
    folder: Path, cuts: list[Path], tools: SimpleNamespace, tmp_path: Path
):
    assert cached_pieces(tools.MODEL, tmp_path / "nowhere") is None
    assert cached_pieces(tools.VOICES, folder) is None
    found = cached_pieces(tools.MODEL, folder)
    assert found is not None
    assert found.folder == pieces_of(tools.MODEL, folder).folder
    assert cuts == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"files": 3}', b'{"files": {}}', b'{"files": ["a"]}'],
)
def test_a_manifest_of_nonsense_vouches_for_nothing(folder: Path, tools: SimpleNamespace, content: bytes):
    target = pieces_of(tools.MODEL, folder).folder
    (target / MANIFEST).write_bytes(content)
    assert module._read(target) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no archive", b"\x93NUMPY"])
def test_norms_that_cannot_be_read_vouch_for_nothing(folder: Path, tools: SimpleNamespace, content: bytes):
    target = pieces_of(tools.MODEL, folder).folder
    (target / "norms.npz").write_bytes(content)
    manifest = json.loads((target / MANIFEST).read_text())
    manifest["files"]["norms.npz"] |= {"num_bytes": len(content), "sha256": sha256_of(target / "norms.npz")}
    (target / MANIFEST).write_text(json.dumps(manifest))
    assert module._read(target) is None


def test_another_model_has_a_folder_of_its_own(folder: Path, tools: SimpleNamespace, tmp_path: Path):
    model = tmp_path / "other.onnx"
    changed = tools.dialects["input_ids"](tools.load(tools.MODEL))
    model.write_bytes(changed.SerializeToString())
    assert pieces_of(model, folder).folder != pieces_of(tools.MODEL, folder).folder
    assert len(visible(folder)) == 2


def test_two_processes_cut_once_and_both_have_it(tmp_path: Path, tools: SimpleNamespace, kokoro: Any):
    arguments = [sys.executable, "-c", CUTTER, str(tools.MODEL), str(tmp_path)]
    name = kokoro.pieces.folder.name
    with locked(tmp_path, name):
        cutters = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [cutter.stdout.readline().strip() for cutter in cutters if cutter.stdout]
    outputs = [cutter.communicate(timeout=60)[0].split() for cutter in cutters]
    assert said == [WAITING] * 2
    assert sorted(outputs, key=len) == [[str(tmp_path / name)], ["cut", str(tmp_path / name)]]
    assert visible(tmp_path) == [name]


@pytest.mark.parametrize("piece", ["front.onnx", "tail.onnx"])
def test_a_disk_that_fills_while_cutting_says_how_much_is_needed_and_leaves_nothing(
    tmp_path: Path, tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, piece: str
):
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == piece:
            write_bytes(path, content[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match=r"is full: 3 MB are needed and \d+ MB are free.*model\.folder"):
        pieces_of(tools.MODEL, tmp_path)
    assert visible(tmp_path) == []
    monkeypatch.undo()
    assert pieces_of(tools.MODEL, tmp_path).folder.parent == tmp_path


def test_a_disk_that_fills_at_the_manifest_leaves_nothing(
    tmp_path: Path, tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
):
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "atomic_write", full)
    with pytest.raises(ConfigError, match="is full"):
        pieces_of(tools.MODEL, tmp_path)
    assert visible(tmp_path) == []


def test_where_nothing_can_be_written_a_folder_of_this_process_is_used_and_said(
    tmp_path: Path, tools: SimpleNamespace, caplog: pytest.LogCaptureFixture, cuts: list[Path]
):
    place = tmp_path / "pieces"
    place.write_bytes(b"a file where the folder should be")
    found = pieces_of(tools.MODEL, place)
    try:
        assert tmp_path not in found.folder.parents
        assert all(found.path(name).is_file() for name in NAMES)
        assert pieces_of(tools.MODEL, place).folder == found.folder
        assert len(cuts) == 1
        assert caplog.text.count("the model is cut for this process only; set model.folder") == 1
        assert place.is_file()
    finally:
        shutil.rmtree(found.folder.parent)


def test_a_model_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cannot read the model .*; set kokoro\.model"):
        pieces_of(tmp_path / "nowhere.onnx", tmp_path / "pieces")


def test_a_model_that_cannot_be_cut_leaves_nothing(tmp_path: Path):
    (tmp_path / "model.onnx").write_text("a text")
    with pytest.raises(AnchorError):
        pieces_of(tmp_path / "model.onnx", tmp_path / "pieces")
    assert visible(tmp_path / "pieces") == []


def test_who_waits_for_another_process_says_so_once(
    folder: Path, tools: SimpleNamespace, caplog: pytest.LogCaptureFixture, cuts: list[Path]
):
    """Nothing is said where nobody cuts."""
    with caplog.at_level(logging.INFO):
        pieces_of(tools.MODEL, folder)
    assert WAITING not in caplog.text


def test_statistics_become_a_factor_and_an_offset():
    norms = NormParameters(np.float32([2.0, 1.0]), np.float32([1.0, 0.0]), np.float32([1e-5, 0.0]))
    affine = norms.affine(np.float32([[3.0, 4.0], [0.0, 0.25]]))
    assert affine.shape == (1, 2, 2)
    np.testing.assert_allclose(affine[0], [[1.0, -2.0], [2.0, 0.0]], atol=1e-5)
