"""The arithmetic behind the metrics (`bench.figures.metrics`): pure functions of one record, or of a cell's records.

Functions of a request take its record and the goals, and are None where the request does not define them. Functions of
a cell take its measured records, the window and the goals, and are None for a cell without a success.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from firstaudio.audio import playback
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.workload import Goals
from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.slo import FIRST_CHUNK_TARGET_MS
from firstaudio.stats.sample import quantile, wilson

SHORT_CHARACTERS = 50


@dataclass(frozen=True, slots=True)
class Window:
    """When the measured requests of a cell ran, by the clock of their stamps.

    Attributes:
        begin_ns: Of the first part.
        end_ns: Of the last part.
        paused_ns: Between the parts, when other cells ran.
    """

    begin_ns: int
    end_ns: int
    paused_ns: int = 0

    @property
    def seconds(self) -> float:
        """Its length without pauses."""
        return (self.end_ns - self.begin_ns - self.paused_ns) / NS_PER_S


RequestFunction = Callable[[RequestRecord, Goals], float | None]
CellFunction = Callable[[Sequence[RequestRecord], Window, Goals], float | None]


def durations_ns(record: RequestRecord) -> list[int]:
    """How long each chunk plays; they sum up to the duration of the audio, rounded once."""
    if not record.sample_rate:
        return [0] * len(record.chunks)
    ends, before = [], 0
    for chunk in record.chunks:
        before += chunk.num_samples
        ends.append(before * NS_PER_S // record.sample_rate)
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def arrivals_ns(record: RequestRecord) -> list[int]:
    """When each chunk arrived."""
    return [chunk.arrival_ns for chunk in record.chunks]


def last_stamp_ns(record: RequestRecord) -> int:
    """The last thing that is known to have happened to the request."""
    stamps = (record.connected_ns, record.sent_ns, record.headers_ns, record.first_byte_ns, record.last_byte_ns)
    return max([record.dispatched_ns, *(s for s in stamps if s is not None), *arrivals_ns(record)])


def between(begin: str, end: str) -> RequestFunction:
    """Milliseconds from one stamp of the record to another."""

    def metric(record: RequestRecord, _: Goals) -> float | None:
        first, last = getattr(record, begin), getattr(record, end)
        return None if first is None or last is None else (last - first) / NS_PER_MS

    return metric


ttfb_ms = between("sent_ns", "first_byte_ns")
ttfa_ms = between("sent_ns", "first_sample_ns")
audible_ttfa_ms = between("sent_ns", "audible_ns")
scheduled_ttfa_ms = between("scheduled_ns", "first_sample_ns")
latency_ms = between("sent_ns", "last_byte_ns")
dispatch_lag_ms = between("scheduled_ns", "dispatched_ns")
connect_ms = between("dispatched_ns", "connected_ns")


def ttgp_ms(record: RequestRecord, _: Goals) -> float | None:
    """From `sent` to the earliest press of "play" that never stalls."""
    if record.sent_ns is None:
        return None
    ttgp_ns = playback.time_to_gapless_play_ns(arrivals_ns(record), durations_ns(record), record.sent_ns)
    return None if ttgp_ns is None else ttgp_ns / NS_PER_MS


def preroll_ms(record: RequestRecord, _: Goals) -> float | None:
    """The buffer that this answer needed."""
    if not any(durations_ns(record)):
        return None
    return playback.preroll_needed_ns(arrivals_ns(record), durations_ns(record)) / NS_PER_MS


def _processing_s(record: RequestRecord) -> float | None:
    if record.sent_ns is None or record.last_byte_ns is None:
        return None
    return (record.last_byte_ns - record.sent_ns) / NS_PER_S


def rtf(record: RequestRecord, _: Goals) -> float | None:
    """Processing time over audio duration."""
    processing_s = _processing_s(record)
    return processing_s / record.audio_s if processing_s is not None and record.audio_s else None


def rtfx(record: RequestRecord, goals: Goals) -> float | None:
    """How many times faster than real time."""
    found = rtf(record, goals)
    return 1 / found if found else None


def audio_s(record: RequestRecord, _: Goals) -> float | None:
    """Duration of the decoded audio."""
    return record.audio_s or None


def _stalls(record: RequestRecord, goals: Goals) -> tuple[playback.Stall, ...] | None:
    if not any(durations_ns(record)):
        return None
    return playback.stalls(arrivals_ns(record), durations_ns(record), round(goals.buffer_ms * NS_PER_MS))


def stall_count(record: RequestRecord, goals: Goals) -> float | None:
    """Stalls of the simulated player."""
    stalls = _stalls(record, goals)
    return None if stalls is None else len(stalls)


def stall_ms(record: RequestRecord, goals: Goals) -> float | None:
    """Their sum."""
    stalls = _stalls(record, goals)
    return None if stalls is None else sum(stall.duration_ns for stall in stalls) / NS_PER_MS


def streaming_efficiency(record: RequestRecord, goals: Goals) -> float | None:
    """Audio over audio and stalls of the simulated player, in %."""
    buffer_ns = round(goals.buffer_ms * NS_PER_MS)
    share = playback.streaming_efficiency(arrivals_ns(record), durations_ns(record), buffer_ns)
    return None if share is None else 100 * share


def _audio_chunks(record: RequestRecord) -> list[int]:
    """When the chunks with audio in them arrived."""
    return [chunk.arrival_ns for chunk in record.chunks if chunk.num_samples > 0]


def interval_ms(q: float) -> RequestFunction:
    """A quantile of the times between arrivals of chunks with audio."""

    def metric(record: RequestRecord, _: Goals) -> float | None:
        arrivals = _audio_chunks(record)
        gaps = [(later - earlier) / NS_PER_MS for earlier, later in pairwise(arrivals)]
        return quantile(gaps, q) if gaps else None

    return metric


def num_chunks(record: RequestRecord, _: Goals) -> float | None:
    """Those with audio."""
    return len(_audio_chunks(record)) or None


def chunk_audio_ms(record: RequestRecord, _: Goals) -> float | None:
    """Mean over the chunks with audio."""
    audio = [duration for duration in durations_ns(record) if duration]
    return fmean(audio) / NS_PER_MS if audio else None


def data_rate(record: RequestRecord, _: Goals) -> float | None:
    """Bytes of audio data per second of processing."""
    processing_s = _processing_s(record)
    return sum(chunk.num_bytes for chunk in record.chunks) / processing_s if processing_s else None


def characters(record: RequestRecord, _: Goals) -> float | None:
    """Of the text."""
    return len(record.text)


def _successes(records: Iterable[RequestRecord]) -> list[RequestRecord]:
    return [record for record in records if record.ok]


def per_second(amount: Callable[[RequestRecord], float]) -> CellFunction:
    """The sum over successes per second of the window."""

    def metric(records: Sequence[RequestRecord], window: Window, _: Goals) -> float | None:
        ok = _successes(records)
        return sum(map(amount, ok)) / window.seconds if ok and window.seconds > 0 else None

    return metric


def success_rate(records: Sequence[RequestRecord], _: Window, __: Goals) -> float | None:
    """Share in % that completed with valid audio."""
    return 100 * len(_successes(records)) / len(records) if records else None


def _share(records: Sequence[RequestRecord], good: Callable[[RequestRecord], bool]) -> float | None:
    return 100 * sum(map(good, records)) / len(records) if _successes(records) else None


def _within(limit_ms: float, metric: RequestFunction, record: RequestRecord, goals: Goals) -> bool:
    """Whether a successful request keeps the metric at most at the limit; a failed one never does."""
    found = metric(record, goals) if record.ok else None
    return found is not None and found <= limit_ms


def is_gapless(record: RequestRecord, goals: Goals) -> bool:
    """Whether its audio is valid and plays without a stall after the stated buffer."""
    return _within(goals.buffer_ms, preroll_ms, record, goals)


def is_short(record: RequestRecord) -> bool:
    """Whether the goal for short texts is for it too."""
    return len(record.text) < SHORT_CHARACTERS


def is_good(record: RequestRecord, goals: Goals) -> bool:
    """Whether the request meets every stated goal that is for it."""
    limit_ms = min(goals.ttfa_ms, goals.short_ttfa_ms) if is_short(record) else goals.ttfa_ms
    return _within(limit_ms, ttfa_ms, record, goals) and is_gapless(record, goals)


def target_attainment(records: Sequence[RequestRecord], _: Window, goals: Goals) -> float | None:
    """Share in % with TTFA within the goal."""
    return _share(records, lambda record: _within(goals.ttfa_ms, ttfa_ms, record, goals))


def short_target_attainment(records: Sequence[RequestRecord], _: Window, goals: Goals) -> float | None:
    """The same for short texts and their own goal; None without short texts."""
    short = [record for record in records if is_short(record)]
    if not short or not _successes(records):
        return None
    return 100 * sum(_within(goals.short_ttfa_ms, ttfa_ms, record, goals) for record in short) / len(short)


def first_chunk_rate(records: Sequence[RequestRecord], _: Window, goals: Goals) -> float | None:
    """Share in % whose first audio came within the target for a first chunk."""
    return _share(records, lambda record: _is_prompt(record, goals))


def _is_prompt(record: RequestRecord, goals: Goals) -> bool:
    found = ttfa_ms(record, goals) if record.ok else None
    return found is not None and found < FIRST_CHUNK_TARGET_MS


def streaming_efficiency_mean(records: Sequence[RequestRecord], _: Window, goals: Goals) -> float | None:
    """Mean over all requests; a failed one has 0."""
    if not _successes(records):
        return None
    return fmean((streaming_efficiency(record, goals) or 0.0) if record.ok else 0.0 for record in records)


def goodput(records: Sequence[RequestRecord], window: Window, goals: Goals) -> float | None:
    """Requests per second that meet every stated goal."""
    if not _successes(records) or window.seconds <= 0:
        return None
    return sum(is_good(record, goals) for record in records) / window.seconds


def over_rtf(estimate: Callable[[Sequence[float]], float]) -> CellFunction:
    """One figure of the RTFs of all successes."""

    def metric(records: Sequence[RequestRecord], _: Window, goals: Goals) -> float | None:
        found = [each for record in _successes(records) if (each := rtf(record, goals)) is not None]
        return estimate(found) if found else None

    return metric


def mean_concurrency(records: Sequence[RequestRecord], window: Window, _: Goals) -> float | None:
    """Requests in flight, averaged over the window, from the stamps of the measured requests."""
    if not _successes(records) or window.seconds <= 0:
        return None
    busy_ns = sum(last_stamp_ns(record) - record.dispatched_ns for record in records)
    return busy_ns / NS_PER_S / window.seconds


def gapless_share(records: Sequence[RequestRecord], _: Window, goals: Goals) -> float | None:
    """Share in % that plays without a stall after the stated buffer."""
    return _share(records, lambda record: is_gapless(record, goals))


def gapless_share_low(records: Sequence[RequestRecord], _: Window, goals: Goals) -> float | None:
    """Lower 95 % Wilson limit of the same, in %."""
    if not _successes(records):
        return None
    return 100 * wilson(sum(is_gapless(record, goals) for record in records), len(records))[0]
