"""Variants of a model on their way: made, heard, weighed and timed, in a workplace of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from firstaudio.config import Config
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
    peak_bytes,
    time_files,
)
from firstaudio.engines.kokoro.runtimes.profile import file_hash
from firstaudio.engines.kokoro.store import ModelFiles
from firstaudio.errors import EngineError, FirstaudioError, MissingExtraError


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
class Original:
    """The model that variants are made of: the sum of its file, and what it is made of."""

    sha256: str
    anatomy: Anatomy


@dataclass(slots=True)
class Draft:
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


class Workplace:
    """Where variants are made, and what is done with them.

    Args:
        config: Section `kokoro`.
        files: The model.
        original: What is known of it.
        place: An empty folder, gone afterwards.
        progress: Told of each step.
    """

    def __init__(self, config: Config, files: ModelFiles, original: Original, place: Path, progress: Progress) -> None:
        self._files, self._original, self._place, self._progress = files, original, place, progress
        self._num_threads = config.kokoro.num_threads

    def make(self, kind: str, index: int, total: int) -> Draft:
        """The file of one kind, and what it is made of."""
        self._progress(f"quantising: {kind}", index, total)
        draft = Draft(kind, self._place / f"{kind}.onnx")
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

    def listen(self, drafts: Sequence[Draft], sentences: Sequence[Words]) -> Fidelity:
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

    def time(self, drafts: Sequence[Draft], lengths: Sequence[Words], rounds: int) -> Measured:
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

    def _weigh(self, draft: Draft, words: Words) -> None:
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
