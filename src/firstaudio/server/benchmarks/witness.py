"""`Witness`: what else is spoken while a benchmark runs, and for how long nobody has listened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.server.benchmarks.ways import Tally
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.trace import Trace

BUSY = ("client", "warmup")  # the tuner's own texts go on for as long as nobody listens


@dataclass(slots=True)
class Watch:
    """The streams that were heard during one run.

    Attributes:
        run: Id of the run.
        num_own: Streams that the run asked for and that have ended.
        num_other: Streams of anybody else that overlapped it; refused ones took nothing away and do not count.
        tally: How its own were made.
    """

    run: str
    num_own: int = 0
    num_other: int = 0
    tally: Tally = field(default_factory=Tally)


class Witness:
    """Hears every finished trace, whether or not measurements are kept.

    Args:
        synthesizer: Whose.
        clock: Nanoseconds.
    """

    def __init__(self, synthesizer: Synthesizer, clock: Clock = now_ns) -> None:
        self._synthesizer, self._clock = synthesizer, clock
        self._watches: list[Watch] = []
        self._last_busy_ns = clock()
        synthesizer.add_listener(self._heard)

    @contextmanager
    def watch(self, run: str) -> Iterator[Watch]:
        """Count streams for the length of the block; those of others that are not over at its end count, too."""
        watch = Watch(run)
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)
            watch.num_other += sum(stream.origin != "benchmark" for stream in self._synthesizer.snapshot())

    @property
    def idle_s(self) -> float:
        """For how long no client has listened and no warm-up spoken, in seconds; since the start if neither did."""
        if any(stream.origin in BUSY for stream in self._synthesizer.snapshot()):
            return 0.0
        return (self._clock() - self._last_busy_ns) / NS_PER_S

    def _heard(self, trace: Trace) -> None:
        if trace.origin in BUSY:
            self._last_busy_ns = self._clock()
        for watch in self._watches:
            if trace.run == watch.run:
                watch.num_own += 1
                watch.tally.note(trace)
            elif trace.outcome != "refused":
                watch.num_other += 1
