"""Where speech goes: whole files only, pipes as it comes, the sound card."""

from __future__ import annotations

import io
import os
import stat
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from firstaudio.cli.sinks import Player, write_file, write_stream
from firstaudio.errors import ConfigError, FirstaudioError, MissingExtraError

RATE = 24_000
PIECES = [np.full(2400, value, np.int16) for value in (100, -200, 300)]


def interrupted():
    yield PIECES[0]
    raise KeyboardInterrupt


def test_a_file_states_its_true_length(tmp_path: Path):
    path = tmp_path / "speech.wav"
    write_file(path, "wav", RATE, PIECES)

    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, RATE, 7200)
        assert np.concatenate(PIECES).tobytes() == file.readframes(7200)
    assert [path] == list(tmp_path.iterdir())


def test_a_file_is_readable_as_the_umask_says(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "speech.wav", "wav", RATE, PIECES)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "speech.wav").stat().st_mode) == 0o640


def test_what_is_interrupted_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "speech.wav", "wav", RATE, interrupted())

    assert list(tmp_path.iterdir()) == []


def test_what_is_interrupted_leaves_the_file_that_was_there(tmp_path: Path):
    path = tmp_path / "speech.wav"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        write_file(path, "wav", RATE, interrupted())

    assert path.read_bytes() == b"before"


def test_a_link_stays_a_link(tmp_path: Path):
    target, link = tmp_path / "target.wav", tmp_path / "link.wav"
    target.write_bytes(b"before")
    link.symlink_to(target)
    write_file(link, "wav", RATE, PIECES)

    assert link.is_symlink()
    assert target.read_bytes().startswith(b"RIFF")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    path = tmp_path / "nowhere" / "speech.wav"

    with pytest.raises(FirstaudioError) as caught:
        write_file(path, "wav", RATE, PIECES)
    assert f"cannot write {path}: No such file or directory" == caught.value.message


def test_a_device_stays_a_device():
    write_file(Path(os.devnull), "wav", RATE, PIECES)

    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_named_pipe_gets_the_stream(tmp_path: Path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=write_file, args=(path, "wav", RATE, PIECES))
    writer.start()
    received = path.read_bytes()
    writer.join()

    assert len(received) == 44 + 2 * 7200
    assert received[40:44] == b"\xff\xff\xff\xff"


def test_a_stream_leaves_piece_by_piece():
    out = io.BytesIO()
    lengths = []

    def pieces():
        for piece in PIECES:
            yield piece
            lengths.append(len(out.getvalue()))

    write_stream(out, "wav", RATE, pieces())

    assert lengths == [44 + 4800, 44 + 9600, 44 + 14400]


def test_the_last_sample_is_waited_for(sound):
    with Player(RATE) as player:
        for piece in PIECES:
            player.write(piece)

    assert sound.sample_rate == RATE
    assert np.concatenate(PIECES).tolist() == np.concatenate(sound.played).tolist()
    assert sound.events == ["start", "stop", "close"]


def test_an_interrupt_falls_silent_at_once(sound):
    with pytest.raises(KeyboardInterrupt), Player(RATE):
        raise KeyboardInterrupt

    assert sound.events == ["start", "abort", "close"]


def test_without_the_package_the_message_says_what_to_install(no_sounddevice):
    with pytest.raises(MissingExtraError, match=r"playing .* pip install 'firstaudio\[play\]'"):
        Player(RATE)


def test_without_a_device_the_message_says_what_to_do(no_device):
    with pytest.raises(ConfigError, match=r"no sound device .* write a file with -o FILE"):
        Player(RATE)
