"""Two targets inside one session: is B faster than A, slower, equivalent, or is that not known yet?

A is what B is compared with. Both said the same texts in interleaved rounds; requests are paired by round and text.
For each gated metric the Hodges-Lehmann estimate of the log ratio B / A has an interval by bootstrap over rounds and
a p by Wilcoxon signed-rank, adjusted by Holm over all gates.

A difference counts when it exceeds a relative *and* an absolute floor. Over the median of A both become one band
around "no difference":

    faster, slower   the estimate lies beyond the band, its interval leaves out "no difference", adjusted p < 0.05
    equivalent       the whole interval lies inside the band
    inconclusive     anything else: more rounds narrow the interval

A pair of which only one side failed is no missing value: the failed side counts as `FAILED_RATIO` times slower. The
estimate is a median, so that only the side matters. Whether one side fails more often is a gate of its own
("success_rate", the sign test over such pairs). Pairs of which both sides failed say nothing and are counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

from firstaudio.bench.figures.metrics import METRICS, value
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.workload import Goals
from firstaudio.errors import BenchError
from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann, holm, sign_p, signed_rank_p

Verdict = Literal["faster", "slower", "equivalent", "inconclusive"]
Round = tuple[Sequence[RequestRecord], Sequence[RequestRecord]]

RELATIVE_FLOOR = 0.05
ABSOLUTE_FLOORS = {"ttfa_ms": 5.0, "audible_ttfa_ms": 5.0, "ttgp_ms": 5.0, "latency_ms": 5.0, "rtf": 0.005}
"""The gated metrics. 5 ms nobody hears; an RTF that differs by 0.005 is 5 ms in each second of audio."""
RELIABILITY = "success_rate"
FAILED_RATIO = 1000.0
SIGNIFICANT = 0.05
MIN_ROUNDS = 10
MAX_MORE_ROUNDS = 1000
SAFETY = 1.2  # on the estimated number of rounds: an interval narrows with its root, and not evenly


@dataclass(frozen=True, slots=True)
class Pair:
    """One text of one round, said by both."""

    round: int
    a: RequestRecord
    b: RequestRecord


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """One gated metric, B against A.

    Attributes:
        metric: Its name.
        verdict: Of this metric alone.
        sentence: With numbers.
        n: Pairs that were compared.
        one_sided: Of them, those of which one side failed.
        median_a: Over successes.
        median_b: Over successes.
        ratio: B / A, estimated; None when it could not be.
        low: Lower end of its 95 % interval.
        high: Upper end.
        band: A ratio within 1 / band and band is no difference that counts.
        p: Adjusted by Holm.
        more_rounds: To come to a verdict, when that is inconclusive; None when no number of rounds promises one.
    """

    metric: str
    verdict: Verdict
    sentence: str
    n: int
    one_sided: int = 0
    median_a: float | None = None
    median_b: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    band: float | None = None
    p: float | None = None
    more_rounds: int | None = None


@dataclass(frozen=True, slots=True)
class AbResult:
    """The verdict over B, by what it was compared with.

    Attributes:
        a: Name of the target that is compared with.
        b: Name of the target that is judged.
        rounds: Complete ones.
        verdict: "slower" if any gate says so; else "faster" if any does; "equivalent" if all do.
        sentence: Verdict, numbers, what to do.
        metrics: Every gate.
        voided_by: Why "faster" is not said, though the clock says so.
        unpaired: Requests whose text the other side did not say in the same round.
        both_failed: Pairs that say nothing.
    """

    a: str
    b: str
    rounds: int
    verdict: Verdict
    sentence: str
    metrics: tuple[MetricVerdict, ...]
    voided_by: tuple[str, ...] = ()
    unpaired: int = 0
    both_failed: int = 0


@dataclass(slots=True)
class _Gate:
    """What was computed of one metric before p is adjusted."""

    metric: str
    num_rounds: int
    ratios: list[list[float]]  # log ratios by round
    values: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    one_sided: int = 0
    p: float = 1.0

    @property
    def flat(self) -> list[float]:
        return [ratio for each in self.ratios for ratio in each]


def pair_up(rounds: Sequence[Round]) -> tuple[list[Pair], int]:
    """Pairs by round and text (a text that is said twice: in order), and the number of requests left over."""
    pairs, left_over = [], 0
    for number, (a, b) in enumerate(rounds):
        waiting: dict[str, list[RequestRecord]] = defaultdict(list)
        for record in measured(a):
            waiting[record.text].append(record)
        for record in measured(b):
            if waiting[record.text]:
                pairs.append(Pair(number, waiting[record.text].pop(0), record))
            else:
                left_over += 1
        left_over += sum(map(len, waiting.values()))
    return pairs, left_over


def compare_rounds(
    rounds: Sequence[Round], a: str, b: str, *, voided_by: Sequence[str] = (), seed: int = 1
) -> AbResult:
    """Judge B by A.

    Args:
        rounds: The records of A and of B of each round.
        a: Name of A.
        b: Name of B.
        voided_by: What is wrong with the sound of B: it cannot be called faster then.
        seed: Of the bootstrap.

    Raises:
        BenchError: No text was said by both in the same round.
    """
    pairs, unpaired = pair_up(rounds)
    if not pairs:
        raise BenchError("nothing to compare: no text was said by both targets in the same round")
    useful = [pair for pair in pairs if pair.a.ok or pair.b.ok]
    num_rounds = len({pair.round for pair in useful})
    gates = [_gate(metric, useful, num_rounds) for metric in ABSOLUTE_FLOORS]
    worse, better = _one_sided(useful)
    adjusted = holm([*(gate.p for gate in gates), sign_p(worse, better)])
    judged = [_judge(replace(gate, p=p), seed) for gate, p in zip(gates, adjusted, strict=False)]
    judged.append(_reliability(len(pairs), worse, better, adjusted[-1]))
    verdict, why = _overall(judged, voided_by)
    return AbResult(
        a=a,
        b=b,
        rounds=num_rounds,
        verdict=verdict,
        sentence=_sentence(a, b, verdict, why),
        metrics=tuple(judged),
        voided_by=tuple(voided_by),
        unpaired=unpaired,
        both_failed=len(pairs) - len(useful),
    )


def _one_sided(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Pairs in which only B failed, and in which only A did."""
    return sum(pair.a.ok and not pair.b.ok for pair in pairs), sum(pair.b.ok and not pair.a.ok for pair in pairs)


