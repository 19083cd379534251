"""From the configuration to a model in memory, with a reason for every choice on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firstaudio.config import Config
from firstaudio.engines.kokoro.decoder import Decoder
from firstaudio.engines.kokoro.dialect import read_dialect
from firstaudio.engines.kokoro.fidelity import Verdict, read_verdict
from firstaudio.engines.kokoro.model import CutModel, Model, WholeModel
from firstaudio.engines.kokoro.pieces import Pieces, pieces_of
from firstaudio.engines.kokoro.runtimes.base import Arrays, Runtime, Session
from firstaudio.engines.kokoro.runtimes.board import RoutedSession
from firstaudio.engines.kokoro.runtimes.cost import Cost
from firstaudio.engines.kokoro.runtimes.detect import resolve
from firstaudio.engines.kokoro.runtimes.figures import Choice, choose
from firstaudio.engines.kokoro.runtimes.measure import compare
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.engines.kokoro.runtimes.profile import MachineProfile, load_or_measure, machine_facts
from firstaudio.engines.kokoro.runtimes.router import Router
from firstaudio.engines.kokoro.sessions import Exclusive, Lazy, is_sound, load_window, window_shapes
from firstaudio.engines.kokoro.statistics import StatisticsTable
from firstaudio.engines.kokoro.store import ModelFiles
from firstaudio.engines.kokoro.windows import LENGTHS
from firstaudio.errors import ConfigError, EngineError, MissingExtraError

if TYPE_CHECKING:
    from firstaudio.engines.kokoro.surgery.graph import AnchorError

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""What is being done, how many are done, how many there are."""

MEASURED_LENGTH = LENGTHS[1]  # frames of the window by which runtimes are compared: the middle one
NEVER_OPTIMIZED = "nobody has measured windows and bf16 of this model here: run `firstaudio models optimize`"


