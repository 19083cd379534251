"""`firstaudio serve`: flags from the settings, and the server that they start."""

from __future__ import annotations

import gc
import tomllib

import pytest

from firstaudio.cli.serve import uncollected
from firstaudio.config import Config, load, settings


@pytest.fixture
def served(monkeypatch) -> list[Config]:
    """Configurations that a server would have been started with."""
    configs: list[Config] = []

    def run_server(config: Config) -> int:
        configs.append(config)
        return 3

    monkeypatch.setattr("firstaudio.server.lifecycle.run_server", run_server)
    return configs


def test_every_setting_has_its_flag_and_its_sentence(run):
    shown = b" ".join(run("serve", "--help").stdout.split()).replace(b"- ", b"-").decode()

    for setting in settings():
        assert f" {setting.flag} " in shown
        assert setting.help.replace("- ", "-") in shown


def test_flags_reach_the_server_and_its_exit_code_is_ours(run, served):
    result = run("serve", "--port", "0", "--engine-names", "synthetic,espeak", "--no-streaming-fast-path-enabled")

    flags = {"server.port": 0, "engine.names": ("synthetic", "espeak"), "streaming.fast_path_enabled": False}
    assert [load(environ={}, flags=flags)] == served
    assert result.exit_code == 3


def test_engines_have_a_short_flag_of_the_same_meaning(run, served):
    for flag in ("--engine", "--engine-names"):
        run("serve", flag, "synthetic,espeak")

    assert [config.engine.names for config in served] == [("synthetic", "espeak")] * 2


def test_the_short_and_the_long_flag_of_the_engines_are_not_given_together(run, served):
    result = run("serve", "--engine", "espeak", "--engine-names", "espeak")

    assert (result.exit_code, served) == (2, [])
    assert result.stderr == "firstaudio: --engine is short for --engine-names; give only one of them\n"


def test_a_flag_wins_over_the_environment_and_over_the_file(run, served, monkeypatch, tmp_path):
    file = tmp_path / "firstaudio.toml"
    file.write_text("[server]\nhost = '::1'\nport = 1\nlog_level = 'error'\n")
    monkeypatch.setenv("FIRSTAUDIO_SERVER_PORT", "2")
    monkeypatch.setenv("FIRSTAUDIO_SERVER_LOG_LEVEL", "debug")
    run("serve", "--config", str(file), "--port", "3")

    (config,) = served
    assert (config.server.host, config.server.port, config.server.log_level) == ("::1", 3, "debug")


def test_the_settings_are_shown_and_nothing_is_started(run, served):
    result = run("serve", "--show-config", "--port", "81")

    assert (result.exit_code, result.stderr, served) == (0, "", [])
    assert tomllib.loads(result.stdout.decode())["server"]["port"] == 81
    assert b"port = 81  # flag --port\n" in result.stdout


def test_a_value_out_of_range_is_a_usage_error(run, served):
    result = run("serve", "--port", "80000")

    assert (result.exit_code, served) == (2, [])
    assert result.stderr == "firstaudio: server.port (flag --port) must be an integer from 0 to 65535, got '80000'\n"


def test_a_file_that_is_not_there_is_an_error(run, served):
    result = run("serve", "--config", "nowhere.toml")

    assert (result.exit_code, served) == (2, [])
    assert "there is no configuration file nowhere.toml" in result.stderr


def test_imports_are_neither_looked_through_while_they_run_nor_afterwards():
    def fail():
        assert not gc.isenabled()
        raise ZeroDivisionError

    before = gc.get_freeze_count()
    try:
        with pytest.raises(ZeroDivisionError), uncollected():
            fail()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
