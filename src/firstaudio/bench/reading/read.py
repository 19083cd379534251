"""What was heard of one exchange, and the record that is kept of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from firstaudio.audio.chunk import Pcm
from firstaudio.audio.onset import find_onset
from firstaudio.bench.exchange import Exchange, Failure, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.reading import quality
from firstaudio.bench.reading.container import Found, locate
from firstaudio.bench.reading.decoded import Decoded, decode_pieces
from firstaudio.bench.reading.envelope import unwrap
from firstaudio.bench.reading.target_error import quote, target_error
from firstaudio.bench.reading.timing import server_timing_ms
from firstaudio.bench.record import OK, ChunkRow, RequestRecord
from firstaudio.bench.spec import Reading
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell
from firstaudio.clock import NS_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One answer, understood. What could not be had is None.

    Attributes:
        outcome: `OK` or a `FailureKind`.
        message: Of the failure, else empty.
        container: As found.
        sample_rate: In Hz.
        chunks: Every piece in order.
        pcm: Mono, also of a failed request as far as it could be decoded.
        first_byte_ns: First byte of the body.
        first_sample_ns: First byte of audio.
        onset_sample: The first audible sample.
        audible_ns: When a listener who plays at once hears something.
        server_timing_ms: By stage.
        quality: Findings of `bench.reading.quality`; of whole audio only.
    """

    outcome: str = OK
    message: str = ""
    container: str | None = None
    sample_rate: int | None = None
    chunks: tuple[ChunkRow, ...] = ()
    pcm: Pcm | None = None
    first_byte_ns: int | None = None
    first_sample_ns: int | None = None
    onset_sample: int | None = None
    audible_ns: int | None = None
    server_timing_ms: dict[str, float] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)


def read(exchange: Exchange, reading: Reading, utterance: Utterance) -> Heard:
    """Understand what arrived. Never raises for anything that a target may have sent.

    The exchange's own failure wins over what is found in the bytes; audio that came before it is still read, unless it
    was endless: looking into a quarter of a gigabyte takes a minute and gigabytes of memory, for each such answer.
    """
    arrived = zip(exchange.arrivals_ns, exchange.pieces, strict=True)
    heard = Heard(
        chunks=tuple(ChunkRow(at, 0, 0) for at in exchange.arrivals_ns),
        first_byte_ns=next((at for at, piece in arrived if piece), None),
        server_timing_ms=server_timing_ms(exchange.headers.get("server-timing", "")),
    )
    if exchange.failure and (exchange.status or 0) >= 300:
        return _failed(heard, exchange.failure)  # the body explains the failure, it is no audio
    if exchange.failure and exchange.failure.kind is FailureKind.ENDLESS:
        return _failed(heard, exchange.failure)
    heard, failure = _listen(heard, exchange, reading, utterance)
    failure = exchange.failure or failure
    return _failed(heard, failure) if failure else heard


def to_record(taken: Taken, cell: Cell, reading: Reading) -> tuple[RequestRecord, Heard]:
    """The row that is kept of a request, and what was heard of it (its audio is not in the row)."""
    exchange, utterance = taken.exchange, taken.utterance
    heard = read(exchange, reading, utterance)
    record = RequestRecord(
        cell=cell.name,
        index=taken.index,
        client=taken.client,
        phase=taken.phase,
        label=cell.label,
        text=utterance.text,
        text_class=utterance.text_class,
        voice=utterance.voice,
        speed=utterance.speed,
        language=utterance.language,
        outcome=heard.outcome,
        message=heard.message,
        scheduled_ns=exchange.scheduled_ns,
        dispatched_ns=exchange.dispatched_ns,
        connected_ns=exchange.connected_ns,
        sent_ns=exchange.sent_ns,
        headers_ns=exchange.headers_ns,
        first_byte_ns=heard.first_byte_ns,
        first_sample_ns=heard.first_sample_ns,
        audible_ns=heard.audible_ns,
        last_byte_ns=exchange.last_byte_ns,
        status=exchange.status,
        container=heard.container,
        sample_rate=heard.sample_rate,
        onset_sample=heard.onset_sample,
        chunks=heard.chunks,
        server_timing_ms=heard.server_timing_ms,
        quality=heard.quality,
    )
    return record, heard


