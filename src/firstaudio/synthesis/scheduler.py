"""The heart: runs steps, not requests; the stream whose listener runs dry first goes first.

Every stream has a deadline: the moment its listener runs out of audio, less the safety buffer (for a stream that has
sent nothing: arrival plus the TTFA target). A free lane takes the stream with the earliest deadline, runs one step,
and the deadline moves by the audio gained. So first words go before surplus, no long text starves a short one, a slow
reader parks its stream, and a cancelled one stops within a step. A stream that could only wait for a step of another
one that speaks the same waits without a lane.

All state lives on the event loop; only `Work.step` and `Work.close` run on lanes (threads), one at a time per stream.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from firstaudio.clock import NS_PER_MS, NS_PER_S, Clock, now_ns
from firstaudio.config import StreamingConfig
from firstaudio.engines.base import Waiting
from firstaudio.errors import OverloadedError
from firstaudio.synthesis.admission import Demand, feasible
from firstaudio.synthesis.pace import Pace
from firstaudio.synthesis.scheduled import ScheduledStream, StreamFigures
from firstaudio.synthesis.step import StepResult, Work

logger = logging.getLogger(__name__)


class Backlog(NamedTuple):
    """What a new stream would find before it, in predicted seconds of work.

    Attributes:
        num_lanes: Steps that run at the same time.
        running_s: What is left of each step that runs.
        waiting_s: What each stream needs that goes before the new one, in order.
    """

    num_lanes: int
    running_s: list[float]
    waiting_s: list[float]


@dataclass(frozen=True, slots=True)
class SchedulerStatistics:
    """Figures of one moment.

    Attributes:
        num_streams: Streams that have not ended.
        num_unstarted: Of them, those that no audio was made for yet.
        num_waiting: Of them, those whose step waits for a lane.
        num_parked: Of them, those that need nothing now: their readers have enough.
        num_joined: Of them, those that wait for a step of another stream that speaks the same, or for the model.
        num_lanes: Steps that can run at the same time.
        num_busy_lanes: Steps that run.
        num_steps: Since the start.
        num_opened: Streams since the start.
        num_refused: Streams that there was no room for, since the start.
        peak_streams: Most streams at the same time, since the start.
        peak_busy_lanes: Most steps at the same time, since the start.
        busy_s: Time that the lanes have worked, all together, since the start.
        age_s: Time since the start.
        unread_s: Audio that no reader has taken yet, of streams for which more is to be made.
        least_lead_s: Audio that the listener has ahead who runs dry first, of streams for which more is to be made;
            below 0: a gap. None: there is no such listener.
        rtf: Running seconds of work per second of audio.
        first_step_s: Running seconds of work until first audio.
    """

    num_streams: int
    num_unstarted: int
    num_waiting: int
    num_parked: int
    num_joined: int
    num_lanes: int
    num_busy_lanes: int
    num_steps: int
    num_opened: int
    num_refused: int
    peak_streams: int
    peak_busy_lanes: int
    busy_s: float
    age_s: float
    unread_s: float
    least_lead_s: float | None
    rtf: float
    first_step_s: float

    @property
    def utilization(self) -> float | None:
        """Share of the lanes' time since the start that they have worked; None at once after it."""
        return self.busy_s / self.age_s / self.num_lanes if self.age_s else None


