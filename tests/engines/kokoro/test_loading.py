"""From files to a model in memory, with a reason for every choice."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from firstaudio.config import Config, KokoroConfig
from firstaudio.engines.kokoro import loading
from firstaudio.engines.kokoro.fidelity import Comparison, Distance, Verdict
from firstaudio.engines.kokoro.loading import (
    NEVER_OPTIMIZED,
    decide_decode,
    decide_precision,
    load_model,
    measure_runtimes,
)
from firstaudio.engines.kokoro.model import CutModel, WholeModel
from firstaudio.engines.kokoro.runtimes.figures import MIN_ROUNDS
from firstaudio.engines.kokoro.runtimes.measure import compare
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.engines.kokoro.runtimes.profile import arithmetic_facts
from firstaudio.engines.kokoro.store import ModelFiles
from firstaudio.errors import ConfigError, EngineError, MissingExtraError

CPU = "onnxruntime-cpu"


def config(**kokoro: Any) -> Config:
    return Config(kokoro=KokoroConfig(**{"runtimes": (CPU,), "num_threads": 1} | kokoro))


def verdict(windowed_db: float = 0.2, bf16_db: float | None = None) -> Verdict:
    bf16 = None if bf16_db is None else Comparison("bf16", (Distance(bf16_db, 30.0),))
    windowed = Comparison("windowed", (Distance(windowed_db, 30.0, 0.1),))
    seeds = Comparison("seeds", (Distance(0.7, 20.0),))
    return Verdict(windowed, bf16, seeds, ("af_heart",), "2026-01-02T03:04:05", facts=arithmetic_facts())


class OtherRuntime:
    """Another device: onnxruntime under another name, with faults."""

    def __init__(self, name: str, wrap: Callable[[Any], Any]) -> None:
        self.name, self._wrap = name, wrap
        self.inner = OrtRuntime("cpu", num_threads=1)

    def load(self, model: Path, shapes: Any = None) -> Any:
        return self._wrap(self.inner.load(model))


def broken(name: str) -> OtherRuntime:
    def wrap(_session: Any) -> Any:
        raise EngineError(f"{name} has no memory left")

    return OtherRuntime(name, wrap)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "compare", partial(compare, rounds=MIN_ROUNDS))


@pytest.fixture
def files(kokoro: Any, tools: SimpleNamespace, tmp_path: Path) -> ModelFiles:
    """The small model, with a folder of the test's own that holds its pieces already."""
    shutil.copytree(kokoro.files.pieces, tmp_path / "pieces")
    return ModelFiles(tools.MODEL, tools.VOICES, "own", tmp_path)


@pytest.fixture
def given(kokoro: Any, tools: SimpleNamespace) -> tuple[Any, ...]:
    return tools.ids(60), tools.VOICE, kokoro.style(60), 1.0, tools.SEED


def folder_of(files: ModelFiles) -> Path:
    """Of the pieces."""
    return next(path for path in files.pieces.iterdir() if path.name != ".locks")


def windows_of(model: Any) -> list[Any]:
    """What the sessions of windows have done."""
    return [each for each in model.statistics() if each["piece"] == "window"]


def of_bytes(files: ModelFiles, content: bytes) -> ModelFiles:
    path = files.cache / "given.onnx"
    path.write_bytes(content)
    return replace(files, model=path)


# A model that can be cut.


def test_a_model_that_nobody_has_measured_is_decoded_whole_and_says_so(files: ModelFiles, given: tuple[Any, ...]):
    loaded = load_model(config(), files)
    assert isinstance(loaded.model, CutModel)
    choices = loaded.choices
    assert (choices.decode, choices.decode_reason, choices.cut_problem) == ("whole", NEVER_OPTIMIZED, "")
    assert (choices.runtimes, choices.precision_reason) == ((CPU,), NEVER_OPTIMIZED)
    [part] = loaded.model.parts(*given, windowed=False)
    assert part.runtime == CPU


