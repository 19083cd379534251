"""Audio that is made once: first segments that were spoken before, and segments that several listeners ask for now.

What decides the sound of a segment is its `SegmentKey`. A `Recording` is one synthesis of it: whoever needs a chunk
that is not there yet pulls it from the engine, the others replay what is there. So it does not matter who asked first
and who goes away, and the engine works no further than somebody listens. A recording that failed belongs to those who
were listening; it is not kept, and whoever tries again begins another one.

Everything here runs on lanes, several at a time. Locks are taken in one order: a recording's, then the cache's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, NamedTuple, Self

import numpy as np

from firstaudio.audio.chunk import Chunk, Pcm
from firstaudio.engines.base import Decode, Engine, SpeakRequest
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Origin, Trace

BYTES_PER_MB = 1_000_000
# What a kept chunk and a word mark cost beside the samples. Source: tracemalloc, CPython 3.11: 345 and 136 bytes.
CHUNK_BYTES, MARK_BYTES = 400, 160
# A segment that is not to be kept can be joined until so much of it is made; then its audio is let go as it is taken,
# so that a parked stream holds no more than that.
JOINABLE_S = 2.0
OPENING_CHARS = 512  # of a text, which decide what its first segment is
MAX_OPENINGS = 8192
KEPT_FOR: frozenset[Origin] = frozenset({"client", "warmup"})
"""Whose first segments are kept; what a benchmark or the tuner asks for would push out what clients ask for."""


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """All that decides how a segment sounds.

    Attributes:
        engine: Its name in the configuration.
        identity: What the engine says of itself beside its name: another model, another voices file.
        voice: As the engine resolved it.
        language: As the engine resolved it.
        speed: As asked for.
        pitch: As asked for.
        decode: As asked for.
        text: Of the segment, normalised; for `PhraseCache.expects` a digest of the beginning of a text.
    """

    engine: str
    identity: str
    voice: str
    language: str
    speed: float
    pitch: float
    decode: Decode
    text: str


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Figures since the start, or since `clear` for what is kept; hits, misses and sharing are those of clients.

    Attributes:
        num_entries: First segments that are kept.
        num_bytes: What they take.
        max_bytes: What they may take.
        num_hits: First segments that were answered from what is kept.
        num_misses: First segments that an engine had to make, those of listeners who shared one counted once.
        num_shared: Segments, first and later ones, that joined a synthesis that was running.
        num_evictions: Kept segments that made room for others.
        num_too_large: First segments that were not kept because they take more than all may.
    """

    num_entries: int
    num_bytes: int
    max_bytes: int
    num_hits: int
    num_misses: int
    num_shared: int
    num_evictions: int
    num_too_large: int


class Recorded(NamedTuple):
    """A chunk, and what the engine said ran for it."""

    chunk: Chunk
    runtime: str
    decode: str