class StepScheduler:
    """Lanes of one engine, and the streams that share them.

    Args:
        num_lanes: Steps that run at the same time.
        config: Targets and limits.
        expected_rtf: Seconds of work per second of audio on one lane, until measured.
        clock: Monotonic ns.
        priority: Earlier is served first; the default is the stream's deadline. Another order is for comparison in
            benchmarks only.
        expected_first_step_s: Seconds of work before a stream's first audio, until measured.
    """

    def __init__(
        self,
        num_lanes: int,
        config: StreamingConfig,
        expected_rtf: float,
        clock: Clock = now_ns,
        priority: Callable[[ScheduledStream], float] | None = None,
        expected_first_step_s: float = 0.0,
    ) -> None:
        self._config = config
        self._clock = clock
        self._num_lanes = num_lanes
        self._priority = priority or self.deadline_ns
        self._lanes = ThreadPoolExecutor(num_lanes, thread_name_prefix="lane")
        self._free_lanes = num_lanes
        self._streams: set[ScheduledStream] = set()
        self._ready: list[tuple[float, int, ScheduledStream]] = []
        self._sequence = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pace = Pace(expected_rtf, expected_first_step_s)
        self._num_steps = 0
        self._num_refused = 0
        self._num_opened = self._peak_streams = self._peak_busy_lanes = 0
        self._busy_ns = 0
        self._began_ns = clock()

    def open(self, work: Work, remaining_s: float, streaming: StreamingConfig | None = None) -> ScheduledStream:
        """Begin a stream; its first step starts at once when a lane is free.

        Args:
            work: What to run.
            remaining_s: Estimated audio of the whole utterance, in seconds.
            streaming: Its deadline and its lead; None: as for the scheduler.

        Raises:
            OverloadedError: The listeners that are there would run dry, or the new one would wait too long.
        """
        self._loop = asyncio.get_running_loop()
        now = self._clock()
        self._admit(remaining_s, now)
        stream = ScheduledStream(self, work, remaining_s, now, streaming or self._config)
        self._streams.add(stream)
        self._num_opened += 1
        self._peak_streams = max(self._peak_streams, len(self._streams))
        self.consider(stream)
        return stream

    def deadline_ns(self, stream: ScheduledStream) -> float:
        """When the stream's next chunk is wanted."""
        if stream.playback.deadline_ns is None:
            return stream.arrival_ns + stream.streaming.first_chunk_target_ms * NS_PER_MS
        return stream.runs_dry_ns(self._clock()) - stream.streaming.target_buffer_ms * NS_PER_MS

    def consider(self, stream: ScheduledStream) -> None:
        """Line up a stream that may go on: it has not ended, no step of it runs, and its reader keeps up."""
        if stream.ended or stream.state != "parked" or stream.unread_s >= stream.streaming.max_lead_s:
            return
        stream.state = "ready"
        heapq.heappush(self._ready, (self._priority(stream), next(self._sequence), stream))
        self._dispatch()

    def end(self, stream: ScheduledStream) -> None:
        """No further step for this stream; frees its resources when the step that runs is over."""
        stream.ended = True
        if stream.state != "running" and stream in self._streams:
            self._streams.discard(stream)
            self._lanes.submit(self._run_close, stream)
        stream.wake()

    def statistics(self) -> SchedulerStatistics:
        """Figures of this moment."""
        streams = self._streams
        now = self._clock()
        leads_s = [self._listeners_lead_s(stream, now) for stream in streams if not stream.ended]
        return SchedulerStatistics(
            num_streams=len(streams),
            num_unstarted=sum(not stream.is_heard for stream in streams),
            num_waiting=sum(stream.state == "ready" for stream in streams),
            num_parked=sum(stream.state == "parked" for stream in streams),
            num_joined=sum(stream.state == "joined" for stream in streams),
            num_lanes=self._num_lanes,
            num_busy_lanes=self._num_lanes - self._free_lanes,
            num_steps=self._num_steps,
            num_opened=self._num_opened,
            num_refused=self._num_refused,
            peak_streams=self._peak_streams,
            peak_busy_lanes=self._peak_busy_lanes,
            busy_s=self._busy_ns / NS_PER_S,
            age_s=(now - self._began_ns) / NS_PER_S,
            unread_s=sum(stream.unread_s for stream in streams),
            least_lead_s=min((lead_s for lead_s in leads_s if lead_s is not None), default=None),
            rtf=self._pace.rtf,
            first_step_s=self._pace.first_step_s,
        )

    def backlog(self, streaming: StreamingConfig) -> Backlog:
        """What a stream with these targets would find before it, if it came now."""
        now = self._clock()
        deadline_ns = now + streaming.first_chunk_target_ms * NS_PER_MS
        running_s: list[float] = []
        waiting: list[tuple[float, float]] = []
        for stream in self._streams:
            if stream.state == "running":
                elapsed_s = (now - stream.step_began_ns) / NS_PER_S
                running_s.append(max(0.0, self._work_before_s(stream, deadline_ns) - elapsed_s))
            elif stream.state == "ready" and not stream.ended and (due_ns := self.deadline_ns(stream)) <= deadline_ns:
                waiting.append((due_ns, self._work_before_s(stream, deadline_ns)))
        return Backlog(self._num_lanes, running_s, [work_s for _, work_s in sorted(waiting)])

    def figures(self, stream: ScheduledStream) -> StreamFigures:
        """How one of its streams stands at this moment."""
        now = self._clock()
        return StreamFigures(
            state="made" if stream.ended else stream.state,
            age_s=(now - stream.arrival_ns) / NS_PER_S,
            due_s=None if stream.ended else (self.deadline_ns(stream) - now) / NS_PER_S,
            lead_s=self._listeners_lead_s(stream, now),
            unread_s=stream.unread_s,
            remaining_s=0.0 if stream.ended else stream.remaining_s,
            stalled_s=stream.playback.stalled_ns / NS_PER_S,
        )

    async def close(self) -> None:
        """Cancel every stream and stop the lanes."""
        await asyncio.gather(*(stream.aclose() for stream in self._streams))
        self._lanes.shutdown(wait=True)

    # On a lane.

    def _run_step(self, stream: ScheduledStream, lead_s: float, crowded: bool) -> None:
        begin_ns = self._clock()
        try:
            result: StepResult | Exception = stream.work.step(lead_s, crowded)
        except BaseException as error:  # noqa: BLE001 -- the task boundary: it is raised to whoever iterates
            result = _failure(error)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._step_ended, stream, result, self._clock() - begin_ns)

    def _run_close(self, stream: ScheduledStream) -> None:
        try:
            stream.work.close()
        except Exception:  # the task boundary: nobody else would hear of it
            logger.exception("a stream's resources could not be given back")
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(stream.closed.set)

    # On the event loop.

    def _dispatch(self) -> None:
        """Give every free lane the most urgent step. A stream's deadline does not move while it waits."""
        while self._free_lanes and self._ready:
            _, _, stream = heapq.heappop(self._ready)
            if stream.ended:
                continue
            self._free_lanes -= 1
            self._peak_busy_lanes = max(self._peak_busy_lanes, self._num_lanes - self._free_lanes)
            stream.state, stream.step_began_ns = "running", self._clock()
            self._lanes.submit(self._run_step, stream, self._lead_s(stream, stream.step_began_ns), bool(self._ready))

    def _step_ended(self, stream: ScheduledStream, result: StepResult | Exception, took_ns: int) -> None:
        self._free_lanes += 1
        self._num_steps += 1
        self._busy_ns += took_ns
        self._rest(stream)
        if isinstance(result, Exception):
            stream.error = result
            self.end(stream)
        elif stream.ended:
            self.end(stream)  # cancelled while it ran: its audio is not wanted
        else:
            self._deliver(stream, result, took_ns)
            if result.done:
                self.end(stream)
            elif result.waits_for is not None:
                self._join(stream, result.waits_for)
            else:
                self.consider(stream)
        self._dispatch()

    def _join(self, stream: ScheduledStream, waits_for: Waiting) -> None:
        """Leave the lane to others for as long as the stream could only wait on it."""
        loop = self._loop
        assert loop is not None
        stream.state = "joined"
        waits_for(lambda: loop.call_soon_threadsafe(self._rejoin, stream))

    def _rejoin(self, stream: ScheduledStream) -> None:
        self._rest(stream)
        self.consider(stream)

    def _rest(self, stream: ScheduledStream) -> None:
        stream.state, stream.rested_ns = "parked", self._clock()

    def _deliver(self, stream: ScheduledStream, result: StepResult, took_ns: int) -> None:
        stream.remaining_s = result.remaining_s
        stream.work_s += took_ns / NS_PER_S
        stream.is_own_work &= result.is_own_work
        audio_s = sum(chunk.duration_s for chunk in result.chunks)
        if audio_s:
            if stream.is_own_work:
                if stream.is_heard:
                    self._pace.went_on(stream.work_s, audio_s)
                else:
                    self._pace.begun(stream.work_s)
            stream.work_s, stream.is_own_work = 0.0, True
            stream.playback.deliver(self._clock(), round(audio_s * NS_PER_S))
        if result.chunks:  # the last one may bring words and no audio
            stream.push(result.chunks)

    def _lead_s(self, stream: ScheduledStream, now: int) -> float:
        return (stream.runs_dry_ns(now) - now) / NS_PER_S

    def _listeners_lead_s(self, stream: ScheduledStream, now: int) -> float | None:
        """Below 0 for as long as the listener has been waiting for more; None before the first audio."""
        if not stream.is_heard:
            return None
        return self._lead_s(stream, now) if stream.has_unread else stream.playback.lead_ns(now) / NS_PER_S

    def _admit(self, remaining_s: float, now: int) -> None:
        new = Demand(self._config.max_wait_ms / 1000, remaining_s, self._pace.first_step_s)
        demands = [new, *(self._demand(stream, now) for stream in self._streams if not stream.ended)]
        full = len(demands) > self._config.max_streams
        if not full and (
            len(demands) <= self._num_lanes
            or feasible(demands, self._pace.rtf, self._num_lanes, self._config.max_utilization)
        ):
            return
        self._num_refused += 1
        soonest_s = min((demand.due_s + demand.audio_s for demand in demands[1:]), default=1.0)
        raise OverloadedError(
            f"{_playing(len(demands) - 1)} and one more would make listeners wait or stutter; "
            "retry after the time in the Retry-After header, or run another server",
            retry_after_s=min(30, max(1, math.ceil(soonest_s))),
        )

    def _work_before_s(self, stream: ScheduledStream, deadline_ns: float) -> float:
        """Work on a stream until its next chunk is wanted no sooner than `deadline_ns`; at least a step of it."""
        if not stream.is_heard:
            return max(0.0, self._pace.first_step_s - stream.work_s)
        behind_s = max(0.0, deadline_ns - self.deadline_ns(stream)) / NS_PER_S
        return self._pace.rtf * min(stream.remaining_s, max(behind_s, stream.streaming.min_chunk_size_ms / 1000))

    def _demand(self, stream: ScheduledStream, now: int) -> Demand:
        if stream.playback.deadline_ns is None:
            wait_s = self._config.max_wait_ms / 1000 - (now - stream.arrival_ns) / NS_PER_S
            return Demand(wait_s, stream.remaining_s, self._pace.first_step_s)
        return Demand(self._lead_s(stream, now), stream.remaining_s)


def _playing(num_streams: int) -> str:
    return "1 stream is playing" if num_streams == 1 else f"{num_streams} streams are playing"


def _failure(error: BaseException) -> Exception:
    """The error as one that is raised on the event loop without ending the process, or passing for a clean end."""
    if isinstance(error, Exception) and not isinstance(error, StopAsyncIteration):
        return error
    failure = RuntimeError(f"a step raised {error!r}")
    failure.__cause__ = error
    return failure