def _gate(metric: str, pairs: Sequence[Pair], num_rounds: int) -> _Gate:
    """Log ratios of one metric; a pair in which a success does not define it (or has 0) is left out."""
    gate, by_round = _Gate(metric, num_rounds, []), defaultdict(list)
    for pair in pairs:
        found = [value(metric, record, Goals()) if record.ok else math.inf for record in (pair.a, pair.b)]
        a, b = (each or None for each in found)
        if a is None or b is None:
            continue
        by_round[pair.round].append(_log_ratio(a, b))
        gate.one_sided += math.isinf(a) or math.isinf(b)
        for values, each in zip(gate.values, (a, b), strict=True):
            values += [each] if math.isfinite(each) else []
    gate.ratios = list(by_round.values())
    gate.p = signed_rank_p(gate.flat)
    return gate


def _log_ratio(a: float, b: float) -> float:
    if math.isinf(b):
        return math.log(FAILED_RATIO)
    return -math.log(FAILED_RATIO) if math.isinf(a) else math.log(b / a)


def _judge(gate: _Gate, seed: int) -> MetricVerdict:
    if not gate.flat or not gate.values[0]:
        return MetricVerdict(gate.metric, "inconclusive", "no pair has this metric", len(gate.flat), gate.one_sided)
    median_a = median(gate.values[0])
    band = math.log(1 + max(RELATIVE_FLOOR, ABSOLUTE_FLOORS[gate.metric] / median_a))
    estimate = hodges_lehmann(gate.flat)
    low, high = bootstrap_rounds(gate.ratios, seed=seed)
    verdict = _verdict(estimate, low, high, band, gate)
    found = MetricVerdict(
        metric=gate.metric,
        verdict=verdict,
        sentence="",
        n=len(gate.flat),
        one_sided=gate.one_sided,
        median_a=median_a,
        median_b=median(gate.values[1]) if gate.values[1] else None,
        ratio=math.exp(estimate),
        low=math.exp(low),
        high=math.exp(high),
        band=math.exp(band),
        p=gate.p,
        more_rounds=_more_rounds(estimate, low, high, band, gate.num_rounds) if verdict == "inconclusive" else None,
    )
    return replace(found, sentence=_metric_sentence(found))