class Recording:
    """One synthesis of one segment; made by `PhraseCache.open`, heard through `Replay`.

    Args:
        key: Of what.
        cache: Told of its end.
        keeps: Whether it is kept when it is complete.
        retains: Whether chunks are held for others; False: it has one listener and never another.

    Attributes:
        num_made: Chunks so far.
        is_complete: Whether there will be no more.
        error: Why there will be no more.
        num_bytes: What the held chunks take.
        num_listeners: Who has not left; the cache's, under its lock.
    """

    def __init__(self, key: SegmentKey, cache: PhraseCache, *, keeps: bool, retains: bool) -> None:
        self.key, self.keeps = key, keeps
        self._cache, self._retains = cache, retains
        self._lock = threading.Lock()
        self._prepared: Any = None
        self._steps: Iterator[Chunk] | None = None
        self._recorded: list[Recorded] = []
        self._audio_s = 0.0
        self.num_made = self.num_bytes = 0
        self.num_listeners = 1
        self.is_complete = self.is_cold = False
        self.error: BaseException | None = None

    def begin(self, engine: Engine, request: SpeakRequest, trace: Trace) -> bool:
        """Prepare the segment, unless somebody has; True: it was done here. Raises what the engine raises."""
        if self.is_complete or self._steps is not None:
            return False
        with self._locked(trace):
            self._raise_failure()
            if self.is_complete or self._steps is not None:
                return False
            try:
                with trace.stage("phonemize"):
                    self._prepared = engine.prepare(request)
                self._steps = engine.steps(self._prepared)
            except BaseException as error:
                self._fail(error)
                raise
            return True

    def take(self, index: int, trace: Trace) -> tuple[Recorded | None, bool]:
        """Chunk `index`, None after the last; and whether it was made here. Raises what the engine raises."""
        if index == 0:
            self._raise_failure()  # who has heard nothing begins anew, from the start
        if self.is_complete or index < self.num_made:
            return self._made(index), False
        with self._locked(trace):
            if self.is_complete or index < self.num_made:
                return self._made(index), False
            self._raise_failure()
            return self._make(trace), True

    def close(self) -> None:
        """Nobody listens any more: cancel the engine's iterator."""
        with self._lock:
            if isinstance(self._steps, Generator):
                self._steps.close()
            self._steps = self._prepared = None

    def let_go(self) -> None:
        """Hold no chunks: there is one listener, who has had all of them, and nobody can join. Under both locks."""
        self._retains = False
        self._recorded.clear()
        self.num_bytes = 0

    @contextmanager
    def _locked(self, trace: Trace) -> Iterator[None]:
        """The lock; time in which another lane does the work is time in the queue."""
        if not self._lock.acquire(blocking=False):
            with trace.stage("queue"):
                self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _raise_failure(self) -> None:
        if self.error is not None:
            raise self.error

    def _made(self, index: int) -> Recorded | None:
        return self._recorded[index] if index < self.num_made else None

    def _make(self, trace: Trace) -> Recorded | None:
        """One engine step."""
        assert self._steps is not None
        try:
            with trace.stage("model_inference"):
                chunk = next(self._steps, None)
        except BaseException as error:
            self._fail(error)
            raise
        self.is_cold = self.is_cold or getattr(self._prepared, "cold", False)
        if chunk is None:
            self._complete()
            return None
        runtime, decode = getattr(self._prepared, "runtime", ""), getattr(self._prepared, "decode", "")
        recorded = Recorded(replace(chunk, pcm=_read_only(chunk.pcm)), runtime, decode)
        if self._retains:
            self._hold(recorded)
        self.num_made += 1
        return recorded

    def _hold(self, recorded: Recorded) -> None:
        chunk = recorded.chunk
        self._recorded.append(recorded)
        self._audio_s += chunk.duration_s
        self.num_bytes += chunk.pcm.nbytes + CHUNK_BYTES + len(chunk.words) * MARK_BYTES
        if not self.keeps and self._audio_s > JOINABLE_S:
            self._cache.close_to_others(self)

    def _complete(self) -> None:
        if self.keeps:
            self._recorded = [each._replace(chunk=_compact(each.chunk)) for each in self._recorded]
        self._prepared = self._steps = None
        self.is_complete = True
        self._cache.completed(self)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self._prepared = self._steps = None
        self._cache.failed(self)


