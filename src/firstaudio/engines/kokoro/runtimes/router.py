"""Several sessions of one graph behind one door: a step goes where it ends soonest, and is done again where it fails.

Rules:
1.  A session runs one step at a time. Steps that wait for it run in the order in which they came.
2.  A step goes to the session where it ends soonest: what is before it there, and its own cost, as predicted from what
    the session's steps have taken so far. A session of unknown cost is tried first. With right predictions no step
    ends later than it would if the fastest session did everything.
3.  An output is checked before anybody sees it. A step that fails, or whose output is not valid, is done again on the
    next session.
4.  A session that failed a step which another one then did is retired for good, with reason and time: the step was
    sound, so the session was not. Steps that wait for it go elsewhere.
5.  A step that fails everywhere is the step's fault as far as anybody can tell: it raises, it is counted on each
    session, and nobody is retired for it. So the last session never is: there is nowhere better to go.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from numpy.typing import NDArray

from firstaudio.clock import NS_PER_MS, NS_PER_S, Clock, now_ns
from firstaudio.engines.kokoro.runtimes.base import Arrays, Session
from firstaudio.engines.kokoro.runtimes.cost import Cost
from firstaudio.errors import EngineError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retirement:
    """Why a session is not used any more, and since when (ISO 8601, UTC)."""

    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """What one session has done.

    Attributes:
        name: Of the session.
        num_runs: Steps whose output was used.
        num_failures: Steps that raised or whose output was not valid.
        num_waiting: Steps that run on it or wait for it now.
        busy_s: Time spent in steps, failed ones included.
        fixed_ms: Predicted cost of a step of size 0; None until it is known.
        per_size_ms: What each unit of size adds to that.
        last_failure: What the last failed step said; empty: none has failed.
        retired: None while it is in use.
    """

    name: str
    num_runs: int
    num_failures: int
    num_waiting: int
    busy_s: float
    fixed_ms: float | None
    per_size_ms: float | None
    last_failure: str
    retired: Retirement | None


@dataclass(eq=False, slots=True)
class RoutedSession:
    """One session and what the router knows of it.

    Attributes:
        name: What `Router.run` says the step ran on.
        session: Does the work.
        cost: Learned; may be seeded with what was measured before.
    """

    name: str
    session: Session
    cost: Cost = field(default_factory=Cost)
    _queue: deque[_Seat] = field(default_factory=deque, init=False)
    _num_runs: int = field(default=0, init=False)
    _num_failures: int = field(default=0, init=False)
    _busy_ns: int = field(default=0, init=False)
    _last_failure: str = field(default="", init=False)
    _retired: Retirement | None = field(default=None, init=False)

    def ends_after_ns(self, size: float, now: int) -> float:
        """When a step that comes now would have ended here, from now on."""
        return sum(seat.remaining_ns(now) for seat in self._queue) + self.cost.predict_ns(size)

    def statistics(self) -> SessionStatistics:
        """A snapshot."""
        fixed_ns, per_size_ns = self.cost.line() or (None, None)
        return SessionStatistics(
            self.name,
            self._num_runs,
            self._num_failures,
            len(self._queue),
            self._busy_ns / NS_PER_S,
            None if fixed_ns is None else fixed_ns / NS_PER_MS,
            None if per_size_ns is None else per_size_ns / NS_PER_MS,
            self._last_failure,
            self._retired,
        )


@dataclass(eq=False, slots=True)
class _Seat:
    """A step's place in a session's queue; the first one runs."""

    session: RoutedSession
    cost_ns: float
    began_ns: int | None = None

    def remaining_ns(self, now: int) -> float:
        passed = 0 if self.began_ns is None else now - self.began_ns
        return max(0.0, self.cost_ns - passed)


@dataclass(slots=True)
class _Failure:
    session: RoutedSession
    reason: str


class Router:
    """Sends steps to sessions. Thread-safe: every lane calls it.

    Args:
        sessions: All of one graph, warmed, in the order of rank: among equals the earlier one is taken. Names are
            unique.
        clock: For tests.
    """

    def __init__(self, sessions: Sequence[RoutedSession], clock: Clock = now_ns) -> None:
        names = [session.name for session in sessions]
        assert sessions, "a router without sessions"
        assert len(set(names)) == len(names), f"names are not unique: {names}"
        self._sessions = tuple(sessions)
        self._clock = clock
        self._turn = threading.Condition()  # guards everything below it and in the sessions

    def run(
        self, inputs: Mapping[str, NDArray[Any]], size: float, is_valid: Callable[[Arrays], bool]
    ) -> tuple[Arrays, str]:
        """Run one step; waits for its turn.

        Args:
            inputs: Of the step.
            size: What its cost grows with: frames, or tokens.
            is_valid: Whether an output may be used: finite, and not silent where that cannot be.

        Returns:
            The outputs, and the name of the session that made them.

        Raises:
            EngineError: Every session failed it; retryable.
        """
        failures: list[_Failure] = []
        while True:
            with self._seat(size, [failure.session for failure in failures]) as session:
                if session is None:
                    break
                outputs, problem = self._try(session, inputs, size, is_valid)
            if outputs is not None:
                self._retire(failures)
                return outputs, session.name
            failures.append(_Failure(session, problem))
        told = "; ".join(f"{failure.session.name}: {failure.reason}" for failure in failures)
        raise EngineError(f"no session could run the step: {told or 'all are retired'}", retryable=True)

    def statistics(self) -> list[SessionStatistics]:
        """Of every session, in their order."""
        with self._turn:
            return [session.statistics() for session in self._sessions]

    @contextmanager
    def _seat(self, size: float, tried: Sequence[RoutedSession]) -> Iterator[RoutedSession | None]:
        """The session where the step ends soonest, for this step alone; None where none is left."""
        with self._turn:
            seat = self._take_seat(size, tried)
            try:
                while seat is not None and not self._is_first(seat):
                    self._turn.wait()
                    if seat.session._retired is not None:
                        self._leave(seat)
                        seat = self._take_seat(size, tried)
                if seat is not None:
                    seat.began_ns = self._clock()
            except BaseException:
                self._leave(seat)
                raise
        try:
            yield None if seat is None else seat.session
        finally:
            with self._turn:
                self._leave(seat)

    def _take_seat(self, size: float, tried: Sequence[RoutedSession]) -> _Seat | None:
        left = [s for s in self._sessions if s._retired is None and s not in tried]
        if not left:
            return None
        now = self._clock()
        session = min(left, key=lambda each: (each.ends_after_ns(size, now), len(each._queue)))
        seat = _Seat(session, session.cost.predict_ns(size))
        session._queue.append(seat)
        return seat

    def _is_first(self, seat: _Seat) -> bool:
        return seat.session._queue[0] is seat

    def _leave(self, seat: _Seat | None) -> None:
        if seat is not None and seat in seat.session._queue:
            seat.session._queue.remove(seat)
            self._turn.notify_all()

    def _try(
        self,
        session: RoutedSession,
        inputs: Mapping[str, NDArray[Any]],
        size: float,
        is_valid: Callable[[Arrays], bool],
    ) -> tuple[Arrays | None, str]:
        """The outputs, or None and what is wrong."""
        begin_ns = self._clock()
        outputs, problem = None, ""
        try:
            outputs = session.session.run(inputs)
        except EngineError as error:
            problem = error.message
        took_ns = self._clock() - begin_ns
        if outputs is not None and not is_valid(outputs):
            outputs, problem = None, "its output was not finite, or silent"
        with self._turn:
            self._count(session, size, took_ns, problem)
        return outputs, problem

    def _count(self, session: RoutedSession, size: float, took_ns: int, problem: str) -> None:
        session._busy_ns += took_ns
        if problem:
            session._num_failures += 1
            session._last_failure = problem
        else:
            session._num_runs += 1
            session.cost.learn(size, took_ns)

    def _retire(self, failures: Sequence[_Failure]) -> None:
        """Take out of use what failed a step that another session has done now."""
        with self._turn:
            for failure in failures:
                if failure.session._retired is None:
                    at = datetime.now(UTC).isoformat(timespec="seconds")
                    failure.session._retired = Retirement(failure.reason, at)
                    logger.warning("session %s is retired: %s", failure.session.name, failure.reason)
            if failures:
                self._turn.notify_all()
