"""The book of a load run: every request from its beginning to its end, and what follows from all of them together."""

from __future__ import annotations

from collections.abc import Callable

from firstaudio.bench.exchange import Exchange, FailureKind
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.load.watch import InFlight
from firstaudio.bench.progress import Progress
from firstaudio.bench.record import Phase
from firstaudio.bench.utterance import Utterance

MAX_KEPT_BYTES = 512 * 1024 * 1024
MIN_HOPELESS = 8
MIN_HOPELESS_TIMEOUTS = 3  # each of them takes as long as a request may

# A target that fails its first requests in one of these ways will fail all of them.
HOPELESS = frozenset(
    {
        FailureKind.UNREACHABLE,
        FailureKind.UNAUTHORIZED,
        FailureKind.NOT_FOUND,
        FailureKind.HTTP_ERROR,
        FailureKind.PROTOCOL,
        FailureKind.TIMEOUT,
        FailureKind.WRONG_FORMAT,
    }
)

Sink = Callable[[Taken], None]


class Book:
    """Requests in order of sending.

    Args:
        give_up: Called once, when the target is hopeless.
        progress: Told of measured requests.
        concurrency: Of the cell: so many first failures must agree before the target counts as hopeless.
        sink: Takes requests that would be too much to keep: from `max_kept_bytes` on, each one as it ends.
        max_kept_bytes: Of all bodies together.

    Attributes:
        in_flight: Of the measured requests.
        num_measured: Measured requests that were begun.
        warnings: For people.
        hopeless: Why there is no point in going on; None while there is.
    """

    def __init__(
        self,
        give_up: Callable[[], None],
        progress: Progress,
        concurrency: int,
        sink: Sink | None = None,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        self.in_flight = InFlight()
        self.num_measured = 0
        self.warnings: list[str] = []
        self.hopeless: str | None = None
        self._taken: dict[int, Taken] = {}
        self._progress, self._concurrency = progress, concurrency
        self._sink, self._max_kept, self._kept = sink, max_kept_bytes, 0
        self._give_up = give_up
        self._next = self._num_failed = 0
        self._only_failure: FailureKind | None = None
        self._may_be_hopeless = True

    def begin(self, utterance: Utterance, phase: Phase, client: int, scheduled_ns: int | None = None) -> Taken:
        """A request is about to be dispatched; without a schedule it is scheduled when it is dispatched."""
        taken = Taken(utterance, Exchange(scheduled_ns=scheduled_ns or 0), phase, client, self._next)
        self._taken[taken.index] = taken
        self._next += 1
        if phase == "measured":
            self.num_measured += 1
            self.in_flight.enter()
        return taken

    def end(self, taken: Taken) -> None:
        """It has ended, in whatever way. An unmeasured one that the harness cancelled is forgotten."""
        exchange = taken.exchange
        exchange.scheduled_ns = exchange.scheduled_ns or exchange.dispatched_ns
        cancelled = exchange.failure is not None and exchange.failure.kind is FailureKind.CANCELLED
        if taken.phase == "measured":
            self.in_flight.leave()
            self._progress.advance(exchange.failure is None)
        elif cancelled:
            del self._taken[taken.index]
            return
        if self._may_be_hopeless and not cancelled:
            self._judge(exchange)
        self._keep(taken)

    def taken(self) -> list[Taken]:
        """All that were kept, in order of sending.

        Where the target was given up before anything was measured, its first requests are what there is to tell: they
        count as measured.
        """
        if self.hopeless and not self.num_measured:
            for taken in self._taken.values():
                taken.phase = "measured"
        return list(self._taken.values())

    def warn(self, message: str) -> None:
        """Keep a warning, and show it now."""
        self.warnings.append(message)
        self._progress.note(message)

    def _judge(self, exchange: Exchange) -> None:
        """Whether all requests until now have failed in one and the same hopeless way."""
        failure = exchange.failure
        kind = failure.kind if failure else None
        if failure is None or kind not in HOPELESS or self._only_failure not in (None, kind):
            self._may_be_hopeless = False
            return
        self._only_failure = kind
        self._num_failed += 1
        at_least = MIN_HOPELESS_TIMEOUTS if kind is FailureKind.TIMEOUT else MIN_HOPELESS
        if self._num_failed >= max(at_least, self._concurrency) and self.hopeless is None:
            self.hopeless = f"stopped: the first {self._num_failed} requests all failed ({kind}): {failure.message}"
            self.warn(self.hopeless)
            self._give_up()

    def _keep(self, taken: Taken) -> None:
        size = sum(map(len, taken.exchange.pieces))
        if self._kept + size <= self._max_kept:
            self._kept += size
        elif self._sink is not None:
            self._sink(self._taken.pop(taken.index))
        else:
            self.warn(
                f"more than {self._max_kept >> 20} MB of audio are kept in memory: measure fewer requests at once"
            )
            self._max_kept *= 2
            self._kept += size
