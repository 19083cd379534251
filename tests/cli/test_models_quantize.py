"""`firstaudio models quantize`: the answer in numbers, on a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from firstaudio.engines.kokoro import quantize as module
from firstaudio.engines.kokoro.fidelity import Comparison, Distance
from firstaudio.engines.kokoro.quantize import Report, Variant
from firstaudio.engines.kokoro.quantize_draft import Measured
from firstaudio.engines.kokoro.quantize_trial import Fidelity, Speed
from firstaudio.engines.kokoro.runtimes.figures import Ratio

DATA = Path(__file__).parents[1] / "data" / "kokoro"


def measured(sha256: str, num_bytes: int, ratio: Ratio | None) -> Measured:
    return Measured(sha256, num_bytes, 5 * num_bytes, (Speed(20, 12.0, (8.0,) * 6, ratio),))


def fidelity(lsd_db: float) -> Fidelity:
    return Fidelity(Comparison("x", (Distance(lsd_db, 12.5),)), 2, 100, 3, False)


GOOD = Variant(
    "matmul",
    measured("b" * 64, 1_000_000, Ratio(1.2, 1.1, 1.3)),
    {"MatMulInteger": 83},
    fidelity(0.4),
    "",
    True,
    ("faster",),
    Path("/models/m.int8-matmul.onnx"),
)
BAD = replace(GOOD, kind="lstm", passes=False, reasons=("too far", "too slow"), path=None, is_dropped=True)
BROKEN = Variant("conv", None, {}, None, "", False, ("onnxruntime cannot quantise it",))
REPORT = Report(
    Path("/models/m.onnx"),
    measured("a" * 64, 2_000_000, None),
    fidelity(7.5),
    (GOOD, BAD, BROKEN),
    6,
    "onnxruntime 9",
    "2026-01-01",
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Report], SimpleNamespace]:
    """Answer with a report; what was asked for is noted."""
    monkeypatch.setenv("FIRSTAUDIO_MODEL_FOLDER", str(tmp_path))
    monkeypatch.setenv("FIRSTAUDIO_KOKORO_MODEL", str(DATA / "model.onnx"))

    def answer(report: Report) -> SimpleNamespace:
        noted = SimpleNamespace()

        def quantize(config, files, kinds, rounds, progress, *, keep):
            noted.files, noted.kinds, noted.rounds, noted.keep = files, kinds, rounds, keep
            progress("quantising: matmul", 0, 3)
            return report

        monkeypatch.setattr(module, "quantize", quantize)
        return noted

    return answer


def test_a_table_a_reason_for_each_and_what_to_do_next(run, asked):
    noted = asked(REPORT)
    result = run("models", "quantize")
    lines = [" ".join(line.split()) for line in result.stdout.decode().splitlines()]

    assert (result.exit_code, noted.kinds, noted.rounds, noted.keep) == (0, ["matmul", "lstm", "conv"], 7, False)
    assert "original aaaaaaaaaaaa 2.0 10.0 12 ms other noise: 7.50 dB, worst 7.50 (1/2)" in lines
    assert "matmul bbbbbbbbbbbb 1.0 5.0 12 ms 1.20x [1.10, 1.30] 0.40 dB, worst 0.40 (1/2) kept" in lines
    assert "conv - - - - - not kept" in lines
    assert "matmul: kept: faster" in lines
    assert "lstm: not kept: too far; too slow" in lines
    assert "conv: not kept: onnxruntime cannot quantise it" in lines
    assert "durations differ in 3 of 100 tokens and 1 of 2 sentences" in lines
    assert "the file of an earlier run was removed" in lines
    assert "firstaudio: quantising: matmul (1/3)" in result.stderr
    assert f"--kokoro-model /models/m.int8-matmul.onnx --kokoro-voices {DATA / 'voices.bin'}" in result.stderr


def test_what_is_kept_against_the_reasons_says_so(run, asked):
    asked(replace(REPORT, variants=(replace(BAD, path=Path("/models/x.onnx"), is_dropped=False),)))
    result = run("models", "quantize", "--keep")

    assert "lstm: kept, because of --keep, though: too far; too slow" in result.stdout.decode()


def test_the_same_as_json(run, asked):
    noted = asked(REPORT)
    result = run("models", "quantize", "--json", "--kinds", "matmul, conv,matmul", "--rounds", "9", "--keep")
    found = json.loads(result.stdout)

    assert (result.exit_code, noted.kinds, noted.rounds, noted.keep) == (0, ["matmul", "conv"], 9, True)
    assert (found["original"]["sha256"], found["seeds"]["mean_db"], found["rounds"]) == ("a" * 64, 7.5, 6)
    good, _, broken = found["variants"]
    assert (good["kind"], good["passes"], good["is_kept"], good["path"]) == (
        "matmul",
        True,
        True,
        "/models/m.int8-matmul.onnx",
    )
    assert good["speeds"][0]["ratio"] == {"value": 1.2, "low": 1.1, "high": 1.3}
    assert (good["speeds"][0]["rtf"], good["fidelity"]["num_differing"]) == (0.008, 3)
    assert (broken["is_kept"], broken["fidelity"], broken["reasons"]) == (
        False,
        None,
        ["onnxruntime cannot quantise it"],
    )


def test_nothing_measured_is_a_failure(run, asked):
    asked(replace(REPORT, variants=(BROKEN,)))

    assert run("models", "quantize").exit_code == 1


def test_nothing_kept_is_an_answer(run, asked):
    asked(replace(REPORT, variants=(BAD,)))

    assert run("models", "quantize").exit_code == 0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--kinds", "float3", "there is no kind 'float3'"), ("--rounds", "2", "at least 6 rounds")],
)
def test_a_wrong_word_is_told(run, asked, option: str, value: str, said: str):
    result = run("models", "quantize", option, value)

    assert (result.exit_code, said in result.stderr) == (2, True)


def test_files_can_be_named(run, asked, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FIRSTAUDIO_KOKORO_MODEL")
    noted = asked(REPORT)
    run("models", "quantize", "--model", str(DATA / "model.onnx"), "--voices-file", str(DATA / "voices.bin"))

    assert (noted.files.model, noted.files.voices) == (DATA / "model.onnx", DATA / "voices.bin")


def test_without_model_files_the_command_that_fetches_them_is_told(run, asked, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FIRSTAUDIO_KOKORO_MODEL")
    result = run("models", "quantize")

    assert (result.exit_code, "firstaudio models pull kokoro" in result.stderr) == (2, True)
