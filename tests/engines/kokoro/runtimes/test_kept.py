"""Compiled graphs on disk: found again, or not there; never trusted when they are not what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firstaudio.engines.kokoro.runtimes.kept import MANIFEST, WEIGHTS, KeptGraphs

FACTS = {
    "graph": "abc",
    "openvino": "2026.4.1",
    "device": "CPU",
    "processor": ["Xeon", "x86_64", ("avx2", "amx_bf16")],
    "shapes": [{"hidden": [1, 16, 32]}],
    "properties": {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "2"},
}
CONTENT = {WEIGHTS: b"weights", "0.blob": b"zero", "1.blob": b"one"}


@pytest.fixture
def store(tmp_path: Path) -> KeptGraphs:
    return KeptGraphs(tmp_path / "deep" / "compiled", "openvino-cpu")


def keep(store: KeptGraphs, facts: Any = FACTS) -> Path:
    """Where it lies then."""
    with store.making(facts) as folder:
        for name, content in CONTENT.items():
            (folder / name).write_bytes(content)
    found = store.find(facts)
    assert found is not None
    return found.weights.parent


def changed(**facts: Any) -> dict[str, Any]:
    return {**FACTS, **facts}


def folders(store: KeptGraphs) -> set[str]:
    return {path.name for path in store._folder.iterdir()} - {".locks"}


def test_what_was_kept_is_found_again_in_its_order(store: KeptGraphs):
    assert store.find(FACTS) is None
    place = keep(store)
    found = KeptGraphs(store._folder, "openvino-cpu").find(FACTS)
    assert found is not None
    assert (found.weights, found.blobs) == (place / WEIGHTS, (b"zero", b"one"))


def test_nobody_else_can_look_into_it(store: KeptGraphs):
    place = keep(store)
    assert [path.stat().st_mode & 0o777 for path in (store._folder, place)] == [0o700, 0o700]


@pytest.mark.parametrize(
    "facts",
    [
        changed(graph="abd"),
        changed(openvino="2026.4.2"),
        changed(device="another"),
        changed(processor=["Xeon", "x86_64", ("avx2",)]),
        changed(shapes=[{"hidden": [1, 16, 64]}]),
        changed(properties={"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": "2"}),
        changed(properties={"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "4"}),
    ],
)
def test_what_was_made_from_anything_else_is_not_found(store: KeptGraphs, facts: Any):
    keep(store)
    assert store.find(facts) is None


@pytest.mark.parametrize("name", [*CONTENT, MANIFEST])
@pytest.mark.parametrize("harm", ["a bit", "half", "all", "gone"])
def test_what_is_damaged_is_not_used_and_can_be_made_again(
    store: KeptGraphs, caplog: pytest.LogCaptureFixture, name: str, harm: str
):
    path = keep(store) / name
    content = path.read_bytes()
    path.unlink()
    if harm != "gone":
        flipped = bytes([content[0] ^ 1]) + content[1:]
        path.write_bytes({"a bit": flipped, "half": content[: len(content) // 2], "all": b""}[harm])
    assert store.find(FACTS) is None
    assert ("damaged" in caplog.text) is not (name == MANIFEST and harm == "gone")
    keep(store)


@pytest.mark.parametrize("manifest", [{}, [], 7, {"facts": {}, "files": {}}, {"facts": FACTS, "files": 3}])
def test_a_manifest_of_another_shape_is_none(store: KeptGraphs, manifest: Any):
    (keep(store) / MANIFEST).write_text(json.dumps(manifest))
    assert store.find(FACTS) is None


def test_a_making_that_fails_leaves_nothing_and_what_was_there(store: KeptGraphs):
    def fail() -> None:
        with store.making(FACTS) as folder:
            (folder / WEIGHTS).write_bytes(b"half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fail()
    assert folders(store) == set()
    place = keep(store)
    with pytest.raises(RuntimeError, match="no more"):
        fail()
    assert folders(store) == {place.name}
    assert store.find(FACTS) is not None


def test_what_another_user_may_write_into_is_not_trusted(store: KeptGraphs):
    place = keep(store)
    place.chmod(0o770)
    assert store.find(FACTS) is None
    keep(store)
    store._folder.chmod(0o777)
    assert store.find(FACTS) is None
    with pytest.raises(PermissionError, match="not this user's alone"), store.making(FACTS):
        pass


def test_what_belongs_to_another_user_is_not_trusted(store: KeptGraphs, monkeypatch: pytest.MonkeyPatch):
    keep(store)
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    assert store.find(FACTS) is None


def test_a_link_is_not_trusted(store: KeptGraphs, tmp_path: Path):
    place = keep(store)
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert store.find(FACTS) is None


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    store = KeptGraphs(tmp_path / "file" / "compiled", "openvino-cpu")
    assert store.find(FACTS) is None
    with pytest.raises(OSError, match="Not a directory"), store.making(FACTS):
        pass


@pytest.mark.parametrize("name", ["graph", "openvino", "device", "processor", "shapes"])
def test_what_nobody_will_ask_for_again_goes_when_its_successor_comes(store: KeptGraphs, name: str):
    keep(store, changed(**{name: "earlier"}))
    other = KeptGraphs(store._folder, "openvino-cpu-bf16")
    keep(other, changed(**{name: "earlier"}))
    place = keep(store)
    assert folders(store) == {place.name}


def test_what_was_made_with_other_settings_stays(store: KeptGraphs):
    others = [changed(properties={"INFERENCE_NUM_THREADS": str(number)}) for number in (1, 4)]
    places = [keep(store, facts) for facts in (*others, FACTS)]
    assert folders(store) == {place.name for place in places}


def test_what_a_killed_process_left_goes_and_what_is_nobody_elses_business_stays(store: KeptGraphs):
    for name in (".making-dead", "notes", "openvino-cpu-0123456789abcdef"):
        (store._folder / name).mkdir(parents=True)
        store._folder.chmod(0o700)
    place = keep(store)
    assert folders(store) == {place.name, "notes"}
