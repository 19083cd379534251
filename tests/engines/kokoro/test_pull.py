"""A release into the folder of models: whole, checked, listed, whoever else is at it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from firstaudio.config import Config, KokoroConfig, ModelConfig
from firstaudio.engines.kokoro.download import DownloadError, Patience, Silent
from firstaudio.engines.kokoro.pull import BY_HAND, pull
from firstaudio.engines.kokoro.store import find, installed, model_folder, read_manifest, verify
from firstaudio.errors import ConfigError

from .mirror import CONTENT, Answer, Heard, Server, release_of, serving

ONCE = Patience(attempts=1)

PROGRAM = """
import json, sys
from firstaudio.config import ModelConfig
from firstaudio.engines.kokoro.download import Silent
from firstaudio.engines.kokoro.pull import pull
from firstaudio.engines.kokoro.release import Release, ReleaseFile

class Loud(Silent):
    def notice(self, text):
        print(text, flush=True)

folder, data = sys.argv[1], json.loads(sys.argv[2])
files = tuple(ReleaseFile(**file) for file in data.pop("files"))
pull(Release(**data, files=files), "f32", ModelConfig(folder=folder), Loud())
"""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


@pytest.fixture
def config(tmp_path: Path) -> ModelConfig:
    return ModelConfig(folder=str(tmp_path / "models"))


def found(config: ModelConfig) -> tuple[bytes, bytes]:
    files = find(Config(kokoro=KokoroConfig(), model=config))
    return files.model.read_bytes(), files.voices.read_bytes()


def test_a_pulled_model_is_found_and_right(server: Server, config: ModelConfig):
    home = pull(release_of(server.url), "f32", config)

    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])
    assert verify(home.parent, "kokoro") == {"model.onnx": "ok", "voices.bin": "ok"}
    assert sorted(path.name for path in home.iterdir()) == ["manifest.json", "model.onnx", "voices.bin"]


def test_the_manifest_says_what_from_where_and_when(server: Server, config: ModelConfig):
    manifest = read_manifest(pull(release_of(server.url), "f32", config))

    assert manifest.licence == "Apache-2.0"
    model = manifest.get("model.onnx")
    assert model is not None
    assert (model.variant, model.num_bytes, model.source) == ("f32", 5000, f"{server.url}/model.onnx")
    assert model.installed_at.endswith("+00:00")


def test_a_second_pull_fetches_nothing(server: Server, config: ModelConfig):
    pull(release_of(server.url), "f32", config)
    heard = Heard()
    pull(release_of(server.url), "f32", config, heard)

    assert len(server.requests) == 2
    assert all("SHA-256 is right" in text for text in heard.notices)


def test_another_variant_comes_beside(server: Server, config: ModelConfig):
    pull(release_of(server.url), "int8", config)
    assert found(config)[0] == CONTENT["model.int8.onnx"]

    home = pull(release_of(server.url), "f32", config)
    assert verify(home.parent, "kokoro") == dict.fromkeys(("model.onnx", "model.int8.onnx", "voices.bin"), "ok")
    assert len(server.requests) == 3


def test_force_fetches_again(server: Server, config: ModelConfig):
    pull(release_of(server.url), "f32", config)
    pull(release_of(server.url), "f32", config, force=True)

    assert len(server.requests) == 4


def test_what_is_used_stays_while_a_forced_pull_fails(server: Server, config: ModelConfig):
    pull(release_of(server.url), "f32", config)
    server.script = [Answer(cut=100)]
    with pytest.raises(DownloadError):
        pull(release_of(server.url), "f32", config, force=True, patience=ONCE)

    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])


def test_a_pull_that_came_to_nothing_leaves_no_model(server: Server, config: ModelConfig):
    server.script = [Answer(status=404)]
    with pytest.raises(DownloadError, match="still needed in"):
        pull(release_of(server.url), "f32", config, patience=ONCE)

    folder = model_folder(config)
    assert (folder / "kokoro").is_dir()  # the message sends people there with files of their own
    assert installed(folder) == []


def test_a_damaged_file_is_mended(server: Server, config: ModelConfig):
    home = pull(release_of(server.url), "f32", config)
    (home / "model.onnx").write_bytes(bytes(5000))
    pull(release_of(server.url), "f32", config)

    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])
    assert len(server.requests) == 3


def test_a_damaged_manifest_is_mended_without_fetching(server: Server, config: ModelConfig):
    home = pull(release_of(server.url), "f32", config)
    (home / "manifest.json").write_text("{")
    pull(release_of(server.url), "f32", config)

    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])
    assert len(server.requests) == 2


def test_files_copied_by_hand_are_checked_and_need_no_network(server: Server, config: ModelConfig):
    home = Path(config.folder) / "kokoro"
    home.mkdir(parents=True)
    for name in ("model.onnx", "voices.bin"):
        (home / name).write_bytes(CONTENT[name])
    pull(release_of(server.url), "f32", config)

    assert server.requests == []
    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])
    assert {BY_HAND} == {file.source for file in read_manifest(home).files}


def test_a_mirror_is_asked_in_the_place_of_the_release(server: Server, config: ModelConfig, tmp_path: Path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for name, content in CONTENT.items():
        (mirror / name).write_bytes(content)
    pull(release_of(server.url), "f32", ModelConfig(folder=config.folder, url=mirror.as_uri()))

    assert server.requests == []
    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])


@pytest.mark.parametrize("num_whole", [0, 1])
def test_half_a_pull_is_never_used(server: Server, config: ModelConfig, num_whole: int):
    server.script = [Answer()] * num_whole + [Answer(cut=100)]
    with pytest.raises(DownloadError):
        pull(release_of(server.url), "f32", config, patience=ONCE)

    with pytest.raises(ConfigError, match="firstaudio models pull kokoro"):
        found(config)
    pull(release_of(server.url), "f32", config)
    assert server.ranges()[-2 + num_whole :].count("bytes=100-") == 1
    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])


def test_a_disk_without_room_is_found_out_before_anything_is_fetched(
    server: Server, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5999))

    with pytest.raises(ConfigError, match="is full"):
        pull(release_of(server.url), "f32", config)
    assert server.requests == []


def test_what_has_come_already_needs_no_room(server: Server, config: ModelConfig, monkeypatch: pytest.MonkeyPatch):
    server.script = [Answer(cut=100)]
    with pytest.raises(DownloadError):
        pull(release_of(server.url), "f32", config, patience=ONCE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5900))

    pull(release_of(server.url), "f32", config)


def test_a_folder_that_may_not_be_written_is_said_with_the_settings(
    server: Server, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
):
    def read_only(path: Path, *_arguments, **_options) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(ConfigError, match=r"cannot write .*Read-only file system.*FIRSTAUDIO_MODEL_FOLDER"):
        pull(release_of(server.url), "f32", config)


def test_a_file_in_the_way_of_the_folder_is_said(server: Server, config: ModelConfig):
    Path(config.folder).write_text("a file")

    with pytest.raises(ConfigError, match="cannot write"):
        pull(release_of(server.url), "f32", config)


def test_two_processes_at_once_fetch_once(server: Server, config: ModelConfig):
    release = release_of(server.url)
    arguments = [sys.executable, "-c", PROGRAM, config.folder, json.dumps(asdict(release))]
    server.script = [Answer(cut=100, stalls=True)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as first:
        assert server.stalled.wait(60)
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            assert "another process is at work on kokoro; waiting for it" in second.stdout.readline()
            server.release()
            said = second.stdout.read()
            assert (first.wait(60), second.wait(60)) == (0, 0)

    assert said.count("its SHA-256 is right") == 2
    assert len([path for path, headers in server.requests if "Range" not in headers]) == 2
    assert found(config) == (CONTENT["model.onnx"], CONTENT["voices.bin"])


def test_an_address_that_is_none_is_refused_before_anything_is_made(config: ModelConfig):
    with pytest.raises(ConfigError, match=r"model\.url must begin with"):
        pull(release_of("http://host"), "f32", ModelConfig(folder=config.folder, url="/srv"))

    assert not Path(config.folder).exists()


class Notices(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)


def test_without_network_all_files_that_are_needed_are_named_and_what_is_wrong_with_those_that_lie_there(
    config: ModelConfig, tmp_path: Path
):
    home = Path(config.folder) / "kokoro"
    home.mkdir(parents=True)
    (home / "model.onnx").write_bytes(b"cut off")
    listener = Notices()

    with pytest.raises(DownloadError) as caught:
        pull(release_of((tmp_path / "nowhere").as_uri()), "f32", config, listener, patience=ONCE)
    assert listener.said == ["model.onnx is there but has 7 bytes, the published file has 5000: fetching it"]
    assert caught.value.message.endswith(
        f"; still needed in {home}: model.onnx (is there but has 7 bytes, the published file has 5000: replace it), "
        "voices.bin (1000 bytes)"
    )
    assert (home / "model.onnx").read_bytes() == b"cut off"


def test_a_copied_file_counts_as_pulled_though_another_one_cannot_be_had(config: ModelConfig, tmp_path: Path):
    home = Path(config.folder) / "kokoro"
    home.mkdir(parents=True)
    (home / "voices.bin").write_bytes(CONTENT["voices.bin"])
    (home / "model.onnx").write_bytes(bytes(5000))

    with pytest.raises(
        DownloadError, match=r"still needed in .*: model\.onnx \(is there but its SHA-256 is [0-9a-f]{64}"
    ):
        pull(release_of((tmp_path / "nowhere").as_uri()), "f32", config, patience=ONCE)
    assert [file.file for file in read_manifest(home).files] == ["voices.bin"]
