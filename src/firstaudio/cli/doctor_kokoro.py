"""What `firstaudio doctor` looks at for the kokoro engine: files, cut, verdict, runtimes, phonemes. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from firstaudio.cli.doctor import Check
from firstaudio.config import Config
from firstaudio.errors import ConfigError

if TYPE_CHECKING:
    from firstaudio.engines.kokoro.fidelity import Comparison, Verdict
    from firstaudio.engines.kokoro.store import ModelFiles

OPTIMIZE = "firstaudio models optimize"


def reason_to_wait(config: Config) -> str:
    """Why the engine should not be started just to look: the first start cuts the model and measures runtimes.

    Empty where the start is quick, or fails at once and says why.
    """
    from firstaudio.engines.kokoro.store import find

    try:
        files = find(config)
        is_cut = _cut_folder(files) is not None
    except ConfigError:
        return ""
    return "" if is_cut else "the model was not cut yet, and the first start does it and measures runtimes"


def kokoro_checks(config: Config, told: Mapping[str, Any]) -> Iterator[Check]:
    """Every finding.

    Args:
        config: The whole configuration.
        told: What the engine said of itself where it was started, else nothing.
    """
    from firstaudio.engines.kokoro.store import find

    needed = "kokoro" in config.engine.names
    yield from _runtimes()
    yield _g2p(config, needed=needed)
    try:
        files = find(config)
    except ConfigError as error:
        remedy = "firstaudio models pull kokoro" if needed else "only needed if you want the engine kokoro"
        yield Check("kokoro model", "broken" if needed else "optional", error.message, remedy)
        return
    yield Check("kokoro model", "ok", f"{_named(files.model)}, {_named(files.voices)}")
    yield from _derived(config, files, told)


def _named(path: Path) -> str:
    return str(path) if path.is_dir() else f"{path} ({path.stat().st_size / 1e6:.1f} MB)"


def _derived(config: Config, files: ModelFiles, told: Mapping[str, Any]) -> Iterator[Check]:
    """What was made from the model and found out about it."""
    if ignored := told.get("ignored_settings"):
        yield Check("kokoro settings", "info", ignored, "set kokoro.runtimes and kokoro.precision to auto")
    if problem := told.get("cut_problem"):
        yield Check("kokoro cut", "info", f"decoded clause by clause, because it cannot be cut: {problem}")
        return
    try:
        folder = _cut_folder(files)
    except ConfigError as error:
        yield Check("kokoro cut", "broken", error.message)
        return
    if folder is None:
        yield Check("kokoro cut", "info", "not cut yet: the first start does it", f"or now: {OPTIMIZE}")
        return
    yield Check("kokoro cut", "ok", f"its pieces lie in {folder}")
    yield _verdict(config, files, folder)
    yield _profile(config, folder)


def _cut_folder(files: ModelFiles) -> Path | None:
    """Where the pieces of that very file lie; None where it was not cut. Raises ConfigError."""
    from firstaudio.engines.kokoro.pieces import cached_pieces

    pieces = cached_pieces(files.model, files.pieces)
    return None if pieces is None else pieces.folder


def _verdict(config: Config, files: ModelFiles, folder: Path) -> Check:
    from firstaudio.engines.kokoro.fidelity import read_verdict
    from firstaudio.engines.kokoro.loading import decide_decode, decide_precision
    from firstaudio.engines.kokoro.runtimes.profile import arithmetic_facts
    from firstaudio.engines.kokoro.voices import VoiceTable

    try:
        styles = VoiceTable(files.voices).digests()
    except ConfigError as error:
        return Check("kokoro verdict", "broken", error.message)
    verdict = read_verdict(folder)
    decode, decode_reason = decide_decode(config.kokoro.decode, verdict, styles)
    _, precision_reason = decide_precision(config.kokoro.precision, verdict, arithmetic_facts())
    figures = "" if verdict is None else f"; {_figures(verdict)}"
    detail = f"decode {decode}: {decode_reason}; precision: {precision_reason}{figures}"
    return Check("kokoro verdict", "info" if verdict is None else "ok", detail, OPTIMIZE if verdict is None else "")


def _figures(verdict: Verdict) -> str:
    told = [each for each in (verdict.windowed, verdict.short, verdict.bf16, verdict.seeds) if each is not None]
    return f"measured {verdict.measured_at}: " + ", ".join(map(_distance, told))


def _distance(comparison: Comparison) -> str:
    return f"{comparison.name} {comparison.mean_db:.2f} dB (worst {comparison.worst_db:.2f})"


def _profile(config: Config, folder: Path) -> Check:
    """The runtime that won here, and whether its figures still hold."""
    from firstaudio.engines.kokoro.runtimes.profile import changes, file_hash, machine_facts, profiles_of, read_profile

    name, window = "kokoro profile", folder / "window.onnx"
    try:
        profiles = [profile for path in profiles_of(folder, file_hash(window)) if (profile := read_profile(path))]
    except ConfigError as error:
        return Check(name, "info", error.message)
    if not profiles:
        return Check(name, "info", "runtimes were not measured yet: the first start does it where there are several")
    num_threads = config.kokoro.num_threads
    found = next((profile for profile in profiles if profile.facts.get("num_threads") == num_threads), profiles[0])
    facts = machine_facts(window, found.facts.get("candidates", ()), num_threads)
    others = (reason for runtime, reason in found.choice.reasons.items() if runtime != found.choice.winner)
    detail = f"{'; '.join((found.choice.reason, *others))} (measured {found.measured_at})"
    if stale := changes(found.facts, facts):
        return Check(name, "info", detail, f"the next start measures again: {'; '.join(stale)}")
    return Check(name, "ok", detail)


def _runtimes() -> Iterator[Check]:
    from firstaudio.engines.kokoro.runtimes.detect import available

    try:
        candidates = available()
    except Exception as error:  # noqa: BLE001 -- whatever a device's driver makes the library raise is the finding
        yield Check("runtimes", "optional", repr(error), "reinstall onnxruntime and openvino, or the device's driver")
        return
    for candidate in candidates:
        status: Literal["ok", "optional"] = "ok" if candidate.is_there else "optional"
        yield Check(f"runtime {candidate.name}", status, candidate.problem or "is there", candidate.remedy)


def _g2p(config: Config, *, needed: bool) -> Check:
    """What pronounces English, and why."""
    from firstaudio.engines.kokoro.misaki_g2p import missing

    if config.kokoro.g2p == "espeak":
        return Check("kokoro phonemes", "ok", "espeak-ng: kokoro.g2p says so")
    problem = missing("en-us")
    if not problem:
        return Check("kokoro phonemes", "ok", "misaki: it is installed, and the model was trained on its phonemes")
    if config.kokoro.g2p == "misaki":
        return Check("kokoro phonemes", "broken" if needed else "optional", "kokoro.g2p is misaki", problem)
    return Check("kokoro phonemes", "ok", f"espeak-ng, because {problem}")
