"""How long the next segment should be: predictions of speech and work, and the budget that follows from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from firstaudio.config import StreamingConfig
from firstaudio.text.boundaries import Kind
from firstaudio.text.characters import CJK, SPACED_BY_PHRASE

# Source: read speech of about 180 words a minute, spaces and punctuation included.
CHARS_PER_S = 15.0
# What a character of a class adds to the 1 that every character counts, in Latin characters.
# Source: espeak-ng 1.52, sentences of the same meaning: Latin, Greek, Cyrillic 19 to 24 characters a second, Arabic
# 11.6, Hebrew 13.6, kana 9.2, Thai 9.2, Hangul 7.8, Mandarin 4.2; a digit takes as long as 2 (1 2 3) to 8 (3497).
_EXTRA = (
    (re.compile(r"[0-9٠-٩०-९]"), 4.0),
    (re.compile(r"[$%&@#+§©®°±×÷₠-⃀]"), 5.0),
    (re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0003ffff]"), 3.0),
    (re.compile(r"[\u3041-\u30ff]"), 1.0),
    (re.compile(r"[\uac00-\ud7a3]"), 1.5),
    (re.compile(f"[{SPACED_BY_PHRASE}]"), 1.0),
    (re.compile(r"[\u0590-\u06ff]"), 0.5),
)
_HAS_EXTRA = re.compile(rf"[0-9$%&@#+§©®°±×÷\u0590-\u06ff०-९₠-⃀\uac00-\ud7a3{CJK}{SPACED_BY_PHRASE}]")

# Pauses that espeak-ng 1.52 makes itself after a mark of each kind, at speed 1, in seconds.
_PAUSES_S = {Kind.CLAUSE: 0.16, Kind.STRONG_CLAUSE: 0.24, Kind.SENTENCE: 0.31, Kind.PARAGRAPH: 0.54}

# The first segment: below the first figure voices lose their prosody, above the second listeners notice the wait.
FIRST_MIN_S = 0.6  # `streaming.first_segment_s` may ask for more or less
FIRST_MAX_S = 1.2
# An engine that streams inside a segment begins no later with a long first clause than with a short one, unless its
# start-up grows with the segment: then the first clause may be as long as keeps the predicted start-up within this
# share of the target. The rest is for what nobody can plan: another listener's step that holds the lane, the encoder's
# delay, the way to the client.
FIRST_CLAUSE_MAX_S = 6.0
FIRST_START_SHARE = 0.5
# Segments of equal size, when the fast path is off.
EQUAL_MIN_S, EQUAL_TARGET_S, EQUAL_MAX_S = 2.0, 4.0, 6.0
# Also the most that an engine is given at once: espeak-ng loses what lies beyond about 60 s of one clause.
LONGEST_S = 20.0
# An engine that streams inside a segment holds a lane's resources until the segment's end: others wait for less.
STREAMED_TARGET_S = 4.0
# An engine that gives a segment only as a whole keeps its lane from all other listeners for as long as it takes.
LONGEST_WHOLE_S = 12.0
# A stretch without any boundary is cut here at the latest while there is hardly anything in the listener's buffer.
SHORT_MAX_CHARS = 60


def pause_s(kind: Kind, speed: float = 1.0) -> float:
    """Silence that belongs after a cut of this kind, in seconds at `speed`; none within a clause."""
    return _PAUSES_S.get(kind, 0.0) / speed


class SpeechRate:
    """Predicts how long a text is when spoken, and learns from what an engine really produced.

    One for each voice. Until `observe` is called it predicts a reader of `CHARS_PER_S`.

    Attributes:
        factor: Real over predicted duration at speed 1, within `MIN_FACTOR`..`MAX_FACTOR`.
    """

    MIN_FACTOR = 0.4
    MAX_FACTOR = 2.5
    SMOOTHING = 0.2
    MIN_AUDIO_S = 0.3

    def __init__(self) -> None:
        self.factor = 1.0

    def seconds(self, text: str, speed: float = 1.0) -> float:
        """Predicted duration of `text` at `speed`, in seconds. Additive: of a sum it is the sum."""
        return self.seconds_of(latin_chars(text), speed)

    def seconds_of(self, num_latin_chars: float, speed: float = 1.0) -> float:
        """Predicted duration at `speed`, in seconds, of a text that counts `num_latin_chars`."""
        return num_latin_chars * self.factor / (CHARS_PER_S * speed)

    def observe(self, text: str, audio_s: float, speed: float = 1.0) -> None:
        """Learn that `text` took `audio_s` at `speed`; texts too short to tell are ignored."""
        expected_s = latin_chars(text) / (CHARS_PER_S * speed)
        if min(audio_s, expected_s) < self.MIN_AUDIO_S:
            return
        ratio = min(max(audio_s / expected_s, self.MIN_FACTOR), self.MAX_FACTOR)
        self.factor += self.SMOOTHING * (ratio - self.factor)


def latin_chars(text: str) -> float:
    """Length of `text` in Latin characters that take as long to say; a multiple of 0.5, so that sums are exact."""
    if not _HAS_EXTRA.search(text):
        return float(len(text))
    return len(text) + sum(extra * len(pattern.findall(text)) for pattern, extra in _EXTRA)


class CostModel:
    """Predicts the work for a segment as a + b * audio, both learned.

    A least-squares line through what was observed, older observations fading by `DECAY`, and two imagined ones that
    state the expectation; those fade as well, so they only hold the line while little is known.

    Args:
        expected_rtf: Seconds of work per second of audio, until measured.
        expected_overhead_s: Seconds of work before a segment's first audio, until measured.
    """

    DECAY = 0.95
    IMAGINED_AUDIO_S = (0.5, 8.0)

    def __init__(self, expected_rtf: float, expected_overhead_s: float = 0.0) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0
        for audio_s in self.IMAGINED_AUDIO_S:
            self._add(audio_s, expected_overhead_s + expected_rtf * audio_s)

    def observe(self, audio_s: float, work_s: float) -> None:
        """Learn that a whole segment of `audio_s` took `work_s` on its lane."""
        if audio_s <= 0:
            return
        self._n, self._x, self._y = self._n * self.DECAY, self._x * self.DECAY, self._y * self.DECAY
        self._xx, self._xy = self._xx * self.DECAY, self._xy * self.DECAY
        self._add(audio_s, work_s)

    @property
    def overhead_s(self) -> float:
        """a: seconds of work that a segment costs whatever its length; at least 0."""
        return max(0.0, (self._y - self.rtf * self._x) / self._n)

    @property
    def rtf(self) -> float:
        """b: seconds of work per second of audio; at least 0."""
        spread = self._n * self._xx - self._x * self._x
        if spread <= 1e-6 * self._n * self._xx:
            return self._y / self._x  # all of one length: no slope to be seen
        slope = (self._n * self._xy - self._x * self._y) / spread
        return min(max(0.0, slope), self._y / self._x)

    def predict_s(self, audio_s: float) -> float:
        """Seconds of work for a segment of `audio_s`."""
        return self.overhead_s + self.rtf * audio_s

    def _add(self, x: float, y: float) -> None:
        self._n += 1.0
        self._x += x
        self._y += y
        self._xx += x * x
        self._xy += x * y


@dataclass(frozen=True, slots=True)
class Budget:
    """What the next segment may be.

    A boundary of at least kind `natural` within `min_s`..`max_s` is taken, the one nearest to `target_s`; where there
    is none, the last weaker one that is not beyond `max_s`.

    Attributes:
        min_s: Seconds of speech below which a segment is not worth having.
        target_s: Seconds of speech that are best.
        max_s: Seconds of speech that must not be exceeded, but for a word that is longer.
        max_chars: Characters that must not be exceeded at all.
        natural: The weakest kind that is good enough not to look for a stronger one.
    """

    min_s: float
    target_s: float
    max_s: float
    max_chars: int
    natural: Kind


def plan_budget(
    index: int,
    lead_s: float,
    cost: CostModel,
    streaming: StreamingConfig,
    *,
    incremental: bool,
    crowded: bool = False,
    startup: CostModel | None = None,
) -> Budget:
    """The budget of segment `index`.

    The first is the shortest natural clause; each next one as long as measured speed allows: its predicted work must
    fit into the listener's lead less the safety buffer (`target_buffer_ms`). An engine that streams inside a segment
    gains nothing by long ones: whole sentences, a few seconds each; where its first chunk waits for work that grows
    with the segment (`startup`), that work is what must fit. `fast_path_enabled` off: all alike.

    Args:
        index: 0-based number of the segment within the utterance.
        lead_s: Audio that has been produced and not yet played, in seconds.
        cost: Measured work of the engine.
        streaming: The configuration.
        incremental: Whether the engine yields the first audio of a segment early.
        crowded: Whether other streams wait: then no first clause is long, whatever the engine.
        startup: Work until a segment's first chunk, by the segment's audio; None: an incremental engine has none worth
            speaking of.
    """
    longest = streaming.max_segment_chars
    if not streaming.fast_path_enabled:
        return Budget(EQUAL_MIN_S, EQUAL_TARGET_S, EQUAL_MAX_S, longest, Kind.SENTENCE)
    if not (incremental and streaming.incremental_generation):
        if index == 0:
            return _first(streaming, longest)
        affordable_s = _affordable_s(cost, _free_s(lead_s, streaming), LONGEST_WHOLE_S)
        return _later(affordable_s, affordable_s, longest)
    if index > 0:
        affordable_s = _affordable_s(startup, _free_s(lead_s, streaming), LONGEST_S)
        return _later(min(STREAMED_TARGET_S, affordable_s), affordable_s, longest)
    if crowded:
        return _first(streaming, longest)
    target_s = streaming.first_chunk_target_ms / 1000 * FIRST_START_SHARE
    first_s = max(FIRST_MAX_S, streaming.first_segment_s, _affordable_s(startup, target_s, FIRST_CLAUSE_MAX_S))
    return Budget(streaming.first_segment_s, streaming.first_segment_s, first_s, longest, Kind.CLAUSE)


def _free_s(lead_s: float, streaming: StreamingConfig) -> float:
    """Seconds in which nothing needs to come."""
    return lead_s - streaming.target_buffer_ms / 1000


def _affordable_s(work: CostModel | None, free_s: float, longest_s: float) -> float:
    """The longest segment, in seconds of audio up to `longest_s`, whose work fits into `free_s`; may be below 0."""
    if work is None:
        return longest_s
    return min((free_s - work.overhead_s) / max(work.rtf, 1e-3), longest_s)


def _later(target_s: float, max_s: float, longest: int) -> Budget:
    """Whole sentences of `target_s` where as much as a first clause can be afforded, else as little as makes sense."""
    if max_s <= FIRST_MAX_S:
        return _short(longest)
    return Budget(FIRST_MIN_S, target_s, max_s, longest, Kind.SENTENCE)


def _first(streaming: StreamingConfig, longest: int) -> Budget:
    """The shortest natural clause that is long enough."""
    least_s = streaming.first_segment_s
    most_s = max(FIRST_MAX_S, 2 * least_s)
    max_chars = min(longest, round(SHORT_MAX_CHARS * most_s / FIRST_MAX_S))
    return Budget(least_s, least_s, most_s, max_chars, Kind.CLAUSE)


def _short(longest: int) -> Budget:
    """The shortest natural clause."""
    return Budget(FIRST_MIN_S, FIRST_MIN_S, FIRST_MAX_S, min(longest, SHORT_MAX_CHARS), Kind.CLAUSE)
