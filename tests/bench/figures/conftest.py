"""Records as a test states them: times in ms after the request was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from firstaudio.bench.record import ChunkRow, RequestRecord

MS = 1_000_000
RATE = 1000  # one sample is one millisecond

MakeRecord = Callable[..., RequestRecord]


def make_record(index: int = 0, *, sent: float = 0.0, chunks: Any = ((50, 100), (100, 100)), **changes: Any) -> Any:
    """A success: `chunks` are (arrival after sent in ms, audio in ms)."""
    origin = 10_000 * MS + round(sent * MS)
    rows = tuple(ChunkRow(origin + round(at * MS), 2 * audio, audio) for at, audio in chunks)
    first, last = (rows[0].arrival_ns, rows[-1].arrival_ns) if rows else (None, None)
    stamps: dict[str, Any] = {
        "scheduled_ns": origin,
        "dispatched_ns": origin,
        "connected_ns": None,
        "sent_ns": origin,
        "headers_ns": first,
        "first_byte_ns": first,
        "first_sample_ns": first,
        "audible_ns": first,
        "last_byte_ns": last,
    }
    given = {"cell": "c", "index": index, "client": 0, "phase": "measured", "label": "warm", "text": "x" * 100}
    rest = {"text_class": "medium", "voice": None, "speed": 1.0, "language": None, "outcome": "ok", "message": ""}
    found = {"status": 200, "container": "wav", "sample_rate": RATE, "onset_sample": 0, "chunks": rows}
    shifted = {k: None if v is None else origin + round(v * MS) for k, v in changes.items() if k.endswith("_ns")}
    return RequestRecord(**{**given, **rest, **found, **stamps, **changes, **shifted})


@pytest.fixture
def record() -> MakeRecord:
    return make_record


@pytest.fixture
def failed() -> MakeRecord:
    """A failure after 10 ms; nothing came."""

    def make(index: int = 0, **changes: Any) -> RequestRecord:
        absent = dict.fromkeys(("headers_ns", "first_byte_ns", "first_sample_ns", "audible_ns"))
        fields = {"outcome": "http_error", "message": "500", "sample_rate": None, "last_byte_ns": 10.0, **changes}
        return make_record(index, chunks=(), **{**absent, **fields})

    return make
