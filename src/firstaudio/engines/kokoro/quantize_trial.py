"""A model file and its variants side by side: the same words in the same noise, interleaved rounds by the clock."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from firstaudio.clock import NS_PER_MS, Clock, now_ns
from firstaudio.engines.kokoro.decoder import SAMPLE_RATE
from firstaudio.engines.kokoro.dialect import read_dialect
from firstaudio.engines.kokoro.fidelity import Comparison, Distance, distance
from firstaudio.engines.kokoro.loaded_piece import whole_file_on
from firstaudio.engines.kokoro.model import Part, WholeModel
from firstaudio.engines.kokoro.runtimes.board import RoutedSession
from firstaudio.engines.kokoro.runtimes.figures import MIN_GAIN, Figures, Ratio, speedup
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.errors import EngineError, FirstaudioError

Floats = NDArray[np.float32]
Progress = Callable[[str, int, int], None]
"""What is being done, how many are done, how many there are."""

MIN_COMPARABLE = 0.5  # of the sentences must have the same length, or the bound says nothing of the rest
MIN_SMALLER = 0.25  # of the file: what a variant that is not faster must save at least


@dataclass(frozen=True, slots=True)
class Words:
    """One run of tokens to speak.

    Attributes:
        ids: 1 to 510, without pads.
        style: Shape (1, 256).
    """

    ids: tuple[int, ...]
    style: Floats


class Speaker:
    """A whole model file in a new session of its own, on the processor.

    Args:
        path: An ONNX file.
        num_threads: Threads of one step; 0: one for each physical core.

    Raises:
        ConfigError: It is no Kokoro model.
        EngineError: It cannot be run here.
    """

    def __init__(self, path: Path, num_threads: int) -> None:
        runtime = OrtRuntime("cpu", num_threads=num_threads)
        session = runtime.load(path)
        dialect = read_dialect(session)
        self._model = WholeModel(whole_file_on([RoutedSession(runtime.name, session)], dialect), dialect)

    def say(self, words: Words) -> Part:
        """Audio, and durations where the file tells them. Raises EngineError."""
        return next(self._model.parts(words.ids, "", words.style, 1.0, (), windowed=False))


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A variant against the original, in the same noise.

    Attributes:
        comparison: Over the sentences that have the same durations in both; None where there is none.
        num_sentences: All of them.
        num_tokens: Of all sentences, pads included; 0 where nobody knows durations.
        num_differing: Tokens that last for another number of frames.
        is_same: Whether every output is the original's, bit for bit.
    """

    comparison: Comparison | None
    num_sentences: int
    num_tokens: int
    num_differing: int
    is_same: bool

    @property
    def num_compared(self) -> int:
        """Sentences that could be compared."""
        return 0 if self.comparison is None else len(self.comparison.distances)

    @property
    def rhythm(self) -> str:
        """How durations differ, for people."""
        sentences = f"{self.num_sentences - self.num_compared} of {self.num_sentences} sentences"
        if not self.num_tokens:
            return f"{sentences} are of another length"
        return f"durations differ in {self.num_differing} of {self.num_tokens} tokens and {sentences}"

    @property
    def failures(self) -> list[str]:
        """What is beyond the bound, a sentence each."""
        if self.is_same:
            return ["it did nothing: every output is the original's, bit for bit"]
        failures = [] if self.comparison is None else self.comparison.failures
        if self.num_compared < MIN_COMPARABLE * self.num_sentences:
            failures.append(f"{self.rhythm}: at least {MIN_COMPARABLE:.0%} of the sentences must be comparable")
        return failures


