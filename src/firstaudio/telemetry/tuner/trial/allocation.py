"""Who gets which arm: blocks of two in random order, so that the arms stay balanced whatever comes."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple, Protocol

from firstaudio.telemetry.tuner.trial.verdict import Arm

MAX_OPEN = 256  # pairs that wait for their other half; a client can ask for many kinds of things
WINDOW_S = 30.0
WASHOUT_S = 10.0  # of each window: streams of the one before still play


class Place(NamedTuple):
    """An arm, and the block that it is compared in."""

    arm: Arm
    block: int


class Allocation(Protocol):
    """Draws arms."""

    def place(self, stratum: Hashable, now_s: float) -> Place | None:
        """The arm of an utterance of this kind that comes now, on a monotonic clock; None: it is no part of it."""
        ...

    def arm(self, now_s: float) -> Arm | None:
        """The arm that everything has now, part of it or not; None where each utterance has its own."""
        ...


class Pairs:
    """Each utterance has its own arm: the first of a pair at random, the next one of its kind the other.

    Args:
        rng: Seeded in tests.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._open: OrderedDict[Hashable, Place] = OrderedDict()
        self._num_blocks = 0

    def place(self, stratum: Hashable, now_s: float) -> Place | None:  # noqa: ARG002 (time plays no part)
        """The other half of an open pair, or the first of a new one."""
        if (waiting := self._open.pop(stratum, None)) is not None:
            return waiting
        first: Arm = self._rng.choice(("a", "b"))
        block, self._num_blocks = self._num_blocks, self._num_blocks + 1
        self._open[stratum] = Place("b" if first == "a" else "a", block)
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return Place(first, block)

    def arm(self, now_s: float) -> Arm | None:  # noqa: ARG002
        """Each utterance has its own."""
        return None


class Windows:
    """Everything that comes within a window of time has the same arm; two windows in random order are a block.

    Args:
        rng: Seeded in tests.
        begun_s: Monotonic.
    """

    def __init__(self, rng: random.Random, begun_s: float) -> None:
        self._rng, self._begun_s = rng, begun_s
        self._firsts: list[Arm] = []

    def place(self, stratum: Hashable, now_s: float) -> Place | None:  # noqa: ARG002 (all kinds alike)
        """The window's arm; None while streams of the window before may still play."""
        if (now_s - self._begun_s) % WINDOW_S < WASHOUT_S:
            return None
        return Place(self.arm(now_s), self._window(now_s) // 2)

    def arm(self, now_s: float) -> Arm:
        """The window's arm."""
        window = self._window(now_s)
        while len(self._firsts) <= window // 2:
            self._firsts.append(self._rng.choice(("a", "b")))
        first = self._firsts[window // 2]
        if window % 2 == 0:
            return first
        return "b" if first == "a" else "a"

    def _window(self, now_s: float) -> int:
        return int((now_s - self._begun_s) // WINDOW_S)
