"""Settings: one list, four places, and every mistake named with its cure."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from firstaudio.config import Config, ServerConfig, Setting, load, markdown, settings, show
from firstaudio.config.setting import SECTIONS
from firstaudio.errors import ConfigError

ROOT = Path(__file__).parent.parent
BY_KEY = {setting.key: setting for setting in settings()}


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "firstaudio.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_without_anything_given_the_defaults_hold():
    assert Config() == load(environ={})


def test_a_setting_goes_by_one_name_in_four_places():
    setting = BY_KEY["streaming.max_lead_s"]

    assert setting.key == "streaming.max_lead_s"
    assert setting.env == "FIRSTAUDIO_STREAMING_MAX_LEAD_S"
    assert setting.flag == "--streaming-max-lead-s"
    assert BY_KEY["server.port"].flag == "--port"


def test_names_do_not_collide():
    for names in ([s.key for s in settings()], [s.env for s in settings()], [s.flag for s in settings()]):
        assert sorted(set(names)) == sorted(names)


def test_later_places_win(toml):
    file = toml("[server]\nport = 1\nhost = 'file'\nlog_level = 'error'\n")
    environ = {"FIRSTAUDIO_SERVER_PORT": "2", "FIRSTAUDIO_SERVER_HOST": "environment"}

    config = load(file, environ, {"server.port": "3"})

    assert ServerConfig(port=3, host="environment", log_level="error") == config.server
    assert config.origins == {
        "server.port": "flag --port",
        "server.host": "environment FIRSTAUDIO_SERVER_HOST",
        "server.log_level": f"file {file}",
    }


def test_a_flag_that_is_none_was_not_given():
    assert Config() == load(environ={}, flags={"server.port": None})


def test_the_environment_can_name_the_file_and_the_flag_wins_over_it(toml, tmp_path):
    named = toml("[server]\nport = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("[server]\nport = 2\n")

    assert load(environ={"FIRSTAUDIO_CONFIG": str(named)}).server.port == 1
    assert load(other, environ={"FIRSTAUDIO_CONFIG": str(named)}).server.port == 2


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("server.port", "0", 0),
        ("server.drain_timeout_s", "2.5", 2.5),
        ("server.drain_timeout_s", "2", 2.0),
        ("server.unknown_fields", "ignore", "ignore"),
        ("server.cors_origins", "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ("server.cors_origins", "", ()),
        ("streaming.fast_path_enabled", "false", False),
        ("streaming.fast_path_enabled", "ON", True),
        ("engine.names", "synthetic", ("synthetic",)),
    ],
)
def test_text_of_the_environment_and_of_flags_is_parsed(key: str, text: str, value: Any):
    setting = BY_KEY[key]

    for config in (load(environ={setting.env: text}), load(environ={}, flags={key: text})):
        assert value == getattr(getattr(config, setting.section), setting.field)


def test_a_file_has_types_of_its_own(toml):
    config = load(toml("[server]\ncors_origins = ['*']\ndrain_timeout_s = 5\n"), environ={})

    assert config.server.cors_origins == ("*",)
    assert config.server.drain_timeout_s == 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nport = 65536\n", "server.port (file *) must be an integer from 0 to 65535, got 65536"),
        ("[server]\nport = '8000'\n", "server.port (file *) must be an integer from 0 to 65535, got '8000'"),
        ("[server]\nport = true\n", "server.port (file *) must be an integer from 0 to 65535, got True"),
        ("[server]\ndrain_timeout_s = nan\n", "server.drain_timeout_s (file *) must be a number from 0 on, got nan"),
        ("[server]\ndrain_timeout_s = inf\n", "server.drain_timeout_s (file *) must be a number from 0 on, got inf"),
        (
            "[streaming]\nmax_lead_s = 0\n",
            "streaming.max_lead_s (file *) must be a number above 0, at most 3600, got 0",
        ),
        (
            "[server]\nlog_level = 'loud'\n",
            "server.log_level (file *) must be one of debug, info, warning, error, got 'loud'",
        ),
        ("[engine]\nnames = []\n", "engine.names (file *) must be a list of texts (at least one), got []"),
        ("[engine]\nnames = 'espeak'\n", "engine.names (file *) must be a list of texts (at least one), got 'espeak'"),
        ("[server]\nprot = 1\n", "*: unknown setting server.prot; did you mean server.port?"),
        ("[serevr]\nport = 1\n", "*: unknown section [serevr]; did you mean server?"),
        (
            "port = 1\n",
            f"*: unknown section [port]; known are {', '.join(SECTIONS)}",
        ),
        ("server = 1\n", "*: server must be a section with settings in it: [server]"),
        (
            "origins = 1\n",
            f"*: unknown section [origins]; known are {', '.join(SECTIONS)}",
        ),
        (
            "[streaming]\nmin_chunk_size_ms = 150\n",
            "streaming.max_chunk_size_ms must be at least twice streaming.min_chunk_size_ms, got 200 and 150",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_what_is_allowed(toml, text: str, message: str):
    file = toml(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ={})

    assert message.replace("*", str(file)) == caught.value.message


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"FIRSTAUDIO_SERVER_PORT": "http"},
            "server.port (environment FIRSTAUDIO_SERVER_PORT) must be an integer from 0 to 65535, got 'http'",
        ),
        (
            {"FIRSTAUDIO_STREAMING_FAST_PATH_ENABLED": "perhaps"},
            "streaming.fast_path_enabled (environment FIRSTAUDIO_STREAMING_FAST_PATH_ENABLED) "
            "must be true or false, got 'perhaps'",
        ),
        (
            {"FIRSTAUDIO_PORT": "9000"},
            "unknown environment variable FIRSTAUDIO_PORT (names that begin with FIRSTAUDIO_ are settings); "
            "did you mean FIRSTAUDIO_SERVER_PORT?",
        ),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_its_variable(environ: dict[str, str], message: str):
    with pytest.raises(ConfigError) as caught:
        load(environ=environ)

    assert message == caught.value.message


def test_an_unknown_flag_is_an_error():
    with pytest.raises(ConfigError, match=r"unknown setting server\.prot; did you mean server\.port\?"):
        load(environ={}, flags={"server.prot": 1})


def test_what_kubernetes_sets_for_a_service_of_that_name_is_no_setting():
    environ = {
        "FIRSTAUDIO_PORT": "tcp://10.0.0.7:8000",
        "FIRSTAUDIO_SERVICE_HOST": "10.0.0.7",
        "FIRSTAUDIO_SERVICE_PORT_HTTP": "8000",
        "FIRSTAUDIO_PORT_8000_TCP_ADDR": "10.0.0.7",
    }
    assert Config() == load(environ=environ)


def test_a_file_that_was_named_must_be_there(tmp_path):
    missing = tmp_path / "missing.toml"

    with pytest.raises(ConfigError, match="there is no configuration file"):
        load(missing, environ={})
    with pytest.raises(ConfigError, match="there is no configuration file"):
        load(environ={"FIRSTAUDIO_CONFIG": str(missing)})


def test_a_folder_is_no_configuration_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        load(tmp_path, environ={})


@pytest.mark.parametrize("content", [b"[server\n", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content: bytes):
    file = tmp_path / "broken.toml"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match="is not a TOML file"):
        load(file, environ={})


def test_a_secret_is_shown_nowhere(toml):
    config = load(environ={"FIRSTAUDIO_SERVER_API_KEYS": "open-sesame,second"})
    with pytest.raises(ConfigError) as caught:
        load(toml("[server]\napi_keys = [1, 'open-sesame']\n"), environ={})

    assert config.server.api_keys == ("open-sesame", "second")
    assert "open-sesame" not in show(config)
    assert "# api_keys: 2 hidden  # environment FIRSTAUDIO_SERVER_API_KEYS" in show(config)
    assert caught.value.message.endswith("must be a list of texts, got a value that is not shown")


def test_effective_values_come_with_their_origin():
    shown = show(load(environ={}, flags={"server.port": "81", "streaming.fast_path_enabled": False})).splitlines()

    assert "port = 81  # flag --port" in shown
    assert "fast_path_enabled = false  # flag --streaming-fast-path-enabled" in shown
    assert 'host = "127.0.0.1"  # default' in shown


# Chunk sizes bind each other, and not every text is a time or an address.
BOUND = ("min_chunk_size_ms", "max_chunk_size_ms", "every", "otlp_endpoint")
SHOWABLE = [s for s in settings() if not s.secret and s.field not in BOUND]


@hypothesis_settings(deadline=None)
@given(st.data())
def test_what_is_shown_can_be_loaded_again(tmp_path_factory, data):
    chosen = data.draw(st.lists(st.sampled_from(SHOWABLE), unique_by=lambda s: s.key, max_size=5))
    config = _with_values({s.key: data.draw(_values(s)) for s in chosen})
    file = tmp_path_factory.getbasetemp() / "shown.toml"
    file.write_text(show(config), encoding="utf-8")

    assert config == load(file, environ={})


def _values(setting: Setting) -> st.SearchStrategy[Any]:
    if setting.type is float:
        return st.floats(0.2, 1)
    if setting.is_list:
        return st.lists(st.text(), min_size=1, max_size=3, unique=True).map(tuple)
    return st.from_type(setting.annotation)


def _with_values(values: dict[str, Any]) -> Config:
    config = Config()
    for key, value in values.items():
        section, _, field = key.partition(".")
        config = replace(config, **{section: replace(getattr(config, section), **{field: value})})
    return config


@pytest.mark.parametrize("setting", list(settings()), ids=lambda setting: setting.key)
def test_every_default_is_within_its_limits(setting: Setting):
    config = load(environ={}, flags={setting.key: setting.default})

    assert Config() == config


def test_a_configuration_can_be_copied_and_sent_to_another_process():
    config = load(environ={}, flags={"server.port": "81"})

    assert config == pickle.loads(pickle.dumps(config))
    assert asdict(config)["server"]["port"] == 81


def test_the_page_in_the_documentation_is_what_the_settings_say():
    """`make docs` writes it."""
    page = ROOT / "docs" / "configuration.md"

    assert markdown() == page.read_text(encoding="utf-8")


def test_listing_the_settings_does_not_import_what_validates_them():
    program = "import sys; from firstaudio.config import settings; list(settings()); print('pydantic' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert output == "False\n"
