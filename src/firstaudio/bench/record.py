"""One request as it is kept: every stamp, every chunk, what was heard. Everything else is computed from these rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from firstaudio.bench.exchange import FailureKind

OK = "ok"
Phase = Literal["warmup", "measured"]


class ChunkRow(NamedTuple):
    """A piece of audio as it arrived.

    Attributes:
        arrival_ns: When.
        num_bytes: Of audio data in it, past all headers and envelopes; 0 for a piece without any.
        num_samples: That could be decoded for the first time with this piece, at the record's sample rate.
    """

    arrival_ns: int
    num_bytes: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request. Stamps are `perf_counter_ns` of the machine that ran it; None is "never happened".

    Attributes:
        cell: Name of its cell.
        index: Number of the request in its cell, in order of sending.
        client: Which client sent it.
        phase: Only "measured" requests count.
        label: "cold", "warm", "cached": never mixed in one figure.
        outcome: `OK` or a `FailureKind`.
        message: Of the failure, else empty.
        first_byte_ns: First byte of the body.
        first_sample_ns: First byte of audio, past headers and envelopes.
        audible_ns: When a listener who plays at once hears something.
        onset_sample: The first audible sample; None if there is none.
        container: What the audio came in, as found: "wav", "pcm", "mp3", ...
        chunks: Every piece in order.
        server_timing_ms: What the target says of its stages (header `Server-Timing`), in ms.
        quality: Findings of `bench.reading.quality`, by name.
        part: Which of its cell's runs: a cell may be measured in several, with pauses between them.
    """

    cell: str
    index: int
    client: int
    phase: Phase
    label: str
    text: str
    text_class: str
    voice: str | None
    speed: float
    language: str | None
    outcome: str
    message: str
    scheduled_ns: int
    dispatched_ns: int
    connected_ns: int | None
    sent_ns: int | None
    headers_ns: int | None
    first_byte_ns: int | None
    first_sample_ns: int | None
    audible_ns: int | None
    last_byte_ns: int | None
    status: int | None
    container: str | None
    sample_rate: int | None
    onset_sample: int | None
    chunks: tuple[ChunkRow, ...] = ()
    server_timing_ms: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, float] = field(default_factory=dict)
    part: int = 0

    @property
    def ok(self) -> bool:
        """Completed with valid audio."""
        return self.outcome == OK

    @property
    def cancelled(self) -> bool:
        """Ended by the harness itself: neither a success nor a failure of the target."""
        return self.outcome == FailureKind.CANCELLED

    @property
    def num_samples(self) -> int:
        """Of all chunks."""
        return sum(chunk.num_samples for chunk in self.chunks)

    @property
    def audio_s(self) -> float | None:
        """Duration of the decoded audio in seconds; None when its rate is unknown."""
        return self.num_samples / self.sample_rate if self.sample_rate else None

    def to_json(self) -> dict[str, Any]:
        """One line of `records.jsonl`."""
        row = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**row, "chunks": [list(chunk) for chunk in self.chunks]}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> RequestRecord:
        """From one line of `records.jsonl`. Raises TypeError for unknown or missing fields."""
        return cls(**{**row, "chunks": tuple(ChunkRow(*chunk) for chunk in row["chunks"])})


def measured(records: Iterable[RequestRecord]) -> Iterator[RequestRecord]:
    """Those that count: of the measured phase, not cancelled by the harness."""
    return (record for record in records if record.phase == "measured" and not record.cancelled)
