"""What the client saw of one request: stamps and bytes, without any interpretation.

An `Exchange` is filled while time is measured, so filling it must cost next to nothing: a stamp and a reference for
each piece. What the bytes mean is found out after the timed window (`firstaudio.bench.reading`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from firstaudio.clock import now_ns


class FailureKind(StrEnum):
    """Why a request counts as failed. The first group is seen by the transport, the second in what arrived."""

    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    REFUSED = "refused"  # 429, 503: the target has no room
    HTTP_ERROR = "http_error"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"  # in the middle of the body
    ENDLESS = "endless"  # more audio than any answer to the text could hold
    PROTOCOL = "protocol"  # not the protocol that was expected
    TARGET_ERROR = (
        "target_error"  # the target says so itself: success false, an error event, an exception, an exit code
    )
    CANCELLED = "cancelled"  # by the harness, at the end of a run: no failure of the target

    EMPTY = "empty"
    WRONG_FORMAT = "wrong_format"
    NO_SAMPLE_RATE = "no_sample_rate"
    TRUNCATED = "truncated"  # the container says that more should come
    SILENT = "silent"
    CLIPPED = "clipped"
    SHORT = "short"  # far too short for its text


@dataclass(frozen=True, slots=True)
class Failure:
    """Why, and in one sentence what a person should know or do."""

    kind: FailureKind
    message: str


class SpeakError(Exception):
    """Raised by a channel when a request cannot be completed; the runner notes its failure on the exchange."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message)


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """What a transport states about raw samples outside of them.

    Attributes:
        sample_rate: In Hz.
        sample_width: Bytes per sample: 2 is int16, 4 is float32; little endian.
        num_channels: Interleaved.
    """

    sample_rate: int
    sample_width: int = 2
    num_channels: int = 1


@dataclass(slots=True)
class Exchange:
    """Stamps (`clock.now_ns`) and bytes of one request.

    Attributes:
        scheduled_ns: When the load plan wanted the request sent; equals `dispatched_ns` in a closed loop.
        dispatched_ns: When the client began to send it.
        connected_ns: Connection ready; None when a kept-alive connection was reused.
        sent_ns: When the last byte of the request was handed over, stamped just before the write that holds it:
            the target may answer before the write returns.
        headers_ns: Response headers read; None for transports without headers.
        last_byte_ns: End of the body; None while or because it never came.
        arrivals_ns: When each piece of the body arrived.
        pieces: The pieces, as they came off the wire (without HTTP's own chunk framing).
        status: HTTP status; None for transports without one.
        headers: Response headers, names in lower case.
        stated: Format of raw samples, where the transport states it (a Wyoming event, a function's return value).
        failure: Why the request failed; None if the transport saw nothing wrong.
    """

    scheduled_ns: int = 0
    dispatched_ns: int = 0
    connected_ns: int | None = None
    sent_ns: int | None = None
    headers_ns: int | None = None
    last_byte_ns: int | None = None
    arrivals_ns: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    stated: PcmFormat | None = None
    failure: Failure | None = None

    def arrived(self, data: bytes, at_ns: int | None = None) -> None:
        """Note a piece of the body; stamped now unless the caller has stamped it already."""
        self.arrivals_ns.append(now_ns() if at_ns is None else at_ns)
        self.pieces.append(data)
