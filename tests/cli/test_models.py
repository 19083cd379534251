"""`firstaudio models`: paths on stdout, talk on stderr."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
from rich.console import Console
from rich.progress import Progress

from firstaudio.cli import models_shape
from firstaudio.cli.models import BarListener, PlainListener
from firstaudio.cli.models_options import progress_bar
from firstaudio.engines.kokoro import release as release_module
from firstaudio.engines.kokoro import store as store_module
from firstaudio.engines.kokoro.store import read_manifest

from ..engines.kokoro.mirror import CONTENT, Answer, Server, release_of, serving  # noqa: TID252 -- no package


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIRSTAUDIO_MODEL_FOLDER", str(tmp_path / "models"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "models"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The small release in the place of the real one."""
    with serving() as state:
        releases = MappingProxyType({"kokoro": release_of(state.url)})
        for module in (release_module, store_module):
            monkeypatch.setattr(module, "RELEASES", releases)
        yield state


def test_pull_prints_the_paths_and_tells_of_progress(run, folder: Path, server: Server):
    result = run("models", "pull")

    home = folder / "kokoro"
    assert (result.exit_code, result.stdout.decode().split()) == (
        0,
        [str(home / "model.onnx"), str(home / "voices.bin")],
    )
    assert (home / "model.onnx").read_bytes() == CONTENT["model.onnx"]
    assert "firstaudio: model.onnx: 0.0 of 0.0 MB" in result.stderr


def test_pull_takes_a_variant_and_force(run, folder: Path, server: Server):
    run("models", "pull", "kokoro", "--variant", "int8")
    result = run("models", "pull", "kokoro", "--variant", "int8", "--force")

    assert str(folder / "kokoro" / "model.int8.onnx") in result.stdout.decode()
    assert len(server.requests) == 4


def test_a_mirror_and_a_folder_can_be_given_as_options(run, folder: Path, server: Server, tmp_path: Path):
    mirror, elsewhere = tmp_path / "mirror", tmp_path / "elsewhere"
    mirror.mkdir()
    for name, content in CONTENT.items():
        (mirror / name).write_bytes(content)
    result = run("models", "pull", "--model-url", mirror.as_uri(), "--model-folder", str(elsewhere))

    assert result.exit_code == 0
    assert (elsewhere / "kokoro" / "model.onnx").read_bytes() == CONTENT["model.onnx"]
    assert (server.requests, folder.exists()) == ([], False)


def test_the_mirror_comes_from_the_environment(
    run, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("FIRSTAUDIO_MODEL_URL", (tmp_path / "empty").as_uri())

    result = run("models", "pull")
    assert (result.exit_code, server.requests) == (1, [])
    assert "cannot read file:///" in result.stderr


def test_a_file_that_cannot_be_had_is_one_sentence_and_exit_code_1(run, folder: Path, server: Server):
    server.script = [Answer(status=404)]

    result = run("models", "pull")
    assert (result.exit_code, result.stdout) == (1, b"")
    assert "404 Not Found; set model.url (FIRSTAUDIO_MODEL_URL)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pull", "kokoru"], "did you mean 'kokoro'?"),
        (["pull", "--variant", "fp16"], "no variant 'fp16'"),
        (["verify", "kokoro"], "no model 'kokoro'"),
        (["rm", "../etc", "--yes"], "no name of a model"),
    ],
)
def test_a_wrong_word_is_exit_code_2(run, folder: Path, server: Server, arguments: list[str], said: str):
    result = run("models", *arguments)

    assert (result.exit_code, result.stdout) == (2, b"")
    assert said in result.stderr


def test_list_shows_what_is_there_and_what_could_be(run, folder: Path, server: Server):
    run("models", "pull")
    (folder / "kokoro" / "voices.bin").write_bytes(b"")
    lines = [line.split("\t") for line in run("models", "list").stdout.decode().splitlines()]

    assert lines[0] == ["model", "file", "variant", "megabytes", "state", "source"]
    assert [(line[1], line[4]) for line in lines[1:]] == [
        ("model.onnx", "ok"),
        ("voices.bin", "damaged"),
        ("model.int8.onnx", "not pulled"),
    ]


