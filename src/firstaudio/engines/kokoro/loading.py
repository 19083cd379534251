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
from firstaudio.engines.kokoro.decoder import SAMPLE_RATE, Decoder
from firstaudio.engines.kokoro.dialect import read_dialect
from firstaudio.engines.kokoro.fidelity import Verdict, read_verdict
from firstaudio.engines.kokoro.loaded_piece import LoadedPiece, piece_on, whole_file_on, with_stand_by
from firstaudio.engines.kokoro.memory import trim
from firstaudio.engines.kokoro.model import CutModel, Model, WholeModel
from firstaudio.engines.kokoro.pieces import Pieces, pieces_of
from firstaudio.engines.kokoro.reasons import unheeded, with_windows, without_windows
from firstaudio.engines.kokoro.runtimes.base import Arrays, Runtime, Session, Shapes
from firstaudio.engines.kokoro.runtimes.board import RoutedSession
from firstaudio.engines.kokoro.runtimes.cost import Cost
from firstaudio.engines.kokoro.runtimes.detect import device_of, resolve
from firstaudio.engines.kokoro.runtimes.figures import Choice, choose
from firstaudio.engines.kokoro.runtimes.measure import compare
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.engines.kokoro.runtimes.profile import (
    MachineProfile,
    arithmetic_facts,
    changes,
    load_or_measure,
    machine_facts,
)
from firstaudio.engines.kokoro.sessions import Lazy, load_window, window_shapes
from firstaudio.engines.kokoro.statistics import StatisticsTable
from firstaudio.engines.kokoro.store import ModelFiles
from firstaudio.engines.kokoro.voices import VoiceTable
from firstaudio.engines.kokoro.windows import LENGTHS, SAMPLES_PER_FRAME
from firstaudio.errors import ConfigError, EngineError, MissingExtraError

