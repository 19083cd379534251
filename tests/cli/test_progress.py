"""A bar for people who wait; silence for everybody else."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from firstaudio.audio.chunk import Chunk, WordMark
from firstaudio.cli.progress import LONG_TEXT_CHARS, progress_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


CHUNK = Chunk(np.zeros(48_000, np.int16), 24_000, words=(WordMark(0, LONG_TEXT_CHARS // 2, 0, 100),))


@pytest.mark.parametrize(("stderr", "num_characters"), [(io.StringIO(), 100_000), (Terminal(), LONG_TEXT_CHARS - 1)])
def test_no_terminal_or_a_short_text_means_silence(monkeypatch, stderr: io.StringIO, num_characters: int):
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress_for(num_characters) as progress:
        progress.spoken(CHUNK)

    assert stderr.getvalue() == ""


def test_a_long_text_on_a_terminal_has_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_for(LONG_TEXT_CHARS) as progress:
        progress.spoken(CHUNK)

    assert "50%" in terminal.getvalue()
    assert "2 s of speech" in terminal.getvalue()