def test_list_shows_downloads_that_broke_off_and_what_was_made(run, folder: Path, server: Server):
    run("models", "pull")
    (folder / "kokoro" / "model.int8.onnx.part").write_bytes(b"1")
    (folder / "kokoro" / "pieces").mkdir()
    (folder / "kokoro" / "pieces" / "front.onnx").write_bytes(b"1")
    (folder / "kokoro" / "manifest.json").write_text("{")

    lines = run("models", "list").stdout.decode().splitlines()
    assert [line.split("\t")[4] for line in lines[1:4]] == ["damaged", "incomplete", "derived"]


def test_list_as_json_is_whole(run, folder: Path, server: Server):
    assert json.loads(run("models", "list", "--json").stdout) == {"folder": str(folder), "models": []}

    run("models", "pull")
    listed = json.loads(run("models", "list", "--json").stdout)
    (model,) = listed["models"]
    assert (model["name"], model["licence"], model["problem"]) == ("kokoro", "Apache-2.0", "")
    assert [(file["file"], file["state"]) for file in model["files"]] == [("model.onnx", "ok"), ("voices.bin", "ok")]


def test_a_terminal_gets_a_table(run, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert "not pulled" in run("models", "list").stdout.decode()


def test_verify_says_ok_or_exits_with_1(run, folder: Path, server: Server):
    run("models", "pull")
    assert run("models", "verify").exit_code == 0

    (folder / "kokoro" / "model.onnx").write_bytes(bytes(5000))
    result = run("models", "verify", "kokoro")
    assert result.exit_code == 1
    assert result.stdout.decode().splitlines()[0] == f"damaged\t{folder / 'kokoro' / 'model.onnx'}"
    assert "firstaudio models pull kokoro" in result.stderr


def test_verify_reads_what_was_cut_out_of_a_model_too(run, folder: Path, server: Server):
    run("models", "pull")
    place = folder / "kokoro" / "pieces" / "0123-1"
    place.mkdir(parents=True)
    (place / "front.onnx").write_bytes(b"a piece")
    written = {"num_bytes": 7, "mtime_ns": 0, "sha256": hashlib.sha256(b"a piece").hexdigest()}
    (place / "manifest.json").write_text(json.dumps({"files": {"front.onnx": written}}))
    result = run("models", "verify")
    assert (result.exit_code, result.stdout.decode().splitlines()[-1]) == (0, f"ok\t{place / 'front.onnx'}")

    (place / "front.onnx").write_bytes(b"A piece")
    result = run("models", "verify", "kokoro")
    assert (result.exit_code, result.stdout.decode().splitlines()[-1]) == (1, f"damaged\t{place / 'front.onnx'}")
    assert "cut again by: firstaudio models optimize" in result.stderr
    assert "models pull" not in result.stderr


def test_verify_without_any_model_is_no_success(run, folder: Path):
    result = run("models", "verify")

    assert (result.exit_code, result.stdout) == (1, b"")
    assert "firstaudio models pull kokoro" in result.stderr


@pytest.fixture
def copied(folder: Path) -> Path:
    """A whole file and one that was cut off, neither of them checked."""
    home = folder / "kokoro"
    home.mkdir(parents=True)
    (home / "model.onnx").write_bytes(CONTENT["model.onnx"])
    (home / "voices.bin").write_bytes(b"cut off")
    return home


def test_list_tells_of_files_that_were_never_checked(run, copied: Path, server: Server):
    lines = [line.split("\t") for line in run("models", "list").stdout.decode().splitlines()[1:]]

    assert [(line[1], line[4]) for line in lines] == [
        ("model.onnx", "unchecked"),
        ("voices.bin", "unchecked"),
        ("model.int8.onnx", "not pulled"),
    ]
    assert lines[0][5].startswith("never checked; run: firstaudio models pull kokoro")
    assert lines[1][5].startswith("is there but has 7 bytes, the published file has 1000: replace it")
    (model,) = json.loads(run("models", "list", "--json").stdout)["models"]
    assert model["unchecked"] == [
        {"file": "model.onnx", "num_bytes": 5000, "num_published_bytes": 5000},
        {"file": "voices.bin", "num_bytes": 7, "num_published_bytes": 1000},
    ]


def test_verify_does_not_say_that_there_are_no_files_where_some_were_never_checked(run, copied: Path, server: Server):
    result = run("models", "verify")

    assert result.exit_code == 1
    assert result.stdout.decode().splitlines() == [
        f"unchecked\t{copied / 'model.onnx'}",
        f"unchecked\t{copied / 'voices.bin'}",
    ]
    assert "there are no model files" not in result.stderr
    assert f"{copied / 'model.onnx'} was never checked; run: firstaudio models pull kokoro" in result.stderr


def test_rm_wants_a_yes(run, folder: Path, server: Server):
    run("models", "pull")
    assert run("models", "rm", "kokoro").exit_code == 2
    assert (folder / "kokoro").exists()

    assert run("models", "rm", "kokoro", "--yes").exit_code == 0
    assert not (folder / "kokoro").exists()


def test_plain_progress_is_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]):
    listener = PlainListener()
    for num_bytes in range(1001):
        listener.advanced("model.onnx", num_bytes, 1000)
    listener.notice("a pause")

    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (12, "firstaudio: a pause")


