"""`UtteranceWork`: one utterance as a sequence of steps. Runs on lanes; knows no event loop, no other stream."""

from __future__ import annotations

import logging
import zlib
from collections import deque
from dataclasses import replace

from firstaudio.audio.chunk import Chunk
from firstaudio.audio.rechunk import Rechunker
from firstaudio.audio.resample import ChunkResampler
from firstaudio.audio.stitch import Stitcher
from firstaudio.clock import NS_PER_MS, NS_PER_S, Clock, now_ns
from firstaudio.config import StreamingConfig
from firstaudio.engines.base import Engine, EngineInfo, SpeakRequest, Waiting
from firstaudio.errors import EmptyTextError, EngineError
from firstaudio.synthesis.cache import KEPT_FOR, PhraseCache
from firstaudio.synthesis.recording import PENDING, Pending, Recorded, Replay
from firstaudio.synthesis.segment_key import opening_key, segment_key
from firstaudio.synthesis.step import StepResult
from firstaudio.synthesis.utterance import Utterance
from firstaudio.text.plan import CostModel, SpeechRate, pause_s, plan_budget
from firstaudio.text.segment import Segment, Segmenter
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

SAMPLE_CHARS = 1024  # of a text, by which the length of its speech is estimated
STEP_QUANTUM_NS = 5 * NS_PER_MS  # a step of a fast engine takes as many chunks as fit into this
MAX_ATTEMPTS = 2


class EngineFigures:
    """What was measured of one engine; shared by its streams. A race between lanes costs one sample of an average.

    Args:
        info: The engine's; its expected figures hold until measured.

    Attributes:
        cost: Work for a whole segment.
        startup: Work until the first chunk of a segment that is not given whole; None for an engine that expects none.
        has_spoken: Whether it has given any audio yet.
    """

    def __init__(self, info: EngineInfo) -> None:
        self.cost = CostModel(info.expected_rtf)
        has_startup = info.expected_startup_s > 0 or info.expected_startup_rtf > 0
        self.startup = CostModel(info.expected_startup_rtf, info.expected_startup_s) if has_startup else None
        self.has_spoken = False
        self._rates: dict[str, SpeechRate] = {}

    def rate(self, voice: str) -> SpeechRate:
        """How fast a voice speaks."""
        return self._rates.setdefault(voice, SpeechRate())


