"""Files that are whole or not there."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from firstaudio.engines.kokoro.disk import atomic_write, locked, sha256_of, writing
from firstaudio.errors import ConfigError, MissingExtraError

HOLD = """
import sys
from pathlib import Path
from firstaudio.engines.kokoro.disk import locked
with locked(Path(sys.argv[1]), "kokoro"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_replaced_whole_and_others_may_read_it(tmp_path: Path):
    path = tmp_path / "manifest.json"
    atomic_write(path, b"old")
    atomic_write(path, b"new")

    assert path.read_bytes() == b"new"
    assert [path] == list(tmp_path.iterdir())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "manifest.json"
    atomic_write(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, b"new")

    assert path.read_bytes() == b"old"
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("refusal", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_gets_a_sentence_with_the_next_step(tmp_path: Path, refusal: int):
    with pytest.raises(ConfigError, match=r"cannot write .*model\.folder.*kokoro\.model"), writing(tmp_path):
        raise OSError(refusal, os.strerror(refusal), str(tmp_path / "x"))


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_what_is_needed_and_what_is_free(
    tmp_path: Path, refusal: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5_000_000))

    with (
        pytest.raises(ConfigError, match=r"is full: 20 MB are needed and 5 MB are free"),
        writing(tmp_path / "not" / "yet", 20_000_000),
    ):
        raise OSError(refusal, os.strerror(refusal))


def test_a_lock_that_another_process_holds_is_waited_for_and_said(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        waits: list[bool] = []

        def on_wait() -> None:
            waits.append(True)
            holder.stdin.close()  # type: ignore[union-attr]

        with locked(tmp_path, "kokoro", on_wait):
            assert holder.wait(60) == 0

    assert waits == [True]


def test_models_have_locks_of_their_own(tmp_path: Path):
    with locked(tmp_path, "one"), locked(tmp_path, "another"):
        pass


def test_without_the_lock_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "filelock", None)

    with pytest.raises(MissingExtraError, match=r"firstaudio\[kokoro\]"), locked(tmp_path, "kokoro"):
        pass


def test_the_sum_is_of_the_content(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"abc")  # the first example of FIPS 180-4

    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
