"""Audio that is made once: first segments that were spoken before, and segments that several listeners ask for now.

What decides the sound of a segment is its `SegmentKey`; one synthesis of it is a `Recording`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from firstaudio.synthesis.recording import Recording, Replay
from firstaudio.synthesis.segment_key import SegmentKey
from firstaudio.trace import Origin, Trace

BYTES_PER_MB = 1_000_000
MAX_OPENINGS = 8192
KEPT_FOR: frozenset[Origin] = frozenset({"client", "warmup"})
"""Whose first segments are kept; what a benchmark or the tuner asks for would push out what clients ask for."""


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
