"""What `firstaudio models quantize` does: make int8 variants of a model, try each one, keep what is worth it.

Whatever a variant is said to be was found by loading that very file: its sum is in the report.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from firstaudio.config import Config
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.disk import free_bytes, locked, no_room, put_in_place, writing
from firstaudio.engines.kokoro.model import Part
from firstaudio.engines.kokoro.quantize_graph import Anatomy, examine, give_noise
from firstaudio.engines.kokoro.quantize_trial import (
    Fidelity,
    Progress,
    Speaker,
    Speed,
    Timing,
    Words,
    compare_speech,
    judge,
    peak_bytes,
    time_files,
)
from firstaudio.engines.kokoro.runtimes.figures import MIN_ROUNDS
from firstaudio.engines.kokoro.runtimes.ort import import_ort
from firstaudio.engines.kokoro.runtimes.profile import file_hash
from firstaudio.engines.kokoro.sentences import ENGLISH, measured_and_held_out
from firstaudio.engines.kokoro.store import (
    ModelFiles,
    StoredFile,
    read_manifest,
    write_manifest,
)
from firstaudio.engines.kokoro.tokens import Run, TextToTokens
from firstaudio.engines.kokoro.voices import VoiceTable, language_of
from firstaudio.errors import ConfigError, EngineError, FirstaudioError, MissingExtraError

TIMED_TOKENS = (20, 80)  # a clause and a sentence
MAX_VOICES = 3  # that judge; the first of each language
SUM_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of quantising.

    Attributes:
        operators: What is computed in integers. onnxruntime makes a MatMul of each Gemm first.
        weights: Of which type. Signed weights of Conv were 3.4 times as slow as f32, so Conv has unsigned ones.
    """

    operators: tuple[str, ...]
    weights: Literal["int8", "uint8"]


