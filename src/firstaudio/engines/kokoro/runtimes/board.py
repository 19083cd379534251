"""Which session a step goes to, and what each has done: the router's rules without its threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.engines.kokoro.runtimes.base import Session
from firstaudio.engines.kokoro.runtimes.cost import Cost


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
        is_stand_by: Whether it is used only where those before it cannot.
        is_loaded: Whether it is in memory; a stand-by is loaded by the first step that needs it.
        num_runs: Steps whose output was used.
        num_failures: Steps that raised or whose output was not valid.
        num_queued: Steps that run on it or wait for it now.
        busy_s: Time spent in steps, failed ones included.
        fixed_ms: Predicted cost of a step of size 0; None until it was learned from a step that it ran.
        per_size_ms: What each unit of size adds to that.
        last_failure: What the last failed step said; empty: none has failed.
        retired: None while it is in use.
    """

    name: str
    is_stand_by: bool
    is_loaded: bool
    num_runs: int
    num_failures: int
    num_queued: int
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
        is_stand_by: Whether it is used only where no other one is left.
        is_loaded: Whether it is in memory and warm. What the first step of another one takes is no step's cost.
        queue: Steps that run on it or wait for it, in the order in which they came; the first one runs.
    """

    name: str
    session: Session
    cost: Cost = field(default_factory=Cost)
    is_stand_by: bool = False
    is_loaded: bool = True
    queue: deque[Seat] = field(default_factory=deque, init=False)
    num_runs: int = field(default=0, init=False)
    num_failures: int = field(default=0, init=False)
    busy_ns: int = field(default=0, init=False)
    last_failure: str = field(default="", init=False)
    retired: Retirement | None = field(default=None, init=False)
    _has_learned: bool = field(default=False, init=False)

    def count(self, size: float, took_ns: int, problem: str) -> None:
        """Take in a step that was run; `problem` is empty where its output was used."""
        self.busy_ns += took_ns
        if problem:
            self.num_failures += 1
            self.last_failure = problem
            return
        self.num_runs += 1
        if self.is_loaded:
            self.cost.learn(size, took_ns)
            self._has_learned = True
        self.is_loaded = True

    def ends_after_ns(self, size: float, now: int) -> float:
        """When a step that comes now would have ended here, from now on."""
        return sum(seat.remaining_ns(now) for seat in self.queue) + self.cost.predict_ns(size)

    def statistics(self) -> SessionStatistics:
        """A snapshot."""
        fixed_ns, per_size_ns = (self.cost.line() if self._has_learned else None) or (None, None)
        return SessionStatistics(
            self.name,
            self.is_stand_by,
            self.is_loaded,
            self.num_runs,
            self.num_failures,
            len(self.queue),
            self.busy_ns / NS_PER_S,
            None if fixed_ns is None else fixed_ns / NS_PER_MS,
            None if per_size_ns is None else per_size_ns / NS_PER_MS,
            self.last_failure,
            self.retired,
        )


@dataclass(eq=False, slots=True)
class Seat:
    """A step's place in a session's queue.

    Attributes:
        session: Whose queue.
        cost_ns: Predicted, of this step.
        is_last_resort: Whether the session was retired already when the seat was taken.
        began_ns: When it began to run; None while it waits.
    """

    session: RoutedSession
    cost_ns: float
    is_last_resort: bool = False
    began_ns: int | None = None

    @property
    def is_first(self) -> bool:
        """Whether it may run."""
        return self.session.queue[0] is self

    @property
    def is_void(self) -> bool:
        """Whether the session was retired since."""
        return self.session.retired is not None and not self.is_last_resort

    def remaining_ns(self, now: int) -> float:
        """What is left of its predicted cost."""
        passed = 0 if self.began_ns is None else now - self.began_ns
        return max(0.0, self.cost_ns - passed)


class Board:
    """The queues of several sessions. Not thread-safe: the router holds a lock around it.

    Args:
        sessions: In the order of rank.
    """

    def __init__(self, sessions: Sequence[RoutedSession]) -> None:
        self.sessions = tuple(sessions)

    def take(self, size: float, now: int, tried: Sequence[RoutedSession] = ()) -> Seat | None:
        """A place in the queue of the session where the step ends soonest; None where no session is left.

        A stand-by is taken where no other session in use is left. A step that has failed on every session in use is
        tried on the retired ones: it has nothing to lose.

        Args:
            size: Of the step.
            now: In ns.
            tried: Sessions that have failed it.
        """
        untried = [session for session in self.sessions if session not in tried]
        in_use = [session for session in untried if session.retired is None]
        left = [session for session in in_use if not session.is_stand_by] or in_use or untried
        if not left:
            return None
        # Of sessions whose cost nobody knows yet, the one with fewer steps.
        session = min(left, key=lambda each: (each.ends_after_ns(size, now), len(each.queue)))
        seat = Seat(session, session.cost.predict_ns(size), session.retired is not None)
        session.queue.append(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Give a place back, run or not; once."""
        seat.session.queue.remove(seat)
