"""TTFA predicted before any work is done: a + b * tokens + queue.

a and b are measured: a fading least-squares line per engine, format and delivery through what answers took beside
their time in the queue. Tokens are those of the first clause (of the whole text where the whole is sent at once). The
queue is the scheduler's own state: who goes first, and what a step of theirs costs. Answers from kept audio have a
line of their own, and so does what is said of the predictions' errors.
"""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from firstaudio.clock import NS_PER_MS
from firstaudio.engines.base import EngineInfo
from firstaudio.synthesis.scheduler import Backlog
from firstaudio.synthesis.utterance import Utterance
from firstaudio.text.plan import CHARS_PER_S, FIRST_CLAUSE_MAX_S, FIRST_MIN_S, latin_chars
from firstaudio.trace import Trace

MIN_LEARNED = 5  # answers of one kind, before a line through them is believed
NUM_ERRORS = 200
_LOOKED_AT = round(FIRST_CLAUSE_MAX_S * CHARS_PER_S)
_SHORTEST = round(FIRST_MIN_S * CHARS_PER_S)
_MARK = r"(?:[.!?;:,\u2014\u2026][\s\"')\]]|[\u3001\u3002\uff0c\uff01\uff1f\uff1b\n])"
_FIRST_CLAUSE = re.compile(rf".{{{_SHORTEST},}}?{_MARK}", re.DOTALL)


class Line:
    """y = a + b * x by least squares, older observations fading by `DECAY`; nothing is assumed before the first.

    Times have a long tail, and a mean would be above most of them: so the line is moved to where half of the latest
    observations lie above it.

    Attributes:
        num_learned: Observations so far.
    """

    DECAY = 0.97
    MIN_SPREAD = 1e-3  # of x, relative: below it no slope can be seen
    NUM_RECENT = 41

    def __init__(self) -> None:
        self.num_learned = 0
        self._n = self._x = self._y = self._xx = self._xy = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=self.NUM_RECENT)
        self._offset = 0.0

    def observe(self, x: float, y: float) -> None:
        """Learn that `x` gave `y`."""
        fade = self.DECAY
        self._n, self._x, self._y = self._n * fade + 1.0, self._x * fade + x, self._y * fade + y
        self._xx, self._xy = self._xx * fade + x * x, self._xy * fade + x * y
        self.num_learned += 1
        self._recent.append((x, y))
        slope, (mean_x, mean_y) = self.slope, self._means
        self._offset = median(y - mean_y - slope * (x - mean_x) for x, y in self._recent)

    def at(self, x: float) -> float:
        """The line at `x`; after at least one observation."""
        mean_x, mean_y = self._means
        return mean_y + self._offset + self.slope * (x - mean_x)

    @property
    def _means(self) -> tuple[float, float]:
        return self._x / self._n, self._y / self._n

    @property
    def slope(self) -> float:
        """b: at least 0, because more text is never less work; 0 where all x were alike."""
        spread = self._n * self._xx - self._x * self._x
        if spread <= self.MIN_SPREAD * self._n * self._xx:
            return 0.0
        return max(0.0, (self._n * self._xy - self._x * self._y) / spread)