def test_a_verdict_decides(files: ModelFiles):
    verdict(0.2).save(folder_of(files))
    near = load_model(config(), files).choices
    assert near.decode == "windowed"
    assert near.decode_reason.startswith("windows are 0.20 dB from whole, two noise seeds 0.70 dB from each other")
    verdict(5.0).save(folder_of(files))
    far = load_model(config(), files).choices
    assert (far.decode, "worst distance 5.00 dB" in far.decode_reason) == ("whole", True)


def test_what_is_shorter_than_the_verdict_allows_is_decoded_whole_and_it_is_said(
    files: ModelFiles, kokoro: Any, given: tuple[Any, ...], tools: SimpleNamespace
):
    num_frames = kokoro.features(60).num_frames
    for longest, expected in ((num_frames - 1, "windowed"), (num_frames, "whole")):
        short = Comparison("short", (Distance(1.5, 9.0, None, longest),))
        replace(verdict(0.2), short=short).save(folder_of(files))
        loaded = load_model(config(), files)
        loaded.model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
        assert {part.decode for part in loaded.model.parts(*given, windowed=True)} == {expected}
        assert loaded.choices.decode_reason.endswith(f"; what is shorter than {(longest + 1) / 40:g} s is whole")


def with_other_styles(tools: SimpleNamespace, path: Path) -> Path:
    """The voices, each under another one's name."""
    with np.load(tools.VOICES) as archive:
        names = sorted(archive.files)
        others = {name: archive[other] for name, other in zip(names, [*names[1:], names[0]], strict=True)}
    with path.open("wb") as file:
        np.savez(file, **others)
    return path


def test_other_styles_under_a_measured_name_are_decoded_whole_and_it_is_said(
    files: ModelFiles, kokoro: Any, tools: SimpleNamespace, tmp_path: Path
):
    replace(verdict(0.2), styles={tools.VOICE: kokoro.voices.digests()[tools.VOICE]}).save(folder_of(files))
    loaded = load_model(config(), files)
    loaded.model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
    assert (loaded.choices.decode, loaded.model.knows(tools.VOICE)) == ("windowed", True)

    others = replace(files, voices=with_other_styles(tools, tmp_path / "others.npz"))
    loaded = load_model(config(), others)
    assert (loaded.choices.decode, loaded.model.knows(tools.VOICE)) == ("whole", False)
    assert loaded.choices.decode_reason == (
        "windows were judged with other styles of af_heart than there are now: run `firstaudio models optimize`"
    )


def test_what_is_loaded_speaks_in_windows_what_it_speaks_whole(
    files: ModelFiles, kokoro: Any, given: tuple[Any, ...], tools: SimpleNamespace
):
    model = load_model(config(), files).model
    assert isinstance(model, CutModel)
    model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
    [whole] = model.parts(*given, windowed=False)
    parts = list(model.parts(*given, windowed=True))
    assert len(parts) > 3
    assert tools.snr_db(whole.pcm, np.concatenate([part.pcm for part in parts])) > 90


def test_compiled_graphs_are_kept_beside_the_pieces(files: ModelFiles, monkeypatch: pytest.MonkeyPatch):
    """So they go with the model."""
    told: list[Any] = []

    def resolve(*_given: Any, **more: Any) -> Any:
        told.append(more["cache_folder"])
        return [OrtRuntime("cpu", num_threads=1)]

    monkeypatch.setattr(loading, "resolve", resolve)
    load_model(config(), files)
    assert told == [folder_of(files) / "compiled"]
    assert told[0].is_relative_to(files.pieces)


def test_the_cpu_stands_by_for_a_device_that_fails_in_mid_stream(
    files: ModelFiles,
    kokoro: Any,
    given: tuple[Any, ...],
    tools: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
):
    warm_up = 2 * len(loading.LENGTHS)
    gpu = OtherRuntime("fake-gpu", lambda session: tools.Faulty(session, {warm_up + 1: "nan"}))
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [gpu])
    verdict().save(folder_of(files))
    loaded = load_model(config(runtimes=("fake-gpu",)), files)
    assert loaded.choices.runtimes == ("fake-gpu", CPU)
    assert isinstance(loaded.model, CutModel)
    loaded.model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
    parts = list(loaded.model.parts(*given, windowed=True))
    assert [part.runtime for part in parts[:3]] == ["fake-gpu", CPU, CPU]
    [whole] = loaded.model.parts(*given, windowed=False)
    assert tools.snr_db(whole.pcm, np.concatenate([part.pcm for part in parts])) > 90
    device, stand_by = windows_of(loaded.model)
    assert (device["num_runs"], device["num_failures"], stand_by["num_runs"]) == (1, 1, len(parts) - 1)
    assert device["retired"] is not None
    assert stand_by["retired"] is None