@dataclass(frozen=True, slots=True)
class Choices:
    """What was decided and why, for `doctor`, `/status` and logs.

    Attributes:
        decode: "windowed" or "whole": what requests get that ask for nothing.
        decode_reason: Why.
        runtimes: Names of what runs the model, the first one first.
        runtime_reasons: Why each runtime that was looked at is used or not.
        precision_reason: Why bf16 is used or not.
        cut_problem: Why the file could not be cut; empty where it could.
    """

    decode: str
    decode_reason: str
    runtimes: tuple[str, ...]
    runtime_reasons: dict[str, str] = field(default_factory=dict)
    precision_reason: str = ""
    cut_problem: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory and how it came there."""

    model: Model
    choices: Choices


def silent(_what: str, _done: int, _total: int) -> None:
    """A `Progress` that nobody reads."""


def load_model(config: Config, files: ModelFiles, progress: Progress = silent) -> Loaded:
    """Load and choose. Takes a second; the first time on a machine, as long as cutting and measuring take.

    Args:
        config: Section `kokoro`.
        files: The model.
        progress: Told of the steps of measuring runtimes, or when they were measured.

    Raises:
        ConfigError: A file or a setting is wrong.
        EngineError: Nothing here can run the model.
    """
    pieces, problem = cut_or_reason(files)
    if pieces is None:
        return _whole_file(config, files, problem)
    return _cut_model(config, pieces, progress)


def cut_or_reason(files: ModelFiles) -> tuple[Pieces | None, str]:
    """The pieces of a model, or why it cannot be cut. Raises ConfigError for a file that cannot be read."""
    anchor_error = _anchor_error()
    try:
        return pieces_of(files.model, files.pieces), ""
    except anchor_error as error:
        return None, str(error)


def _anchor_error() -> type[AnchorError]:
    try:
        from firstaudio.engines.kokoro.surgery.graph import AnchorError
    except ImportError as error:
        raise MissingExtraError("the kokoro engine", "kokoro") from error
    return AnchorError


def _whole_file(config: Config, files: ModelFiles, problem: str) -> Loaded:
    if config.kokoro.decode == "windowed":
        raise ConfigError(f"kokoro.decode is windowed, but the model cannot be cut: {problem}; set it to auto")
    runtime = _cpu(config)
    session = runtime.load(files.model)  # raises where the file is no model at all, which is then all that is said
    logger.warning("the model is decoded clause by clause, because it cannot be cut: %s", problem)
    model = WholeModel(Exclusive(session), read_dialect(session), runtime.name)
    return Loaded(model, Choices("whole", f"the model cannot be cut: {problem}", (runtime.name,), cut_problem=problem))


def _cut_model(config: Config, pieces: Pieces, progress: Progress) -> Loaded:
    verdict = read_verdict(pieces.folder)
    precision, precision_reason = decide_precision(config.kokoro.precision, verdict)
    decode, decode_reason = decide_decode(config.kokoro.decode, verdict)
    cpu = _cpu(config)
    sessions = {name: Exclusive(cpu.load(pieces.path(name))) for name in ("front", "source", "tail")}
    generator = Exclusive(Lazy(partial(cpu.load, pieces.path("generator"))))
    candidates = resolve(config.kokoro.runtimes, precision, num_threads=config.kokoro.num_threads)
    profile = _profile(config, pieces, candidates, progress)
    opened = _open(pieces, _in_use(config, candidates, profile), may_fail="auto" in config.kokoro.runtimes)
    used = {runtime: session for runtime, session in opened.items() if not isinstance(session, EngineError)}
    router = Router(_routed(pieces, used, cpu, profile))
    decoder = Decoder(
        sessions["front"],
        sessions["source"],
        sessions["tail"],
        lambda: generator,
        window_runner(router),
        pieces.noise,
        cpu.name,
    )
    names = tuple(dict.fromkeys((*(runtime.name for runtime in used), cpu.name)))
    reasons = {} if profile is None else dict(profile.choice.reasons)
    reasons |= {
        runtime.name: f"{runtime.name}: not used now: {error.message}"
        for runtime, error in opened.items()
        if isinstance(error, EngineError)
    }
    model = CutModel(pieces, decoder, router, StatisticsTable(pieces.folder, len(pieces.norms.scale)))
    return Loaded(model, Choices(decode, decode_reason, names, reasons, precision_reason))


def window_runner(router: Router) -> Callable[[Arrays, int], tuple[NDArray[np.float32], str]]:
    """What `Decoder` calls for each window."""

    def run(inputs: Arrays, length: int) -> tuple[NDArray[np.float32], str]:
        outputs, name = router.run(inputs, length, is_sound)
        return outputs["x"], name

    return run


def decide_decode(asked: str, verdict: Verdict | None) -> tuple[str, str]:
    """How requests are decoded that ask for nothing, and why."""
    if asked != "auto":
        return asked, "kokoro.decode says so"
    if verdict is None:
        return "whole", NEVER_OPTIMIZED
    if verdict.allows_windows:
        return "windowed", f"windows are {verdict.windowed.mean_db:.2f} dB from whole, two noise seeds " + (
            f"{verdict.seeds.mean_db:.2f} dB from each other (measured {verdict.measured_at})"
        )
    return "whole", f"windows are too far from whole: {'; '.join(verdict.windowed.failures)}"


def decide_precision(asked: str, verdict: Verdict | None) -> tuple[Any, str]:
    """Which arithmetic runtimes may use, and why."""
    if asked != "auto":
        return asked, "kokoro.precision says so"
    if verdict is None:
        return "f32", NEVER_OPTIMIZED
    if verdict.bf16 is None:
        return "f32", "no runtime here computed in bf16 when it was measured"
    if verdict.allows_bf16:
        return "auto", f"bf16 is {verdict.bf16.mean_db:.2f} dB from f32 (measured {verdict.measured_at})"
    return "f32", f"bf16 is too far from f32: {'; '.join(verdict.bf16.failures)}"


def _cpu(config: Config) -> Runtime:
    return OrtRuntime("cpu", num_threads=config.kokoro.num_threads)


def _profile(
    config: Config, pieces: Pieces, candidates: Sequence[Runtime], progress: Progress
) -> MachineProfile | None:
    """What is fastest here; None where there is nothing to choose."""
    if len(candidates) < 2:
        return None
    names = [runtime.name for runtime in candidates]
    facts = machine_facts(pieces.path("window"), names, config.kokoro.num_threads)
    measured: list[Choice] = []

    def measure() -> Choice:
        measured.append(measure_runtimes(pieces, candidates, progress))
        return measured[-1]

    profile = load_or_measure(pieces.folder, facts, measure)
    if not measured:
        progress(f"runtimes: nothing has changed since they were measured, {profile.measured_at}", 0, 1)
    return profile


def measure_runtimes(pieces: Pieces, candidates: Sequence[Runtime], progress: Progress = silent) -> Choice:
    """Interleaved rounds of one window on every candidate. Raises ConfigError where none is sound."""
    logger.info("measuring what runs a window fastest here: %s", ", ".join(runtime.name for runtime in candidates))
    shapes = window_shapes(MEASURED_LENGTH, pieces.anchors, len(pieces.norms.scale))
    random = np.random.default_rng(0)
    inputs = {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    inputs["affine"] = np.abs(inputs["affine"]) * np.float32(0.1)
    reference = OrtRuntime("cpu").load(pieces.path("window")).run(inputs)
    figures = compare(candidates, pieces.path("window"), inputs, reference, shapes=shapes, progress=progress)
    choice = choose(figures, f"a window of {MEASURED_LENGTH * 25 / 1000:g} s")
    if choice is None:
        problems = "; ".join(f"{each.name}: {each.problem}" for each in figures)
        raise ConfigError(f"no runtime here runs the model soundly: {problems}; set kokoro.runtimes = onnxruntime-cpu")
    logger.info("%s", choice.reason)
    return choice


def _in_use(config: Config, candidates: Sequence[Runtime], profile: MachineProfile | None) -> list[Runtime]:
    """With `auto` the winner; else all that were named, the winner first."""
    if profile is None:
        return list(candidates)
    winner = profile.choice.winner
    if "auto" in config.kokoro.runtimes:
        return [runtime for runtime in candidates if runtime.name == winner]
    return sorted(candidates, key=lambda runtime: runtime.name != winner)


def _open(pieces: Pieces, runtimes: Sequence[Runtime], *, may_fail: bool) -> dict[Runtime, Session | EngineError]:
    """Sessions of the window piece, warmed.

    A runtime that won when it was measured may fail today: its device is taken, or its driver is broken.

    Args:
        pieces: On disk.
        runtimes: In the order of rank.
        may_fail: Whether the error takes the session's place, so that the processor does what nobody has asked another
            one for; False: it is raised.
    """
    shapes = {length: window_shapes(length, pieces.anchors, len(pieces.norms.scale)) for length in LENGTHS}
    opened: dict[Runtime, Session | EngineError] = {}
    for runtime in runtimes:
        try:
            session = load_window(runtime, pieces.path("window"), shapes)
            _warm(session, shapes)
            opened[runtime] = session
        except EngineError as error:
            if not may_fail:
                raise
            logger.warning("%s won when it was measured, and cannot be used now: %s", runtime.name, error.message)
            opened[runtime] = error
    return opened


def _routed(
    pieces: Pieces, used: Mapping[Runtime, Session], cpu: Runtime, profile: MachineProfile | None
) -> list[RoutedSession]:
    """Sessions of the window piece, and a stand-by that is loaded only where all of them fail."""
    costs = _costs(profile)
    sessions = [
        RoutedSession(runtime.name, session, costs.get(runtime.name, Cost())) for runtime, session in used.items()
    ]
    if cpu.name not in [runtime.name for runtime in used]:
        slow = Cost.seeded(MEASURED_LENGTH, STAND_BY_NS)
        sessions.append(RoutedSession(cpu.name, Lazy(partial(cpu.load, pieces.path("window"))), slow))
    return sessions


STAND_BY_NS = 60e9  # so dear that it is chosen only where nothing else is left


def _costs(profile: MachineProfile | None) -> dict[str, Cost]:
    """What was measured, as a beginning."""
    figures = () if profile is None else profile.choice.figures
    return {each.name: Cost.seeded(MEASURED_LENGTH, each.median_ms * 1e6) for each in figures if not each.problem}


def _warm(session: Session, shapes: dict[int, Any]) -> None:
    """Run each shape twice: the first one allocates."""
    for shape in shapes.values():
        inputs = {name: np.zeros(size, np.float32) for name, size in shape.items()}
        for _ in range(2):
            session.run(inputs)