class Replay:
    """One listener's way through a recording; an iterator of what was recorded, used by one thread at a time.

    Args:
        recording: Whose listener this is, counted already.
        cache: Told when this listener leaves.
        trace: Stage times of what is done for this listener are added to it.
        was_kept: Whether the recording was complete before anybody asked now.

    Attributes:
        was_kept: As above.
        is_own: Whether everything so far was made by this listener, so that what it took tells of the engine.
    """

    def __init__(self, recording: Recording, cache: PhraseCache, trace: Trace, *, was_kept: bool) -> None:
        self._recording, self._cache, self._trace = recording, cache, trace
        self._index = 0
        self._has_left = False
        self.was_kept = was_kept
        self.is_own = not was_kept

    def begin(self, engine: Engine, request: SpeakRequest) -> None:
        """See that the segment is prepared. Raises what the engine raises."""
        self.is_own &= self._recording.begin(engine, request, self._trace)

    @property
    def key(self) -> SegmentKey:
        """What is heard."""
        return self._recording.key

    @property
    def is_cold(self) -> bool:
        """Whether the engine said that it had to load something for this segment."""
        return self._recording.is_cold

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Recorded:
        recorded, is_own = self._recording.take(self._index, self._trace)
        if recorded is None:
            raise StopIteration
        self.is_own &= is_own
        self._index += 1
        return recorded

    def close(self) -> None:
        """Listen no more; the last one who leaves ends an unfinished synthesis. Idempotent."""
        if not self._has_left:
            self._has_left = True
            if self._cache.left(self._recording):
                self._recording.close()


class PhraseCache:
    """First segments that are kept, and all segments that are being made. Thread-safe.

    Args:
        max_bytes: What is kept takes no more; 0: nothing is kept.
        share_running: Whether listeners who ask for the same segment at the same time share one synthesis.
    """

    def __init__(self, max_bytes: int, *, share_running: bool = True) -> None:
        self._max_bytes, self._share_running = max_bytes, share_running
        self._lock = threading.Lock()
        self._kept: OrderedDict[SegmentKey, Recording] = OrderedDict()
        self._running: dict[SegmentKey, Recording] = {}
        self._openings: OrderedDict[SegmentKey, SegmentKey] = OrderedDict()
        self._num_bytes = 0
        self._num_hits = self._num_misses = self._num_shared = self._num_evictions = self._num_too_large = 0

    def open(self, key: SegmentKey, trace: Trace, *, is_first: bool, fresh: bool = False) -> Replay:
        """Begin to listen to a segment; `Replay.close` must follow.

        Args:
            key: Which.
            trace: The listener's; by its origin it is decided whether the segment is kept, and whether it is counted.
            is_first: Whether it is the first of its utterance: only those are looked up and kept.
            fresh: Make it anew, for this listener alone.
        """
        if fresh:
            return Replay(Recording(key, self, keeps=False, retains=False), self, trace, was_kept=False)
        keeps, counts = is_first and trace.origin in KEPT_FOR, trace.origin == "client"
        with self._lock:
            if is_first and (kept := self._kept.get(key)):
                if keeps:
                    self._kept.move_to_end(key)
                self._num_hits += counts
                return Replay(kept, self, trace, was_kept=True)
            keeps = keeps and self._max_bytes > 0
            if self._share_running and (running := self._running.get(key)):
                running.num_listeners += 1
                running.keeps |= keeps
                self._num_shared += counts
                return Replay(running, self, trace, was_kept=False)
            self._num_misses += is_first and counts
            return Replay(self._new(key, keeps=keeps), self, trace, was_kept=False)

    def expects(self, opening: SegmentKey) -> bool:
        """Whether the first segment of a text that begins like this was kept, and still is."""
        with self._lock:
            return self._openings.get(opening) in self._kept

    def note_opening(self, opening: SegmentKey, key: SegmentKey) -> None:
        """Remember which first segment a text that begins like this has, where that segment is kept."""
        with self._lock:
            if key not in self._kept:
                return  # it would hold a user's text for nothing
            self._openings[opening] = key
            self._openings.move_to_end(opening)
            if len(self._openings) > MAX_OPENINGS:
                self._openings.popitem(last=False)

    def statistics(self) -> CacheStatistics:
        """Figures of this moment."""
        with self._lock:
            return CacheStatistics(
                num_entries=len(self._kept),
                num_bytes=self._num_bytes,
                max_bytes=self._max_bytes,
                num_hits=self._num_hits,
                num_misses=self._num_misses,
                num_shared=self._num_shared,
                num_evictions=self._num_evictions,
                num_too_large=self._num_too_large,
            )

    def resize(self, max_bytes: int) -> None:
        """Keep no more than `max_bytes` from now on; what was not asked for longest goes first."""
        assert max_bytes >= 0
        with self._lock:
            self._max_bytes = max_bytes
            self._evict()

    def clear(self) -> None:
        """Forget everything; what is being made goes on for those who listen to it, and is not kept."""
        with self._lock:
            for running in self._running.values():
                running.keeps = False
            for collection in (self._kept, self._running, self._openings):
                collection.clear()
            self._num_bytes = 0

    # For recordings and their listeners.

    def completed(self, recording: Recording) -> None:
        """A recording has all its chunks. Under the recording's lock."""
        with self._lock:
            self._forget_running(recording)
            if recording.keeps:
                self._keep(recording)

    def failed(self, recording: Recording) -> None:
        """A recording will never be complete. Under the recording's lock."""
        with self._lock:
            self._forget_running(recording)

    def close_to_others(self, recording: Recording) -> None:
        """Let a recording with one listener go on for that one alone. Under the recording's lock."""
        with self._lock:
            if recording.num_listeners == 1 and not recording.keeps:
                self._forget_running(recording)
                recording.let_go()

    def left(self, recording: Recording) -> bool:
        """A listener has left; True: it was the last one of a recording that nobody can join any more."""
        with self._lock:
            recording.num_listeners -= 1
            if recording.num_listeners > 0 or recording.is_complete:
                return False
            self._forget_running(recording)
            return True

    def _new(self, key: SegmentKey, *, keeps: bool) -> Recording:
        recording = Recording(key, self, keeps=keeps, retains=keeps or self._share_running)
        if self._share_running:
            self._running[key] = recording
        return recording

    def _forget_running(self, recording: Recording) -> None:
        if self._running.get(recording.key) is recording:
            del self._running[recording.key]

    def _keep(self, recording: Recording) -> None:
        if recording.num_bytes > self._max_bytes:
            self._num_too_large += 1
            return
        if before := self._kept.pop(recording.key, None):  # two made it at the same time, and nothing was shared
            self._num_bytes -= before.num_bytes
        self._kept[recording.key] = recording
        self._num_bytes += recording.num_bytes
        self._evict()

    def _evict(self) -> None:
        while self._num_bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._num_bytes -= oldest.num_bytes
            self._num_evictions += 1


