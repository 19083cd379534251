"""What `firstaudio models quantize` does: make int8 variants of a model, try each one, keep what is worth it.

Whatever a variant is said to be was found by loading that very file: its sum is in the report.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from firstaudio.config import Config
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.disk import free_bytes, locked, no_room, put_in_place, writing
from firstaudio.engines.kokoro.quantize_draft import KINDS, Draft, Measured, Original, Workplace
from firstaudio.engines.kokoro.quantize_graph import examine
from firstaudio.engines.kokoro.quantize_trial import Fidelity, Progress, Words, judge
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
from firstaudio.errors import ConfigError

TIMED_TOKENS = (20, 80)  # a clause and a sentence
MAX_VOICES = 3  # that judge; the first of each language
SUM_DIGITS = 8


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
        work = Workplace(config, files, original, place, progress)
        drafts = [work.make(kind, index, len(kinds)) for index, kind in enumerate(kinds)]
        seeds = work.listen(drafts, sentences)
        measured = work.time(drafts, lengths, rounds)
        variants = tuple(_conclude(files, original, draft, measured, keep=keep) for draft in drafts)
    found = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(files.model, measured, seeds, variants, rounds, _library(), found)


def _original(files: ModelFiles) -> Original:
    anatomy = examine(files.model)
    if anatomy.operators:
        raise ConfigError(
            f"{files.model} is quantised already ({_counted(anatomy.operators)}); set kokoro.model to an f32 file, or "
            "fetch one: firstaudio models pull kokoro --variant f32"
        )
    return Original(file_hash(files.model), anatomy)


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


def _conclude(files: ModelFiles, original: Original, draft: Draft, against: Measured, *, keep: bool) -> Variant:
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


def _judged(original: Original, draft: Draft, against: Measured) -> tuple[bool, tuple[str, ...]]:
    if draft.problem or draft.fidelity is None:
        return False, (draft.problem,)
    lost_cut = "" if original.anatomy.cut_problem else draft.anatomy.cut_problem
    return judge(draft.fidelity, draft.speeds, draft.num_bytes, against.num_bytes, lost_cut)


def _install(files: ModelFiles, original: Original, draft: Draft, name: str) -> Path:
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
