"""What `models optimize` tells on the way, and what it refuses before it begins."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.config import Config, KokoroConfig
from firstaudio.engines.kokoro import loading, optimize
from firstaudio.engines.kokoro.fidelity import read_verdict
from firstaudio.engines.kokoro.runtimes.figures import MIN_ROUNDS
from firstaudio.engines.kokoro.runtimes.measure import compare
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.engines.kokoro.runtimes.profile import arithmetic_facts
from firstaudio.engines.kokoro.sentences import SENTENCES, SHORT, SHORT_ENGLISH, measured_and_held_out, short
from firstaudio.engines.kokoro.store import ModelFiles
from firstaudio.engines.kokoro.windows import LENGTHS
from firstaudio.errors import ConfigError

CONFIG = Config(kokoro=KokoroConfig(runtimes=("onnxruntime-cpu", "other"), num_threads=1, g2p="espeak"))


@pytest.fixture
def files(kokoro: Any, tools: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFiles:
    """The small model, cut already, on a machine with two runtimes."""
    shutil.copytree(kokoro.files.pieces, tmp_path / "pieces")
    two = [OrtRuntime("cpu", num_threads=1), OrtRuntime("cpu", num_threads=1)]
    two[1].name = "other"
    monkeypatch.setattr(loading, "compare", partial(compare, rounds=MIN_ROUNDS))
    monkeypatch.setattr(loading, "resolve", lambda *_given, **_more: two)
    monkeypatch.setattr(optimize, "_bf16", lambda _: None)
    return ModelFiles(tools.MODEL, tools.VOICES, "own", tmp_path)


def steps_of(files: ModelFiles) -> list[str]:
    said: list[str] = []
    optimize.optimize(CONFIG, files, ["af_heart"], lambda what, _done, _total: said.append(what))
    return said


def test_each_runtime_is_told_and_a_second_run_says_what_it_uses_again(files: ModelFiles):
    first, second = steps_of(files), steps_of(files)

    assert first == [
        "the model is cut already",
        "measuring af_heart",
        "judging af_heart",
        "measuring runtimes: loading onnxruntime-cpu",
        "measuring runtimes: loading other",
        "measuring runtimes: warming onnxruntime-cpu",
        "measuring runtimes: warming other",
        f"measuring runtimes: {MIN_ROUNDS} rounds of all",
    ]
    assert second[:3] == first[:3]
    assert len(second) == 4
    assert second[3].startswith("runtimes: nothing has changed since they were measured, 20")


def test_pieces_that_were_damaged_are_cut_again(files: ModelFiles):
    """By a fault of the disk, which leaves a file's time as it was."""
    path = loading.pieces_of(files.model, files.pieces).path("tail")
    content, written_ns = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(written_ns, written_ns))

    assert steps_of(files)[0] == "cutting the model"
    assert path.read_bytes() == content


def test_short_texts_judge_too(files: ModelFiles):
    verdict = optimize.optimize(CONFIG, files, ["af_heart", "ef_dora"], lambda *_: None).verdict
    assert verdict.short is not None
    lengths = [each.num_frames for each in verdict.short.distances]
    assert 2 <= len(lengths) <= len(SHORT["en-us"]) + len(SHORT["es"])
    assert all(length is not None and length >= LENGTHS[0] for length in lengths)
    assert len(verdict.windowed.distances) == 4
    assert set(verdict.styles) == {"af_heart", "ef_dora"}
    assert verdict.facts == arithmetic_facts()
    assert read_verdict(loading.pieces_of(files.model, files.pieces).folder) == verdict


def test_no_text_both_measures_and_judges():
    assert set(SHORT) == set(SENTENCES)
    for language in SENTENCES:
        measured, held_out = measured_and_held_out(language)
        assert not {*measured} & {*held_out, *short(language)}
        assert len(short(language)) == len(SHORT_ENGLISH)


def test_what_could_not_be_kept_is_not_measured(files: ModelFiles, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    nowhere = ModelFiles(files.model, files.voices, "own", tmp_path / "file")
    said: list[Any] = []

    with pytest.raises(ConfigError, match="pieces cannot be written, so nothing that is measured could be kept"):
        optimize.optimize(CONFIG, nowhere, ["af_heart"], lambda *step: said.append(step))
    assert said == []


def test_a_file_that_is_no_model_is_not_said_to_be_decoded_whole(files: ModelFiles, tmp_path: Path):
    broken = tmp_path / "mine.onnx"
    broken.write_bytes(files.model.read_bytes()[:500_000])

    with pytest.raises(
        ConfigError, match=r"mine\.onnx is no ONNX file or a truncated one .*; copy or download it again"
    ):
        optimize.optimize(CONFIG, replace(files, model=broken), ["af_heart"], lambda *_: None)