def segment_key(engine: Engine, utterance: Utterance, text: str) -> SegmentKey:
    """The key of a segment of an utterance, with the voice and language that the engine resolved."""
    assert utterance.voice is not None
    assert utterance.language is not None
    return SegmentKey(
        utterance.engine or engine.info.name,
        str(getattr(engine, "identity", "")),
        utterance.voice,
        utterance.language,
        utterance.speed,
        utterance.pitch,
        utterance.decode,
        text,
    )


def opening_key(engine: Engine, utterance: Utterance) -> SegmentKey:
    """What the beginning of an utterance is remembered by, before anybody has cut it into segments; not its text."""
    opening = utterance.text[:OPENING_CHARS].encode("utf-8", "surrogatepass")
    return segment_key(engine, utterance, blake2b(opening, digest_size=16).hexdigest())


def _read_only(pcm: Pcm) -> Pcm:
    """The samples, in a view that cannot be written to: several streams hold them."""
    view: Pcm = pcm.view()
    view.setflags(write=False)
    return view


def _compact(chunk: Chunk) -> Chunk:
    """The chunk without a larger array behind its samples, which would stay in memory with it."""
    base = chunk.pcm.base
    while isinstance(base, np.ndarray) and isinstance(base.base, np.ndarray):
        base = base.base
    if not isinstance(base, np.ndarray) or base.nbytes <= chunk.pcm.nbytes:
        return chunk
    return chunk.with_pcm(_read_only(chunk.pcm.copy()))