# What runs, and what is said of it.


def test_what_decodes_whole_is_counted_and_told_first_and_windows_are_neither_measured_nor_loaded(
    files: ModelFiles, given: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
):
    """As it is after a model was pulled and nobody has optimized it."""
    other = OtherRuntime("other-cpu", unwanted)
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [OrtRuntime("cpu", num_threads=1), other])
    loaded = load_model(config(runtimes=("auto",)), files)
    [part] = loaded.model.parts(*given, windowed=False)
    choices = loaded.choices
    assert (part.runtime, choices.runtimes, choices.decode) == (CPU, (CPU,), "whole")
    assert choices.runtime_reasons == {
        CPU: f"{CPU}: used for everything, because decode is whole: {NEVER_OPTIMIZED}",
        "other-cpu": f"other-cpu: not used: it is for windows, and decode is whole: {NEVER_OPTIMIZED}",
    }
    ran = {(each["piece"], each["name"]) for each in loaded.model.statistics() if each["num_runs"]}
    assert ran == {(piece, CPU) for piece in ("front", "source", "generator", "tail")}
    assert not any(each["is_loaded"] for each in windows_of(loaded.model))
    assert choices.ignored_settings == ""


def unwanted(_session: Any) -> Any:
    raise AssertionError("loaded, and nobody has asked for windows")


def test_windows_that_a_request_asks_for_are_loaded_then(
    files: ModelFiles, kokoro: Any, given: tuple[Any, ...], tools: SimpleNamespace
):
    loaded = load_model(config(runtimes=("auto",), decode="whole"), files)
    assert isinstance(loaded.model, CutModel)
    loaded.model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
    parts = list(loaded.model.parts(*given, windowed=True))
    first, stand_by = windows_of(loaded.model)
    assert {(part.runtime, part.decode) for part in parts} == {(CPU, "windowed")}
    assert (first["is_loaded"], first["num_runs"], stand_by["is_loaded"]) == (True, len(parts), False)


@pytest.mark.parametrize(
    ("kokoro_settings", "said"),
    [
        ({"runtimes": ("fake-gpu",)}, "kokoro.runtimes = fake-gpu has no effect but on windows: onnxruntime-cpu runs"),
        ({"runtimes": ("auto",), "precision": "bf16"}, "kokoro.precision = bf16 has no effect but on windows"),
    ],
)
@pytest.mark.parametrize("is_cut", [True, False])
def test_settings_that_decoding_whole_leaves_without_effect_are_named(
    files: ModelFiles,
    tools: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kokoro_settings: dict[str, Any],
    said: str,
    is_cut: bool,
):
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [OtherRuntime("fake-gpu", unwanted)])
    given = files if is_cut else of_bytes(files, uncuttable(tools))
    choices = load_model(config(**kokoro_settings), given).choices
    assert choices.ignored_settings.startswith(said)
    assert choices.ignored_settings in caplog.text
    assert choices.runtimes == (CPU,)
    assert choices.runtime_reasons["fake-gpu"].startswith("fake-gpu: not used: it is for windows, and ")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"runtimes": ("nonsense",)}, "'nonsense', which nobody knows"),
        ({"runtimes": (CPU,), "precision": "bf16"}, "onnxruntime-cpu does not compute in bf16"),
        ({"runtimes": ("auto", CPU)}, "it stands alone"),
    ],
)
@pytest.mark.parametrize("is_cut", [True, False])
def test_runtimes_that_cannot_be_are_refused_however_the_model_is_decoded(
    files: ModelFiles, tools: SimpleNamespace, settings: dict[str, Any], said: str, is_cut: bool
):
    with pytest.raises(ConfigError, match=said):
        load_model(config(**settings), files if is_cut else of_bytes(files, uncuttable(tools)))


