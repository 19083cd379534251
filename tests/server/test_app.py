"""The application object, and how other servers find it."""

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from firstaudio.config import Config, EngineConfig
from firstaudio.errors import ConfigError
from firstaudio.server import app as module

FREE_PORT_COMMAND = ["--port", "0", "--log-level", "info"]


def test_uvicorn_finds_the_application_by_its_name(tools: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "synthetic")
    command = [sys.executable, "-m", "uvicorn", "firstaudio.server.app:app", *FREE_PORT_COMMAND]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "running on" in line)
            url = next(word for word in line.split() if word.startswith("http://"))
            with urllib.request.urlopen(f"{url}/", timeout=20) as response:
                assert response.status == 200
        finally:
            process.kill()
            process.stderr.close()  # type: ignore[union-attr]


def test_the_application_is_made_once_and_from_the_configuration(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "synthetic")
    monkeypatch.delitem(vars(module), "app", raising=False)
    assert module.app.state.config.engine.names == ("synthetic",)
    assert module.app is module.app


def test_the_module_has_no_other_names():
    with pytest.raises(AttributeError, match="application"):
        module.application  # noqa: B018


def test_making_an_application_starts_nothing(tools: Any):
    assert not hasattr(module.create_app(tools.settings()).state, "service")


def test_an_engine_that_does_not_exist_is_a_configuration_error():
    with pytest.raises(ConfigError, match="no engine 'nothing'"):
        module.create_app(Config(engine=EngineConfig(names=("nothing",))))


@pytest.mark.parametrize("name", module.EXPOSED_HEADERS)
def test_every_header_that_pages_may_read_is_explained(name: str):
    assert f"`{name}`" in (Path(__file__).parents[2] / "docs" / "api.md").read_text()
