"""`firstaudio say`: what it says, where that goes, what it tells about it."""

from __future__ import annotations

import json
import os
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firstaudio.audio.decode import decode
from firstaudio.audio.encode import FORMATS
from firstaudio.cli.say import choose_format, read_text
from firstaudio.engines.espeak.engine import PITCH_FACTORS
from firstaudio.errors import RequestError, UnknownFormatError

TEXT = "Hello there, this is a short text. It has two sentences."


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_text_is_its_own_content():
    assert read_text("Hello.") == "Hello."


def test_a_file_is_read_without_its_byte_order_mark():
    Path("speech.txt").write_bytes("\ufeffGrüße.\n".encode())

    assert read_text("speech.txt") == "Grüße.\n"


@pytest.mark.parametrize(
    "text", ["long " * 1000, "nul\0/byte", "yes and/or no", "see notes.txt .", "word/" * 1000, "3.14", "..."]
)
def test_what_is_no_file_is_a_text(text: str):
    assert text == read_text(text)


@pytest.mark.parametrize("name", ["nofile.txt", "./nofile", "nowhere/NOTES.MD", "page.html"])
def test_the_name_of_no_file_is_not_spoken(run, name: str):
    result = run("say", name, "-o", "speech.wav")

    assert (result.exit_code, list(Path().iterdir())) == (2, [])
    assert result.stderr == (
        f"firstaudio: cannot read {name}: No such file or directory; to say just that: echo {name} | firstaudio say -\n"
    )


@pytest.mark.parametrize("name", [".", "folder", "two words"])
def test_a_directory_is_not_spoken(name: str):
    Path(name).mkdir(exist_ok=True)

    with pytest.raises(RequestError, match=r"Is a directory; to say just that: echo .*\| firstaudio say -$"):
        read_text(name)


def test_a_pipe_is_read():
    reading, writing = os.pipe()
    os.write(writing, b"Hello.")
    os.close(writing)

    assert read_text(f"/dev/fd/{reading}") == "Hello."
    os.close(reading)


def test_what_is_not_utf8_is_refused_with_a_way_out():
    Path("latin.txt").write_bytes("Grüße".encode("latin-1"))

    with pytest.raises(RequestError, match=r"latin\.txt is not UTF-8 text \(byte 2 is 0xfc\); convert it first: iconv"):
        read_text("latin.txt")


@pytest.mark.parametrize(
    ("asked", "output", "expected"),
    [
        (None, None, "wav"),
        (None, "-", "wav"),
        ("flac", "-", "flac"),
        ("MP3", None, "mp3"),
        (None, "speech", "wav"),
        (None, "/dev/null", "wav"),
        (None, "speech.OGG", "opus"),
        ("pcm", "speech.data", "pcm"),
        ("wav", "speech.WAVE", "wav"),
        ("opus", "speech.oga", "opus"),
        *((None, f"speech.{spec.extension}", name) for name, spec in FORMATS.items()),
    ],
)
def test_the_format_is_asked_for_or_goes_with_the_name(asked: str | None, output: str | None, expected: str):
    assert expected == choose_format(asked, output)


@pytest.mark.parametrize(("asked", "output"), [("mp4", None), (None, "speech.mp4")])
def test_a_format_that_nobody_writes_is_answered_with_the_known_ones(asked: str | None, output: str | None):
    with pytest.raises(UnknownFormatError, match="mp3, opus, aac, flac, wav, pcm"):
        choose_format(asked, output)


@pytest.mark.parametrize(
    ("asked", "output", "ways_out"),
    [
        ("wav", "speech.mp3", "leave --format away to get mp3, or name the file speech.wav"),
        ("flac", "some/speech.OGG", "leave --format away to get opus, or name the file speech.flac"),
    ],
)
def test_a_file_is_not_named_after_another_format(asked: str, output: str, ways_out: str):
    with pytest.raises(RequestError, match=f"^--format {asked} does not go with the name {output}: {ways_out}$"):
        choose_format(asked, output)


def test_a_file_holds_the_whole_speech(run):
    result = run("say", TEXT, "-o", "speech.wav", "--json")

    figures = json.loads(result.stdout)
    with wave.open("speech.wav") as file:
        assert round(figures["audio_s"] * file.getframerate()) == file.getnframes()
    assert (result.exit_code, result.stderr) == (0, "")
    assert figures["audio_s"] > 2
    assert figures["ttfa_ms"] >= 0
    assert figures["rtf"] > 0
    assert {key: figures[key] for key in ("engine", "voice", "format", "output", "num_characters")} == {
        "engine": "synthetic",
        "voice": "af_heart",
        "format": "wav",
        "output": "speech.wav",
        "num_characters": 56,
    }


def test_whole_segments_can_be_asked_for_and_are_told(run):
    figures = json.loads(run("say", TEXT, "-o", "speech.wav", "--decode", "whole", "--json").stdout)
    result = run("say", TEXT, "-o", "speech.wav", "--decode", "whole")

    assert (figures["runtime"], figures["decode"], figures["failover"]) == ("", "whole", None)
    assert result.stderr.endswith(", synthetic af_heart whole -> speech.wav\n")


def test_a_decode_that_does_not_exist_is_a_usage_error(run):
    assert run("say", TEXT, "-o", "speech.wav", "--decode", "half").exit_code == 2
    assert not Path("speech.wav").exists()


def test_an_engine_that_cannot_start_is_stood_in_for_and_that_is_told(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "espeak,synthetic")
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_FAILOVER", "true")
    monkeypatch.setenv("FIRSTAUDIO_ESPEAK_LIBRARY", "nowhere.so")
    result = run("say", TEXT, "-o", "speech.wav")

    assert result.exit_code == 0
    assert result.stderr.endswith(', synthetic af_heart -> speech.wav, in the place of espeak; reason="engine_error"\n')


