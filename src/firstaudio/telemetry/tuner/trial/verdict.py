"""Whether arm B is better than arm A: by the rules of the harness, at looks that are paid for.

Outcomes are paired by block; where a block has several kinds of utterances, their median counts. The estimate is
Hodges and Lehmann's of the log ratio B / A, its interval by bootstrap over blocks, p by Wilcoxon's signed-rank test. A
gain counts when the estimate is beyond 5 % *and* 5 ms, the interval leaves out "no difference", p is below what the
look may spend, and no guard speaks against it.

Looking twice at growing data would find a difference in 8 % of cases where there is none. So the two looks share the
5 % by the boundary of O'Brien and Fleming: 0.5 % at half of the data, 4.8 % at the end. An experiment that ends early
for want of time has its last look at more than half of its data or its only look; both cost no more.

Source: P. C. O'Brien and T. R. Fleming, Biometrics 35 (1979); constants from C. Jennison and B. W. Turnbull, Group
Sequential Methods (2000), table 2.3.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann
from firstaudio.telemetry.tuner.knobs import Metric
from firstaudio.telemetry.tuner.trial.signed_rank import signed_rank_p

Name = Literal["better", "worse", "harmful", "equivalent", "inconclusive"]
Arm = Literal["a", "b"]
Values = Mapping[Metric, float]
Cell = Mapping[Arm, Sequence[Values]]
Cells = Mapping[tuple[int, object], Cell]

RELATIVE_FLOOR = 0.05
ABSOLUTE_FLOORS: Mapping[Metric, float] = {"ttfa_ms": 5.0, "ttgp_ms": 5.0, "rtf": 0.005}
FAILED_RATIO = 1000.0  # of a pair with a failure on one side: the estimate is a median, only the side matters
LOOK_SHARES = (0.5, 1.0)
LOOK_ALPHAS = (0.0052, 0.0480)
MIN_ROUNDS = 10
MAX_GROUPS = 60  # that the bootstrap draws from
HARM_P = 0.0625  # four bad answers of one arm while the other has none
NEGLIGIBLE = 1e-9
VETO_P = 0.2  # what the winner's bad answers must not be as unlikely as, were it as good as the other


@dataclass(frozen=True, slots=True)
class Counts:
    """What went wrong in one arm.

    Attributes:
        assigned: Utterances that were given the arm.
        failed: Of them, those that the server could not finish.
        stalled: Those whose listener heard a gap.
        left: Those whose listener went before the first audio.
    """

    assigned: int = 0
    failed: int = 0
    stalled: int = 0
    left: int = 0


GUARDED = ("failed", "stalled", "left")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric, B against A.

    Attributes:
        metric: Its name.
        n: Blocks with both arms.
        median_a: Over A's answers; None where none succeeded.
        median_b: Over B's answers; None where none succeeded.
        ratio: B / A, estimated.
        low: Lower end of its interval; None where none was computed.
        high: Upper end.
        confidence: Of the interval.
        p: Of the signed-rank test; None where none was made.
        gain_ratio: A ratio from here down is a gain that counts; 0 where none can be.
        loss_ratio: A ratio from here up is a loss that counts.
    """

    metric: Metric
    n: int
    median_a: float | None
    median_b: float | None
    ratio: float
    gain_ratio: float
    loss_ratio: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    p: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Its fields, for JSON: what is not finite is not known."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an experiment has found so far.

    Attributes:
        name: "harmful" where the metric got better and a guard speaks against it.
        sentence: With numbers.
        target: The metric that the knob was to move; None without a pair.
        guards: The metrics that were not to get worse.
        counts: What went wrong, by arm.
    """

    name: Name
    sentence: str
    target: Comparison | None = None
    guards: tuple[Comparison, ...] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)

    def evidence(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        return {
            "target": None if self.target is None else self.target.as_dict(),
            "guards": [guard.as_dict() for guard in self.guards],
            "counts": {arm: asdict(counts) for arm, counts in self.counts.items()},
        }


def judge(
    cells: Cells,
    counts: Mapping[Arm, Counts],
    moves: Metric,
    guards: Sequence[Metric],
    *,
    alpha: float,
    seed: int = 1,
) -> Verdict:
    """Whether B lowers `moves` and leaves the rest alone.

    Args:
        cells: Answers by block and stratum; only those with both arms count.
        counts: What went wrong.
        moves: The metric to be lowered.
        guards: Metrics that must not get worse.
        alpha: What this look may spend, two-sided.
        seed: Of the bootstrap.
    """
    target = compare(cells, moves, alpha=alpha, seed=seed)
    told: dict[str, Counts] = {arm: counts[arm] for arm in counts}
    if target is None:
        return Verdict("inconclusive", "no answer with one setting has a counterpart with the other", None, (), told)
    guarded = tuple(found for metric in guards if (found := compare(cells, metric)) is not None)
    name = _name(target, alpha)
    sentence = _sentence(target)
    if name == "better" and (objections := _objections(guarded, counts)):
        name, sentence = "harmful", f"{sentence}, but {'; '.join(objections)}"
    return Verdict(name, sentence, target, guarded, told)


def compare(cells: Cells, metric: Metric, *, alpha: float | None = None, seed: int = 1) -> Comparison | None:
    """B against A in one metric; with `alpha` also interval and p. None without a pair."""
    by_block: dict[int, list[float]] = defaultdict(list)
    values: dict[Arm, list[float]] = {"a": [], "b": []}
    for (block, _), cell in cells.items():
        a, b = ([each[metric] for each in cell.get(arm, ()) if metric in each] for arm in ("a", "b"))
        if (difference := _difference(a, b)) is not None:
            by_block[block].append(difference)
            values["a"] += filter(math.isfinite, a)
            values["b"] += filter(math.isfinite, b)
    # What was measured in one window of time is no independent evidence: a block counts once.
    differences = [median(by_block[block]) for block in sorted(by_block)]
    if not differences:
        return None
    median_a, median_b = (median(values[arm]) if values[arm] else None for arm in ("a", "b"))
    gain, loss = floors(metric, median_a)
    interval: dict[str, float] = {}
    if alpha is not None:
        low, high = bootstrap_rounds(_rounds(differences), seed=seed, confidence=1 - alpha)
        interval = {
            "low": math.exp(low),
            "high": math.exp(high),
            "confidence": 1 - alpha,
            "p": signed_rank_p(differences),
        }
    ratio = math.exp(hodges_lehmann(differences))
    return Comparison(metric, len(differences), median_a, median_b, ratio, gain, loss, **interval)


def _rounds(differences: Sequence[float]) -> list[Sequence[float]]:
    """Groups of neighbours, all of about one size: the bootstrap's memory grows with the square of their number."""
    size = -(-len(differences) // MAX_GROUPS)
    return [differences[begin : begin + size] for begin in range(0, len(differences), size)]


def floors(metric: Metric, median_a: float | None) -> tuple[float, float]:
    """The ratios from which on a gain and a loss count, where A's median is `median_a`."""
    if not median_a:
        return 0.0, math.inf
    absolute = ABSOLUTE_FLOORS[metric] / median_a
    share = max(RELATIVE_FLOOR, absolute)
    return max(0.0, 1 - share), 1 + share


def harm(counts: Mapping[Arm, Counts]) -> str:
    """What B does to listeners that A does not, in words; empty while nothing says so.

    It is asked after every answer and costs no alpha: it can only end an experiment in favour of what was there.
    """
    return "; ".join(_worse_counts(counts, HARM_P))


def tail(bad_a: int, n_a: int, bad_b: int, n_b: int) -> float:
    """Probability of at least `bad_b` of all bad answers in B, if both arms were equally bad.

    1 where B has no more than its share, or nobody knows.

    Given their sum, the bad answers of B are binomial with B's share of the utterances.
    """
    if not (n_a and n_b) or bad_b * n_a <= bad_a * n_b:
        return 1.0
    total, share = bad_a + bad_b, n_b / (n_a + n_b)
    found = 0.0
    for k in range(bad_b, total + 1):  # beyond the mean each term is smaller than the one before
        ways = math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        term = math.exp(ways + k * math.log(share) + (total - k) * math.log1p(-share))
        found += term
        if term < NEGLIGIBLE * found:
            break
    return found


def _worse_counts(counts: Mapping[Arm, Counts], limit: float) -> list[str]:
    a, b = counts["a"], counts["b"]
    told = {"failed": "failed", "stalled": "stuttered", "left": "lost their listener before the first audio"}
    return [
        f"{bad_b} of {b.assigned} {told[name]}, with the present setting {bad_a} of {a.assigned}"
        for name in GUARDED
        for bad_a, bad_b in [(getattr(a, name), getattr(b, name))]
        if tail(bad_a, a.assigned, bad_b, b.assigned) <= limit
    ]


def _objections(guards: Sequence[Comparison], counts: Mapping[Arm, Counts]) -> list[str]:
    worse = [
        f"{TITLES[guard.metric]} rises by {100 * (guard.ratio - 1):.0f} %"
        for guard in guards
        if guard.ratio >= guard.loss_ratio
    ]
    return worse + _worse_counts(counts, VETO_P)


def _difference(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Log ratio of the medians; None where one side has nothing, both failed, or a value is no duration."""
    if not a or not b:
        return None
    middle_a, middle_b = median(a), median(b)
    if middle_a <= 0 or middle_b <= 0 or (math.isinf(middle_a) and math.isinf(middle_b)):
        return None
    if math.isinf(middle_b):
        return math.log(FAILED_RATIO)
    return -math.log(FAILED_RATIO) if math.isinf(middle_a) else math.log(middle_b / middle_a)


def _name(target: Comparison, alpha: float) -> Name:
    assert target.low is not None
    assert target.high is not None
    assert target.p is not None
    if target.n < MIN_ROUNDS:
        return "inconclusive"
    if target.p < alpha and target.ratio <= target.gain_ratio and target.high < 1:
        return "better"
    if target.p < alpha and target.ratio >= target.loss_ratio and target.low > 1:
        return "worse"
    return "equivalent" if target.gain_ratio < target.low and target.high < target.loss_ratio else "inconclusive"


TITLES: Mapping[Metric, str] = {
    "ttfa_ms": "time to first audio",
    "ttgp_ms": "time to gapless play",
    "rtf": "the real-time factor",
}


def _sentence(target: Comparison) -> str:
    assert target.low is not None
    assert target.high is not None
    assert target.confidence is not None
    values = (
        ""
        if target.median_a is None or target.median_b is None
        else f", medians {target.median_a:.4g} and {target.median_b:.4g}{' ms' if target.metric != 'rtf' else ''}"
    )
    return (
        f"{TITLES[target.metric]} {_percent(target.ratio)} ({_percent(target.low)} to {_percent(target.high)}, "
        f"{100 * target.confidence:.1f} %, n {target.n}{values})"
    )


def _percent(ratio: float) -> str:
    """A ratio as a change."""
    return f"{100 * (ratio - 1):+.1f} %" if 1 / math.sqrt(FAILED_RATIO) < ratio < math.sqrt(FAILED_RATIO) else "fails"