KINDS: Mapping[str, Kind] = {
    "matmul": Kind(("MatMul",), "int8"),
    "lstm": Kind(("MatMul", "Gemm", "LSTM"), "uint8"),
    "conv": Kind(("MatMul", "Gemm", "LSTM", "Conv"), "uint8"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One file, tried.

    Attributes:
        sha256: Of the file that was loaded.
        num_bytes: Its size.
        peak_bytes: The most memory of a process that loads it and speaks; None where it was not tried.
        speeds: At each length; empty where it could not be timed.
    """

    sha256: str
    num_bytes: int
    peak_bytes: int | None
    speeds: tuple[Speed, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind, and what became of it.

    Attributes:
        kind: One of `KINDS`.
        measured: None where the file could not be made.
        operators: How many of each quantised operator it has.
        fidelity: None where it could not speak.
        cut_problem: Why it cannot be cut; empty where it can.
        passes: Whether it is worth keeping.
        reasons: Why, or why not, a sentence each.
        path: Where it lies; None where it was not kept.
        is_dropped: Whether the file of an earlier run was removed.
    """

    kind: str
    measured: Measured | None
    operators: Mapping[str, int]
    fidelity: Fidelity | None
    cut_problem: str
    passes: bool
    reasons: tuple[str, ...]
    path: Path | None = None
    is_dropped: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether it spoke and was timed."""
        return self.fidelity is not None and self.measured is not None and bool(self.measured.speeds)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found.

    Attributes:
        model: The original.
        original: Its figures.
        seeds: The original in its own noise against the original in given noise: how much it differs from itself.
        variants: In the order asked for.
        rounds: Of timing.
        library: Name and version of what quantised.
        measured_at: ISO 8601, UTC.
    """

    model: Path
    original: Measured
    seeds: Fidelity
    variants: tuple[Variant, ...]
    rounds: int
    library: str
    measured_at: str


def check(kinds: Sequence[str], rounds: int) -> None:
    """Refuse what cannot be done. Raises ConfigError."""
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ConfigError(f"there is no kind {unknown[0]!r}; kinds are {', '.join(KINDS)}")
    if not kinds:
        raise ConfigError(f"name at least one kind: {', '.join(KINDS)}")
    if rounds < MIN_ROUNDS:
        raise ConfigError(f"a comparison needs at least {MIN_ROUNDS} rounds, not {rounds}; give --rounds {MIN_ROUNDS}")


def quantize(
    config: Config, files: ModelFiles, kinds: Sequence[str], rounds: int, progress: Progress, *, keep: bool = False
) -> Report:
    """Make, try, and keep or remove.

    Args:
        config: Sections `kokoro` and `espeak`.
        files: The model; it stays as it is.
        kinds: Names in `KINDS`.
        rounds: Of timing.
        progress: Told of each step.
        keep: Keep also what is not worth it.

    Raises:
        ConfigError: A file or argument is wrong, the model is quantised already, or there is no room.
        EngineError: The original cannot be run.
    """
    check(kinds, rounds)
    read_manifest(files.cache)  # a damaged one is told now, and not after minutes
    original = _original(files)
    sentences, lengths = _words(config, files)
    with _workplace(files, len(kinds)) as place:
        trial = _Trial(config, files, original, place, progress)
        drafts = [trial.make(kind, index, len(kinds)) for index, kind in enumerate(kinds)]
        seeds = trial.listen(drafts, sentences)
        measured = trial.time(drafts, lengths, rounds)
        variants = tuple(_conclude(files, original, draft, measured, keep=keep) for draft in drafts)
    found = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(files.model, measured, seeds, variants, rounds, _library(), found)


@dataclass(frozen=True, slots=True)
class _Original:
    sha256: str
    anatomy: Anatomy


@dataclass(slots=True)
class _Draft:
    """A variant on its way.

    Attributes:
        kind: One of `KINDS`.
        path: In the workplace.
        problem: Why nothing more can be found of it.
    """

    kind: str
    path: Path
    problem: str = ""
    sha256: str = ""
    num_bytes: int = 0
    peak_bytes: int | None = None
    anatomy: Anatomy = field(default_factory=Anatomy)
    fidelity: Fidelity | None = None
    speeds: tuple[Speed, ...] = ()


def _original(files: ModelFiles) -> _Original:
    anatomy = examine(files.model)
    if anatomy.operators:
        raise ConfigError(
            f"{files.model} is quantised already ({_counted(anatomy.operators)}); set kokoro.model to an f32 file, or "
            "fetch one: firstaudio models pull kokoro --variant f32"
        )
    return _Original(file_hash(files.model), anatomy)


def _words(config: Config, files: ModelFiles) -> tuple[list[Words], list[Words]]:
    """Sentences by which fidelity is judged, and the two lengths that are timed."""
    voices = VoiceTable(files.voices)
    names = [voice.id for voice in voices.voices() if voice.alias_of is None]
    by_language = {language_of(name): name for name in reversed(names)}
    sample = list(dict.fromkeys([*(name for name in names if name in by_language.values()), *names]))[:MAX_VOICES]
    tokens = TextToTokens(config.kokoro, Phonemizer(config.espeak))
    tokens.start()
    try:
        runs = [(name, run.ids) for name in sample for run in _held_out(tokens, name)]
        long = tuple(token for text in ENGLISH for run in tokens.runs(text, "en-us") for token in run.ids)
    finally:
        tokens.close()
    lengths = [(sample[0], long[:number]) for number in TIMED_TOKENS]
    sentences, timed = ([Words(ids, voices.style(name, len(ids))) for name, ids in each] for each in (runs, lengths))
    return sentences, timed


def _held_out(tokens: TextToTokens, voice: str) -> Iterator[Run]:
    language = language_of(voice)
    known = language if language in tokens.languages else "en-us"
    for text in measured_and_held_out(known)[1]:
        yield from tokens.runs(text, known)


@contextmanager
def _workplace(files: ModelFiles, num_kinds: int) -> Iterator[Path]:
    """A folder that goes when the work ends, on the disk where variants are kept. Raises ConfigError."""
    # every variant, and beside them one file on its way twice: with shapes while it is made, with its noise given later
    need = files.model.stat().st_size * (num_kinds + 2)
    with writing(files.cache, need):
        files.cache.mkdir(parents=True, exist_ok=True)
        if free_bytes(files.cache) < need:
            raise ConfigError(no_room(files.cache, need))
        with tempfile.TemporaryDirectory(dir=files.cache, prefix=".quantising-") as folder:
            yield Path(folder)


class _Trial:
    """The workplace and what is done in it."""

    def __init__(self, config: Config, files: ModelFiles, original: _Original, place: Path, progress: Progress) -> None:
        self._files, self._original, self._place, self._progress = files, original, place, progress
        self._num_threads = config.kokoro.num_threads

    def make(self, kind: str, index: int, total: int) -> _Draft:
        """The file of one kind, and what it is made of."""
        self._progress(f"quantising: {kind}", index, total)
        draft = _Draft(kind, self._place / f"{kind}.onnx")
        try:
            _quantize(self._linked(), draft.path, KINDS[kind])
            draft.anatomy = examine(draft.path)
        except FirstaudioError as error:
            draft.problem = error.message
            return draft
        draft.sha256, draft.num_bytes = file_hash(draft.path), draft.path.stat().st_size
        if not draft.anatomy.operators:
            draft.problem = f"it did nothing: the model has no {', '.join(KINDS[kind].operators)} of fixed weights"
        return draft

    def listen(self, drafts: Sequence[_Draft], sentences: Sequence[Words]) -> Fidelity:
        """Compare what every draft says with what the original says; and the original with itself."""
        self._progress("listening: original", 0, len(drafts) + 2)
        wanted = self._spoken(self._files.model, sentences)
        for index, draft in enumerate(drafts):
            self._progress(f"listening: {draft.kind}", index + 1, len(drafts) + 2)
            if draft.problem:
                continue
            try:
                draft.fidelity = compare_speech(draft.kind, wanted, self._spoken(draft.path, sentences))
            except FirstaudioError as error:
                draft.problem = error.message
        self._progress("listening: original with other noise", len(drafts) + 1, len(drafts) + 2)
        speaker = Speaker(self._files.model, self._num_threads)
        return compare_speech("seeds", wanted, [speaker.say(words) for words in sentences])

    def time(self, drafts: Sequence[_Draft], lengths: Sequence[Words], rounds: int) -> Measured:
        """Memory and time of every draft that speaks; the original's figures."""
        path = self._files.model
        tried = [draft for draft in drafts if not draft.problem]
        self._progress("weighing: original", 0, len(tried) + 1)
        peak = peak_bytes(path, lengths[-1], self._num_threads)
        for index, draft in enumerate(tried):
            self._progress(f"weighing: {draft.kind}", index + 1, len(tried) + 1)
            self._weigh(draft, lengths[-1])
        timings = [Timing("original", path), *(Timing(draft.kind, draft.path, draft.problem) for draft in tried)]
        time_files(timings, lengths, rounds, self._num_threads, self._progress)
        if timings[0].problem:
            raise EngineError(f"the original cannot be timed: {timings[0].problem}")
        for draft, timing in zip(tried, timings[1:], strict=True):
            draft.problem, draft.speeds = timing.problem, timing.speeds
        return Measured(self._original.sha256, path.stat().st_size, peak, timings[0].speeds)

    def _weigh(self, draft: _Draft, words: Words) -> None:
        try:
            draft.peak_bytes = peak_bytes(draft.path, words, self._num_threads)
        except FirstaudioError as error:
            draft.problem = error.message

    def _linked(self) -> Path:
        """The model by a name in the workplace: onnxruntime writes beside what it reads."""
        link = self._place / "original.onnx"
        if not link.is_symlink():
            link.symlink_to(self._files.model.resolve())
        return link

    def _spoken(self, path: Path, sentences: Sequence[Words]) -> list[Part]:
        """Each sentence in given noise, by a session of a copy of that file."""
        copy = self._place / "with-given-noise.onnx"
        try:
            give_noise(path, copy, self._original.anatomy.durations)
            speaker = Speaker(copy, self._num_threads)
        finally:
            copy.unlink(missing_ok=True)
        return [speaker.say(words) for words in sentences]


def _quantize(source: Path, target: Path, kind: Kind) -> None:
    """Raises EngineError, OSError."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("quantising a model", "kokoro") from error
    weights = QuantType.QInt8 if kind.weights == "int8" else QuantType.QUInt8
    try:
        with _without_advice():
            quantize_dynamic(source, target, op_types_to_quantize=list(kind.operators), weight_type=weights)
    except OSError:
        raise
    except Exception as error:  # the quantiser states no errors; the other kinds go on
        raise EngineError(f"onnxruntime cannot quantise it: {error}") from error


@contextmanager
def _without_advice() -> Iterator[None]:
    """The quantiser logs advice through the root logger, and configures it when nobody else has."""
    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)


def _conclude(files: ModelFiles, original: _Original, draft: _Draft, against: Measured, *, keep: bool) -> Variant:
    """Judge, then keep or remove."""
    passes, reasons = _judged(original, draft, against)
    measured = Measured(draft.sha256, draft.num_bytes, draft.peak_bytes, draft.speeds) if draft.sha256 else None
    variant = Variant(
        draft.kind, measured, draft.anatomy.operators, draft.fidelity, draft.anatomy.cut_problem, passes, reasons
    )
    name = f"{files.model.stem}-{original.sha256[:SUM_DIGITS]}.int8-{draft.kind}.onnx"
    if measured is not None and (passes or keep):
        return replace(variant, path=_install(files, original, draft, name))
    return replace(variant, is_dropped=_drop(files, name))


def _judged(original: _Original, draft: _Draft, against: Measured) -> tuple[bool, tuple[str, ...]]:
    if draft.problem or draft.fidelity is None:
        return False, (draft.problem,)
    lost_cut = "" if original.anatomy.cut_problem else draft.anatomy.cut_problem
    return judge(draft.fidelity, draft.speeds, draft.num_bytes, against.num_bytes, lost_cut)


def _install(files: ModelFiles, original: _Original, draft: _Draft, name: str) -> Path:
    """Put the file into the model's folder and list it. Raises OSError, told by `writing`."""
    target = files.cache / name
    made = f"quantised: {draft.kind} of {original.sha256} by {_library()}"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    stored = StoredFile(name, "model", f"int8-{draft.kind}", draft.num_bytes, draft.sha256, made, now)
    with locked(files.cache.parent, files.name):
        put_in_place(draft.path, target)
        write_manifest(files.cache, read_manifest(files.cache).with_file(stored))
    return target


def _drop(files: ModelFiles, name: str) -> bool:
    """Take a file of an earlier run out of the list, then off the disk; whether there was one."""
    with locked(files.cache.parent, files.name):
        manifest = read_manifest(files.cache)
        if manifest.get(name) is None:
            return False
        write_manifest(
            files.cache, replace(manifest, files=tuple(file for file in manifest.files if file.file != name))
        )
        (files.cache / name).unlink(missing_ok=True)
    return True


def _library() -> str:
    return f"onnxruntime {import_ort().__version__}"


def _counted(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in operators.items())