def test_figures_are_talk(run):
    result = run("say", TEXT, "-o", "speech.flac")

    assert (result.exit_code, result.stdout) == (0, b"")
    assert result.stderr.startswith("TTFA ")
    assert result.stderr.endswith(", synthetic af_heart -> speech.flac\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("format_name", list(FORMATS))
def test_every_format_can_be_streamed_to_standard_output(run, format_name: str):
    result = run("say", TEXT, "-o", "-", "--format", format_name)
    run("say", TEXT, "-o", "whole.wav")

    whole, whole_rate = soundfile.read("whole.wav")
    streamed, rate = decode(result.stdout, format_name)
    assert result.exit_code == 0
    assert abs(len(streamed) / rate - len(whole) / whole_rate) < 0.15


def test_streamed_and_whole_are_the_same_samples(run):
    streamed = run("say", TEXT, "-o", "-", "--format", "pcm").stdout
    run("say", TEXT, "-o", "whole.wav")

    assert Path("whole.wav").read_bytes()[44:] == streamed


def test_standard_input_is_read_to_its_end(run):
    piped = run("say", "-", "-o", "-", "--format", "pcm", stdin=TEXT.encode())

    assert run("say", TEXT, "-o", "-", "--format", "pcm").stdout == piped.stdout


def test_a_file_is_said(run):
    Path("speech.txt").write_text(TEXT)
    said = run("say", "speech.txt", "-o", "-", "--format", "pcm")

    assert run("say", TEXT, "-o", "-", "--format", "pcm").stdout == said.stdout


def test_speed_and_pitch_are_heard(run):
    natural, fast, high = (
        run("say", TEXT, "-o", "-", "--format", "pcm", *more).stdout
        for more in ((), ("--speed", "2"), ("--pitch", "1.5"))
    )

    assert 0.4 < len(fast) / len(natural) < 0.6
    assert natural != high


def test_the_help_states_the_pitch_of_the_default_engine(run):
    shown = " ".join(run("say", "--help").stdout.decode().split())

    assert f"1.0 is natural; espeak does {PITCH_FACTORS[0]:g} to {PITCH_FACTORS[-1]:g}." in shown


def test_without_a_file_the_speech_is_played(run, sound):
    result = run("say", TEXT)
    pcm = run("say", TEXT, "-o", "-", "--format", "pcm").stdout

    assert np.frombuffer(pcm, np.int16).tolist() == np.concatenate(sound.played).tolist()
    assert sound.events == ["start", "stop", "close"]
    assert (result.exit_code, result.stdout) == (0, b"")
    assert "RTF" not in result.stderr
    assert result.stderr.endswith("-> sound device\n")


def test_a_speech_can_be_played_and_kept(run, sound):
    assert run("say", TEXT, "--play", "-o", "kept.wav").exit_code == 0

    assert np.concatenate(sound.played).tobytes() == Path("kept.wav").read_bytes()[44:]


def test_without_a_file_and_without_sound_the_message_says_both_ways_out(run, no_sounddevice):
    result = run("say", TEXT)

    assert (result.exit_code, result.stdout) == (2, b"")
    assert "-o FILE" in result.stderr
    assert "pip install 'firstaudio[play]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("   ", "-o", "speech.wav"), "the text is empty"),
        ((TEXT, "-o", "speech.wav", "--voice", "nobody"), "'nobody'"),
        ((TEXT, "-o", "speech.wav", "--lang", "tlh"), "'tlh'"),
        ((TEXT, "-o", "speech.wav", "--speed", "9"), "speed must be 0.25 to 4"),
        ((TEXT, "-o", "speech.wav", "--pitch", "9"), "does pitch 0.5 to 2"),
        ((TEXT, "-o", "speech.wav", "--engine", "kokkoro"), "there is no engine 'kokkoro'"),
        ((TEXT, "-o", "-", "--json"), "-o - writes audio to standard output"),
    ],
)
def test_what_cannot_be_said_is_one_sentence_and_no_file(run, arguments: tuple[str, ...], message: str):
    result = run("say", *arguments)

    assert (result.exit_code, result.stdout) == (2, b"")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_a_speech_that_fails_leaves_no_file(run, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_SYNTHETIC_FAILURE_RATE", "1")
    monkeypatch.setenv("FIRSTAUDIO_SYNTHETIC_FAIL_AT_STEP", "1")
    result = run("say", TEXT, "-o", "speech.wav")

    assert result.exit_code == 1
    assert "the synthetic engine fails here" in result.stderr
    assert list(Path().iterdir()) == []


def test_without_a_default_voice_each_text_must_name_its_own(run, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_DEFAULT_VOICE", "nobody")
    refused = run("say", TEXT, "-o", "speech.wav")

    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert refused.stderr.startswith("firstaudio: cannot start: engine.default_voice: ")
    assert run("say", TEXT, "-o", "speech.wav", "--voice", "alloy").exit_code == 0


def test_an_engine_that_cannot_start_exits_with_3(run, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ESPEAK_LIBRARY", "/nowhere/libespeak-ng.so")
    result = run("say", TEXT, "-o", "speech.wav", "--engine", "espeak")

    assert result.exit_code == 3
    assert result.stderr.startswith("firstaudio: cannot start: ")


@pytest.mark.parametrize("command", [["say", TEXT, "-o", "speech.wav"], ["voices"]])
def test_the_model_of_kokoro_is_given_as_to_the_server(run, command: list[str]):
    result = run(*command, "--engine", "kokoro", "--kokoro-model", "mine.onnx", "--kokoro-voices", "voices.bin")

    assert result.exit_code == 3
    assert f"kokoro.model names {Path('mine.onnx').absolute()}, and there is no such file" in result.stderr
