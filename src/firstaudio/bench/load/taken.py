"""What a load run hands on: finished requests, unread, and how the client fared meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.record import Phase
from firstaudio.bench.result import ClientSide
from firstaudio.bench.utterance import Utterance


@dataclass(slots=True)
class Taken:
    """One request that has ended, in whatever way (`exchange.failure`).

    Attributes:
        utterance: What was asked.
        exchange: What came.
        phase: Warm-up or measured.
        client: Which client sent it, unique over all load processes.
        index: In order of sending, unique in the cell.
    """

    utterance: Utterance
    exchange: Exchange
    phase: Phase
    client: int
    index: int


@dataclass(slots=True)
class LoadRun:
    """Everything that one cell's load produced.

    Attributes:
        taken: In order of sending.
        client: The client's own condition during the measured window; its floor is filled in by the caller.
        completed: False when the deadline of the cell or an interruption ended it.
        schedule_hash: Of the arrival times of an open loop; None for a closed one.
        warnings: For people: a warm-up that did not become stable, a deadline that was hit.
    """

    taken: list[Taken]
    client: ClientSide
    completed: bool = True
    schedule_hash: str | None = None
    warnings: list[str] = field(default_factory=list)
