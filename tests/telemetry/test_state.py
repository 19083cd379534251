"""Where state lies, and what is said when it cannot lie there."""

import os
from pathlib import Path

import pytest

from firstaudio.config import Config, TelemetryConfig
from firstaudio.telemetry.state import folder_problem, make_folder, state_folder, state_place

needs_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")


def configured(folder: Path | str) -> Config:
    return Config(telemetry=TelemetryConfig(state_folder=str(folder)))


def test_the_configured_folder_is_made_for_this_user_alone(tmp_path: Path):
    folder = state_folder(configured(tmp_path / "a" / "b"))

    assert folder == tmp_path / "a" / "b"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder_problem(folder) == ""


def test_asking_where_it_would_lie_makes_nothing(tmp_path: Path):
    assert not state_place(configured(tmp_path / "a")).exists()


def test_without_a_configured_folder_it_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert state_place(Config()) == tmp_path / "firstaudio"


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert state_place(configured("~/state")) == tmp_path / "state"


def test_a_file_in_the_way_is_a_problem_and_no_exception(tmp_path: Path):
    (tmp_path / "file").write_text("")

    for folder in (state_folder(configured(tmp_path / "file")), state_folder(configured(tmp_path / "file" / "a"))):
        assert "telemetry.state_folder" in folder_problem(folder)
        assert "telemetry.state_folder" in make_folder(folder)


@needs_permissions
def test_a_folder_of_somebody_else_is_a_problem(tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        assert "cannot be made" in make_folder(tmp_path / "a")
        assert "cannot be written" in folder_problem(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_may_not_be_written_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda *_: False)

    assert "cannot be written" in folder_problem(tmp_path)