@dataclass(frozen=True, slots=True)
class Kind:
    """What has a line of its own.

    Attributes:
        engine: Its name.
        format: Of the audio: encoders hold back different amounts.
        is_whole: Whether nothing is sent before everything is made.
        is_cached: Whether the first segment is there already; of whole answers, which need more than that, never.
    """

    engine: str
    format: str
    is_whole: bool
    is_cached: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was known of one utterance before any work.

    Attributes:
        kind: Whose line.
        tokens: Latin characters that come first, at speed 1.
        wait_ms: In the queue, and for the engine's model.
        ttfa_ms: Accept to first audio; None where too little was known.
    """

    kind: Kind
    tokens: float
    wait_ms: float
    ttfa_ms: float | None


@dataclass(frozen=True, slots=True)
class PredictionError:
    """How far the latest predictions were from what was measured.

    Attributes:
        n: Predictions that were compared, at most `NUM_ERRORS`.
        median_absolute_error_ms: None without any.
        bias_ms: Median of predicted less measured; above 0: too slow was predicted. None without any.
    """

    n: int
    median_absolute_error_ms: float | None
    bias_ms: float | None


@dataclass(frozen=True, slots=True)
class PredictionStatistics:
    """Errors of predictions for answers that were made, and apart from them for those that were kept.

    Attributes:
        made: Of audio that an engine made.
        cached: Of answers whose first segment was expected to be there already.
        num_learned: Answers that were learned from, by engine.
    """

    made: PredictionError
    cached: PredictionError
    num_learned: dict[str, int]


class Predictor:
    """Predicts, and learns from how it came out. Lives on the event loop."""

    def __init__(self) -> None:
        self._lines: dict[Kind, Line] = {}
        self._errors: dict[bool, deque[float]] = {False: deque(maxlen=NUM_ERRORS), True: deque(maxlen=NUM_ERRORS)}

    def predict(
        self,
        utterance: Utterance,
        info: EngineInfo,
        trace: Trace,
        backlog: Backlog,
        *,
        is_cached: bool,
        asleep_s: float = 0.0,
    ) -> Prediction:
        """What TTFA will be, from measured figures; from the engine's own expectation while there are few.

        Args:
            utterance: What is to be spoken; its beginning is looked at.
            info: Of the engine that will speak it.
            trace: Its format, delivery, and when it was accepted.
            backlog: What goes before it.
            is_cached: Whether its first segment is there already.
            asleep_s: How long the engine needs to load what it gave up, in seconds.
        """
        is_whole = trace.delivery == "whole"
        kind = Kind(utterance.engine or info.name, trace.format, is_whole, is_cached and not is_whole)
        tokens = _num_tokens(utterance.text, is_whole=is_whole) / utterance.speed
        work_ms, wait_ms = self._work_ms(kind, tokens, info), (wait_s(backlog) + asleep_s) * 1000
        return Prediction(kind, tokens, wait_ms, None if work_ms is None else work_ms + wait_ms)

    def observe(self, prediction: Prediction, trace: Trace) -> None:
        """The utterance has ended.

        What was cold, never heard or spoken by another engine teaches nothing, nor does a whole answer that was kept:
        no prediction knows of one.
        """
        kind, stages = prediction.kind, trace.first_audio_stages_ns
        was_cached = trace.warmth == "cached"
        is_telling = trace.warmth != "cold" and trace.engine == kind.engine and trace.origin != "warmup"
        if trace.ttfa_ms is None or stages is None or not is_telling or (kind.is_whole and was_cached):
            return
        if prediction.ttfa_ms is not None:
            self._errors[kind.is_cached].append(prediction.ttfa_ms - trace.ttfa_ms)
        line = self._lines.setdefault(Kind(kind.engine, kind.format, kind.is_whole, was_cached), Line())
        line.observe(prediction.tokens, trace.ttfa_ms - stages["queue"] / NS_PER_MS)

    def statistics(self) -> PredictionStatistics:
        """Errors of the latest predictions."""
        num_learned: dict[str, int] = {}
        for kind, line in self._lines.items():
            num_learned[kind.engine] = num_learned.get(kind.engine, 0) + line.num_learned
        return PredictionStatistics(_error(self._errors[False]), _error(self._errors[True]), num_learned)

    def _work_ms(self, kind: Kind, tokens: float, info: EngineInfo) -> float | None:
        line = self._lines.get(kind)
        if line is not None and line.num_learned >= MIN_LEARNED:
            return max(0.0, line.at(tokens))
        if kind.is_cached or kind.is_whole or not (info.expected_startup_s or info.expected_startup_rtf):
            return None
        return (info.expected_startup_s + info.expected_startup_rtf * tokens / CHARS_PER_S) * 1000


def wait_s(backlog: Backlog) -> float:
    """When a lane begins with a new stream, in seconds from now: each lane takes the next in line when it is free."""
    free_at = [*backlog.running_s, *(0.0 for _ in range(backlog.num_lanes - len(backlog.running_s)))]
    heapq.heapify(free_at)
    for work_s in backlog.waiting_s:
        heapq.heapreplace(free_at, free_at[0] + work_s)
    return free_at[0]


def _num_tokens(text: str, *, is_whole: bool) -> float:
    """Latin characters of the text, or of its first clause; at most as many characters as one can have are read."""
    if is_whole:
        return latin_chars(text)
    found = _FIRST_CLAUSE.match(text[:_LOOKED_AT].lstrip())
    return latin_chars(found.group() if found else text[:_LOOKED_AT])


def _error(errors: Iterable[float]) -> PredictionError:
    found = list(errors)
    if not found:
        return PredictionError(0, None, None)
    return PredictionError(len(found), median(map(abs, found)), median(found))
