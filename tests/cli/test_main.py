"""The command as a whole: help, exit codes, one sentence for each expected error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from firstaudio import __version__
from firstaudio.cli import main as main_module
from firstaudio.errors import (
    BenchError,
    ConfigError,
    EngineError,
    FirstaudioError,
    NotReadyError,
    OverloadedError,
    UnknownVoiceError,
)

COMMAND = [sys.executable, "-m", "firstaudio.cli.main"]


@pytest.fixture
def failing(monkeypatch):
    """Let the command `voices` raise an error."""

    def fail(error: BaseException) -> None:
        def raise_it(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("firstaudio.cli.voices.load_with", raise_it)

    return fail


def test_only_the_command_that_is_asked_for_is_made():
    commands = {each.callback.__name__ for each in main_module.app.registered_commands}
    groups = {each.name for each in main_module.app.registered_groups}
    for name in commands | groups:
        made = main_module.asked([name, "--help"])
        assert [each.callback.__name__ for each in made.registered_commands] == [name][: name in commands]
        assert [each.name for each in made.registered_groups] == [name][: name in groups]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version", "serve"], ["srve"], [""]])
def test_without_a_command_every_one_is_made(arguments):
    assert main_module.asked(arguments) is main_module.app


def test_the_help_lists_every_command(run):
    result = run("--help")

    assert result.exit_code == 0
    assert sorted(
        line.split()[0] for line in result.stdout.partition(b"Commands:")[2].splitlines() if line.strip()
    ) == [b"bench", b"doctor", b"models", b"say", b"schedule", b"selftest", b"serve", b"sessions", b"voices"]


@pytest.mark.parametrize("command", ["serve", "say", "voices", "doctor"])
def test_every_command_explains_itself(run, command: str):
    result = run(command, "--help")

    assert (result.exit_code, result.stderr) == (0, "")
    assert b"Usage: firstaudio " + command.encode() in result.stdout


def test_the_version_is_data(run):
    result = run("--version")

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"firstaudio {__version__}\n".encode(), "")


def test_an_unknown_option_is_a_usage_error_with_a_hint(run):
    result = run("serve", "--prot", "1")

    assert (result.exit_code, result.stdout) == (2, b"")
    assert "No such option: --prot" in result.stderr


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (FirstaudioError("it broke"), 1),
        (EngineError("it broke"), 1),
        (BenchError("it broke"), 1),
        (OverloadedError("it broke", retry_after_s=1), 1),
        (UnknownVoiceError("it broke"), 2),
        (ConfigError("it broke"), 2),
        (NotReadyError("it broke"), 3),
    ],
)
def test_an_expected_error_is_one_sentence_and_an_exit_code(run, failing, error: FirstaudioError, exit_code: int):
    failing(error)
    result = run("voices")

    assert (exit_code, b"", "firstaudio: it broke\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("closed", "arguments", "told"),
    [
        ("<&-", "say - -o speech.wav", "firstaudio: there is no standard input: it is closed;"),
        (">&-", "say Hello. -o -", "firstaudio: -o - writes audio to standard output, which is closed;"),
    ],
)
def test_a_closed_stream_is_one_sentence(closed: str, arguments: str, told: str):
    script = f'exec "$@" {arguments} {closed}'
    ended = subprocess.run(["sh", "-c", script, "sh", *COMMAND], stderr=subprocess.PIPE, text=True, check=False)

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith(told)


def test_talk_to_a_closed_stderr_does_not_end_up_among_the_data():
    script = 'exec "$@" say nofile.txt -o - 2>&-'
    ended = subprocess.run(["sh", "-c", script, "sh", *COMMAND], stdout=subprocess.PIPE, check=False)

    assert (ended.returncode, ended.stdout) == (2, b"")


def test_an_error_of_the_system_is_one_sentence(run, failing):
    failing(PermissionError(13, "Permission denied", "/somewhere"))
    result = run("voices")

    assert (result.exit_code, result.stderr) == (1, "firstaudio: Permission denied: /somewhere\n")


def test_who_debugs_gets_the_traceback(failing, monkeypatch):
    failing(ConfigError("it broke"))
    monkeypatch.setenv("FIRSTAUDIO_DEBUG", "1")

    with pytest.raises(ConfigError, match="it broke"):
        main_module.main(["voices"])


def test_an_error_that_nobody_expected_keeps_its_traceback(failing):
    failing(ZeroDivisionError("a bug"))

    with pytest.raises(ZeroDivisionError):
        main_module.main(["voices"])


def test_an_interrupt_exits_with_130(run, failing):
    failing(KeyboardInterrupt())

    assert run("voices").exit_code == 130


def _environment() -> dict[str, str]:
    """One tone a second, for ever and ever."""
    own = {"FIRSTAUDIO_ENGINE_NAMES": "synthetic", "FIRSTAUDIO_SYNTHETIC_TTFA_MS": "0", "FIRSTAUDIO_SYNTHETIC_RTF": "1"}
    return {**os.environ, **own}


@pytest.fixture
def endless():
    """`firstaudio say` of a long text, streaming into a pipe that has already delivered its first bytes."""
    command = [*COMMAND, "say", "one word " * 1000, "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(4) == b"RIFF"
            yield process
        finally:
            process.kill()


def test_ctrl_c_ends_a_speech_at_once_and_quietly(endless):
    endless.send_signal(signal.SIGINT)

    assert (endless.wait(timeout=30), endless.stderr.read()) == (130, b"")


def test_a_reader_that_goes_away_ends_a_speech_quietly(endless):
    endless.stdout.close()

    assert (endless.wait(timeout=30), endless.stderr.read()) == (1, b"")
