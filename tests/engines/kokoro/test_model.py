"""A model in memory, cut or as it came."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from firstaudio.engines.kokoro.dialect import read_dialect
from firstaudio.engines.kokoro.loaded_piece import whole_file_on
from firstaudio.engines.kokoro.model import CutModel, WholeModel, checked
from firstaudio.engines.kokoro.runtimes.board import RoutedSession
from firstaudio.engines.kokoro.sessions import Lazy
from firstaudio.errors import EngineError, RequestError

NUM_TOKENS = 60


@pytest.fixture
def cut(kokoro: Any, tools: SimpleNamespace, tmp_path: Path) -> CutModel:
    """With the statistics of one voice on one run."""
    model = kokoro.model_with({"one": kokoro.sessions["window"]}, tmp_path)
    model.voices.put(tools.VOICE, kokoro.statistics(kokoro.features(NUM_TOKENS)))
    return model


@pytest.fixture(scope="module")
def given(kokoro: Any, tools: SimpleNamespace) -> tuple[Any, ...]:
    return tools.ids(NUM_TOKENS), tools.VOICE, kokoro.style(NUM_TOKENS), 1.0, tools.SEED


def whole_file(kokoro: Any, tools: SimpleNamespace, folder: Path, dialect: str) -> WholeModel:
    path = folder / "model.onnx"
    path.write_bytes(tools.dialects[dialect](tools.load(tools.MODEL)).SerializeToString())
    return whole_model({"onnxruntime-cpu": kokoro.runtime.load(path)})


def whole_model(sessions: dict[str, Any]) -> WholeModel:
    """On these sessions; all but the first one stand by."""
    routed = [RoutedSession(name, each, is_stand_by=index > 0) for index, (name, each) in enumerate(sessions.items())]
    dialect = read_dialect(routed[0].session)
    return WholeModel(whole_file_on(routed, dialect), dialect)


def test_a_cut_model_speaks_in_windows_what_it_speaks_whole(
    cut: CutModel, given: tuple[Any, ...], tools: SimpleNamespace
):
    [whole] = cut.parts(*given, windowed=False)
    parts = list(cut.parts(*given, windowed=True))
    assert len(parts) > 3
    assert (whole.runtime, {part.runtime for part in parts}) == ("whole", {"one"})
    assert tools.snr_db(whole.pcm, np.concatenate([part.pcm for part in parts])) > 90
    for part in parts:
        np.testing.assert_array_equal(part.durations, whole.durations)


def test_a_run_that_is_too_short_for_windows_says_that_it_was_decoded_whole(
    cut: CutModel, kokoro: Any, given: tuple[Any, ...], tools: SimpleNamespace
):
    assert kokoro.features(1).num_frames < 16
    [short] = cut.parts(tools.ids(1), tools.VOICE, kokoro.style(1), 1.0, tools.SEED, windowed=True)
    assert (short.decode, short.runtime) == ("whole", "whole")
    assert {part.decode for part in cut.parts(*given, windowed=True)} == {"windowed"}
    assert {part.decode for part in cut.parts(*given, windowed=False)} == {"whole"}


def test_windows_are_for_voices_that_were_measured(cut: CutModel, tools: SimpleNamespace):
    assert cut.can_window
    assert cut.knows(tools.VOICE)
    assert not cut.knows("af_bella")
    assert not cut.knows(f"af_bella+{tools.VOICE}")


@pytest.mark.parametrize("num_steps", [0, 1, 2, 3])
def test_a_run_that_is_left_after_any_step_leaves_nothing_behind(cut: CutModel, given: tuple[Any, ...], num_steps: int):
    expected = [part.pcm for part in cut.parts(*given, windowed=True)]
    parts = cut.parts(*given, windowed=True)
    for _ in range(num_steps):
        next(parts)
    parts.close()
    assert all(each["num_queued"] == 0 for each in cut.statistics())
    for after, before in zip(cut.parts(*given, windowed=True), expected, strict=True):
        np.testing.assert_array_equal(after.pcm, before)


def test_what_was_done_is_counted(cut: CutModel, given: tuple[Any, ...]):
    parts = list(cut.parts(*given, windowed=True))
    [statistics] = cut.statistics()
    assert (statistics["name"], statistics["num_runs"]) == ("one", len(parts))


@pytest.mark.parametrize("dialect", ["tokens", "input_ids", "int_speed", "long_speed"])
def test_a_whole_file_speaks_in_every_dialect(
    kokoro: Any, tools: SimpleNamespace, tmp_path: Path, given: tuple[Any, ...], dialect: str
):
    model = whole_file(kokoro, tools, tmp_path, dialect)
    [part] = model.parts(*given, windowed=False)
    features = kokoro.features(NUM_TOKENS)
    assert len(part.pcm) == 600 * features.num_frames
    assert (part.pcm.dtype, part.runtime) == (np.float32, "onnxruntime-cpu")
    assert (model.can_window, model.knows(tools.VOICE)) == (False, False)
    [session] = model.statistics()
    assert (session["piece"], session["name"], session["num_runs"]) == ("model", "onnxruntime-cpu", 1)
    if dialect == "input_ids":
        np.testing.assert_array_equal(part.durations, features.durations)
    else:
        assert part.durations is None


@pytest.mark.parametrize("num_tokens", [1, 510])
def test_a_whole_file_speaks_the_shortest_and_the_longest_run(
    kokoro: Any, tools: SimpleNamespace, tmp_path: Path, num_tokens: int
):
    model = whole_file(kokoro, tools, tmp_path, "tokens")
    given = (tools.ids(num_tokens), tools.VOICE, kokoro.style(num_tokens), 1.0, tools.SEED)
    [part] = model.parts(*given, windowed=False)
    assert len(part.pcm) == 600 * kokoro.features(num_tokens).num_frames


def test_a_file_of_whole_speeds_says_which_speeds_go(kokoro: Any, tools: SimpleNamespace, tmp_path: Path):
    model = whole_file(kokoro, tools, tmp_path, "int_speed")
    given = (tools.ids(20), tools.VOICE, kokoro.style())
    with pytest.raises(RequestError, match=r"ask for speed 1, 2, 3 or 4, not 1\.5") as caught:
        list(model.parts(*given, 1.5, tools.SEED, windowed=False))
    assert caught.value.param == "speed"
    [natural] = model.parts(*given, 1.0, tools.SEED, windowed=False)
    [fast] = model.parts(*given, 2.0, tools.SEED, windowed=False)
    assert len(fast.pcm) < 0.7 * len(natural.pcm)


@pytest.mark.parametrize(
    ("pcm", "said"),
    [
        (np.zeros(0, np.float32), "gave no audio"),
        (np.float32([0.1, np.nan]), "not finite"),
        (np.float32([0.1, -np.inf]), "not finite"),
        (np.zeros(600, np.float32), "dead silence"),
        (np.full(600, 0.5, np.float32), "dead silence"),
    ],
)
def test_audio_that_cannot_be_speech_is_refused(pcm: Any, said: str):
    with pytest.raises(EngineError, match=said) as caught:
        checked(pcm)
    assert caught.value.retryable


def test_audio_that_can_be_speech_is_passed_on():
    pcm = np.float32([0.0, 1e-6, 0.0])
    assert checked(pcm) is pcm


@pytest.mark.parametrize("fault", ["nan", "constant", "raise"])
def test_a_whole_file_that_gives_no_speech_fails_the_segment(kokoro: Any, tools: SimpleNamespace, fault: str, tmp_path):
    session = tools.Faulty(kokoro.runtime.load(tools.MODEL), {0: fault})
    model = whole_model({"one": session})
    given = (tools.ids(20), tools.VOICE, kokoro.style(), 1.0, tools.SEED)
    with pytest.raises(EngineError) as caught:
        list(model.parts(*given, windowed=False))
    assert caught.value.retryable
    assert model.statistics()[0]["num_failures"] == 1
    assert len(list(model.parts(*given, windowed=False))) == 1


@pytest.mark.parametrize("fault", ["nan", "constant", "raise"])
def test_a_whole_file_that_gives_no_speech_is_run_by_the_session_that_stands_by(
    kokoro: Any, tools: SimpleNamespace, fault: str
):
    sound = kokoro.runtime.load(tools.MODEL)
    model = whole_model({"broken": tools.Faulty(sound, {0: fault}), "stand-by": Lazy(lambda: sound)})
    [part] = model.parts(tools.ids(20), tools.VOICE, kokoro.style(), 1.0, tools.SEED, windowed=False)
    broken, stand_by = model.statistics()
    assert (part.runtime, broken["num_failures"], stand_by["num_runs"]) == ("stand-by", 1, 1)
    assert broken["retired"] is not None
