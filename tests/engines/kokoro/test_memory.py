"""Memory that is given back: nothing that anybody could still want."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from firstaudio.engines.kokoro import memory
from firstaudio.engines.kokoro.memory import let_go_of_pages, trim

CONTENT = bytes(range(256)) * 4096  # a megabyte


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some weights.bin"
    path.write_bytes(CONTENT)
    return path


def resident_kb(path: Path) -> int:
    """Of the one mapping of a file."""
    lines = memory.MAPS.with_name("smaps").read_text().splitlines()
    at = next(index for index, line in enumerate(lines) if line.endswith(str(path)))
    return int(next(line for line in lines[at:] if line.startswith("Rss:")).split()[1])


def mapped(path: Path, flags: int = mmap.MAP_SHARED, access: int = mmap.PROT_READ) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, flags=flags, prot=access)


def test_pages_of_a_mapped_file_go_and_come_back_as_they_were(file: Path):
    with mapped(file) as content:
        assert content[:] == CONTENT
        assert resident_kb(file) >= 1000
        let_go_of_pages(file)
        assert resident_kb(file) == 0
        assert content[:] == CONTENT


def test_a_file_is_known_by_its_real_name(file: Path, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with mapped(file) as content:
        assert content[:] == CONTENT
        let_go_of_pages(link / file.name)
        assert resident_kb(file) == 0


def test_what_was_written_into_a_private_mapping_stays(file: Path):
    with mapped(file, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as content:
        content[:4] = b"mine"
        let_go_of_pages(file)
        assert content[:4] == b"mine"


def test_other_files_keep_their_pages(file: Path, tmp_path: Path):
    with mapped(file) as content:
        assert content[:] == CONTENT
        let_go_of_pages(tmp_path / "nothing.bin")
        assert resident_kb(file) >= 1000


def test_where_the_system_has_no_such_thing_nothing_is_done(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_libc", lambda: None)
    trim()
    let_go_of_pages(file)