def compare_speech(name: str, originals: Sequence[Part], others: Sequence[Part]) -> Fidelity:
    """How far a variant's sentences are from the original's.

    Args:
        name: Of the variant.
        originals: Each sentence, spoken by the original in given noise.
        others: The same by the variant in the same noise.
    """
    distances: list[Distance] = []
    num_tokens = num_differing = 0
    for one, other in zip(originals, others, strict=True):
        differing = _differing(one, other)
        num_tokens += 0 if differing is None else len(differing)
        num_differing += 0 if differing is None else int(differing.sum())
        if one.pcm.shape == other.pcm.shape and (differing is None or not differing.any()):
            distances.append(distance(one.pcm, other.pcm))
    is_same = all(np.array_equal(one.pcm, other.pcm) for one, other in zip(originals, others, strict=True))
    comparison = Comparison(name, tuple(distances)) if distances else None
    return Fidelity(comparison, len(originals), num_tokens, num_differing, is_same)


def _differing(one: Part, other: Part) -> NDArray[np.bool_] | None:
    """Of each token whether it lasts for another time; None where nobody knows."""
    if one.durations is None or other.durations is None:
        return None
    return np.not_equal(one.durations, other.durations)


@dataclass(frozen=True, slots=True)
class Speed:
    """One file, timed at one length.

    Attributes:
        num_tokens: Pads not counted.
        step_ms: Median of a run.
        per_audio_s: Of each round, ms of work for a second of audio: files that speak slower take no longer by that.
        ratio: How many times as fast as the original it is, paired by rounds; None for the original.
    """

    num_tokens: int
    step_ms: float
    per_audio_s: tuple[float, ...]
    ratio: Ratio | None = None

    @property
    def rtf(self) -> float:
        """Seconds of work for a second of audio: the median of the rounds."""
        return median(self.per_audio_s) / 1000

    @property
    def is_slower(self) -> bool:
        """Whether it is slower beyond doubt, or by more than what a gain must bring."""
        return self.ratio is not None and (self.ratio.high < 1 or 1 / self.ratio.value - 1 > MIN_GAIN)

    @property
    def slowness(self) -> str:
        """How slow it is, for people. Only where `is_slower`."""
        assert self.ratio is not None
        how = "slower" if self.ratio.high < 1 else "probably slower"
        return f"{how} for {self.num_tokens} tokens ({self.ratio})"

    @property
    def is_gain(self) -> bool:
        """Whether it is faster beyond doubt."""
        return self.ratio is not None and self.ratio.is_gain


@dataclass(slots=True)
class Timing:
    """A file on its way through the rounds.

    Attributes:
        name: "original", or the variant's kind.
        path: The file itself.
        problem: Why it is out; empty while it is in.
        speeds: What came of it, in the order of the lengths; empty where there is a problem.
    """

    name: str
    path: Path
    problem: str = ""
    speeds: tuple[Speed, ...] = ()


def time_files(
    timings: Sequence[Timing],
    lengths: Sequence[Words],
    rounds: int,
    num_threads: int,
    progress: Progress,
    *,
    clock: Clock = now_ns,
    load: Callable[[Path, int], Speaker] = Speaker,
) -> None:
    """Time every file at every length; the first one is the original.

    All are loaded, then warmed, then run once a round in an order drawn anew for each: what disturbs the machine for a
    while disturbs all alike. A file that fails is out and keeps its reason.

    Args:
        timings: Filled in here.
        lengths: What to speak.
        rounds: At least `figures.MIN_ROUNDS`.
        num_threads: Threads of one step; 0: one for each physical core.
        progress: Told of each round.
        clock: For tests.
        load: For tests.
    """
    trials = [_Trial(timing, lengths, clock) for timing in timings]
    for index, trial in enumerate(trials):
        progress(f"loading and warming {trial.timing.name}", index, len(trials))
        trial.prepare(lambda path: load(path, num_threads))
    order = random.Random(0)
    for index in range(rounds):
        progress("timing, round by round", index, rounds)
        for trial in order.sample(trials, len(trials)):
            trial.run(is_timed=True)
    original = trials[0]
    for trial in trials:
        trial.conclude(None if trial is original else original)


