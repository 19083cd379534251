"""What requests that missed the target have in common, and which stage grew in them.

A group stands out where its share of misses is certainly larger than that of all other requests, all groups looked at
together; a stage has grown where its mean in missed requests is certainly larger than in those in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import Literal

from firstaudio.stats.groups import difference_of_means, difference_of_shares
from firstaudio.stats.sample import wilson
from firstaudio.telemetry.advice.recommendation import LITTLE_MS
from firstaudio.telemetry.measurement import Measurement, bottleneck
from firstaudio.trace import STAGES, Stage

Dimension = Literal["text_class", "voice", "engine", "hour", "warmth", "streams_ahead"]

MIN_GROUP = 10  # requests: smaller groups are shown, and never stand out
MAX_GROUPS = 24  # of a dimension: the hours of a day; of voices, the most asked for
STANDS_OUT = 0.05  # a share of misses that is larger by less is no pattern, however certain


@dataclass(frozen=True, slots=True)
class GroupFinding:
    """Requests with something in common.

    Attributes:
        dimension: What they are grouped by.
        name: What they have in common.
        n: All of them of which it is known whether they met the target.
        num_missed: Those that did not.
        share: Of misses.
        low: Lower end of its 95 % interval.
        high: Upper end.
        more: Share of misses less that of all other requests; None where there are no others.
        more_low: Lower end of its interval, which is wider the more groups were looked at.
        stands_out: Whether these certainly miss more often than the others.
    """

    dimension: Dimension
    name: str
    n: int
    num_missed: int
    share: float
    low: float
    high: float
    more: float | None
    more_low: float | None
    stands_out: bool


@dataclass(frozen=True, slots=True)
class StageComparison:
    """One stage in missed requests and in those in time; means in ms until the first audio.

    Attributes:
        stage: Which.
        missed_ms: Its mean in missed requests; None where none had audio.
        met_ms: Its mean in those in time.
        difference_ms: Missed less met; None where either are too few.
        low_ms: Lower end of its 95 % interval (Welch).
        high_ms: Upper end.
        has_grown: Whether it is certainly longer, by more than `LITTLE_MS`.
    """

    stage: Stage
    missed_ms: float | None
    met_ms: float | None
    difference_ms: float | None
    low_ms: float | None
    high_ms: float | None
    has_grown: bool


# Groups.


def _hour(measurement: Measurement) -> str:
    return f"{datetime.fromtimestamp(measurement.timestamp, UTC).hour:02d} UTC"


def _ahead(measurement: Measurement) -> str:
    return "none" if measurement.num_ahead == 0 else "1 to 3" if measurement.num_ahead <= 3 else "4 or more"


DIMENSIONS: Mapping[Dimension, Callable[[Measurement], str]] = {
    "text_class": lambda each: each.text_class,
    "voice": lambda each: each.voice,
    "engine": lambda each: each.engine,
    "hour": _hour,
    "warmth": lambda each: each.warmth,
    "streams_ahead": _ahead,
}

_Tally = dict[str, tuple[int, int]]  # by name: missed, all


def compare_groups(known: Sequence[tuple[Measurement, bool]]) -> list[GroupFinding]:
    """Every group of every dimension in which there is more than one, those that stand out first."""
    tallies = {dimension: _tally(known, name_of) for dimension, name_of in DIMENSIONS.items()}
    tallies = {dimension: tally for dimension, tally in tallies.items() if len(tally) > 1}
    tallies = {dimension: _largest(tally) for dimension, tally in tallies.items()}
    num_groups = sum(n >= MIN_GROUP for tally in tallies.values() for _, n in tally.values())
    num_missed = sum(not is_met for _, is_met in known)
    found = [
        _finding(dimension, name, group, (num_missed, len(known)), max(1, num_groups))
        for dimension, tally in tallies.items()
        for name, group in tally.items()
    ]
    return sorted(found, key=lambda each: (not each.stands_out, -(each.more_low or 0.0)))


def _tally(known: Sequence[tuple[Measurement, bool]], name_of: Callable[[Measurement], str]) -> _Tally:
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for each, is_met in known:
        if name := name_of(each):
            tally[name][0] += not is_met
            tally[name][1] += 1
    return {name: (missed, n) for name, (missed, n) in tally.items()}


def _largest(tally: _Tally) -> _Tally:
    return dict(sorted(tally.items(), key=lambda item: (-item[1][1], item[0]))[:MAX_GROUPS])


def _finding(
    dimension: Dimension, name: str, group: tuple[int, int], everyone: tuple[int, int], num_groups: int
) -> GroupFinding:
    (missed, n), (all_missed, total) = group, everyone
    more = difference_of_shares(group, (all_missed - missed, total - n), num_groups)
    low, high = wilson(missed, n)
    return GroupFinding(
        dimension,
        name,
        n,
        missed,
        missed / n,
        low,
        high,
        more=None if more is None else more.value,
        more_low=None if more is None else more.low,
        stands_out=more is not None and n >= MIN_GROUP and more.is_more and more.value >= STANDS_OUT,
    )


# Stages.


def compare_stages(missed: Sequence[Measurement], met: Sequence[Measurement]) -> list[StageComparison]:
    """Every stage, in its order."""
    return [_comparison(stage, _times(missed, stage), _times(met, stage)) for stage in STAGES]


def _times(measurements: Sequence[Measurement], stage: Stage) -> list[float]:
    return [each.first_audio_ms.get(stage, 0.0) for each in measurements if each.first_audio_ms]


def _comparison(stage: Stage, missed: Sequence[float], met: Sequence[float]) -> StageComparison:
    difference = difference_of_means(missed, met)
    return StageComparison(
        stage,
        fmean(missed) if missed else None,
        fmean(met) if met else None,
        difference_ms=None if difference is None else difference.value,
        low_ms=None if difference is None else difference.low,
        high_ms=None if difference is None else difference.high,
        has_grown=difference is not None and difference.is_more and difference.value > LITTLE_MS,
    )


def grown_stage(stages: Sequence[StageComparison]) -> Stage | None:
    """The stage that grew most; None where none certainly did."""
    grown = [each for each in stages if each.has_grown]
    return max(grown, key=lambda each: each.difference_ms or 0.0).stage if grown else None


def bottleneck_of(missed: Sequence[Measurement]) -> Stage | None:
    """The stage that took most of the missed requests' time, all together."""
    return bottleneck({stage: sum(_times(missed, stage)) for stage in STAGES})