if TYPE_CHECKING:
    from firstaudio.engines.kokoro.surgery.graph import AnchorError

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""What is being done, how many are done, how many there are."""

SECONDS_PER_FRAME = SAMPLES_PER_FRAME / SAMPLE_RATE
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
        ignored_settings: Which settings have no effect here, and why; empty: all have.
    """

    decode: str
    decode_reason: str
    runtimes: tuple[str, ...]
    runtime_reasons: dict[str, str] = field(default_factory=dict)
    precision_reason: str = ""
    cut_problem: str = ""
    ignored_settings: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory and how it came there.

    Attributes:
        model: Speaks.
        choices: What was decided and why.
        num_devices: On how many devices steps run at the same time.
    """

    model: Model
    choices: Choices
    num_devices: int = 1


def silent(_what: str, _done: int, _total: int) -> None:
    """A `Progress` that nobody reads."""


def load_model(
    config: Config, files: ModelFiles, progress: Progress = silent, voices: VoiceTable | None = None
) -> Loaded:
    """Load and choose. Takes a second; the first time on a machine, as long as cutting and measuring take.

    Args:
        config: Section `kokoro`.
        files: The model.
        progress: Told of the steps of measuring runtimes, or when they were measured.
        voices: Those that will speak; None: they are read from their file.

    Raises:
        ConfigError: A file or a setting is wrong.
        EngineError: Nothing here can run the model.
    """
    pieces, problem = cut_or_reason(files)
    if pieces is None:
        loaded = _whole_file(config, files, problem)
    else:
        loaded = _cut_model(config, pieces, (voices or VoiceTable(files.voices)).digests(), progress)
    trim()
    return loaded


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
    own = config.kokoro
    if own.decode == "windowed":
        raise ConfigError(f"kokoro.decode is windowed, but the model cannot be cut: {problem}; set it to auto")
    cpu = _cpu(config)
    sessions = with_stand_by(
        cpu.name, partial(cpu.load, files.model)
    )  # what is no model raises, and is all that is said
    dialect = read_dialect(sessions[0].session)
    names = [runtime.name for runtime in resolve(own.runtimes, own.precision, num_threads=own.num_threads)]
    why = f"the model cannot be cut: {problem}"
    logger.warning("the model is decoded clause by clause, because %s", why)
    choices = Choices(
        "whole",
        f"the model cannot be cut: {problem}",
        (cpu.name,),
        without_windows(names, "", cpu.name, why),
        "f32: bf16 is for windows alone",
        problem,
        _warned(unheeded(own.runtimes, own.precision, names, cpu.name, why)),
    )
    return Loaded(WholeModel(whole_file_on(sessions, dialect), dialect), choices)


def _cut_model(config: Config, pieces: Pieces, styles: Mapping[str, str], progress: Progress) -> Loaded:
    own = config.kokoro
    verdict = read_verdict(pieces.folder)
    precision, precision_reason = decide_precision(own.precision, verdict, arithmetic_facts())
    decode, decode_reason = decide_decode(own.decode, verdict, styles)
    cpu = _cpu(config)
    candidates = resolve(own.runtimes, precision, num_threads=own.num_threads, cache_folder=pieces.compiled)
    loaded = {
        name: piece_on(
            name,
            with_stand_by(
                cpu.name, partial(cpu.load, pieces.path(name)), is_needed_now=name != "generator" or decode == "whole"
            ),
        )
        for name in ("front", "source", "generator", "tail")
    }
    ignored = ""
    if decode == "windowed":
        windows = _windows_now(config, pieces, candidates, progress)
    else:
        why = f"decode is whole: {decode_reason}"
        windows = _windows_on_request(config, pieces, candidates, why)
        names = [runtime.name for runtime in candidates]
        ignored = _warned(unheeded(own.runtimes, own.precision, names, cpu.name, why))
        precision_reason += "" if precision == "f32" else ", of windows; decode is whole, and computed in f32"
    window = piece_on("window", windows.sessions)
    decoder = Decoder(
        loaded["front"],
        loaded["source"],
        loaded["tail"],
        lambda: loaded["generator"],
        window_runner(window),
        pieces.noise,
        cpu.name,
        min_frames=0 if verdict is None else verdict.min_frames,
    )
    table = StatisticsTable(pieces.folder, len(pieces.norms.scale), styles)
    model = CutModel(pieces, decoder, [window, *loaded.values()], table)
    choices = Choices(
        decode, decode_reason, windows.runtimes, windows.reasons, precision_reason, ignored_settings=ignored
    )
    return Loaded(model, choices, windows.num_devices)


def _warned(sentence: str) -> str:
    """The sentence, told in the log as well."""
    if sentence:
        logger.warning("%s", sentence)
    return sentence


def window_runner(window: LoadedPiece) -> Callable[[Arrays, int], tuple[NDArray[np.float32], str]]:
    """What `Decoder` calls for each window."""

    def run(inputs: Arrays, _length: int) -> tuple[NDArray[np.float32], str]:
        outputs, name = window.run_by_whom(inputs)
        return outputs["x"], name

    return run


@dataclass(frozen=True, slots=True)
class _Windows:
    """What runs windows.

    Attributes:
        sessions: Those that work, and behind them those that stand by.
        runtimes: Names of what runs the model, the first one first.
        reasons: Why each runtime is used or not.
        num_devices: How many of them work at the same time.
    """

    sessions: list[RoutedSession]
    runtimes: tuple[str, ...]
    reasons: dict[str, str]
    num_devices: int = 1


def _windows_now(config: Config, pieces: Pieces, candidates: Sequence[Runtime], progress: Progress) -> _Windows:
    """Measured where there is a choice, loaded and warmed."""
    cpu = _cpu(config)
    profile = _profile(config, pieces, candidates, progress)
    opened = _open(pieces, _in_use(config, candidates, profile), may_fail="auto" in config.kokoro.runtimes)
    used = {runtime: session for runtime, session in opened.items() if not isinstance(session, EngineError)}
    failed = {runtime.name: each.message for runtime, each in opened.items() if isinstance(each, EngineError)}
    sessions = _routed(pieces, used, cpu, profile)
    measured = {} if profile is None else profile.choice.reasons
    return _Windows(
        sessions,
        tuple(dict.fromkeys((*(runtime.name for runtime in used), cpu.name))),
        with_windows(measured, failed, sessions, cpu.name),
        sum(not session.is_stand_by for session in sessions),
    )


def _windows_on_request(config: Config, pieces: Pieces, candidates: Sequence[Runtime], why: str) -> _Windows:
    """Neither measured nor loaded before somebody asks for windows: the first runtime that was named, else the CPU."""
    cpu = _cpu(config)
    first = cpu if "auto" in config.kokoro.runtimes else candidates[0]
    load = partial(load_window, first, pieces.path("window"), _shapes(pieces))
    sessions = [RoutedSession(first.name, Lazy(load), is_loaded=False), _stand_by(pieces, cpu)]
    names = [runtime.name for runtime in candidates]
    on_request = first.name if first.name != cpu.name else ""
    return _Windows(sessions, (cpu.name,), without_windows(names, on_request, cpu.name, why))


def decide_decode(asked: str, verdict: Verdict | None, styles: Mapping[str, str]) -> tuple[str, str]:
    """How requests are decoded that ask for nothing, and why.

    Args:
        asked: `kokoro.decode`.
        verdict: What `models optimize` found.
        styles: The voices there are, and the hash of the styles of each.
    """
    if asked != "auto":
        return asked, "kokoro.decode says so"
    if verdict is None:
        return "whole", NEVER_OPTIMIZED
    if changed := verdict.changed_voices(styles):
        return "whole", (
            f"windows were judged with other styles of {', '.join(changed)} than there are now: run "
            "`firstaudio models optimize`"
        )
    if verdict.allows_windows:
        return "windowed", f"windows are {verdict.windowed.mean_db:.2f} dB from whole, two noise seeds " + (
            f"{verdict.seeds.mean_db:.2f} dB from each other (measured {verdict.measured_at})"
            f"; what is shorter than {verdict.min_frames * SECONDS_PER_FRAME:g} s is whole"
        )
    return "whole", f"windows are too far from whole: {'; '.join(verdict.windowed.failures)}"


def decide_precision(asked: str, verdict: Verdict | None, here: Mapping[str, Any]) -> tuple[Any, str]:
    """Which arithmetic runtimes may use, and why.

    Args:
        asked: `kokoro.precision`.
        verdict: What `models optimize` found.
        here: `arithmetic_facts` of this machine.
    """
    if asked != "auto":
        return asked, "kokoro.precision says so"
    if verdict is None:
        return "f32", NEVER_OPTIMIZED
    if changed := "; ".join(changes(verdict.facts, here)):
        return "f32", f"bf16 was judged under other circumstances ({changed}): run `firstaudio models optimize`"
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
    shapes = _shapes(pieces)
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
    """Sessions of the window piece: one of each device works, the others stand by, and last one that is not loaded.

    Two on the same device take each other's time, so the slower one would only be in the way of the faster.
    """
    costs, devices = _costs(profile), [device_of(runtime.name) for runtime in used]
    sessions = [
        RoutedSession(
            runtime.name, session, costs.get(runtime.name, Cost()), is_stand_by=devices[index] in devices[:index]
        )
        for index, (runtime, session) in enumerate(used.items())
    ]
    if not sessions:
        return with_stand_by(cpu.name, partial(cpu.load, pieces.path("window")))
    return [*sorted(sessions, key=lambda session: session.is_stand_by), _stand_by(pieces, cpu)]


def _stand_by(pieces: Pieces, cpu: Runtime) -> RoutedSession:
    load = partial(cpu.load, pieces.path("window"))
    return RoutedSession(cpu.name, Lazy(load), is_stand_by=True, is_loaded=False)


def _shapes(pieces: Pieces) -> dict[int, Shapes]:
    """Of the window piece's inputs, by length in frames."""
    return {length: window_shapes(length, pieces.anchors, len(pieces.norms.scale)) for length in LENGTHS}


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
