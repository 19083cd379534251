"""One stream as its scheduler and its reader see it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

from firstaudio.audio.chunk import Chunk
from firstaudio.audio.playback import PlaybackClock
from firstaudio.clock import NS_PER_S
from firstaudio.config import StreamingConfig
from firstaudio.synthesis.step import Work

StreamState = Literal["ready", "running", "parked", "joined"]


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One stream at one moment.

    Attributes:
        state: "ready" waits for a lane, "running" has a step on one, "parked" waits for its reader, "joined" waits for
            a step of another stream that speaks the same or for the engine's model, "made" needs no further step.
        age_s: Since it was opened, in seconds.
        due_s: Until its next chunk is wanted, in seconds; negative when that is overdue; None when none is to come.
        lead_s: Audio that a listener has ahead who plays at once, in seconds; negative for as long as he has been
            waiting for more; None before the first audio.
        unread_s: Audio that is made and not yet taken by its reader, in seconds.
        remaining_s: Estimated audio that is still to be made, in seconds.
        stalled_s: Sum of the gaps that such a listener has heard, in seconds.
    """

    state: Literal["ready", "running", "parked", "joined", "made"]
    age_s: float
    due_s: float | None
    lead_s: float | None
    unread_s: float
    remaining_s: float
    stalled_s: float


class Scheduler(Protocol):
    """Who runs its steps, as a stream sees it: `StepScheduler`."""

    def consider(self, stream: ScheduledStream) -> None:
        """Its reader has taken something: it may go on."""
        ...

    def end(self, stream: ScheduledStream) -> None:
        """No further step for it."""
        ...

    def figures(self, stream: ScheduledStream) -> StreamFigures:
        """How it stands at this moment."""
        ...


class ScheduledStream:
    """Chunks of one piece of work, in order; made by `StepScheduler.open`."""

    def __init__(
        self, scheduler: Scheduler, work: Work, remaining_s: float, arrival_ns: int, streaming: StreamingConfig
    ) -> None:
        self._scheduler = scheduler
        self.work = work
        self.streaming = streaming
        self.remaining_s = remaining_s
        self.arrival_ns = arrival_ns
        self.playback = PlaybackClock()
        self.state: StreamState = "parked"
        self.ended = False  # no further step: done, failed or cancelled
        self.error: Exception | None = None
        self.closed = asyncio.Event()
        self.unread_s = 0.0
        self.work_s = 0.0  # time on lanes since audio came last
        self.is_own_work = True  # all of it
        self.step_began_ns = self.rested_ns = 0
        self._unread: deque[Chunk] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> ScheduledStream:
        return self

    async def __anext__(self) -> Chunk:
        while not self._unread:
            if self.error is not None:
                raise self.error
            if self.ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        chunk = self._unread.popleft()
        self.unread_s -= chunk.duration_s
        if self.state == "parked":
            self._scheduler.consider(self)
        return chunk

    @property
    def is_heard(self) -> bool:
        """Whether audio was made for it."""
        return self.playback.deadline_ns is not None

    @property
    def idle_since_ns(self) -> int | None:
        """Since when nothing is to be done for it before its reader takes something, if ever; None: something is."""
        return self.rested_ns if self.ended or self.state == "parked" else None

    @property
    def has_unread(self) -> bool:
        """Whether audio waits for its reader."""
        return bool(self._unread)

    def cancel(self) -> None:
        """Stop within the step that runs; does not wait."""
        self._unread.clear()
        self.unread_s = 0.0
        self._scheduler.end(self)

    async def aclose(self) -> None:
        """Stop within the step that runs, and wait until the engine's resources are free."""
        self.cancel()
        await self.closed.wait()

    def runs_dry_ns(self, now_ns: int) -> int:
        """When the listener has played everything; a reader that lags still has the unread audio to go through."""
        unread_until_ns = now_ns + round(self.unread_s * NS_PER_S)
        played_until_ns = self.playback.deadline_ns
        return unread_until_ns if played_until_ns is None else max(played_until_ns, unread_until_ns)

    def figures(self) -> StreamFigures:
        """How it stands at this moment."""
        return self._scheduler.figures(self)

    def push(self, chunks: list[Chunk]) -> None:
        """Hand over audio to whoever iterates."""
        self._unread.extend(chunks)
        self.unread_s += sum(chunk.duration_s for chunk in chunks)
        self.wake()

    def wake(self) -> None:
        """Let whoever iterates look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
