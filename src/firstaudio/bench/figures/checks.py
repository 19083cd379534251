"""Whether the figures of a cell agree with each other, and whether they may be quoted.

Every check says in one sentence with numbers what it found and, where it failed, what to do. The limits are constants
here; each is part of the method.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from firstaudio.bench.figures.formulas import Window, arrivals_ns, last_stamp_ns, ttfa_ms, ttgp_ms
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.result import CellResult, Check, ClientSide
from firstaudio.bench.workload import Cell, Goals
from firstaudio.clock import NS_PER_MS, NS_PER_S
from firstaudio.stats import sample

DEMO_SAMPLES = 5  # fewer are not even a demonstration
LAG_FLOOR_MS, LAG_SHARE = 5.0, 0.05  # of the median TTFA
MAX_CLIENT_CPU = 0.80
MAX_FLOOR_SHARE, HARMLESS_FLOOR_MS = (
    0.20,
    1.0,
)  # of the median TTFA; a floor that is no longer is told and voids nothing
MAX_SILENCE_AROUND = 0.50  # of the audio
MAX_OTHERS = 0.06
WANTED_SUCCESS = 99.0
LITTLE_TOLERANCE = 0.05
NUM_PARTS, MIN_PARTS, MIN_PER_PART = 8, 6, 3
DRIFT_SHARE, DRIFT_FLOOR_MS = 0.10, 5.0


def check_all(result: CellResult, cell: Cell, counted: Sequence[RequestRecord], window: Window) -> Iterator[Check]:
    """Every check of a cell; `result` is complete but for its checks."""
    typical_ms = median_ttfa_ms(counted)
    yield accounting(result, counted)
    yield order_of_events(counted)
    yield littles_law(result, counted, window)
    yield samples(result, cell)
    yield success(result)
    yield dispatch_lag(cell, counted, typical_ms)
    yield stability(cell, counted, window)
    yield from client_side(result.client, typical_ms)
    yield from silence_around(result)


def median_ttfa_ms(counted: Sequence[RequestRecord]) -> float | None:
    """Over successes: failures say nothing of the client."""
    found = [ttfa for record in counted if record.ok and (ttfa := ttfa_ms(record, Goals())) is not None]
    return median(found) if found else None


def accounting(result: CellResult, counted: Sequence[RequestRecord]) -> Check:
    """No request is lost, and none counts twice."""
    added = result.ok + sum(result.failures.values()) + result.cancelled
    twice = [index for index, count in Counter(record.index for record in counted).items() if count > 1]
    detail = (
        f"{result.issued} issued = {result.ok} ok + {sum(result.failures.values())} failed + "
        f"{result.cancelled} cancelled"
    )
    if twice:
        return Check("accounting", False, f"request {twice[0]} counts twice: the rows are damaged, run the cell again")
    if result.issued != added:
        return Check("accounting", False, f"{detail} does not hold: rows are missing, run the cell again")
    return Check("accounting", True, detail)


def order_of_events(counted: Sequence[RequestRecord]) -> Check:
    """Nothing happens before what it follows from."""
    for record in counted:
        if fault := _disorder(record):
            what_next = "the target's clock is not involved, so this is a fault of the harness: report it with its row"
            return Check("order of events", False, f"request {record.index}: {fault}; {what_next}")
    return Check("order of events", True, f"the stamps of all {len(counted)} requests are in order")


def _disorder(record: RequestRecord) -> str | None:
    """The first pair of stamps that is the wrong way round."""
    stamps = [
        ("scheduled", record.scheduled_ns),
        ("dispatched", record.dispatched_ns),
        ("connected", record.connected_ns),
        ("sent", record.sent_ns),
        ("first_byte", record.first_byte_ns),
        ("first_sample", record.first_sample_ns),
        ("TTGP", _gapless_ns(record)),
        ("last_byte", record.last_byte_ns),
    ]
    for (earlier, begin), (later, end) in pairwise((name, at) for name, at in stamps if at is not None):
        if begin > end:
            return f"{later} is {(begin - end) / NS_PER_MS:.3f} ms before {earlier}"
    if any(begin > end for begin, end in pairwise(arrivals_ns(record))):
        return "a chunk arrived before the one in front of it"
    return None


def _gapless_ns(record: RequestRecord) -> int | None:
    """The instant of TTGP. Only of successes: of a broken answer the audio is not known."""
    found = ttgp_ms(record, Goals()) if record.ok else None
    return None if found is None or record.sent_ns is None else record.sent_ns + round(found * NS_PER_MS)


def littles_law(result: CellResult, counted: Sequence[RequestRecord], window: Window) -> Check:
    """Requests in flight as the rows tell it against what was counted while the load ran.

    ASPS times the RTF of all audio together is the time that answers took over the window: their mean concurrency. To
    it come the shares of connecting and of failed requests, which have no RTF. At both ends of the window requests are
    in flight that do not count (the warm-up hands over without draining), for each client about one between them: the
    rows may lack so many of all.
    """
    name, client = "Little's law", result.client
    if client is None or not result.ok or window.seconds <= 0:
        return Check(name, None, "not judged: requests in flight were not counted, or none succeeded")
    asps = sum(record.audio_s or 0.0 for record in counted if record.ok) / window.seconds
    rtf = _overall_rtf(counted)
    beside = _beside(counted, window)
    edges = client.mean_in_flight / len(counted)
    lowest = client.mean_in_flight * (1 - LITTLE_TOLERANCE) / (1 + edges) - LITTLE_TOLERANCE
    highest = client.mean_in_flight * (1 + LITTLE_TOLERANCE) + LITTLE_TOLERANCE
    unknown_ends = any(record.last_byte_ns is None for record in counted)
    found = asps * rtf + beside
    holds = found <= highest and (found >= lowest or unknown_ends)
    detail = (
        f"ASPS {asps:.3g} x RTF {rtf:.3g} + {beside:.3g} connecting or failed = {found:.3g} in flight, "
        f"counted {client.mean_in_flight:.3g}, may lie in {lowest:.3g} to {highest:.3g}"
    )
    return Check(name, holds, detail if holds else f"{detail}: stamps or counting are wrong, do not quote the cell")


def _overall_rtf(counted: Sequence[RequestRecord]) -> float:
    """Time that all successes took over the audio of all."""
    ok = [record for record in counted if record.ok]
    audio_s = sum(record.audio_s or 0.0 for record in ok)
    return sum(_answering_ns(record) for record in ok) / 1e9 / audio_s if audio_s else 0.0


def _answering_ns(record: RequestRecord) -> int:
    return record.last_byte_ns - record.sent_ns if record.sent_ns and record.last_byte_ns else 0


def _beside(counted: Sequence[RequestRecord], window: Window) -> float:
    """Mean number of requests that were in flight without being answered with audio that counts."""
    busy_ns = sum(last_stamp_ns(r) - r.dispatched_ns - (_answering_ns(r) if r.ok else 0) for r in counted)
    return busy_ns / NS_PER_S / window.seconds


def samples(result: CellResult, cell: Cell) -> Check:
    """Whether there are as many as the plan wanted and as a percentile needs; small plans get a warning."""
    n, quota = result.ok + result.failed, cell.load.quota
    if quota is not None and result.issued < quota:
        return Check("samples", False, f"{result.issued} of {quota} requests were sent: let the run finish")
    if n < DEMO_SAMPLES:
        return Check("samples", False, f"{n} requests show nothing: send {DEMO_SAMPLES} at least")
    stated = [name for name, needed in sample.MIN_SAMPLES.items() if n >= needed]
    if n < sample.MIN_SAMPLES["p90"]:
        detail = f"{n} requests give minimum, median and maximum: send {sample.MIN_SAMPLES['p90']} or more for p90"
        return Check("samples", False, detail, voids=False)
    return Check("samples", True, f"{n} requests are enough for {', '.join(stated)}")


def success(result: CellResult) -> Check:
    """Without a success there is nothing to quote; below 99 % there is something to tell."""
    n = result.ok + result.failed
    commonest = ", ".join(f"{count} {kind}" for kind, count in result.failures.items())
    if result.ok == 0:
        return Check("success", False, f"none of {n} requests succeeded ({commonest or 'none was sent'}): see messages")
    share = 100 * result.ok / n
    if share < WANTED_SUCCESS:
        detail = f"{share:.1f} % of {n} requests succeeded ({commonest}): failures count as infinitely slow"
        return Check("success", False, detail, voids=False)
    return Check("success", True, f"{share:.1f} % of {n} requests succeeded")


def dispatch_lag(cell: Cell, counted: Sequence[RequestRecord], typical_ms: float | None) -> Check:
    """Whether an open loop sent its requests when it said so."""
    if cell.load.arrival == "closed":
        return Check("dispatch lag", None, "a closed loop has no schedule to be late for")
    if not counted:
        return Check("dispatch lag", None, "not judged: nothing was sent")
    limit_ms = max(LAG_FLOOR_MS, LAG_SHARE * (typical_ms or 0.0))
    lags_ms = [(record.dispatched_ns - record.scheduled_ns) / NS_PER_MS for record in counted]
    lag_ms = sample.quantile(lags_ms, 0.99)
    detail = f"dispatch lag p99 is {lag_ms:.2f} ms, at most {limit_ms:.2f} ms are allowed"
    if lag_ms > limit_ms:
        detail += ": allow more requests in flight, add load processes, or lower the rate"
    return Check("dispatch lag", lag_ms <= limit_ms, detail)


def stability(cell: Cell, counted: Sequence[RequestRecord], window: Window) -> Check:
    """Whether TTFA drifted: Theil-Sen over the medians of eight equal parts of the window.

    It did when the line through them climbs or falls by more than 10 % of the median and 5 ms over the window, and its
    95 % interval leaves out a level line. Medians of parts, because requests that run together are not independent.
    """
    if cell.load.arrival in ("ramp", "trace"):
        return Check("stability", None, "not judged: the load itself changes")
    typical_ms, parts = median_ttfa_ms(counted), list(_parts(counted, window))
    slope = sample.theil_sen(*zip(*parts, strict=True)) if len(parts) >= MIN_PARTS else None
    if slope is None or typical_ms is None:
        return Check("stability", None, f"not judged: {len(counted)} requests are too few to see a drift")
    drifts = abs(slope.value) > max(DRIFT_SHARE * typical_ms, DRIFT_FLOOR_MS) and slope.is_certain
    detail = f"median TTFA {typical_ms:.1f} ms changed by {slope.value:+.1f} ms over the window"
    if drifts:
        detail += ": warm up longer, or lower the load until the target keeps up"
    return Check("stability", not drifts, detail)


def _parts(counted: Sequence[RequestRecord], window: Window) -> Iterator[tuple[float, float]]:
    """Place in the window (0..1) and median TTFA in ms of each part that has enough successes."""
    width = window.end_ns - window.begin_ns
    for part in range(NUM_PARTS if width > 0 else 0):
        low, high = (window.begin_ns + width * end / NUM_PARTS for end in (part, part + 1))
        middle = median_ttfa_ms(inside := [r for r in counted if r.ok and low <= r.dispatched_ns < high])
        if middle is not None and len(inside) >= MIN_PER_PART:
            yield (part + 0.5) / NUM_PARTS, middle


def client_side(client: ClientSide | None, typical_ms: float | None) -> Iterator[Check]:
    """Whether the harness measured the target and not itself."""
    if client is None:
        yield Check("client", None, "not judged: how the harness fared is not known")
        return
    yield _client_cpu(client)
    yield _event_loop(client, typical_ms)
    yield _client_floor(client, typical_ms)
    yield _other_processes(client)


def _client_cpu(client: ClientSide) -> Check:
    detail = f"the busiest load process used {client.cpu_share:.0%} of a core, at most {MAX_CLIENT_CPU:.0%} are allowed"
    holds = client.cpu_share <= MAX_CLIENT_CPU
    return Check("client CPU", holds, detail if holds else f"{detail}: use more load processes or fewer clients")


def _event_loop(client: ClientSide, typical_ms: float | None) -> Check:
    limit_ms = max(LAG_FLOOR_MS, LAG_SHARE * (typical_ms or 0.0))
    detail = f"the client's event loop was {client.loop_lag_p99_ms:.2f} ms late (p99), {limit_ms:.2f} ms are fine"
    holds = client.loop_lag_p99_ms <= limit_ms
    advice = f"{detail}: use more load processes"
    return Check("event loop", holds, detail if holds else advice, voids=False)


def _client_floor(client: ClientSide, typical_ms: float | None) -> Check:
    if client.floor is None or not typical_ms:
        return Check("client floor", None, "not judged: the floor was not measured, or there is no TTFA beside it")
    floor = client.floor
    share = floor.p50_ms / typical_ms
    detail = (
        f"client floor {floor.p50_ms:.2f} ms (median; p99 {floor.p99_ms:.2f} ms) is {share:.0%} of the "
        f"median TTFA {typical_ms:.1f} ms"
    )
    if share <= MAX_FLOOR_SHARE:
        return Check("client floor", True, detail)
    voids = floor.p50_ms > HARMLESS_FLOOR_MS
    advice = "its TTFA is near what the client itself costs: quote it with the floor beside it"
    if voids and floor.concurrency > 1:
        advice = "use more load processes, fewer clients, or a quieter machine"
    return Check("client floor", False, f"{detail}, above {MAX_FLOOR_SHARE:.0%}: {advice}", voids=voids)


def silence_around(result: CellResult) -> Iterator[Check]:
    """Whether answers are padded; nothing where their sound is not known."""
    shares = [result.quality.get(f"{where}_silence_share") for where in ("leading", "trailing")]
    leading, trailing = (share or 0.0 for share in shares)
    if shares == [None, None]:
        return
    detail = f"{leading:.0%} of the audio is silence before the speech, {trailing:.0%} silence after it"
    holds = leading + trailing <= MAX_SILENCE_AROUND
    advice = f"more than half of the audio is silence: RTF and ASPS count it ({detail})"
    yield Check("silence around", holds, detail if holds else advice, voids=False)


def _other_processes(client: ClientSide) -> Check:
    others = client.others_cpu_share
    if others is None:
        return Check("other processes", None, "not judged: their CPU was not watched", voids=False)
    detail = f"other processes used {others:.1%} of the machine"
    holds = others <= MAX_OTHERS
    advice = f"{detail}, above {MAX_OTHERS:.0%}: repeat the run on a quiet machine"
    return Check("other processes", holds, detail if holds else advice, voids=False)