def test_a_terminal_gets_bars_that_begin_where_the_download_does():
    bars = Progress(console=Console(file=io.StringIO()))
    listener = BarListener(bars)
    for num_bytes in (400, 700):
        listener.advanced("model.onnx", num_bytes, 1000)
    listener.advanced("voices.bin", 0, 10)
    listener.notice("[no] markup")

    assert [(task.description, task.completed, task.total) for task in bars.tasks] == [
        ("model.onnx", 700, 1000),
        ("voices.bin", 0, 10),
    ]
    assert "[no] markup" in bars.console.file.getvalue()  # type: ignore[attr-defined]


FAKE_PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit {probe}
echo noise; echo trouble >&2
printf model > "$2/model.onnx"; {voices}; echo "$@" > {record}
exit {build}
"""


def fake_python(
    folder: Path, *, probe: int = 0, build: int = 0, voices: str = 'printf voices > "$2/voices.bin"'
) -> Path:
    """An interpreter that has everything, or not."""
    path = folder / "python"
    path.write_text(FAKE_PYTHON.format(probe=probe, build=build, voices=voices, record=folder / "record"))
    path.chmod(0o755)
    return path


def test_a_shape_is_built_with_a_given_interpreter_and_installed(run, folder: Path, tmp_path: Path):
    python = fake_python(tmp_path)
    result = run("models", "build-shape", "--python", str(python), "--size", "tiny", "--seed", "7")

    home = folder / "shape"
    assert result.exit_code == 0
    assert result.stdout.decode() == f"--kokoro-model {home}/model.onnx --kokoro-voices {home}/voices.bin\n"
    assert sorted(path.name for path in home.iterdir()) == ["manifest.json", "model.onnx", "voices.bin"]
    model = read_manifest(home).get("model.onnx")
    assert model is not None
    assert (model.variant, model.source) == ("tiny", "built: shape_model.py --size tiny --dialect tokens --seed 7")
    assert "--size tiny --dialect tokens --seed 7" in (tmp_path / "record").read_text()
    assert run("models", "verify", "shape").exit_code == 0


def test_a_shape_that_is_there_is_not_built_again(run, folder: Path, tmp_path: Path):
    python = str(fake_python(tmp_path))
    first = run("models", "build-shape", "--python", python)
    (tmp_path / "record").unlink()
    again = run("models", "build-shape", "--python", python)

    assert again.stdout == first.stdout
    assert "rm shape" in again.stderr
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize("change", [["--seed", "1"], ["--size", "tiny"], []])
def test_another_shape_or_a_damaged_one_is_built(run, folder: Path, tmp_path: Path, change: list[str]):
    python = str(fake_python(tmp_path))
    run("models", "build-shape", "--python", python)
    (tmp_path / "record").unlink()
    if not change:
        (folder / "shape" / "model.onnx").write_bytes(b"other")
    run("models", "build-shape", "--python", python, *change)

    assert (tmp_path / "record").exists()
    assert run("models", "verify", "shape").exit_code == 0


def test_a_shape_can_go_elsewhere(run, folder: Path, tmp_path: Path):
    python = fake_python(tmp_path)
    result = run("models", "build-shape", "--python", str(python), "--output", str(tmp_path / "out"))

    assert f"--kokoro-model {tmp_path}/out/model.onnx" in result.stdout.decode()
    assert (tmp_path / "out" / "voices.bin").exists()
    assert not (folder / "shape").exists()


def test_an_interpreter_without_the_packages_is_refused_with_the_command(run, folder: Path, tmp_path: Path):
    result = run("models", "build-shape", "--python", str(fake_python(tmp_path, probe=1)))

    assert (result.exit_code, result.stdout) == (2, b"")
    assert f"to install them: {tmp_path}/python -m pip install torch==2.13.0 kokoro==0.9.4 onnx" in result.stderr


def test_an_interpreter_that_is_not_there_is_refused(run, folder: Path, tmp_path: Path):
    result = run("models", "build-shape", "--python", str(tmp_path / "none"))

    assert result.exit_code == 2
    assert "cannot run" in result.stderr


def test_a_build_that_fails_shows_its_words_and_lists_nothing(run, folder: Path, tmp_path: Path):
    result = run("models", "build-shape", "--python", str(fake_python(tmp_path, build=3)))

    assert result.exit_code == 1
    assert "trouble" in result.stderr
    assert "exit code 3" in result.stderr
    assert read_manifest(folder / "shape").files == ()


@pytest.mark.parametrize("place", [(), ("--output", "out")])
def test_a_build_that_leaves_nothing_names_what_lacks(
    run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[str, ...]
):
    monkeypatch.chdir(tmp_path)
    result = run("models", "build-shape", "--python", str(fake_python(tmp_path, voices="true")), *place)

    assert (result.exit_code, result.stdout) == (1, b"")
    assert "left no voices.bin in" in result.stderr
    assert read_manifest(folder / "shape").files == ()


@pytest.mark.parametrize("arguments", [["--size", "huge"], ["--dialect", "klingon"]])
def test_a_shape_that_nobody_knows_is_a_usage_error(run, folder: Path, arguments: list[str]):
    result = run("models", "build-shape", *arguments)

    assert result.exit_code == 2
    assert "must be one of" in result.stderr


def test_without_an_interpreter_an_environment_is_made_once(
    run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commands: list[list[str]] = []

    def make(command: list[str], failure: str) -> None:
        commands.append(command)
        if "venv" in command:
            python = Path(command[-1], "bin", "python")
            python.parent.mkdir(parents=True)
            fake_python(tmp_path).rename(python)

    monkeypatch.setattr(models_shape, "_run", make)
    first, second = run("models", "build-shape"), run("models", "build-shape", "--seed", "1")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [command[2] for command in commands] == ["venv", "pip"]
    assert "some 2 GB" in first.stderr
    assert "some 2 GB" not in second.stderr


def test_where_the_packages_cannot_be_installed_the_next_step_is_said(run, folder: Path, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models_shape.sys, "executable", "/bin/false")
        result = run("models", "build-shape")

    assert result.exit_code == 1
    assert "--python" in result.stderr
    assert "-m pip install torch" in result.stderr


def test_every_verb_has_help(run):
    for verb in ("list", "pull", "verify", "rm", "build-shape"):
        assert run("models", verb, "--help").exit_code == 0


def test_on_a_terminal_single_steps_stay_to_be_read_and_others_move_the_bar(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar() as progress:
        progress("the model is cut already", 0, 1)
        progress("measuring af_heart", 0, 2)

    said = capsys.readouterr().err
    assert "firstaudio: the model is cut already" in said
    assert "firstaudio: measuring af_heart" not in said
