"""One synthesis of one segment, for all who listen to it.

A `Recording` is made by the cache. Whoever needs a chunk that is not there yet pulls it from the engine, the others
replay what is there. So it does not matter who asked first and who goes away, and the engine works no further than
somebody listens. A recording that failed belongs to those who were listening; it is not kept, and whoever tries again
begins another one.

Everything here runs on lanes, several at a time, and never waits: where another lane is at work on the recording, a
listener is told so (`PENDING`) and may leave its lane until the recording is free (`Replay.when_free`). Locks are taken
in one order: a recording's, then the cache's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from firstaudio.audio.chunk import Chunk, Pcm
from firstaudio.engines.base import Engine, SpeakRequest
from firstaudio.synthesis.segment_key import SegmentKey
from firstaudio.trace import Trace

# What a kept chunk and a word mark cost beside the samples. Source: tracemalloc, CPython 3.11: 345 and 136 bytes.
CHUNK_BYTES, MARK_BYTES = 400, 160
# A segment that is not to be kept can be joined until so much of it is made; then its audio is let go as it is taken,
# so that a parked stream holds no more than that.
JOINABLE_S = 2.0


class Pending(Enum):
    """Another lane is at work on what was asked for."""

    PENDING = "pending"


PENDING: Final = Pending.PENDING


class Recorded(NamedTuple):
    """A chunk, and what the engine said ran for it."""

    chunk: Chunk
    runtime: str
    decode: str


class Shelf(Protocol):
    """Where recordings are kept and found, as they see it: `PhraseCache`."""

    def completed(self, recording: Recording) -> None:
        """A recording has all its chunks. Under the recording's lock."""
        ...

    def failed(self, recording: Recording) -> None:
        """A recording will never be complete. Under the recording's lock."""
        ...

    def close_to_others(self, recording: Recording) -> None:
        """Let a recording with one listener go on for that one alone. Under the recording's lock."""
        ...

    def left(self, recording: Recording) -> bool:
        """A listener has left; True: it was the last one of a recording that nobody can join any more."""
        ...


