"""Variants are other files that are really run, compared in the same noise, and kept only for a reason."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firstaudio.config import Config, KokoroConfig, ModelConfig
from firstaudio.engines.kokoro import quantize as keeping
from firstaudio.engines.kokoro import quantize_draft as module
from firstaudio.engines.kokoro import quantize_trial
from firstaudio.engines.kokoro.fidelity import Comparison, Distance
from firstaudio.engines.kokoro.model import Part
from firstaudio.engines.kokoro.quantize import Report, check, quantize
from firstaudio.engines.kokoro.quantize_draft import Kind
from firstaudio.engines.kokoro.quantize_graph import examine, give_noise
from firstaudio.engines.kokoro.quantize_trial import (
    Fidelity,
    Speaker,
    Speed,
    Timing,
    Words,
    compare_speech,
    judge,
    peak_bytes,
    time_files,
)
from firstaudio.engines.kokoro.runtimes.figures import MIN_ROUNDS, Ratio
from firstaudio.engines.kokoro.store import ModelFiles, find, read_manifest, verify
from firstaudio.errors import ConfigError, EngineError

DATA = Path(__file__).parents[2] / "data" / "kokoro"
MODEL = DATA / "model.onnx"
WORDS = Words(tuple(range(1, 9)), np.full((1, 256), 0.1, np.float32))


def config(folder: Path, model: Path = MODEL) -> Config:
    kokoro = KokoroConfig(model=str(model), voices=str(DATA / "voices.bin"), g2p="espeak")
    return Config(kokoro=kokoro, model=ModelConfig(folder=str(folder)))


def tell_nobody(what: str, done: int, total: int) -> None:
    assert 0 <= done < total, what


def run(folder: Path, *kinds: str, keep: bool = False) -> Report:
    used = config(folder)
    return quantize(used, find(used), kinds, MIN_ROUNDS, tell_nobody, keep=keep)


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """Few words: what is measured is another one's business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "TIMED_TOKENS", (2, 4))
        patch.setattr(keeping, "MAX_VOICES", 1)
        patch.setattr(keeping, "measured_and_held_out", lambda _: ((), ("Good evening.", "Yes, of course!")))
        yield


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """All is quantised, nothing is kept, because weights without meaning bear no rounding."""
    folder = tmp_path_factory.mktemp("models")
    return folder, run(folder, "matmul", "conv")


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is weighed or timed."""

    def time(timings: list[Timing], *_: object) -> None:
        for timing in timings:
            timing.speeds = (speed(1.0, 0.9, 1.1),)

    monkeypatch.setattr(module, "peak_bytes", lambda *_: 1)
    monkeypatch.setattr(module, "time_files", time)


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_each_variant_is_a_file_of_its_own_that_computes_in_integers(refused: tuple[Path, Report]):
    report = refused[1]
    matmul, conv = report.variants

    assert len({report.original.sha256, matmul.measured.sha256, conv.measured.sha256}) == 3
    assert set(matmul.operators) == {"MatMulInteger"}
    assert set(conv.operators) == {"MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM"}
    assert [variant.fidelity.is_same for variant in report.variants] == [False, False]


def test_each_is_timed_at_both_lengths_against_the_original(refused: tuple[Path, Report]):
    report = refused[1]

    assert [speed.ratio for speed in report.original.speeds] == [None, None]
    for variant in report.variants:
        assert [speed.num_tokens for speed in variant.measured.speeds] == [2, 4]
        assert all(len(speed.per_audio_s) == report.rounds and speed.ratio for speed in variant.measured.speeds)
        assert variant.measured.peak_bytes > variant.measured.num_bytes
        assert variant.is_measured


def test_what_sounds_different_is_not_kept_and_nothing_is_left_of_it(refused: tuple[Path, Report]):
    folder, report = refused

    assert [(variant.passes, variant.path) for variant in report.variants] == [(False, None), (False, None)]
    assert all(any("mean distance" in reason for reason in variant.reasons) for variant in report.variants)
    assert left_over(folder) == []


def test_a_variant_that_cannot_be_cut_is_refused_for_it(refused: tuple[Path, Report]):
    matmul, conv = refused[1].variants

    assert (matmul.cut_problem, conv.cut_problem != "") == ("", True)
    assert any(reason.startswith("it cannot be cut") for reason in conv.reasons)


def test_the_difference_of_two_noises_is_stated_beside(refused: tuple[Path, Report]):
    assert refused[1].seeds.comparison.mean_db > 1


def test_what_is_kept_is_listed_whole_and_loads(tmp_path: Path, light: None):
    variant = run(tmp_path, "matmul", keep=True).variants[0]

    (stored,) = read_manifest(tmp_path / "own").files
    assert (stored.file, stored.variant, stored.sha256) == (
        variant.path.name,
        "int8-matmul",
        variant.measured.sha256,
    )
    assert verify(tmp_path, "own") == {variant.path.name: "ok"}
    assert examine(variant.path).operators == variant.operators
    assert not variant.passes
    with pytest.raises(ConfigError, match=r"is quantised already \(83 MatMulInteger\)"):
        quantize(config(tmp_path, variant.path), find(config(tmp_path, variant.path)), ["conv"], 6, tell_nobody)


@pytest.mark.slow
def test_what_an_earlier_run_kept_goes_when_it_is_not_worth_it(tmp_path: Path, light: None):
    kept = run(tmp_path, "matmul", keep=True).variants[0]
    again = run(tmp_path, "matmul").variants[0]

    assert (kept.is_dropped, again.is_dropped, again.path) == (False, True, None)
    assert (left_over(tmp_path), read_manifest(tmp_path / "own").files) == (["manifest.json"], ())


def test_what_is_worth_it_is_kept(tmp_path: Path, light: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping, "judge", lambda *_: (True, ("half the size",)))
    variant = run(tmp_path, "matmul").variants[0]

    assert (variant.passes, variant.reasons, variant.path.is_file()) == (True, ("half the size",), True)


def test_a_quantiser_that_changes_nothing_is_found_out(tmp_path: Path, light: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_quantize", lambda source, target, kind: shutil.copyfile(source, target))
    variant = run(tmp_path, "matmul").variants[0]

    assert (variant.passes, variant.is_measured) == (False, False)
    assert variant.reasons == ("it did nothing: the model has no MatMul of fixed weights",)


def test_outputs_that_are_the_originals_are_found_out(tmp_path: Path, light: None, monkeypatch: pytest.MonkeyPatch):
    """The file is another one and says that it computes in integers, and yet the original is what runs."""
    spoken = module.Workplace._spoken
    monkeypatch.setattr(module.Workplace, "_spoken", lambda trial, path, words: spoken(trial, MODEL, words))
    variant = run(tmp_path, "matmul").variants[0]

    assert variant.fidelity.is_same
    assert "it did nothing: every output is the original's, bit for bit" in variant.reasons


def test_a_kind_that_cannot_be_made_does_not_hinder_the_others(
    tmp_path: Path, light: None, monkeypatch: pytest.MonkeyPatch
):
    made = module._quantize

    def fail(source: Path, target: Path, kind: Kind) -> None:
        if "Conv" in kind.operators:
            raise EngineError("onnxruntime cannot quantise it: no reason")
        made(source, target, kind)

    monkeypatch.setattr(module, "_quantize", fail)
    conv, matmul = run(tmp_path, "conv", "matmul").variants

    assert (conv.is_measured, conv.measured, conv.reasons) == (
        False,
        None,
        ("onnxruntime cannot quantise it: no reason",),
    )
    assert matmul.is_measured


def test_what_the_quantiser_raises_is_told(tmp_path: Path):
    with pytest.raises(EngineError, match="cannot quantise it"):
        module._quantize(DATA / "voices.bin", tmp_path / "made.onnx", module.KINDS["matmul"])


def test_a_disk_that_becomes_full_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fill(source: Path, target: Path, kind: Kind) -> None:
        target.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_quantize", fill)
    with pytest.raises(ConfigError, match=r"is full: 6 MB are needed"):
        run(tmp_path, "matmul")

    assert left_over(tmp_path) == []


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping, "free_bytes", lambda _: 1000)
    with pytest.raises(ConfigError, match="is full"):
        run(tmp_path, "matmul")


def test_what_is_no_model_is_told(tmp_path: Path):
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"<html>")
    files = ModelFiles(foreign, DATA / "voices.bin", "own", tmp_path / "own")
    with pytest.raises(ConfigError, match=r"is no ONNX model.*kokoro\.model"):
        quantize(config(tmp_path, foreign), files, ["matmul"], 6, tell_nobody)


@pytest.mark.parametrize(
    ("kinds", "rounds", "said"),
    [
        (["float3"], 6, "there is no kind 'float3'; kinds are matmul, lstm, conv"),
        ([], 6, "at least one kind"),
        (["matmul"], 5, "at least 6 rounds"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(kinds: list[str], rounds: int, said: str):
    with pytest.raises(ConfigError, match=said):
        check(kinds, rounds)


def test_given_noise_is_the_same_in_every_session_and_every_run(tmp_path: Path):
    give_noise(MODEL, tmp_path / "one.onnx", None)
    give_noise(MODEL, tmp_path / "other.onnx", None)
    one, other, own = (Speaker(path, 1) for path in (tmp_path / "one.onnx", tmp_path / "other.onnx", MODEL))
    said = [each.say(WORDS).pcm for each in (one, one, other, own, own)]

    np.testing.assert_array_equal(said[0], said[1])
    np.testing.assert_array_equal(said[0], said[2])
    assert not np.array_equal(said[3], said[4])


def test_a_copy_with_given_noise_tells_durations_where_the_file_does_not(tmp_path: Path):
    give_noise(MODEL, tmp_path / "copy.onnx", examine(MODEL).durations)

    assert Speaker(MODEL, 1).say(WORDS).durations is None
    part = Speaker(tmp_path / "copy.onnx", 1).say(WORDS)
    assert (len(part.durations), 600 * part.durations.sum()) == (len(WORDS.ids) + 2, len(part.pcm))


def part(*durations: int, level: float = 1.0) -> Part:
    pcm = np.random.default_rng(0).standard_normal(600 * sum(durations)).astype(np.float32)
    return Part(pcm * np.float32(level), "fake", np.array(durations), "whole")


def test_sentences_of_other_durations_are_counted_and_not_compared():
    found = compare_speech("x", [part(1, 2, 3), part(2, 2)], [part(1, 3, 2), part(2, 2, level=1.01)])

    assert (found.num_tokens, found.num_differing, found.num_compared) == (5, 2, 1)
    assert found.rhythm == "durations differ in 2 of 5 tokens and 1 of 2 sentences"
    assert found.failures == []


def test_too_few_comparable_sentences_are_a_refusal_with_the_number():
    found = compare_speech("x", [part(1, 2), part(2, 2), part(3)], [part(1, 1), part(2, 3), part(3)])

    assert found.failures == [
        "durations differ in 2 of 5 tokens and 2 of 3 sentences: at least 50% of the sentences must be comparable"
    ]


def test_without_durations_lengths_are_compared():
    one, other = part(1, 2), part(1, 3)
    one.durations = other.durations = None
    found = compare_speech("x", [one], [other])

    assert (found.comparison, found.rhythm) == (None, "1 of 1 sentences are of another length")
    assert len(found.failures) == 1


def fidelity(*lsd_db: float) -> Fidelity:
    return Fidelity(Comparison("x", tuple(Distance(each, 9.0) for each in lsd_db)), len(lsd_db), 10, 0, False)


def speed(value: float, low: float, high: float) -> Speed:
    return Speed(20, 10.0, (1.0,) * 6, Ratio(value, low, high))


NEAR, FASTER, EQUAL = fidelity(0.5, 0.7), speed(1.5, 1.4, 1.6), speed(1.0, 0.95, 1.05)
SLOWER, DOUBTFUL = speed(0.8, 0.7, 0.9), speed(0.9, 0.5, 1.2)


@pytest.mark.parametrize(
    ("found", "speeds", "num_bytes", "lost_cut", "passes", "reason"),
    [
        (NEAR, [FASTER, EQUAL], 100, "", True, "faster for 20 tokens (1.50x, 95 % interval 1.40 to 1.60)"),
        (NEAR, [EQUAL, EQUAL], 70, "", True, "30% smaller"),
        (NEAR, [EQUAL, EQUAL], 80, "", False, "neither faster beyond doubt nor smaller by 25% (it is by 20%)"),
        (NEAR, [FASTER, SLOWER], 30, "", False, "slower for 20 tokens (0.80x, 95 % interval 0.70 to 0.90)"),
        (NEAR, [DOUBTFUL], 30, "", False, "probably slower for 20 tokens (0.90x, 95 % interval 0.50 to 1.20)"),
        (NEAR, [FASTER], 30, "no Exp", False, "it cannot be cut, so that it could not be decoded in windows: no Exp"),
        (fidelity(1.5, 1.5), [FASTER], 30, "", False, "mean distance 1.50 dB, at most 1 is allowed"),
        (fidelity(0.1, 2.5, 0.1), [FASTER], 30, "", False, "worst distance 2.50 dB, at most 2 is allowed"),
    ],
)  # fmt: skip
def test_a_variant_is_kept_for_a_reason(
    found: Fidelity, speeds: list[Speed], num_bytes: int, lost_cut: str, passes: bool, reason: str
):
    assert judge(found, speeds, num_bytes, 100, lost_cut) == (passes, (reason, *_more(passes, num_bytes, reason)))


def _more(passes: bool, num_bytes: int, reason: str) -> tuple[str, ...]:
    """What else speaks for one that passes."""
    smaller = f"{1 - num_bytes / 100:.0%} smaller"
    return (smaller,) if passes and num_bytes <= 75 and reason != smaller else ()


class Stopwatch:
    """A clock that a fake speaker moves on."""

    def __init__(self) -> None:
        self.now = 0
        self.order: list[str] = []

    def __call__(self) -> int:
        return self.now

    def load(self, path: Path, num_threads: int) -> FakeSpeaker:
        if path.stem == "missing":
            raise ConfigError("no such file")
        return FakeSpeaker(self, path.stem)


class FakeSpeaker:
    """Needs 10 ms for a second of audio; "quick" half of it; "short" speaks half as long, in half the time."""

    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch, self._name = watch, name

    def say(self, words: Words) -> Part:
        self._watch.order.append(self._name)
        if self._name == "dies" and len(self._watch.order) > 12:
            raise EngineError("it died")
        audio_s = len(words.ids) * (0.5 if self._name == "short" else 1.0)
        self._watch.now += int(audio_s * 10e6 * (0.5 if self._name == "quick" else 1))
        return Part(np.ones(int(audio_s * 24_000), np.float32), self._name, None, "whole")


def timed(*names: str) -> tuple[dict[str, Timing], Stopwatch]:
    watch = Stopwatch()
    timings = [Timing(name, Path(f"{name}.onnx")) for name in names]
    time_files(timings, [WORDS], MIN_ROUNDS, 1, tell_nobody, clock=watch, load=watch.load)
    return {timing.name: timing for timing in timings}, watch


def test_files_are_timed_in_rounds_by_the_audio_that_they_make():
    found, watch = timed("original", "quick", "short")
    (quick,), (short,) = found["quick"].speeds, found["short"].speeds

    assert (quick.ratio, short.ratio) == (Ratio(2.0, 2.0, 2.0), Ratio(1.0, 1.0, 1.0))
    assert (quick.step_ms, quick.rtf, short.step_ms) == (40.0, 0.005, 40.0)
    rounds = [watch.order[begin : begin + 3] for begin in range(3, len(watch.order), 3)]
    assert len(rounds) == MIN_ROUNDS
    assert all(sorted(each) == ["original", "quick", "short"] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_a_file_that_fails_is_out_and_the_others_go_on():
    found, _ = timed("original", "missing", "dies", "quick")

    assert (found["missing"].problem, found["dies"].problem) == ("no such file", "it died")
    assert (found["missing"].speeds, found["dies"].speeds, len(found["quick"].speeds)) == ((), (), 1)


def test_memory_is_that_of_a_process_of_its_own():
    """numpy's and onnxruntime's code alone take 20 MB; what this process holds does not count."""
    ballast = np.ones(40_000_000)
    found = peak_bytes(MODEL, WORDS, 1)

    assert 20e6 < found < ballast.nbytes


def test_a_process_that_fails_says_why():
    with pytest.raises(ConfigError, match="no ONNX"):
        peak_bytes(DATA / "voices.bin", WORDS, 1)


def test_memory_is_told_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quantize_trial.sys, "platform", "darwin")
    assert quantize_trial._most_resident() * 1024 > 20e6
