"""Answers for protocols whose libraries write from a task: a bounded queue between the stage and that task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from firstaudio.bench.reference.asks import AskError
from firstaudio.bench.reference.faults import FAULTS, GOOD, Breaking, Fault, fault_name
from firstaudio.bench.reference.plan import Ask, Plan
from firstaudio.bench.reference.sound import sound
from firstaudio.bench.reference.stage import Performance, Row, Sink, Stage, make_performance

FULL_PIECES = 64


class BrokenOffError(Exception):
    """Raised in place of the rest of an answer: now do what the fault says."""

    def __init__(self, breaks: Breaking) -> None:
        super().__init__(breaks)
        self.breaks = breaks


class Relay:
    """One answer as an iterator of bare samples.

    Args:
        stage: Where it is performed.
        ask: What is wanted.
        accepted_ns: When the whole text was there.
        request_id: For the log.

    Raises:
        AskError: There is no room, or no such fault.
    """

    def __init__(self, stage: Stage, ask: Ask, accepted_ns: int, request_id: str) -> None:
        self._stage, self._queue = stage, asyncio.Queue[tuple[bytes, bool] | Breaking]()
        if not stage.has_room:
            stage.num_refused += 1
            raise AskError(429, "the line is full: come back later")
        self._fault = _fault(ask.voice)
        self._performance: Performance = make_performance(
            stage, ask, self._fault, accepted_ns, request_id, self._attach
        )

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Chunks as they are due. Closing the iterator frees the lane. Raises BrokenOffError."""
        self._stage.enter(self._performance)
        is_last = False
        try:
            while not is_last:
                item = await self._queue.get()
                if isinstance(item, str):
                    raise BrokenOffError(item)
                piece, is_last = item
                yield piece
        finally:
            self._performance.cancel()

    def _attach(self, plan: Plan, row: Row) -> Sink:
        self._plan = plan
        self._sound = sound(plan.figures.sample_rate, row.voice, self._fault.sound)
        return self

    @property
    def full(self) -> bool:
        """The task does not come after."""
        return self._queue.qsize() >= FULL_PIECES

    def begin(self) -> None:
        """Nothing leaves before the first audio."""

    def render(self, index: int, is_last: bool, due_ns: int) -> bytes:  # noqa: ARG002 - samples carry no times
        """Bare samples."""
        return self._sound.part(*self._plan.bounds(index), self._plan.num_samples)

    def write(self, data: bytes, is_last: bool) -> None:
        """To the task."""
        self._queue.put_nowait((data, is_last))

    def break_off(self) -> None:
        """To the task."""
        self._queue.put_nowait(self._fault.breaks or "error")


def _fault(voice: str) -> Fault:
    name, _ = fault_name(voice, "")
    if name and name not in FAULTS:
        raise AskError(400, f"this protocol has no fault {name!r}; there are {', '.join(FAULTS)}", "voice")
    return FAULTS[name] if name else GOOD
