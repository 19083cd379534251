"""Where answers are performed: lanes with a line before them, plans carried out on time, and the log of it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from firstaudio.bench.reference.alarm import Alarm, Call
from firstaudio.bench.reference.faults import Fault
from firstaudio.bench.reference.figures import Figures
from firstaudio.bench.reference.plan import ENDLESS_S, Ask, Plan, jitter_ns, make_plan
from firstaudio.clock import NS_PER_MS, now_ns

TRUTH_ROWS = 4096
MAX_BURST = 64  # chunks of one answer in one turn of the loop
FULL_WAIT_NS = 1_000_000


class Sink(Protocol):
    """Whoever carries chunks to the client, in one protocol."""

    @property
    def full(self) -> bool:
        """The client does not read: wait before the next chunk."""
        ...

    def begin(self) -> None:
        """Synthesis has begun: write what leaves before any audio."""
        ...

    def render(self, index: int, is_last: bool, due_ns: int) -> bytes:
        """A chunk as it will be on the wire; asked for ahead, so that nothing but the write is left when it is due."""
        ...

    def write(self, data: bytes, is_last: bool) -> None:
        """Send what was rendered, now."""
        ...

    def break_off(self) -> None:
        """The answer ends here, in the way that its fault says."""
        ...


@dataclass(slots=True)
class Row:
    """The truth about one request; times as `perf_counter_ns`, the clock that a client on this machine reads."""

    request_id: str
    voice: str
    num_chars: int
    audio_s: float
    accepted_ns: int
    started_ns: int | None = None
    ended_ns: int | None = None
    outcome: str = "running"
    due_ns: list[int] = field(default_factory=list)
    written_ns: list[int] = field(default_factory=list)
    num_samples: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class Performance:
    """One answer under way.

    Args:
        stage: Where.
        plan: What, and when.
        sink: To whom.
        row: Its log.
        stop_at: Index of the chunk in whose place the answer breaks off; None: it is completed.
    """

    def __init__(self, stage: Stage, plan: Plan, sink: Sink, row: Row, stop_at: int | None = None) -> None:
        self.plan, self.row = plan, row
        self._stage, self._sink, self._stop_at = stage, sink, stop_at
        self._index = 0
        self._due_ns = 0
        self._rendered = b""
        self._call: Call | None = None

    def start(self, at_ns: int) -> None:
        """Synthesis begins; a chunk that is due at once is written before this returns."""
        self.row.started_ns = at_ns
        self._sink.begin()
        self._prepare()
        self._step()

    def cancel(self) -> None:
        """The client has gone. Harmless when the performance has ended."""
        if self.row.ended_ns is None:
            self._end("cancelled", now_ns())

    @property
    def _is_last(self) -> bool:
        return self._index == self.plan.num_chunks - 1

    def _prepare(self) -> None:
        """The next chunk: never due before the one that precedes it, however late that one is by jitter."""
        assert self.row.started_ns is not None
        offset = self.plan.offset_ns(self._index) + jitter_ns(self._stage.figures, self._stage.rng)
        self._due_ns = max(self._due_ns, self.row.started_ns + offset)
        if self._index != self._stop_at:
            self._rendered = self._sink.render(self._index, self._is_last, self._due_ns)

    def _step(self) -> None:
        """All that is due, the first chunk by itself; as much again after a turn of the loop."""
        self._call = None
        for most in (1, MAX_BURST):
            if self.row.ended_ns is None and self._due_ns <= now_ns() and not self._sink.full:
                self._perform(most)
        if self.row.ended_ns is None:
            self._later(max(self._due_ns, now_ns() + FULL_WAIT_NS if self._sink.full else 0))

    def _later(self, due_ns: int) -> None:
        self._call = self._stage.alarm.at(due_ns, self._step)

    def _perform(self, most: int) -> None:
        """Write up to `most` chunks that are due by now, in one go; what follows is prepared after the write."""
        now, burst = now_ns(), list[bytes]()
        while self._due_ns <= now and self._index != self._stop_at:
            begin, end = self.plan.bounds(self._index)
            self.row.due_ns.append(self._due_ns)
            self.row.num_samples.append(end - begin)
            burst.append(self._rendered)
            if self._is_last:
                self._write(burst, is_last=True)
                return self._end("complete", self._due_ns)
            if len(burst) == most:
                self._write(burst, is_last=False)
                return self._advance()
            self._advance()
        self._write(burst, is_last=False)
        if not burst:
            self._sink.break_off()
            self._end("broken off", self._due_ns)
        return None

    def _advance(self) -> None:
        self._index += 1
        self._prepare()

    def _write(self, burst: list[bytes], is_last: bool) -> None:
        if burst:
            self.row.written_ns += [now_ns()] * len(burst)
            self._sink.write(burst[0] if len(burst) == 1 else b"".join(burst), is_last)

    def _end(self, outcome: str, lane_free_ns: int) -> None:
        if self.row.ended_ns is not None:  # the write found that the client has gone
            return
        self.row.outcome, self.row.ended_ns = outcome, now_ns()
        if self._call is not None:
            self._call.cancel()
        self._stage.leave(self, lane_free_ns)


class Stage:
    """Lanes, the line before them, and the log. Belongs to one running loop.

    Args:
        figures: What is stated.
        alarm: Of the loop.
    """

    def __init__(self, figures: Figures, alarm: Alarm) -> None:
        self.figures, self.alarm = figures, alarm
        self.rng = random.Random(figures.seed)
        self.truth: deque[Row] = deque(maxlen=TRUTH_ROWS)
        self.freezes: list[tuple[int, int]] = []
        self.num_requests = self.num_refused = self.most_busy = self.most_waiting = 0
        self._busy: set[Performance] = set()
        self._line: deque[Performance] = deque()

    @property
    def has_room(self) -> bool:
        """Whether a request may still join the line."""
        limit = self.figures.max_waiting
        return not limit or not self._all_busy or len(self._line) < limit

    def fails(self) -> bool:
        """Draw whether a request fails."""
        return self.figures.failure_rate > 0 and self.rng.random() < self.figures.failure_rate

    def enter(self, performance: Performance) -> None:
        """Start, or wait in line."""
        self.num_requests += 1
        self.truth.append(performance.row)
        if self._all_busy:
            self._line.append(performance)
            self.most_waiting = max(self.most_waiting, len(self._line))
        else:
            self._start(performance, performance.row.accepted_ns)

    def leave(self, performance: Performance, free_ns: int) -> None:
        """A performance has ended; the next in line begins when the plan said that the lane is free."""
        if performance in self._busy:
            self._busy.remove(performance)
            if self._line and not self._all_busy:
                following = self._line.popleft()
                self._start(following, max(free_ns, following.row.accepted_ns))
        elif performance in self._line:
            self._line.remove(performance)

    def to_json(self, num_rows: int) -> dict[str, Any]:
        """The log: the last `num_rows` requests, the oldest first."""
        rows = list(self.truth)[max(0, len(self.truth) - num_rows) :]
        return {
            "num_requests": self.num_requests,
            "num_refused": self.num_refused,
            "most_busy": self.most_busy,
            "most_waiting": self.most_waiting,
            "freezes_ns": self.freezes,
            "requests": [row.to_json() for row in rows],
        }

    @property
    def _all_busy(self) -> bool:
        return 0 < self.figures.capacity <= len(self._busy)

    def _start(self, performance: Performance, at_ns: int) -> None:
        self._busy.add(performance)
        self.most_busy = max(self.most_busy, len(self._busy))
        performance.start(at_ns)


def make_performance(
    stage: Stage, ask: Ask, fault: Fault, accepted_ns: int, request_id: str, sink_for: Callable[[Plan, Row], Sink]
) -> Performance:
    """The performance of an ask, not yet on the stage; it may be one that fails, by chance or by its fault."""
    plan = make_plan(stage.figures, ask, fault.audio_s)
    if fault.audio_s == ENDLESS_S:
        plan = replace(plan, whole=False)
    row = Row(request_id, ask.voice, len(ask.text), plan.audio_s, accepted_ns)
    half = plan.num_chunks // 2 if fault.breaks else None
    stop_at = 0 if stage.fails() or fault.breaks == "refuse" else half
    return Performance(stage, plan, sink_for(plan, row), row, stop_at)


def stages_ms(row: Row, due_ns: int) -> dict[str, float]:
    """What `Server-Timing` says with the first audio: waiting in line, and work until it is due."""
    assert row.started_ns is not None
    queue_ns, work_ns = row.started_ns - row.accepted_ns, due_ns - row.started_ns
    return {"queue": queue_ns / NS_PER_MS, "model_inference": work_ns / NS_PER_MS}