@pytest.mark.parametrize("piece", ["front", "source", "generator", "tail"])
@pytest.mark.parametrize("fault", ["nan", "raise"])
def test_every_piece_is_run_again_on_another_session_and_the_failure_is_counted(
    files: ModelFiles,
    given: tuple[Any, ...],
    tools: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    piece: str,
    fault: str,
):
    """Not the windows alone."""
    sound = load_model(config(), files)
    [expected] = sound.model.parts(*given, windowed=False)
    break_first(monkeypatch, tools, piece, {0: fault})
    loaded = load_model(config(), files)
    [part] = loaded.model.parts(*given, windowed=False)
    np.testing.assert_array_equal(part.pcm, expected.pcm)
    first, stand_by = (each for each in loaded.model.statistics() if each["piece"] == piece)
    assert (first["num_runs"], first["num_failures"], stand_by["num_failures"]) == (0, 1, 0)
    assert stand_by["num_runs"] >= 1
    assert first["retired"]["reason"] == first["last_failure"] != ""


def break_first(monkeypatch: pytest.MonkeyPatch, tools: SimpleNamespace, piece: str, faults: dict[int, str]) -> None:
    """The first session of a piece has faults; later ones are sound."""
    load, broken_ones = OrtRuntime.load, []

    def loads(runtime: OrtRuntime, model: Path, shapes: Any = None) -> Any:
        session = load(runtime, model, shapes)
        if model.stem != piece or broken_ones:
            return session
        broken_ones.append(tools.Faulty(session, faults))
        return broken_ones[0]

    monkeypatch.setattr(OrtRuntime, "load", loads)


def test_two_runtimes_of_one_device_never_take_each_others_steps(
    files: ModelFiles, kokoro: Any, given: tuple[Any, ...], tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
):
    """The slower one would only be in the way of the faster."""
    other = OtherRuntime("openvino-cpu", lambda session: session)
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [OrtRuntime("cpu", num_threads=1), other])
    verdict().save(folder_of(files))
    loaded = load_model(config(runtimes=(CPU, "openvino-cpu")), files)
    loaded.model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
    ran = {part.runtime for _ in range(5) for part in loaded.model.parts(*given, windowed=True)}
    assert ran == {loaded.choices.runtimes[0]}
    assert loaded.num_devices == 1
    assert [each["is_stand_by"] for each in windows_of(loaded.model)] == [False, True, True]
    assert "; stands by for it" in loaded.choices.runtime_reasons[loaded.choices.runtimes[1]]
    assert "; it runs all that is no window" in loaded.choices.runtime_reasons[CPU]


def test_runtimes_of_several_devices_work_at_the_same_time(files: ModelFiles, monkeypatch: pytest.MonkeyPatch):
    gpu = OtherRuntime("fake-gpu", lambda session: session)
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [OrtRuntime("cpu", num_threads=1), gpu])
    verdict().save(folder_of(files))
    loaded = load_model(config(runtimes=(CPU, "fake-gpu")), files)
    assert loaded.num_devices == 2
    assert [each["is_stand_by"] for each in windows_of(loaded.model)] == [False, False, True]
    assert "works beside it, on a device of its own" in loaded.choices.runtime_reasons[loaded.choices.runtimes[1]]


def test_the_fastest_sound_runtime_wins_and_the_others_say_why_not(files: ModelFiles, kokoro: Any):
    silent = OtherRuntime("silent", Silent)
    candidates = [OrtRuntime("cpu", num_threads=1), broken("fake-gpu"), silent]
    choice = measure_runtimes(kokoro.pieces, candidates)
    assert choice.winner == CPU
    assert "no memory left" in choice.reasons["fake-gpu"]
    assert choice.reasons["silent"]
    assert set(choice.reasons) == {CPU, "fake-gpu", "silent"}


