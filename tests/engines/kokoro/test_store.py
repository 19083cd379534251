"""Where model files lie, and which of them the engine is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from firstaudio.config import Config, KokoroConfig, ModelConfig
from firstaudio.engines.kokoro import store
from firstaudio.engines.kokoro.store import (
    Manifest,
    ModelFiles,
    StoredFile,
    existing,
    find,
    installed,
    model_folder,
    read_manifest,
    remove,
    verify,
    write_manifest,
)
from firstaudio.errors import ConfigError, MissingExtraError

from .mirror import CONTENT, release_of, sha256

VARIANTS = {"model.onnx": "f32", "model.int8.onnx": "int8", "voices.bin": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def put(folder: Path, *names: str, model: str = "kokoro") -> Path:
    """Install files as `pull` does."""
    home = folder / model
    home.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(home)
    for name in names:
        (home / name).write_bytes(CONTENT[name])
        role = "model" if VARIANTS[name] else "voices"
        entry = StoredFile(
            name, role, VARIANTS[name], len(CONTENT[name]), sha256(CONTENT[name]), "http://host", "2026-01-01"
        )
        manifest = manifest.with_file(entry)
    write_manifest(home, manifest)
    return home


def config(folder: Path, model: str | Path = "", voices: str | Path = "") -> Config:
    return Config(kokoro=KokoroConfig(model=str(model), voices=str(voices)), model=ModelConfig(folder=str(folder)))


def test_what_was_pulled_is_found(folder: Path):
    home = put(folder, "model.onnx", "voices.bin")

    assert find(config(folder)) == ModelFiles(home / "model.onnx", home / "voices.bin", "kokoro", home)
    assert find(config(folder)).pieces == home / "pieces"


def test_f32_is_preferred_to_int8_whichever_came_first(folder: Path):
    home = put(folder, "model.int8.onnx", "voices.bin")
    assert find(config(folder)).model == home / "model.int8.onnx"

    put(folder, "model.onnx")
    assert find(config(folder)).model == home / "model.onnx"


def test_without_files_the_command_and_the_settings_are_named(folder: Path):
    with pytest.raises(ConfigError, match=r"firstaudio models pull kokoro.*kokoro\.model and kokoro\.voices"):
        find(config(folder))


def test_without_the_voices_the_model_does_not_do(folder: Path):
    put(folder, "model.onnx")

    with pytest.raises(ConfigError, match="no voices file"):
        find(config(folder))


def test_a_file_that_nobody_checked_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "KOKORO", release_of("http://host"))
    home = put(folder, "voices.bin")
    (home / "model.onnx").write_bytes(CONTENT["model.onnx"])

    with pytest.raises(ConfigError, match=r"model\.onnx was never checked; run: firstaudio models pull kokoro"):
        find(config(folder))


def test_a_copied_file_of_another_size_is_not_said_to_be_good_but_for_a_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "KOKORO", release_of("http://host"))
    (put(folder, "voices.bin") / "model.onnx").write_bytes(b"half")

    with pytest.raises(ConfigError, match=r"model\.onnx is there but has 4 bytes, .* has 5000: replace it, or run: "):
        find(config(folder))


@pytest.mark.parametrize(("content", "state"), [(b"half", "damaged"), (None, "missing")])
def test_a_pulled_file_that_is_not_whole_is_not_used(folder: Path, content: bytes | None, state: str):
    path = put(folder, "model.onnx", "voices.bin") / "model.onnx"
    path.unlink() if content is None else path.write_bytes(content)

    with pytest.raises(ConfigError, match=rf"model\.onnx is {state}.*firstaudio models pull kokoro"):
        find(config(folder))


def test_files_of_ones_own_are_taken_by_path(folder: Path, tmp_path: Path):
    put(folder, "model.onnx", "voices.bin")
    (tmp_path / "mine.onnx").write_bytes(b"x")
    (tmp_path / "table.npz").write_bytes(b"x")

    found = find(config(folder, tmp_path / "mine.onnx", tmp_path / "table.npz"))
    assert found == ModelFiles(tmp_path / "mine.onnx", tmp_path / "table.npz", "own", folder / "own")


def test_the_voices_beside_a_model_of_ones_own_are_taken(folder: Path, tmp_path: Path):
    (tmp_path / "mine.onnx").write_bytes(b"x")
    (tmp_path / "voices-v1.0.bin").write_bytes(b"x")

    assert find(config(folder, tmp_path / "mine.onnx")).voices == tmp_path / "voices-v1.0.bin"


def test_a_folder_of_voices_is_taken(folder: Path, tmp_path: Path):
    (tmp_path / "mine.onnx").write_bytes(b"x")
    (tmp_path / "voices").mkdir()

    assert find(config(folder, tmp_path / "mine.onnx")).voices == tmp_path / "voices"
    assert find(config(folder, tmp_path / "mine.onnx", tmp_path / "voices")).voices == tmp_path / "voices"


@pytest.mark.parametrize(("names", "said"), [((), "none"), (("voices.bin", "voices.npz"), "several")])
def test_where_the_voices_are_not_clear_the_setting_is_named(
    folder: Path, tmp_path: Path, names: tuple[str, ...], said: str
):
    for name in ("mine.onnx", *names):
        (tmp_path / name).write_bytes(b"x")

    with pytest.raises(ConfigError, match=rf"{said}.*set kokoro\.voices"):
        find(config(folder, tmp_path / "mine.onnx"))


def test_pulled_voices_go_with_no_model_of_ones_own_and_own_voices_with_the_pulled_model(folder: Path, tmp_path: Path):
    home = put(folder, "model.onnx", "voices.bin")
    (tmp_path / "table.npz").write_bytes(b"x")

    found = find(config(folder, voices=tmp_path / "table.npz"))
    assert (found.model, found.voices, found.name) == (home / "model.onnx", tmp_path / "table.npz", "kokoro")


def test_a_model_in_the_folder_of_models_keeps_its_name_when_given_by_path(folder: Path):
    home = put(folder, "model.onnx", "voices.bin", model="shape")

    assert find(config(folder, home / "model.onnx")).name == "shape"


@pytest.mark.parametrize("key", ["model", "voices"])
@pytest.mark.parametrize(("make", "said"), [(None, "there is no such file"), (b"", "is empty")])
def test_a_path_that_leads_nowhere_is_refused(folder: Path, tmp_path: Path, key: str, make: bytes | None, said: str):
    (tmp_path / "good").write_bytes(b"x")
    if make is not None:
        (tmp_path / "bad").write_bytes(make)
    paths = {"model": tmp_path / "good", "voices": tmp_path / "good", key: tmp_path / "bad"}

    with pytest.raises(ConfigError, match=rf"kokoro\.{key} names .*bad.*{said}"):
        find(config(folder, **paths))


def test_a_folder_is_no_model(folder: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="name the file in it"):
        find(config(folder, tmp_path))


def test_the_folder_is_the_users_cache_where_none_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)

    assert model_folder(ModelConfig()) == tmp_path / "firstaudio" / "models"


def test_without_the_package_that_knows_it_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "platformdirs", None)

    with pytest.raises(MissingExtraError, match=r"firstaudio\[kokoro\]"):
        model_folder(ModelConfig())


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert model_folder(ModelConfig(folder="~/m")) == tmp_path / "m"


def test_everything_is_listed_with_its_state(folder: Path):
    home = put(folder, "model.onnx", "voices.bin")
    put(folder, "model.onnx", model="shape")
    (home / "voices.bin").unlink()
    (home / "model.int8.onnx.part").write_bytes(b"123")
    (home / "pieces" / "abc").mkdir(parents=True)
    (home / "pieces" / "abc" / "front.onnx").write_bytes(b"12345")
    (folder / "somebody's").mkdir()
    (folder / "file").touch()

    kokoro, shape = installed(folder)
    assert (kokoro.manifest.name, shape.manifest.name) == ("kokoro", "shape")
    assert kokoro.states == {"model.onnx": "ok", "voices.bin": "missing"}
    assert (kokoro.num_partial_bytes, kokoro.num_derived_bytes) == (3, 5)


def test_no_folder_is_no_model(folder: Path):
    assert installed(folder) == []


@pytest.mark.parametrize("content", ["", "{", '{"name": 3}', '{"name": "a", "licence": "", "files": [{}]}'])
def test_a_damaged_manifest_is_said_with_its_cure_and_does_not_hide_the_others(folder: Path, content: str):
    put(folder, "model.onnx", model="shape")
    home = put(folder, "model.onnx")
    (home / "manifest.json").write_text(content)

    with pytest.raises(ConfigError, match=r"manifest\.json cannot be read; run: firstaudio models pull kokoro"):
        find(config(folder))
    assert ["manifest.json" in model.problem for model in installed(folder)] == [True, False]


def test_a_damaged_manifest_of_a_model_that_cannot_be_pulled_names_another_cure(folder: Path):
    (put(folder, "model.onnx", model="shape") / "manifest.json").write_text("{")

    with pytest.raises(ConfigError, match="firstaudio models rm shape --yes"):
        verify(folder, "shape")


def test_a_manifest_cannot_point_out_of_its_folder(folder: Path):
    home = put(folder, "model.onnx")
    entry = StoredFile("../../etc/passwd", "model", "f32", 1, "0", "", "")
    write_manifest(home, Manifest("kokoro", "", (entry,)))

    with pytest.raises(ConfigError, match="outside its folder"):
        read_manifest(home)


def test_verify_reads_the_content(folder: Path):
    home = put(folder, "model.onnx", "voices.bin", "model.int8.onnx")
    (home / "model.onnx").write_bytes(bytes(len(CONTENT["model.onnx"])))
    (home / "voices.bin").unlink()

    assert verify(folder, "kokoro") == {"model.onnx": "damaged", "voices.bin": "missing", "model.int8.onnx": "ok"}


def test_a_model_is_removed_with_all_that_was_made_from_it(folder: Path):
    home = put(folder, "model.onnx")
    other = put(folder, "model.onnx", model="shape")
    (home / "pieces").mkdir()
    (home / "pieces" / "front.onnx").write_bytes(b"12345")

    assert remove(folder, "kokoro") > len(CONTENT["model.onnx"]) + 5
    assert not home.exists()
    assert (other / "model.onnx").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "Kokoro", ".locks"])
def test_a_name_that_leads_out_of_the_folder_is_refused(folder: Path, name: str):
    put(folder, "model.onnx")

    with pytest.raises(ConfigError, match="no name of a model"):
        remove(folder, name)


def test_what_is_not_ours_is_not_removed(folder: Path):
    put(folder, "model.onnx")
    (folder / "photos").mkdir()

    with pytest.raises(ConfigError, match=r"no model 'photos'.*installed: kokoro"):
        remove(folder, "photos")
    assert (folder / "photos").exists()


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path):
    outside = put(tmp_path / "elsewhere", "model.onnx")
    folder.mkdir()
    (folder / "kokoro").symlink_to(outside)

    with pytest.raises(ConfigError, match="is a link"):
        remove(folder, "kokoro")
    assert (outside / "model.onnx").exists()


def test_a_model_that_is_not_there_is_refused_with_those_that_are(folder: Path):
    with pytest.raises(ConfigError, match=r"no model 'kokoro'.*installed: none"):
        existing(folder, "kokoro")


def test_an_empty_folder_is_no_model_and_one_that_was_begun_says_so(folder: Path):
    """What a pull leaves that came to nothing, and one that was broken off."""
    (folder / "kokoro").mkdir(parents=True)
    assert installed(folder) == []
    with pytest.raises(ConfigError, match=r"no model 'kokoro'.*installed: none"):
        verify(folder, "kokoro")
    (folder / "kokoro" / "model.onnx.part").write_bytes(b"half")
    put(folder, "model.onnx", model="mine")
    with pytest.raises(ConfigError, match=r"no model 'x'.*installed: kokoro \(incomplete\), mine$"):
        existing(folder, "x")
    assert remove(folder, "kokoro") == 4
