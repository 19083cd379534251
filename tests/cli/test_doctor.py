"""`firstaudio doctor`: everything is tried, nothing is guessed."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from firstaudio.audio.encode import FORMATS
from firstaudio.engines.kokoro.fidelity import Comparison, Distance, Verdict
from firstaudio.engines.kokoro.pieces import pieces_of
from firstaudio.engines.kokoro.runtimes import detect
from firstaudio.engines.kokoro.runtimes.figures import Choice, Figures
from firstaudio.engines.kokoro.runtimes.profile import MachineProfile, arithmetic_facts, machine_facts, profile_path

TINY = Path(__file__).parents[1] / "data" / "kokoro" / "model.onnx"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models: empty."""
    monkeypatch.setenv("FIRSTAUDIO_MODEL_FOLDER", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model, in onnxruntime alone, so that nothing is measured."""
    monkeypatch.setenv("FIRSTAUDIO_KOKORO_MODEL", str(TINY))
    monkeypatch.setenv("FIRSTAUDIO_KOKORO_RUNTIMES", "onnxruntime-cpu")


@pytest.fixture
def pieces(folder: Path, tiny: None) -> Path:
    """Where the tiny model's pieces lie."""
    return pieces_of(TINY, folder / "own" / "pieces").folder


@pytest.fixture
def checks(run, quick, sound):
    """Run the doctor; the checks by name, and the exit code."""

    def examine(*arguments: str) -> tuple[dict[str, dict[str, str]], int]:
        result = run("doctor", "--json", *arguments)
        return {check["name"]: check for check in json.loads(result.stdout)}, result.exit_code

    return examine


def test_a_whole_installation_is_well(checks):
    found, exit_code = checks()

    assert exit_code == 0
    assert {"ok"} == {found[name]["status"] for name in ("firstaudio", "packages", "configuration", "engine synthetic")}
    assert {"ok"} == {found[f"format {name}"]["status"] for name in FORMATS}
    assert "a word began after" in found["engine synthetic"]["detail"]


def test_espeak_is_started_and_made_to_speak(checks):
    found, _ = checks()

    assert found["engine espeak"]["status"] == "ok"
    assert "espeak-ng 1." in found["engine espeak"]["detail"]
    assert found["espeak-ng library"]["status"] == "ok"


def test_an_engine_that_is_wanted_and_broken_fails(checks, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "espeak")
    monkeypatch.setenv("FIRSTAUDIO_ESPEAK_LIBRARY", "/nowhere/libespeak-ng.so")
    found, exit_code = checks()

    assert (exit_code, found["engine espeak"]["status"]) == (1, "broken")
    assert "engine.names" in found["engine espeak"]["remedy"]


def test_an_engine_that_nobody_wants_may_be_broken(checks, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ESPEAK_LIBRARY", "/nowhere/libespeak-ng.so")
    found, exit_code = checks()

    assert (exit_code, found["engine espeak"]["status"]) == (0, "optional")


def test_a_default_voice_that_nobody_has_is_broken_and_the_engines_are_well(checks, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_DEFAULT_VOICE", "nobody")
    found, exit_code = checks()

    assert (exit_code, found["default voice"]["status"]) == (1, "broken")
    assert {"ok"} == {found[f"engine {name}"]["status"] for name in ("synthetic", "espeak")}


def test_a_broken_configuration_is_found_and_the_rest_is_still_tried(checks, tmp_path):
    file = tmp_path / "firstaudio.toml"
    file.write_text("[server]\nprot = 1\n")
    found, exit_code = checks("--config", str(file))

    assert (exit_code, found["configuration"]["status"]) == (1, "broken")
    assert "did you mean server.port?" in found["configuration"]["detail"]
    assert found["format wav"]["status"] == "ok"


def test_a_port_that_is_taken_is_told(checks, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("FIRSTAUDIO_SERVER_PORT", str(port))
        found, exit_code = checks()

    assert (exit_code, found["port"]["status"]) == (0, "info")
    assert found["port"]["detail"].startswith(f"port {port} in use")


def test_a_missing_extra_is_told_with_what_to_install(checks, no_sounddevice):
    found, exit_code = checks()

    assert (exit_code, found["sound device"]["status"]) == (0, "optional")
    assert "pip install 'firstaudio[play]'" in found["sound device"]["remedy"]


def test_a_missing_device_is_told(checks, no_device):
    found, exit_code = checks()

    assert (exit_code, found["sound device"]["status"]) == (0, "optional")


def test_an_encoder_that_fails_is_broken(checks, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("no such codec")

    monkeypatch.setattr("firstaudio.audio.encode.make_encoder", fail)
    found, exit_code = checks()

    assert (exit_code, found["format opus"]["status"]) == (1, "broken")
    assert "no such codec" in found["format opus"]["detail"]


def test_a_pipe_gets_plain_lines(run, quick, no_sounddevice):
    result = run("doctor")

    lines = result.stdout.decode().splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert any(line.startswith("ok        engine synthetic") for line in lines)
    assert any("-> playing" in line for line in lines)
    assert [line.rstrip() for line in lines] == lines


def test_people_get_a_table(run, quick, sound, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result = run("doctor")

    assert (result.exit_code, result.stderr) == (0, "")
    assert b"engine synthetic" in result.stdout


def test_without_model_files_the_command_that_fetches_them_is_told(checks):
    found, exit_code = checks()

    assert (exit_code, found["kokoro model"]["status"], found["engine kokoro"]["status"]) == (0, "optional", "optional")
    assert "firstaudio models pull kokoro" in found["kokoro model"]["detail"]


def test_model_files_that_are_wanted_and_not_there_are_broken(checks, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "kokoro")
    found, exit_code = checks()

    assert (exit_code, found["kokoro model"]["status"]) == (1, "broken")
    assert found["kokoro model"]["remedy"] == "firstaudio models pull kokoro"


def test_a_model_that_was_never_cut_is_not_cut_only_to_look_at_it(checks, tiny, folder: Path):
    found, exit_code = checks()

    assert (exit_code, folder.exists()) == (0, False)
    assert found["engine kokoro"]["detail"].startswith("not tried: the model was not cut yet")
    assert (found["kokoro cut"]["status"], found["kokoro cut"]["remedy"]) == (
        "info",
        "or now: firstaudio models optimize",
    )


def test_an_engine_that_is_wanted_is_cut_started_and_speaks(checks, tiny, monkeypatch, folder: Path):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "kokoro")
    found, exit_code = checks()

    assert (exit_code, found["engine kokoro"]["status"], found["kokoro cut"]["status"]) == (0, "ok", "ok")
    assert "a word began after" in found["engine kokoro"]["detail"]
    assert str(folder) in found["kokoro cut"]["detail"]
    assert found["kokoro verdict"]["remedy"] == "firstaudio models optimize"


def test_what_cannot_be_cut_is_told_with_its_reason(checks, pieces: Path, monkeypatch):
    monkeypatch.setattr(
        "firstaudio.cli.doctor._try_engine", lambda name, config, told: told.update({name: {"cut_problem": "no Exp"}})
    )
    found, _ = checks()

    assert found["kokoro cut"]["detail"].endswith("it cannot be cut: no Exp")
    assert "kokoro verdict" not in found


def test_settings_that_have_no_effect_are_told(checks, pieces: Path, monkeypatch):
    ignored = "kokoro.runtimes = openvino-cpu has no effect but on windows"
    monkeypatch.setattr(
        "firstaudio.cli.doctor._try_engine",
        lambda name, _, told: told.update({name: {"ignored_settings": ignored}}),
    )
    found, exit_code = checks()

    assert (exit_code, found["kokoro settings"]["status"]) == (0, "info")
    assert found["kokoro settings"]["detail"] == ignored


def test_the_verdict_is_shown_with_its_numbers(checks, pieces: Path, monkeypatch):
    monkeypatch.setattr("firstaudio.cli.doctor._try_engine", lambda *_: "speaks")
    near, far = (Distance(0.4, 20.0),), (Distance(1.5, 9.0),)
    compared = Comparison("windowed", near), Comparison("bf16", far), Comparison("seeds", far)
    Verdict(*compared, ("a",), "2026-01-01", facts=arithmetic_facts()).save(pieces)
    found, _ = checks()

    told = found["kokoro verdict"]
    assert (told["status"], told["remedy"]) == ("ok", "")
    assert "decode windowed: windows are 0.40 dB from whole" in told["detail"]
    assert "bf16 is too far from f32: mean distance 1.50 dB, at most 1 is allowed" in told["detail"]
    assert "seeds 1.50 dB (worst 1.50)" in told["detail"]


def put_profile(pieces: Path, num_threads: int = 0) -> None:
    reasons = {"a": "a: 2 ms: used", "b": "b: 9 ms: not used, it is slower"}
    figures = (Figures("a", 1.0, (2.0,), 90.0), Figures("b", 1.0, (9.0,), 90.0))
    facts = machine_facts(pieces / "window.onnx", ("a", "b"), num_threads)
    row = MachineProfile(facts, Choice("a", reasons, figures), "2026-01-01").to_json()
    profile_path(pieces, facts).write_text(json.dumps(row))


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine is started."""
    monkeypatch.setattr("firstaudio.cli.doctor._try_engine", lambda *_: "speaks")


def test_the_machine_profile_says_who_won_and_why_the_others_did_not(checks, pieces: Path, idle: None):
    put_profile(pieces)
    told = checks()[0]["kokoro profile"]

    assert (told["status"], told["remedy"]) == ("ok", "")
    assert told["detail"] == "a: 2 ms: used; b: 9 ms: not used, it is slower (measured 2026-01-01)"


def test_a_profile_of_other_circumstances_says_what_has_changed(checks, pieces: Path, idle: None):
    put_profile(pieces, num_threads=3)
    told = checks()[0]["kokoro profile"]

    assert (told["status"], told["remedy"]) == ("info", "the next start measures again: num_threads was 3, is 0")


def test_a_damaged_profile_is_told(checks, pieces: Path, idle: None):
    put_profile(pieces)
    next(pieces.glob("machine-*.json")).write_text("{")
    told = checks()[0]["kokoro profile"]

    assert (told["status"], "is no machine profile" in told["detail"]) == ("info", True)


def test_every_runtime_is_told_with_what_it_lacks(checks, monkeypatch):
    lacking = detect.Candidate(detect.KNOWN[1], "not installed", "pip install openvino")
    monkeypatch.setattr(detect, "available", lambda: [detect.Candidate(detect.KNOWN[0]), lacking])
    found, _ = checks()

    assert found["runtime onnxruntime-cpu"]["status"] == "ok"
    assert found["runtime openvino-cpu"] == {
        "name": "runtime openvino-cpu",
        "status": "optional",
        "detail": "not installed",
        "remedy": "pip install openvino",
    }


def test_a_driver_that_breaks_the_look_at_runtimes_is_told(checks, monkeypatch):
    def fail() -> None:
        raise RuntimeError("driver too old")

    monkeypatch.setattr(detect, "available", fail)
    found, exit_code = checks()

    assert (exit_code, found["runtimes"]["status"]) == (0, "optional")
    assert "driver too old" in found["runtimes"]["detail"]


def test_without_the_extras_everything_else_is_examined(checks, monkeypatch):
    monkeypatch.delenv("FIRSTAUDIO_MODEL_FOLDER")
    for name in ("onnxruntime", "onnx", "openvino", "filelock", "platformdirs", "misaki"):
        monkeypatch.setitem(sys.modules, name, None)
    found, exit_code = checks()

    assert (exit_code, found["format wav"]["status"]) == (0, "ok")
    assert "pip install 'firstaudio[kokoro]'" in found["kokoro model"]["detail"]
    assert (found["runtime onnxruntime-cpu"]["detail"], found["runtime onnxruntime-cpu"]["remedy"]) == (
        "not installed",
        "pip install onnxruntime",
    )


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("auto", "ok", "espeak-ng, because no misaki"),
        ("espeak", "ok", "kokoro.g2p says so"),
        ("misaki", "optional", ""),
    ],
)
def test_what_pronounces_is_told_with_the_reason(checks, monkeypatch, asked: str, status: str, said: str):
    monkeypatch.setattr("firstaudio.engines.kokoro.misaki_g2p.missing", lambda _: "no misaki")
    monkeypatch.setenv("FIRSTAUDIO_KOKORO_G2P", asked)
    told = checks()[0]["kokoro phonemes"]

    assert (told["status"], said in told["detail"]) == (status, True)
