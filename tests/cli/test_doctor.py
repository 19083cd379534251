"""`firstaudio doctor`: everything is tried, nothing is guessed."""

from __future__ import annotations

import json
import socket
import sys

import pytest

from firstaudio.audio.encode import FORMATS


@pytest.fixture
def checks(run, quick, sound):
    """Run the doctor; the checks by name, and the exit code."""

    def examine(*arguments: str) -> tuple[dict[str, dict[str, str]], int]:
        result = run("doctor", "--json", *arguments)
        return {check["name"]: check for check in json.loads(result.stdout)}, result.exit_code

    return examine


def test_a_whole_installation_is_well(checks):
    found, exit_code = checks()

    assert exit_code == 0
    assert {"ok"} == {found[name]["status"] for name in ("firstaudio", "packages", "configuration", "engine synthetic")}
    assert {"ok"} == {found[f"format {name}"]["status"] for name in FORMATS}
    assert "a word began after" in found["engine synthetic"]["detail"]


def test_espeak_is_started_and_made_to_speak(checks):
    found, _ = checks()

    assert found["engine espeak"]["status"] == "ok"
    assert "espeak-ng 1." in found["engine espeak"]["detail"]
    assert found["espeak-ng library"]["status"] == "ok"


def test_an_engine_that_is_wanted_and_broken_fails(checks, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "espeak")
    monkeypatch.setenv("FIRSTAUDIO_ESPEAK_LIBRARY", "/nowhere/libespeak-ng.so")
    found, exit_code = checks()

    assert (exit_code, found["engine espeak"]["status"]) == (1, "broken")
    assert "engine.names" in found["engine espeak"]["remedy"]


def test_an_engine_that_nobody_wants_may_be_broken(checks, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ESPEAK_LIBRARY", "/nowhere/libespeak-ng.so")
    found, exit_code = checks()

    assert (exit_code, found["engine espeak"]["status"]) == (0, "optional")


def test_a_default_voice_that_nobody_has_is_broken_and_the_engines_are_well(checks, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_DEFAULT_VOICE", "nobody")
    found, exit_code = checks()

    assert (exit_code, found["default voice"]["status"]) == (1, "broken")
    assert {"ok"} == {found[f"engine {name}"]["status"] for name in ("synthetic", "espeak")}


def test_a_broken_configuration_is_found_and_the_rest_is_still_tried(checks, tmp_path):
    file = tmp_path / "firstaudio.toml"
    file.write_text("[server]\nprot = 1\n")
    found, exit_code = checks("--config", str(file))

    assert (exit_code, found["configuration"]["status"]) == (1, "broken")
    assert "did you mean server.port?" in found["configuration"]["detail"]
    assert found["format wav"]["status"] == "ok"


def test_a_port_that_is_taken_is_told(checks, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("FIRSTAUDIO_SERVER_PORT", str(port))
        found, exit_code = checks()

    assert (exit_code, found["port"]["status"]) == (0, "info")
    assert found["port"]["detail"].startswith(f"port {port} in use")


def test_a_missing_extra_is_told_with_what_to_install(checks, no_sounddevice):
    found, exit_code = checks()

    assert (exit_code, found["sound device"]["status"]) == (0, "optional")
    assert "pip install 'firstaudio[play]'" in found["sound device"]["remedy"]


def test_a_missing_device_is_told(checks, no_device):
    found, exit_code = checks()

    assert (exit_code, found["sound device"]["status"]) == (0, "optional")


def test_an_encoder_that_fails_is_broken(checks, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("no such codec")

    monkeypatch.setattr("firstaudio.audio.encode.make_encoder", fail)
    found, exit_code = checks()

    assert (exit_code, found["format opus"]["status"]) == (1, "broken")
    assert "no such codec" in found["format opus"]["detail"]


def test_a_pipe_gets_plain_lines(run, quick, no_sounddevice):
    result = run("doctor")

    lines = result.stdout.decode().splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert any(line.startswith("ok        engine synthetic") for line in lines)
    assert any("-> playing" in line for line in lines)
    assert [line.rstrip() for line in lines] == lines


def test_people_get_a_table(run, quick, sound, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result = run("doctor")

    assert (result.exit_code, result.stderr) == (0, "")
    assert b"engine synthetic" in result.stdout