class UtteranceWork:
    """One utterance, a step at a time.

    Args:
        engine: Started.
        utterance: With the voice and language that the engine resolved.
        config: Sizes of chunks and segments.
        figures: The engine's.
        trace: Stage times are added to it.
        output_rate: Sample rate of the chunks that come out, in Hz.
        clock: Monotonic ns.
        waiting_since_ns: When it began to wait for a lane; None: when the request was accepted.
        cache: Audio that is there already or is being made for others; None: there is none.
    """

    def __init__(
        self,
        engine: Engine,
        utterance: Utterance,
        config: StreamingConfig,
        figures: EngineFigures,
        trace: Trace,
        output_rate: int,
        clock: Clock = now_ns,
        waiting_since_ns: int | None = None,
        cache: PhraseCache | None = None,
    ) -> None:
        assert utterance.voice is not None
        assert utterance.language is not None
        self._engine, self._utterance, self._config = engine, utterance, config
        self._voice, self._language = utterance.voice, utterance.language
        self._figures, self._trace, self._clock = figures, trace, clock
        self._rate = figures.rate(utterance.voice)
        self._whole = utterance.decode == "whole" or not config.incremental_generation
        self._segmenter = Segmenter(language=utterance.language, rate=self._rate, speed=utterance.speed)
        self._segmenter.feed(utterance.text)
        self._segmenter.finish()
        self._segment: Segment | None = None
        self._cache = cache or PhraseCache(0, share_running=False)
        self._replay: Replay | None = None
        self._is_prepared = False
        self._collected: deque[Recorded] = deque()  # of a segment that is given whole
        self._is_collected = False
        self._waits_for: Waiting | None = None  # since the last step
        self._has_waited = False  # for the engine's model, in this segment
        self._attempt = 0
        self._segment_audio_s = self._segment_work_s = 0.0
        self._decode = ""  # how the segment was decoded
        self._prepare_s = 0.0
        self._startup_s: float | None = None  # of the segment, once its first chunk is there
        self._pause_s: float | None = None
        self._stitcher = Stitcher(engine.info.sample_rate)
        self._resampler = ChunkResampler(engine.info.sample_rate, output_rate)
        self._rechunker = Rechunker(config.min_chunk_size_ms / 1000, config.max_chunk_size_ms / 1000)
        self._seed = zlib.crc32(utterance.text.encode("utf-8", "replace"))
        self._waiting_since_ns = trace.accepted_ns if waiting_since_ns is None else waiting_since_ns
        # The whole text is not looked at here: its first characters stand for the rest.
        sample = utterance.text[:SAMPLE_CHARS]
        self._s_per_char = self._rate.seconds(sample, utterance.speed) / len(sample)
        self._spoken_chars = 0

    def remaining_s(self) -> float:
        """Estimated audio that is still to be made, in seconds."""
        chars = max(0, len(self._utterance.text) - self._spoken_chars)
        return chars * self._s_per_char

    def step(self, lead_s: float, crowded: bool) -> StepResult:
        """Make the next audio: one engine step, or as many short ones as fill a chunk on the wire."""
        begin_ns = self._clock()
        if self._trace.first_chunk_ns is None or self._waits_for is not None:
            self._trace.took("queue", self._waiting_since_ns, begin_ns)
        self._is_own_work, self._waits_for = True, None
        new: list[Chunk] = []
        done = False
        while not (done or self._waits_for or self._is_enough(new, begin_ns)):
            if self._replay is not None:
                new += self._advance()
            elif self._begin_segment(lead_s + _duration_s(new), crowded):
                new += self._pause()
            else:
                new += self._convert(self._stitcher.finish()) + self._resampler.finish()
                done = True
        with self._trace.stage("audio_conversion"):
            made = self._rechunker.push(*new) + (self._rechunker.finish() if done else [])
        self._note(made)
        if done and not self._trace.num_chunks:
            raise EmptyTextError(
                f"without markup, emoji, code and <think> blocks nothing is left that voice {self._voice!r} can speak; "
                "send words in its language",
                param="input",
            )
        self._waiting_since_ns = self._clock()
        return StepResult(made, done, self.remaining_s(), self._is_own_work, self._waits_for)

    def close(self) -> None:
        """Leave the segment; cancels the engine's iterator where nobody else listens to it."""
        replay, self._replay = self._replay, None
        if replay is not None:
            replay.close()

    def _is_enough(self, new: list[Chunk], begin_ns: int) -> bool:
        """Whether the step should end: as early as may be at first, then when a chunk on the wire is full."""
        if not new:
            return self._clock() - begin_ns >= STEP_QUANTUM_NS
        waiting_s = self._rechunker.held_s + _duration_s(new)
        if self._trace.first_chunk_ns is None:
            return waiting_s >= self._config.min_chunk_size_ms / 1000
        is_full = waiting_s + new[-1].duration_s > self._config.max_chunk_size_ms / 1000
        return is_full or self._clock() - begin_ns >= STEP_QUANTUM_NS

    # Segments.

    def _begin_segment(self, lead_s: float, crowded: bool) -> bool:
        """Plan, cut and start the next segment; False at the end of the text."""
        with self._trace.stage("text_processing"):
            self._segment = self._next_segment(lead_s, crowded)
        if self._segment is None:
            return False
        self._trace.num_segments += 1
        self._attempt, self._has_waited = 0, False
        self._listen()
        return True

    def _next_segment(self, lead_s: float, crowded: bool) -> Segment | None:
        """The next segment; only as much text as that needs is looked at. None at the end."""
        budget = plan_budget(
            0 if self._segment is None else self._segment.index + 1,
            lead_s,
            self._figures.cost,
            self._config,
            incremental=self._engine.info.incremental and not self._whole,
            crowded=crowded,
            startup=self._figures.startup,
        )
        return self._segmenter.next_segment(budget)

    def _listen(self) -> None:
        """Begin to listen to the segment: kept from earlier, being made for another stream, or yet to be made."""
        segment = self._segment
        assert segment is not None
        self._segment_audio_s = self._segment_work_s = self._prepare_s = 0.0
        self._startup_s, self._decode, self._is_prepared, self._is_collected = None, "", False, False
        self._collected.clear()
        key = segment_key(self._engine, self._utterance, segment.text)
        is_first, fresh = segment.index == 0, self._utterance.fresh
        self._replay = replay = self._cache.open(key, self._trace, is_first=is_first, fresh=fresh)
        if replay.was_kept:
            self._trace.warmth = "cached"

    def _advance(self) -> list[Chunk]:
        """One engine step of the current segment; none while another lane is at work on the same, or a model loads."""
        replay = self._replay
        assert replay is not None
        self._waits_for = self._awaken()
        if self._waits_for is not None:
            return []
        try:
            recorded = self._next_chunk(replay) if self._prepare(replay) else PENDING
        except EngineError as error:
            self._retry_or_raise(error)
            return []
        if recorded is PENDING:
            self._waits_for = replay.when_free
            return []
        with self._trace.stage("audio_conversion"):
            if recorded is None:
                self._end_segment()
                return []
            self._segment_audio_s += recorded.chunk.duration_s
            return self._convert(self._stitcher.push(self._in_utterance(recorded.chunk)))

    def _awaken(self) -> Waiting | None:
        """What to wait for where the engine has given up its model, once a segment: it may do so again at once.

        Kept audio waits, too: what follows it is not there, and a listener who waits hears no gap.
        """
        if self._is_prepared or self._has_waited:
            return None
        waiting = awaken() if (awaken := getattr(self._engine, "awaken", None)) else None
        self._has_waited = waiting is not None
        if self._has_waited and self._trace.first_chunk_ns is None:
            self._trace.warmth = "cold"
        return waiting

    def _prepare(self, replay: Replay) -> bool:
        """See that the engine has the segment; False: another lane is giving it to it."""
        if self._is_prepared:
            return True
        segment = self._segment
        assert segment is not None
        request = SpeakRequest(
            segment.text,
            self._voice,
            self._language,
            self._utterance.speed,
            self._utterance.pitch,
            key=(self._seed, segment.index, self._attempt),
            decode=self._utterance.decode,
        )
        begin_ns = self._clock()
        self._is_prepared = replay.begin(self._engine, request)
        self._prepare_s = (self._clock() - begin_ns) / NS_PER_S
        return self._is_prepared

    def _next_chunk(self, replay: Replay) -> Recorded | Pending | None:
        """The segment's next chunk, None at its end."""
        begin_ns = self._clock()
        recorded = self._take(replay)
        self._segment_work_s += (self._clock() - begin_ns) / NS_PER_S
        self._is_own_work &= replay.is_own
        if recorded is PENDING:
            return PENDING
        if self._startup_s is None:
            self._startup_s = self._prepare_s + self._segment_work_s
            self._note_warmth(replay)
        if recorded is not None:
            self._decode = recorded.decode or ("whole" if self._whole else "")
            self._trace.ran(recorded.runtime, self._decode)
        return recorded

    def _take(self, replay: Replay) -> Recorded | Pending | None:
        """From the replay; if segments go whole, nothing before all of it is there."""
        if not self._whole:
            return replay.take()
        while not self._is_collected:
            recorded = replay.take()
            if recorded is PENDING:
                return PENDING
            self._is_collected = recorded is None
            if recorded is not None:
                self._collected.append(recorded)
        return self._collected.popleft() if self._collected else None

    def _note_warmth(self, replay: Replay) -> None:
        """Whether the first audio needs what an engine made, maybe one that had to load something for it."""
        trace = self._trace
        if not replay.was_kept and (trace.delivery == "whole" or trace.first_chunk_ns is None):
            if replay.is_cold or not self._figures.has_spoken:
                trace.warmth = "cold"
            elif trace.warmth == "cached":
                trace.warmth = "warm"
        self._figures.has_spoken = True

    def _retry_or_raise(self, error: EngineError) -> None:
        """Start the segment once more, where that can help and none of its audio is on its way."""
        self.close()
        self._attempt += 1
        if not error.retryable or self._segment_audio_s or self._attempt >= MAX_ATTEMPTS:
            raise error
        request_id = self._trace.request_id
        logger.warning("request %s: segment retried: %s", request_id, error, extra={"request_id": request_id})
        self._trace.num_retries += 1
        self._listen()

    def _end_segment(self) -> None:
        """Learn from the segment, and note the pause that its end asks for."""
        segment = self._segment
        assert segment is not None
        replay = self._replay
        assert replay is not None
        if replay.is_own and not replay.is_cold:
            self._learn(segment)
        if segment.index == 0 and not self._utterance.fresh and self._trace.origin in KEPT_FOR:
            self._cache.note_opening(opening_key(self._engine, self._utterance), replay.key)
        self.close()
        self._spoken_chars = segment.original_span(0, len(segment.text))[1]
        self._pause_s = pause_s(segment.kind, self._utterance.speed)

    def _learn(self, segment: Segment) -> None:
        """Keep what this segment tells of the voice and the engine."""
        self._rate.observe(segment.text, self._segment_audio_s, self._utterance.speed)
        self._figures.cost.observe(self._segment_audio_s, self._segment_work_s)
        if self._figures.startup and self._startup_s is not None and self._decode != "whole":
            self._figures.startup.observe(self._segment_audio_s, self._startup_s)

    # Audio.

    def _pause(self) -> list[Chunk]:
        """The pause between the segment that has ended and the one that begins; after the last there is none."""
        if self._pause_s is None:
            return []
        pause_s, self._pause_s = self._pause_s, None
        with self._trace.stage("audio_conversion"):
            return self._convert(self._stitcher.end_segment(pause_s))

    def _convert(self, chunks: list[Chunk]) -> list[Chunk]:
        return [converted for chunk in chunks for converted in self._resampler.push(chunk)]

    def _in_utterance(self, chunk: Chunk) -> Chunk:
        """The chunk with its segment's index and with words in characters of the original text."""
        segment = self._segment
        assert segment is not None
        words = tuple(
            replace(mark, start_char=start, end_char=end)
            for mark in chunk.words
            for start, end in [segment.original_span(mark.start_char, mark.end_char)]
        )
        return replace(chunk, segment_index=segment.index, words=words)

    def _note(self, made: list[Chunk]) -> None:
        if made and self._trace.first_chunk_ns is None:
            self._trace.first_chunk_ns = self._clock()
        self._trace.num_chunks += len(made)
        self._trace.audio_s += _duration_s(made)


def _duration_s(chunks: list[Chunk]) -> float:
    return sum(chunk.duration_s for chunk in chunks)