def _failed(heard: Heard, failure: Failure) -> Heard:
    return replace(heard, outcome=str(failure.kind), message=failure.message)


def _listen(heard: Heard, exchange: Exchange, reading: Reading, utterance: Utterance) -> tuple[Heard, Failure | None]:
    """What can be heard, and the first thing that is wrong with it."""
    unwrapped = unwrap(exchange.pieces, reading)
    try:
        found, stated = _found(unwrapped.pieces, reading, exchange.stated)
        heard = replace(heard, container=found.container)
        decoded = decode_pieces(unwrapped.pieces, found, stated)
    except SpeakError as error:
        return heard, unwrapped.failure or _explained(unwrapped.pieces, reading) or error.failure
    heard = _timed(heard, exchange.arrivals_ns, decoded)
    failure = unwrapped.failure or decoded.failure
    if not len(decoded.pcm):
        return heard, failure or Failure(FailureKind.EMPTY, f"the {found.container} answer has no samples")
    return (heard, failure) if failure else _inspected(heard, utterance)


def _found(pieces: tuple[bytes, ...], reading: Reading, stated: PcmFormat | None) -> tuple[Found, PcmFormat | None]:
    """What is in the pieces and, of headerless samples, their format."""
    body = b"".join(pieces)
    if not body:
        raise SpeakError(FailureKind.EMPTY, "the answer has no audio: look into the target's log")
    told = stated or (PcmFormat(reading.sample_rate) if reading.sample_rate else None)
    found = locate(body, reading.container, may_be_pcm=reading.container is None and told is not None)
    if found is None:
        message = f"the answer ends before its audio begins, after {len(body)} bytes: {quote(body)!r}"
        raise SpeakError(FailureKind.TRUNCATED, message)
    if found.container == "pcm" and stated and reading.sample_rate not in (None, stated.sample_rate):
        rates = f"the response states {stated.sample_rate} Hz and you state {reading.sample_rate} Hz"
        raise SpeakError(FailureKind.NO_SAMPLE_RATE, f"{rates}: leave yours out, or mend the target")
    return found, told


def _explained(pieces: tuple[bytes, ...], reading: Reading) -> Failure | None:
    """The target's own words, where it sent JSON instead of audio."""
    body = b"".join(pieces)
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        return target_error(json.loads(body), reading.error_field or "error")
    except ValueError:
        return None


def _timed(heard: Heard, arrivals_ns: list[int], decoded: Decoded) -> Heard:
    rows = zip(arrivals_ns, decoded.num_bytes, decoded.num_samples, strict=True)
    chunks = tuple(ChunkRow(*row) for row in rows)
    first = next((chunk.arrival_ns for chunk in chunks if chunk.num_bytes), None)
    onset = find_onset(decoded.pcm, decoded.sample_rate)
    return replace(
        heard,
        chunks=chunks,
        pcm=decoded.pcm,
        sample_rate=decoded.sample_rate,
        first_sample_ns=first,
        onset_sample=onset,
        audible_ns=_audible_ns(chunks, first, onset, decoded.sample_rate),
    )


def _audible_ns(chunks: tuple[ChunkRow, ...], first: int | None, onset: int | None, sample_rate: int) -> int | None:
    if first is None or onset is None:
        return None
    end = 0
    for chunk in chunks:
        end += chunk.num_samples
        if end > onset:
            return max(first + round(onset * NS_PER_S / sample_rate), chunk.arrival_ns)
    raise AssertionError("the onset lies in some chunk")


def _inspected(heard: Heard, utterance: Utterance) -> tuple[Heard, Failure | None]:
    assert heard.pcm is not None
    assert heard.sample_rate is not None
    findings = quality.inspect(
        heard.pcm, heard.sample_rate, heard.chunks, quality.num_speakable(utterance.text), utterance.speed
    )
    return replace(heard, quality=findings), quality.failure(findings)