class Recording:
    """One synthesis of one segment; made by `PhraseCache.open`, heard through `Replay`.

    Args:
        key: Of what.
        shelf: Told of its end.
        keeps: Whether it is kept when it is complete.
        retains: Whether chunks are held for others; False: it has one listener and never another.

    Attributes:
        num_made: Chunks so far.
        is_complete: Whether there will be no more.
        error: Why there will be no more.
        num_bytes: What the held chunks take.
        num_listeners: Who has not left; the shelf's, under its lock.
    """

    def __init__(self, key: SegmentKey, shelf: Shelf, *, keeps: bool, retains: bool) -> None:
        self.key, self.keeps = key, keeps
        self._shelf, self._retains = shelf, retains
        self._lock = threading.Lock()  # whose lane is at work on it; never waited for
        self._waiting: list[Callable[[], object]] = []
        self._guard = threading.Lock()  # of `_waiting`
        self._prepared: Any = None
        self._steps: Iterator[Chunk] | None = None
        self._recorded: list[Recorded] = []
        self._audio_s = 0.0
        self.num_made = self.num_bytes = 0
        self.num_listeners = 1
        self.is_complete = self.is_cold = False
        self.error: BaseException | None = None

    @property
    def is_begun(self) -> bool:
        """Whether somebody has prepared it."""
        return self.is_complete or self._steps is not None

    def begin(self, engine: Engine, request: SpeakRequest, trace: Trace) -> bool | Pending:
        """Prepare the segment, unless somebody has; True: it was done here. Raises what the engine raises."""
        if self.is_begun:
            return False
        with self._claim() as is_ours:
            if not is_ours:
                return PENDING
            self._raise_failure()
            if self.is_begun:
                return False
            try:
                with trace.stage("phonemize"):
                    self._prepared = engine.prepare(request)
                self._steps = engine.steps(self._prepared)
            except BaseException as error:
                self._fail(error)
                raise
            return True

    def take(self, index: int, trace: Trace) -> tuple[Recorded | None, bool] | Pending:
        """Chunk `index`, None after the last; and whether it was made here. Raises what the engine raises."""
        if index == 0:
            self._raise_failure()  # who has heard nothing begins anew, from the start
        if self._has(index):
            return self._made(index), False
        with self._claim() as is_ours:
            if self._has(index):
                return self._made(index), False
            if not is_ours:
                return PENDING
            self._raise_failure()
            return self._make(trace), True

    def when_free(self, wake: Callable[[], object]) -> None:
        """Call `wake`, which must not block, once when no lane is at work on it: at once, or on that lane."""
        with self._guard:
            if self._lock.locked():
                self._waiting.append(wake)
                return
        wake()

    def close(self) -> None:
        """Nobody listens any more: cancel the engine's iterator."""
        if isinstance(self._steps, Generator):
            self._steps.close()
        self._steps = self._prepared = None

    def let_go(self) -> None:
        """Hold no chunks: there is one listener, who has had all of them, and nobody can join. Under both locks."""
        self._retains = False
        self._recorded.clear()
        self.num_bytes = 0

    @contextmanager
    def _claim(self) -> Iterator[bool]:
        """Whether the block has the recording for itself; False: another lane has."""
        is_ours = self._lock.acquire(blocking=False)
        try:
            yield is_ours
        finally:
            if is_ours:
                self._release()

    def _release(self) -> None:
        with self._guard:  # so that nobody begins to wait for what has just happened
            self._lock.release()
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    def _has(self, index: int) -> bool:
        return self.is_complete or index < self.num_made

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
            self._shelf.close_to_others(self)

    def _complete(self) -> None:
        if self.keeps:
            self._recorded = [each._replace(chunk=_compact(each.chunk)) for each in self._recorded]
        self._prepared = self._steps = None
        self.is_complete = True
        self._shelf.completed(self)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self._prepared = self._steps = None
        self._shelf.failed(self)


class Replay:
    """One listener's way through a recording; used by one thread at a time.

    Args:
        recording: Whose listener this is, counted already.
        shelf: Told when this listener leaves.
        trace: Stage times of what is done for this listener are added to it.
        was_kept: Whether the recording was complete before anybody asked now.

    Attributes:
        was_kept: As above.
        is_own: Whether everything so far was made by this listener, so that what it took tells of the engine.
    """

    def __init__(self, recording: Recording, shelf: Shelf, trace: Trace, *, was_kept: bool) -> None:
        self._recording, self._shelf, self._trace = recording, shelf, trace
        self._index = 0
        self._has_left = False
        self.was_kept = was_kept
        self.is_own = not was_kept

    @property
    def key(self) -> SegmentKey:
        """What is heard."""
        return self._recording.key

    @property
    def is_cold(self) -> bool:
        """Whether the engine said that it had to load something for this segment."""
        return self._recording.is_cold

    def begin(self, engine: Engine, request: SpeakRequest) -> bool:
        """See that the segment is prepared; False: another lane is at it. Raises what the engine raises."""
        is_own = self._recording.begin(engine, request, self._trace)
        if is_own is PENDING:
            return False
        self.is_own &= is_own
        return True

    def take(self) -> Recorded | Pending | None:
        """The next chunk, None after the last, PENDING while another lane is at work. Raises what the engine raises."""
        taken = self._recording.take(self._index, self._trace)
        if taken is PENDING:
            return PENDING
        recorded, is_own = taken
        if recorded is not None:
            self.is_own &= is_own
            self._index += 1
        return recorded

    def when_free(self, wake: Callable[[], object]) -> None:
        """Call `wake` once when it is worth trying again; on any thread, and maybe at once."""
        self._recording.when_free(wake)

    def close(self) -> None:
        """Listen no more; the last one who leaves ends an unfinished synthesis. Idempotent."""
        if not self._has_left:
            self._has_left = True
            if self._shelf.left(self._recording):
                self._recording.close()


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