class Silent:
    """Gives nothing but zeros."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs

    def run(self, inputs: Any) -> Any:
        return {name: np.zeros_like(value) for name, value in self._session.run(inputs).items()}


def test_no_sound_runtime_at_all_is_a_sentence_with_the_next_step(kokoro: Any):
    with pytest.raises(ConfigError, match=r"no runtime here runs the model soundly: .*set kokoro\.runtimes") as caught:
        measure_runtimes(kokoro.pieces, [broken("one"), OtherRuntime("two", Silent)])
    assert "one: " in caught.value.message
    assert "two: " in caught.value.message


def test_named_runtimes_are_all_used_the_fastest_first(files: ModelFiles, monkeypatch: pytest.MonkeyPatch):
    """What is measured is kept in the profile: the second start measures nothing."""
    other = OtherRuntime("other", lambda session: session)
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [OrtRuntime("cpu", num_threads=1), other])
    verdict().save(folder_of(files))
    first = load_model(config(runtimes=(CPU, "other")), files).choices
    assert set(first.runtimes) == {CPU, "other"} == set(first.runtime_reasons)

    def measure(*_: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr(loading, "measure_runtimes", measure)
    assert load_model(config(runtimes=(CPU, "other")), files).choices == first
    auto = load_model(config(runtimes=("auto",)), files).choices
    assert auto.runtimes[0] == first.runtimes[0]


def test_a_winner_that_cannot_be_used_today_leaves_the_work_to_the_processor_and_says_why(
    files: ModelFiles,
    kokoro: Any,
    given: tuple[Any, ...],
    tools: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [broken("fake-gpu")])
    verdict().save(folder_of(files))
    loaded = load_model(config(runtimes=("auto",)), files)
    assert loaded.choices.runtimes == (CPU,)
    assert loaded.choices.runtime_reasons["fake-gpu"] == "fake-gpu: not used now: fake-gpu has no memory left"
    assert "cannot be used now: fake-gpu has no memory left" in caplog.text
    assert isinstance(loaded.model, CutModel)
    loaded.model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
    assert {part.runtime for part in loaded.model.parts(*given, windowed=True)} == {CPU}


def test_a_runtime_that_was_named_and_cannot_be_used_is_an_error(files: ModelFiles, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: [broken("fake-gpu")])
    verdict().save(folder_of(files))
    with pytest.raises(EngineError, match="fake-gpu has no memory left"):
        load_model(config(runtimes=("fake-gpu",)), files)


# A model that cannot.


def uncuttable(tools: SimpleNamespace) -> bytes:
    """A Kokoro model that has one Exp too many."""
    model = tools.load(tools.MODEL)
    model.graph.node.append(helper.make_node("Exp", ["style"], ["more"]))
    return model.SerializeToString()


def test_a_model_that_cannot_be_cut_is_decoded_whole_and_says_why(
    files: ModelFiles, given: tuple[Any, ...], tools: SimpleNamespace, caplog: pytest.LogCaptureFixture
):
    loaded = load_model(config(), of_bytes(files, uncuttable(tools)))
    assert isinstance(loaded.model, WholeModel)
    assert loaded.choices.decode == "whole"
    assert "expected one Exp" in loaded.choices.cut_problem
    assert loaded.choices.cut_problem in loaded.choices.decode_reason
    assert "clause by clause" in caplog.text
    [part] = loaded.model.parts(*given, windowed=True)
    assert len(part.pcm) > 10_000


def test_windows_that_are_asked_for_and_cannot_be_had_are_a_mistake(files: ModelFiles, tools: SimpleNamespace):
    with pytest.raises(ConfigError, match=r"kokoro\.decode is windowed, but the model cannot be cut: expected one Exp"):
        load_model(config(decode="windowed"), of_bytes(files, uncuttable(tools)))


def test_a_model_of_another_kind_is_refused(files: ModelFiles, tools: SimpleNamespace):
    conv = helper.make_node("Conv", ["x", "w"], ["y"])
    foreign = tools.model_of([conv], {"x": [1, 3, 8, 8]}, ["y"], {"w": np.zeros((4, 3, 1, 1), np.float32)})
    with pytest.raises(ConfigError, match=r"this is no Kokoro model: inputs x float32 .*set kokoro\.model"):
        load_model(config(), of_bytes(files, foreign.SerializeToString()))


@pytest.mark.parametrize("harm", ["empty", "truncated", "text", "zeros"])
def test_a_file_that_is_no_model_is_refused_with_the_next_step_and_nothing_else_is_said(
    files: ModelFiles, tools: SimpleNamespace, caplog: pytest.LogCaptureFixture, harm: str
):
    content = {
        "empty": b"",
        "truncated": tools.MODEL.read_bytes()[:500_000],
        "text": b"this is a text\n" * 1000,
        "zeros": bytes(10_000),
    }
    with pytest.raises(ConfigError, match=r"given\.onnx.*; copy or download it again; one that was pulled "):
        load_model(config(), of_bytes(files, content[harm]))
    assert caplog.text == ""


def test_without_the_package_of_graphs_the_extra_is_named(files: ModelFiles, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "firstaudio.engines.kokoro.surgery.graph", None)
    with pytest.raises(MissingExtraError, match=r"firstaudio\[kokoro\]"):
        load_model(config(), files)


# The decisions alone.


@pytest.mark.parametrize(
    ("asked", "found", "expected", "reason"),
    [
        ("whole", verdict(0.1), "whole", "kokoro.decode says so"),
        ("windowed", None, "windowed", "kokoro.decode says so"),
        ("windowed", verdict(9.0), "windowed", "kokoro.decode says so"),
        ("auto", None, "whole", NEVER_OPTIMIZED),
        ("auto", verdict(1.0), "windowed", "windows are 1.00 dB"),
        ("auto", verdict(1.01), "whole", "windows are too far from whole: mean distance 1.01 dB"),
        ("auto", verdict(math.nan), "whole", "windows are too far from whole: mean distance nan dB"),
    ],
)
def test_windows_are_taken_where_they_are_asked_for_or_were_found_faithful(
    asked: str, found: Verdict | None, expected: str, reason: str
):
    decode, why = decide_decode(asked, found, {"af_heart": "a"})
    assert decode == expected
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("asked", "found", "expected", "reason"),
    [
        ("bf16", None, "bf16", "kokoro.precision says so"),
        ("f32", verdict(0.1, 0.1), "f32", "kokoro.precision says so"),
        ("auto", None, "f32", NEVER_OPTIMIZED),
        ("auto", verdict(0.1), "f32", "no runtime here computed in bf16"),
        ("auto", verdict(0.1, 0.5), "auto", "bf16 is 0.50 dB from f32"),
        ("auto", verdict(0.1, 1.5), "f32", "bf16 is too far from f32: mean distance 1.50 dB"),
    ],
)
def test_bf16_is_taken_where_it_is_asked_for_or_was_found_faithful(
    asked: str, found: Verdict | None, expected: str, reason: str
):
    precision, why = decide_precision(asked, found, arithmetic_facts())
    assert precision == expected
    assert why.startswith(reason)


@pytest.mark.parametrize("bf16_db", [None, 0.1])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"openvino": "2027.1"}, 'openvino was "2026.4", is "2027.1"'),
        ({"processor": "Another"}, 'processor was "One", is "Another"'),
        ({"flags": ["avx512_bf16"]}, 'flags was ["amx_bf16"], is ["avx512_bf16"]'),
    ],
)
def test_what_was_found_of_bf16_elsewhere_allows_nothing_here(
    changed: dict[str, Any], said: str, bf16_db: float | None
):
    """As after an upgrade, or on another machine than the image was made on; f32 is the same everywhere."""
    facts = {"processor": "One", "architecture": "x86_64", "flags": ["amx_bf16"], "openvino": "2026.4"}
    found = replace(verdict(0.1, bf16_db), facts=facts)
    assert decide_precision("auto", found, facts)[0] == ("f32" if bf16_db is None else "auto")
    precision, why = decide_precision("auto", found, facts | changed)
    assert precision == "f32"
    assert why == f"bf16 was judged under other circumstances ({said}): run `firstaudio models optimize`"
    assert decide_decode("auto", found, {})[0] == "windowed"
