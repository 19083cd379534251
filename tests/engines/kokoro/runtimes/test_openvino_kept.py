"""Graphs that OpenVINO has compiled are read in place of compiling; whatever is wrong with them costs only time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstaudio.engines.kokoro.memory import MAPS
from firstaudio.engines.kokoro.runtimes import openvino_kept
from firstaudio.engines.kokoro.runtimes.kept import MANIFEST, WEIGHTS
from firstaudio.engines.kokoro.runtimes.openvino_kept import Compiler
from firstaudio.engines.kokoro.runtimes.openvino_runtime import OpenVinoRuntime
from firstaudio.engines.kokoro.sessions import window_shapes

SHAPES = [{"x": (1, size)} for size in (3, 5)]
DAMAGED = "damaged"
REFUSED = "OpenVINO refuses what it compiled"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "compiled"


@pytest.fixture
def window_inputs(kokoro: Any) -> Callable[[int], Any]:
    """Of a window of so many frames."""

    def inputs(length: int) -> dict[str, Any]:
        random = np.random.default_rng(length)
        shapes = window_shapes(length, kokoro.pieces.anchors, len(kokoro.pieces.norms.scale))
        return {name: np.abs(random.standard_normal(shape, np.float32)) for name, shape in shapes.items()}

    return inputs


def load(model: Path, folder: Path | None, shapes: Any = SHAPES) -> list[Any]:
    return OpenVinoRuntime(num_threads=1, cache_folder=folder).load_each(model, shapes)


def check(sessions: list[Any]) -> None:
    """What the graph does: it adds 1 to what is positive."""
    for size, session in zip((3, 5), sessions, strict=True):
        x = np.linspace(-1, 1, size, dtype=np.float32)[None]
        np.testing.assert_array_equal(session.run({"x": x})["y"], np.maximum(x, 0) + 1)


def no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def each(*_: Any) -> Any:
        raise AssertionError("it was compiled")

    monkeypatch.setattr(Compiler, "each", each)


def place_of(folder: Path) -> Path:
    [place] = folder.glob("openvino-cpu-*")
    return place


def test_the_second_load_compiles_nothing(local_model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    check(load(local_model, folder))
    no_compiling(monkeypatch)
    check(load(local_model, folder))


def test_without_a_folder_nothing_is_kept(local_model: Path, tmp_path: Path):
    before = set(tmp_path.rglob("*"))
    check(load(local_model, None))
    assert set(tmp_path.rglob("*")) == before


def test_windows_from_disk_are_those_that_were_compiled_bit_by_bit(kokoro: Any, window_inputs: Any, folder: Path):
    window, lengths = kokoro.pieces.path("window"), (16, 32)
    inputs = [window_inputs(length) for length in lengths]
    shapes = [{name: array.shape for name, array in each.items()} for each in inputs]
    fresh, made, kept = (load(window, where, shapes) for where in (None, folder, folder))
    for given, *sessions in zip(inputs, fresh, made, kept, strict=True):
        expected, *others = (session.run(given)["x"] for session in sessions)
        assert np.ptp(expected) > 0
        for other in others:
            np.testing.assert_array_equal(expected, other)


def test_weights_lie_there_once_and_none_of_their_pages_stay_in_memory(kokoro: Any, window_inputs: Any, folder: Path):
    given = window_inputs(16)
    shapes = [{name: array.shape for name, array in given.items()}] * 3
    sessions = load(kokoro.pieces.path("window"), folder, shapes)
    place = place_of(folder)
    sizes = {path.name: path.stat().st_size for path in place.iterdir()}
    assert sizes[WEIGHTS] > 100_000
    assert not any(weights_in(place / f"{index}.blob", place / WEIGHTS) for index in range(3))
    resident = resident_kb(place / WEIGHTS)
    assert len(resident) == 3
    assert sum(resident) < sizes[WEIGHTS] / 1000
    assert np.ptp(sessions[0].run(given)["x"]) > 0


def weights_in(blob: Path, weights: Path) -> bool:
    """Whether a stretch in the middle of the weights is in the blob."""
    content = weights.read_bytes()
    return content[len(content) // 2 :][:256] in blob.read_bytes()


def resident_kb(path: Path) -> list[int]:
    """Memory of each mapping of a file."""
    found, is_ours = [], False
    for line in MAPS.with_name("smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if "-" in name:
            is_ours = line.endswith(str(path))
        elif is_ours and name == "Rss":
            found.append(int(value.split()[0]))
    return found


@pytest.mark.parametrize("name", [WEIGHTS, "0.blob", "1.blob", MANIFEST])
def test_a_damaged_file_is_made_again_and_the_same_is_computed(
    local_model: Path, folder: Path, caplog: pytest.LogCaptureFixture, name: str
):
    load(local_model, folder)
    path = place_of(folder) / name
    content = path.read_bytes()
    path.write_bytes(b"damaged")
    check(load(local_model, folder))
    assert DAMAGED in caplog.text
    assert path.read_bytes()[:4] == content[:4]
    check(load(local_model, folder))


def test_a_blob_that_openvino_refuses_costs_only_time(
    local_model: Path, folder: Path, caplog: pytest.LogCaptureFixture
):
    """It has the sum that the manifest says."""
    load(local_model, folder)
    place = place_of(folder)
    manifest = json.loads((place / MANIFEST).read_text())
    (place / "1.blob").write_bytes(b"of another OpenVINO" * 10)
    manifest["files"]["1.blob"] = hashlib.sha256((place / "1.blob").read_bytes()).hexdigest()
    (place / MANIFEST).write_text(json.dumps(manifest))
    check(load(local_model, folder))
    assert REFUSED in caplog.text


def test_a_folder_that_cannot_be_made_is_done_without(
    local_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("in the way")
    check(load(local_model, tmp_path / "file" / "compiled"))
    assert "compiled graphs are not kept, every start compiles them again: " in caplog.text


def test_a_full_disk_is_done_without_and_nothing_stays(
    local_model: Path, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(openvino_kept, "free_bytes", lambda _: 10)
    check(load(local_model, folder))
    assert "the disk is full" in caplog.text
    assert [path.name for path in folder.iterdir()] == [".locks"]


def test_another_precision_is_kept_beside_it(local_model: Path, folder: Path):
    load(local_model, folder)
    OpenVinoRuntime(num_threads=2, cache_folder=folder).load_each(local_model, SHAPES)
    assert len(list(folder.glob("openvino-cpu-*"))) == 2


def test_a_device_whose_weights_cannot_be_shared_keeps_nothing(tmp_path: Path):
    assert OpenVinoRuntime("GPU", cache_folder=tmp_path)._store is None
