"""`Circuit`: an engine that fails again and again rests, so that nobody waits for it to fail once more.

closed    failures in a row are counted; `MAX_FAILURES` of them begin a rest
resting   other engines speak; the first rest takes `FIRST_REST_S`, each later one twice as long as the one before
probing   the rest is over, and the next stream finds out for all: its first audio closes the circuit, its failure
          begins the next rest

The count and the length of rests begin anew only with a stream that was spoken to its end, so an engine that always
breaks down after its first words rests longer and longer, too.

Source: M. T. Nygard, Release It! (2nd ed. 2018), "Circuit Breaker".
"""

from __future__ import annotations

import logging

from firstaudio.clock import NS_PER_S, Clock, now_ns

logger = logging.getLogger(__name__)

MAX_FAILURES = 3
FIRST_REST_S = 5.0
LONGEST_REST_S = 300.0
MAX_DOUBLINGS = 10  # enough for the longest rest


class Circuit:
    """Of one engine. Lives on the event loop.

    Args:
        name: Of the engine, for people.
        is_on: Whether there are rests at all: they help only where another engine speaks meanwhile.
        clock: Monotonic ns.
    """

    def __init__(self, name: str, *, is_on: bool = True, clock: Clock = now_ns) -> None:
        self._name, self._is_on, self._clock = name, is_on, clock
        self._num_failures = self._num_rests = 0
        self._rests_until_ns: int | None = None
        self._probe: object | None = None
        self._last_error = ""

    @property
    def is_open(self) -> bool:
        """Whether another engine should be asked: this one rests, or a probe is on its way."""
        if self._rests_until_ns is None:
            return False
        return self._probe is not None or self._clock() < self._rests_until_ns

    @property
    def message(self) -> str:
        """Why it rests, for how long, and what comes then. Only where `is_open`."""
        assert self._rests_until_ns is not None
        left_s = (self._rests_until_ns - self._clock()) / NS_PER_S
        then = "a request is trying it now" if self._probe is not None else f"it is tried again in {left_s:.0f} s"
        return (
            f"the {self._name} engine failed {self._num_failures} times in a row and rests, {then}: {self._last_error}"
        )

    def begin(self, stream: object) -> None:
        """A stream is about to ask the engine."""
        if self._rests_until_ns is not None and not self.is_open:
            self._probe = stream

    def heard(self, stream: object) -> None:
        """The engine has given audio to a stream."""
        if self._probe is stream:
            self._rests_until_ns = self._probe = None
            logger.info("the %s engine speaks again", self._name)

    def failed(self, stream: object, message: str) -> None:
        """The engine has failed a stream; failures of streams that began before the rest change nothing.

        Args:
            stream: Whose.
            message: What it said.
        """
        if not self._is_on or (self._rests_until_ns is not None and self._probe is not stream):
            return
        self._num_failures += 1
        self._last_error = message
        if self._num_failures >= MAX_FAILURES:
            self._rest()

    def ended(self, stream: object, *, completed: bool) -> None:
        """A stream has ended, or another engine goes on with it.

        Args:
            stream: Which.
            completed: Whether the engine has said everything.
        """
        if self._probe is stream:
            self._probe = None  # cancelled before its first audio: the next one finds out
        if completed and self._rests_until_ns is None:
            self._num_failures = self._num_rests = 0

    def _rest(self) -> None:
        rest_s = min(FIRST_REST_S * 2 ** min(self._num_rests, MAX_DOUBLINGS), LONGEST_REST_S)
        self._num_rests += 1
        self._rests_until_ns, self._probe = self._clock() + round(rest_s * NS_PER_S), None
        logger.warning("%s", self.message)