def _verdict(estimate: float, low: float, high: float, band: float, gate: _Gate) -> Verdict:
    if gate.num_rounds < MIN_ROUNDS:
        return "inconclusive"
    if abs(estimate) > band and low * high > 0 and gate.p < SIGNIFICANT:
        return "slower" if estimate > 0 else "faster"
    return "equivalent" if -band < low and high < band else "inconclusive"


def _more_rounds(estimate: float, low: float, high: float, band: float, num_rounds: int) -> int | None:
    """Rounds until the interval is narrow enough for a verdict; it narrows with the root of their number."""
    half, room = (high - low) / 2, abs(estimate) if abs(estimate) > band else band - abs(estimate)
    wanted = num_rounds * SAFETY * (half / room) ** 2 if room > 0 else math.inf
    missing = max(wanted - num_rounds, MIN_ROUNDS - num_rounds, 1)
    return math.ceil(missing) if missing <= MAX_MORE_ROUNDS else None


def _metric_sentence(found: MetricVerdict) -> str:
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    assert found.band is not None
    title = METRICS[found.metric].title
    change = f"{title} {_percent(found.ratio)} ({_percent(found.low)} to {_percent(found.high)}, p {found.p:.2g})"
    floor = f"differences up to {_percent(found.band)} do not count"
    if found.verdict != "inconclusive":
        return f"{change}: {found.verdict}; {floor}"
    if found.more_rounds is None:
        return f"{change}: inconclusive; it lies at the floor ({floor}), more rounds will hardly decide"
    return f"{change}: inconclusive; run {found.more_rounds} more rounds; {floor}"


def _percent(ratio: float) -> str:
    """A ratio as a change."""
    return f"{100 * (ratio - 1):+.1f} %" if 1 / math.sqrt(FAILED_RATIO) < ratio < math.sqrt(FAILED_RATIO) else "fails"


def _reliability(n: int, worse: int, better: int, p: float) -> MetricVerdict:
    """The gate over failures: slower means that B fails more often."""
    counts = f"of {n} pairs only B failed in {worse}, only A in {better} (p {p:.2g})"
    if p < SIGNIFICANT:
        verdict: Verdict = "slower" if worse > better else "faster"
        more = "less" if worse > better else "more"
        return MetricVerdict(RELIABILITY, verdict, f"B is {more} reliable: {counts}", n, worse + better, p=p)
    if worse == better == 0:
        return MetricVerdict(RELIABILITY, "equivalent", "no pair has a failure on one side alone", n, p=p)
    return MetricVerdict(RELIABILITY, "inconclusive", f"{counts}: too few to tell", n, worse + better, p=p)


def _overall(judged: Sequence[MetricVerdict], voided_by: Sequence[str]) -> tuple[Verdict, str]:
    """The worst news first: what is slower anywhere is slower."""
    verdicts = {verdict: [each for each in judged if each.verdict == verdict] for verdict in ("slower", "faster")}
    if slower := verdicts["slower"]:
        return "slower", slower[0].sentence
    open_ones = [each for each in judged if each.verdict == "inconclusive"]
    if (faster := verdicts["faster"]) and voided_by:
        return "inconclusive", f"{faster[0].sentence}, but that does not count: {'; '.join(voided_by)}"
    if faster:
        return "faster", faster[0].sentence
    if open_ones:
        return "inconclusive", max(open_ones, key=lambda each: each.more_rounds or 0).sentence
    return "equivalent", judged[0].sentence


def _sentence(a: str, b: str, verdict: Verdict, why: str) -> str:
    words = {
        "faster": f"{b} is faster than {a}",
        "slower": f"{b} is slower than {a}",
        "equivalent": f"{b} and {a} are equivalent",
        "inconclusive": f"whether {b} is faster or slower than {a} is not known",
    }
    return f"{words[verdict]}: {why}."
