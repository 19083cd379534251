"""One request before everything else: whether the target speaks at all, and what it says if it does not."""

from __future__ import annotations

from dataclasses import dataclass

from firstaudio.bench.exchange import Exchange, Failure, FailureKind
from firstaudio.bench.load.client import Client
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.reading.read import Heard, to_record
from firstaudio.bench.record import OK, RequestRecord
from firstaudio.bench.targets.base import Target
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

TEXT = "Good morning to everyone who is listening."
ATTEMPTS = 3  # a target that fails now and then is worth measuring; one that always fails is not
HOPELESS = frozenset(
    {
        FailureKind.UNREACHABLE,
        FailureKind.UNAUTHORIZED,
        FailureKind.NOT_FOUND,
        FailureKind.TIMEOUT,
        FailureKind.ENDLESS,
        FailureKind.NO_SAMPLE_RATE,
        FailureKind.PROTOCOL,
    }
)


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the first request gave: the coldest one of the session, and in no figure of it."""

    record: RequestRecord
    heard: Heard


class PreflightError(BenchError):
    """The target does not speak: nothing can be measured.

    Args:
        failure: Why.
    """

    code = "target_unusable"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def preflight(target: Target, cell: Cell, text: str = TEXT) -> Preflight:
    """Ask once, up to three times where a failure may be passing. Raises PreflightError."""
    for attempt in range(1, ATTEMPTS + 1):
        record, heard = await _ask(target, cell, text, attempt)
        if record.outcome == OK:
            break
        failure = Failure(FailureKind(record.outcome), record.message)
        if failure.kind in HOPELESS or attempt == ATTEMPTS:
            raise PreflightError(failure)
    return Preflight(record, heard)


async def _ask(target: Target, cell: Cell, text: str, index: int) -> tuple[RequestRecord, Heard]:
    utterance = Utterance(text, "custom", cell.voice, cell.speed, cell.language)
    exchange = Exchange(scheduled_ns=now_ns())
    await Client(target, 0, timeout_s=cell.target.timeout_s, cold=True).request(utterance, exchange)
    if exchange.failure is not None:
        exchange.arrivals_ns.clear()  # what came with it is in no figure, and an endless answer takes long to read
        exchange.pieces.clear()
    return to_record(Taken(utterance, exchange, "warmup", client=0, index=index), cell, target.reading)
