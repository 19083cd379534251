"""Several sessions of one graph behind one door: a step goes where it ends soonest, and is done again where it fails.

Rules:
1.  A session runs one step at a time. Steps that wait for it run in the order in which they came.
2.  A step goes to the session where it ends soonest: what is before it there, and its own cost, as predicted from what
    the session's steps have taken so far. A session of unknown cost is tried first. With right predictions no step
    ends later than it would if the fastest session did everything. A stand-by is given a step only where no other
    session is left.
3.  An output is checked before anybody sees it. A step that fails, or whose output is not valid, is done again on the
    next session.
4.  A session that failed a step which another one then did is retired for good, with reason and time: the step was
    sound, so the session was not. Steps that wait for it go elsewhere; only a step that has failed on all the others
    still comes to it.
5.  A step that fails everywhere is the step's fault as far as anybody can tell: it raises, it is counted on each
    session, and nobody is retired for it. So the last session never is: there is nowhere better to go.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from numpy.typing import NDArray

from firstaudio.clock import Clock, now_ns
from firstaudio.engines.kokoro.runtimes.base import Arrays
from firstaudio.engines.kokoro.runtimes.board import Board, Retirement, RoutedSession, Seat, SessionStatistics
from firstaudio.errors import EngineError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Failure:
    session: RoutedSession
    reason: str


class Router:
    """Sends steps to sessions. Thread-safe: every lane calls it.

    Args:
        sessions: All of one graph, in the order of rank: among equals the earlier one is taken. Those that work have
            names of their own; a stand-by may be a second one of the same runtime.
        clock: For tests.
        graph: What they run, for people.
    """

    def __init__(self, sessions: Sequence[RoutedSession], clock: Clock = now_ns, graph: str = "graph") -> None:
        names = [session.name for session in sessions if not session.is_stand_by]
        assert names, "a router without a session that works"
        assert len(set(names)) == len(names), f"names are not unique: {names}"
        self._board = Board(sessions)
        self._clock, self._graph = clock, graph
        self._turn = threading.Condition()  # guards the board and its sessions; notified when a queue moves on

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
            with self._lease(size, [failure.session for failure in failures]) as session:
                if session is None:
                    break
                outputs, problem = self._try(session, inputs, size, is_valid)
            if outputs is not None:
                self._retire(failures, session)
                return outputs, session.name
            failures.append(_Failure(session, problem))
        told = "; ".join(f"{failure.session.name}: {failure.reason}" for failure in failures)
        raise EngineError(f"no session could run a step of the {self._graph}: {told}", retryable=True)

    def statistics(self) -> list[SessionStatistics]:
        """Of every session, in their order."""
        with self._turn:
            return [session.statistics() for session in self._board.sessions]

    @contextmanager
    def _lease(self, size: float, tried: Sequence[RoutedSession]) -> Iterator[RoutedSession | None]:
        """The session where the step ends soonest, for this step alone; None where none is left. Waits."""
        with ExitStack() as stack:
            seat = self._next_seat(stack, size, tried)
            while seat is not None and not self._wait(seat):
                stack.close()
                seat = self._next_seat(stack, size, tried)
            yield None if seat is None else seat.session

    def _next_seat(self, stack: ExitStack, size: float, tried: Sequence[RoutedSession]) -> Seat | None:
        """A seat that is given back when the stack is closed."""
        with self._turn:
            seat = self._board.take(size, self._clock(), tried)
            if seat is not None:
                stack.callback(self._leave, seat)
            return seat

    def _wait(self, seat: Seat) -> bool:
        """Wait for the seat's turn; False when its session was retired meanwhile."""
        with self._turn:
            self._turn.wait_for(lambda: seat.is_first or seat.is_void)
            if seat.is_void:
                return False
            seat.began_ns = self._clock()
            return True

    def _leave(self, seat: Seat) -> None:
        with self._turn:
            self._board.leave(seat)
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
        except Exception as error:  # a device's driver may raise anything through its library
            logger.exception("session %s of the %s failed unexpectedly", session.name, self._graph)
            problem = repr(error)
        took_ns = self._clock() - begin_ns
        if outputs is not None and not is_valid(outputs):
            outputs, problem = None, "its output was not finite, or silent"
        with self._turn:
            session.count(size, took_ns, problem)
        return outputs, problem

    def _retire(self, failures: Sequence[_Failure], winner: RoutedSession) -> None:
        """Take out of use what failed a step that `winner` has done, unless nothing would be left in use."""
        with self._turn:
            for failure in failures:
                if failure.session.retired is None and winner.retired is None:
                    at = datetime.now(UTC).isoformat(timespec="seconds")
                    failure.session.retired = Retirement(failure.reason, at)
                    told = (failure.session.name, self._graph, failure.reason)
                    logger.warning("session %s of the %s is retired: %s", *told)
            if failures:
                self._turn.notify_all()