class _Trial:
    """One file's session and its times."""

    def __init__(self, timing: Timing, lengths: Sequence[Words], clock: Clock) -> None:
        self.timing, self._lengths, self._clock = timing, lengths, clock
        self._speaker: Speaker | None = None
        self._step_ms: list[list[float]] = [[] for _ in lengths]
        self._per_audio_s: list[list[float]] = [[] for _ in lengths]

    def prepare(self, load: Callable[[Path], Speaker]) -> None:
        """Load and run each length once: the first run allocates."""
        if self.timing.problem:
            return
        try:
            self._speaker = load(self.timing.path)
        except FirstaudioError as error:
            self.timing.problem = error.message
        self.run(is_timed=False)

    def run(self, *, is_timed: bool) -> None:
        """Each length once, unless something has failed before."""
        if self._speaker is None or self.timing.problem:
            return
        try:
            for index, words in enumerate(self._lengths):
                begin_ns = self._clock()
                audio_s = len(self._speaker.say(words).pcm) / SAMPLE_RATE
                took_ms = (self._clock() - begin_ns) / NS_PER_MS
                if is_timed:
                    self._step_ms[index].append(took_ms)
                    self._per_audio_s[index].append(took_ms / audio_s)
        except FirstaudioError as error:
            self.timing.problem = error.message

    def conclude(self, original: _Trial | None) -> None:
        """Medians, and the ratio to the original."""
        if self.timing.problem or (original is not None and original.timing.problem):
            return
        self.timing.speeds = tuple(self._speed(index, original) for index in range(len(self._lengths)))

    def _speed(self, index: int, original: _Trial | None) -> Speed:
        ratio = None if original is None else speedup(self._figures(index), original._figures(index))
        times = tuple(self._per_audio_s[index])
        return Speed(len(self._lengths[index].ids), median(self._step_ms[index]), times, ratio)

    def _figures(self, index: int) -> Figures:
        return Figures(self.timing.name, times_ms=tuple(self._per_audio_s[index]))


def peak_bytes(path: Path, words: Words, num_threads: int) -> int:
    """The most memory that a process of its own holds that loads a file and speaks.

    Raises:
        EngineError: It died.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_speak_and_weigh, path, words, num_threads).result()
        except BrokenProcessPool as error:
            raise EngineError(f"a process that ran {path.name} died; is there enough memory?") from error


def _speak_and_weigh(path: Path, words: Words, num_threads: int) -> int:
    """Runs in a process of its own."""
    Speaker(path, num_threads).say(words)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return _most_resident()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else _most_resident()


def _most_resident() -> int:
    """As the system counts it; Linux counts what the parent had, too, so it is asked last there."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def judge(
    fidelity: Fidelity, speeds: Sequence[Speed], num_bytes: int, original_bytes: int, lost_cut: str
) -> tuple[bool, tuple[str, ...]]:
    """Whether a variant is worth keeping, and why.

    It is, where it is within the bound of fidelity, can be cut where the original can, is slower at no length, and is
    faster beyond doubt or smaller by `MIN_SMALLER`.

    Args:
        fidelity: Against the original.
        speeds: At each length, with ratios.
        num_bytes: Size of its file.
        original_bytes: Size of the original.
        lost_cut: Why it cannot be cut though the original can; empty where nothing is lost.
    """
    smaller = 1 - num_bytes / original_bytes
    against = list(fidelity.failures)
    if lost_cut:
        against.append(f"it cannot be cut, so that it could not be decoded in windows: {lost_cut}")
    against += [each.slowness for each in speeds if each.is_slower]
    gains = [f"faster for {each.num_tokens} tokens ({each.ratio})" for each in speeds if each.is_gain]
    if smaller >= MIN_SMALLER:
        gains.append(f"{smaller:.0%} smaller")
    if not gains:
        against.append(f"neither faster beyond doubt nor smaller by {MIN_SMALLER:.0%} (it is by {smaller:.0%})")
    return not against, tuple(against or gains)
