"""Loaded pieces, and what happens when one of them fails in the middle of a stream."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from firstaudio.engines.kokoro.loaded_piece import is_sound
from firstaudio.engines.kokoro.sessions import ByLength, Lazy, load_window, window_shapes
from firstaudio.errors import EngineError


class Named:
    """Gives its name."""

    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, _inputs: Any) -> Any:
        return {"name": self.name}


class LooseRuntime:
    """Takes every shape."""

    name = "loose"

    def load(self, _model: Path, shapes: Any = None) -> Any:
        return Named("any" if shapes is None else str(shapes["hidden"][2]))


class FixedRuntime(LooseRuntime):
    """Compiles each shape for itself."""

    name = "fixed"

    def load_each(self, model: Path, shapes: Any) -> Any:
        return [self.load(model, each) for each in shapes]


def test_a_lazy_session_is_loaded_once_when_it_is_needed():
    loads: list[str] = []

    def load() -> Any:
        loads.append("loaded")
        return Named("stand-by")

    session = Lazy(load)
    assert loads == []
    assert session.run({}) == session.run({}) == {"name": "stand-by"}
    assert loads == ["loaded"]


def test_a_lazy_session_that_could_not_be_loaded_is_tried_again():
    loads = iter([EngineError("no memory"), Named("stand-by")])

    def load() -> Any:
        found = next(loads)
        if isinstance(found, EngineError):
            raise found
        return found

    session = Lazy(load)
    with pytest.raises(EngineError, match="no memory"):
        session.run({})
    assert session.run({}) == {"name": "stand-by"}


def test_a_window_goes_to_the_session_of_its_length():
    session = ByLength({16: Named("16"), 32: Named("32")})
    assert session.run({"hidden": np.zeros((1, 4, 64))}) == {"name": "32"}
    assert session.run({"hidden": np.zeros((1, 4, 32))}) == {"name": "16"}


def test_shapes_are_those_that_the_window_piece_takes(kokoro: Any):
    shapes = window_shapes(16, kokoro.pieces.anchors, len(kokoro.pieces.norms.scale))
    inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert kokoro.sessions["window"].run(inputs)["x"].shape == (1, 22, 16 * 120 + 1)


def test_a_runtime_that_fixes_shapes_compiles_every_length(kokoro: Any):
    shapes = {length: window_shapes(length, kokoro.pieces.anchors, 8) for length in (16, 32)}
    fixed = load_window(FixedRuntime(), Path("window"), shapes)
    assert fixed.run({"hidden": np.zeros((1, 16, 64))}) == {"name": "64"}
    assert fixed.run({"hidden": np.zeros((1, 16, 32))}) == {"name": "32"}
    assert load_window(LooseRuntime(), Path("window"), shapes).run({}) == {"name": "any"}


@pytest.mark.parametrize(
    ("x", "sound"),
    [
        (np.float32([[1.0, 2.0]]), True),
        (np.float32([[0.0, 0.0]]), False),
        (np.float32([[3.0, 3.0]]), False),
        (np.float32([[1.0, np.nan]]), False),
        (np.float32([[1.0, np.inf]]), False),
    ],
)
def test_spectra_are_sound_when_finite_and_not_constant(x: Any, sound: bool):
    assert is_sound({"x": x}, ["x"]) is sound


def test_numbers_of_frames_are_no_sound_and_a_curve_may_be_flat():
    outputs = {"hidden": np.float32([1.0, 2.0]), "f0": np.zeros(4, np.float32), "durations": np.int64([1, 1])}
    assert is_sound(outputs, ["hidden"])
    assert not is_sound(outputs, ["f0"])
    assert not is_sound(outputs | {"f0": np.float32([np.nan, 0.0])}, ["hidden"])


@pytest.mark.parametrize("fault", ["raise", "nan", "constant"])
@pytest.mark.parametrize("step", [0, 2, 4])
def test_a_step_that_fails_in_mid_stream_is_done_again_elsewhere_and_counted(
    kokoro: Any, tools: SimpleNamespace, tmp_path: Path, fault: str, step: int
):
    window = kokoro.sessions["window"]
    given = (tools.ids(120), tools.VOICE, kokoro.style(120), 1.0, tools.SEED)

    def speak(faults: dict[int, str]) -> tuple[Any, list[Any], list[Any]]:
        fast = tools.Faulty(window, faults)
        model = kokoro.model_with({"fast": fast, "stand-by": Lazy(lambda: tools.Faulty(window))}, tmp_path)
        model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(120)))
        parts = list(model.parts(*given, windowed=True))
        return np.concatenate([part.pcm for part in parts]), [part.runtime for part in parts], model.statistics()

    sound, names, _ = speak({})
    assert set(names) == {"fast"}
    audio, names, (fast, stand_by) = speak({step: fault})
    np.testing.assert_array_equal(audio, sound)
    assert names == ["fast"] * step + ["stand-by"] * (len(names) - step)
    assert (fast["num_runs"], fast["num_failures"]) == (step, 1)
    assert (stand_by["num_runs"], stand_by["num_failures"]) == (len(names) - step, 0)
    reason = "it fell over" if fault == "raise" else "its output was not finite, or silent"
    assert fast["retired"]["reason"] == reason == fast["last_failure"]


def test_a_step_that_fails_everywhere_fails_the_segment_and_the_next_one_speaks(
    kokoro: Any, tools: SimpleNamespace, tmp_path: Path
):
    window = kokoro.sessions["window"]
    model = kokoro.model_with(
        {"a": tools.Faulty(window, {1: "raise"}), "b": tools.Faulty(window, {0: "nan"})}, tmp_path
    )
    model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(60)))
    given = (tools.ids(60), tools.VOICE, kokoro.style(60), 1.0, tools.SEED)
    parts = model.parts(*given, windowed=True)
    assert next(parts).runtime == "a"
    with pytest.raises(EngineError):
        next(parts)
    assert [each["num_failures"] for each in model.statistics()] == [1, 1]
    assert len(list(model.parts(*given, windowed=True))) > 2
