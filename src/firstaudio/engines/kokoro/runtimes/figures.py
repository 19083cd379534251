"""What was measured of a runtime, and which one is used for it: pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
MIN_ROUNDS = 6  # with fewer, not even the extremes enclose a median with 95 %: 2 * 0.5 ** 5 > 0.05
MIN_GAIN = 0.03  # of time: what a change of library must bring at least
MIN_SNR_DB = 25.0  # below, an output is another one; whether it sounds the same is judged by `models optimize`
EQUAL_DB = 200.0  # what equal arrays are said to be apart: more than f32 can tell, and a number for JSON
SILENT = 1e-3  # of the reference's level: what is below has gone silent


@dataclass(frozen=True, slots=True)
class Figures:
    """One runtime, measured.

    Attributes:
        name: Of the runtime.
        load_ms: To load the graph, the first time in this process.
        times_ms: Of one step, round by round.
        snr_db: The worst output of all rounds against the reference, at most `EQUAL_DB`; None without sound output.
        problem: Why it cannot be used; empty where it can.
    """

    name: str
    load_ms: float | None = None
    times_ms: tuple[float, ...] = ()
    snr_db: float | None = None
    problem: str = ""

    @property
    def median_ms(self) -> float:
        """Of its steps. Only where there is no problem."""
        return median(self.times_ms)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast one is as another: the median of the rounds' ratios with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """For people."""
        return f"{self.value:.2f}x, 95 % interval {self.low:.2f} to {self.high:.2f}"

    @property
    def is_gain(self) -> bool:
        """Whether it is faster beyond doubt, and by more than `MIN_GAIN`."""
        return self.low > 1 and 1 - 1 / self.value > MIN_GAIN


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runtime is used.

    Attributes:
        winner: Its name.
        reasons: For every runtime that was looked at, in their order, why it is used or not.
        figures: What was measured.
    """

    winner: str
    reasons: Mapping[str, str]
    figures: tuple[Figures, ...]

    @property
    def reason(self) -> str:
        """Why the winner is used."""
        return self.reasons[self.winner]


def speedup(one: Figures, other: Figures) -> Ratio:
    """How many times as fast `one` is as `other`, paired by rounds.

    The interval is that of the sign test: two order statistics of the rounds' ratios. It assumes nothing of their
    distribution but that rounds are independent. Source: W. J. Conover, Practical Nonparametric Statistics, 3.2.

    Raises:
        ValueError: They were not measured in the same rounds, or in too few.
    """
    if len(one.times_ms) != len(other.times_ms) or len(one.times_ms) < MIN_ROUNDS:
        raise ValueError(f"a comparison needs at least {MIN_ROUNDS} rounds of both")
    ratios = sorted(theirs / own for own, theirs in zip(one.times_ms, other.times_ms, strict=True))
    cut = _cut(len(ratios))
    return Ratio(median(ratios), ratios[cut], ratios[-1 - cut])


def _cut(n: int) -> int:
    """How many values at each end the interval of the median of n leaves out."""
    tail, cut = 0.5**n, 0
    while tail + math.comb(n, cut + 1) * 0.5**n <= (1 - CONFIDENCE) / 2:
        cut += 1
        tail += math.comb(n, cut) * 0.5**n
    return cut


def choose(figures: Sequence[Figures], what: str = "a step") -> Choice | None:
    """The fastest sound one; None where none is sound.

    The first one stays unless a later one is faster beyond doubt (`Ratio.is_gain`). It is the later one that must
    prove itself, whichever it is, so the order of the figures is a rank and any of them can win.

    Args:
        figures: In the order of rank.
        what: What one step was, for people: "a window of 0.4 s".
    """
    sound = [each for each in figures if not each.problem]
    if not sound:
        return None
    winner = sound[0]
    for challenger in sound[1:]:
        if speedup(challenger, winner).is_gain:
            winner = challenger
    base = _baseline(sound, winner)
    return Choice(winner.name, {each.name: _reason(each, winner, base, what) for each in figures}, tuple(figures))


def _baseline(sound: Sequence[Figures], winner: Figures) -> Figures:
    """What a winner is told beside: the fastest other one on the processor in f32, which every machine has.

    The first one in rank where there is none; that is the winner itself where nothing had to be beaten.
    """
    plain = [each for each in sound if each.name.endswith("-cpu") and each is not winner]
    return winner if winner is sound[0] else min(plain, key=lambda each: each.median_ms, default=sound[0])


def _reason(one: Figures, winner: Figures, base: Figures, what: str) -> str:
    if one.problem:
        return f"{one.name}: not used: {one.problem}"
    if one is winner:
        return f"{_measured(one, base, what)}: used"
    return f"{_measured(one, winner, what)}: not used, {_lack(speedup(one, winner))}"


def _measured(one: Figures, other: Figures, what: str) -> str:
    """The figures of one beside another's, and how close its output is."""
    against = f" against {_ms(other)} of {other.name} ({speedup(one, other)})" if one is not other else ""
    assert one.snr_db is not None
    apart = "equal to" if one.snr_db >= EQUAL_DB else f"{one.snr_db:.0f} dB from"
    return f"{one.name}: {_ms(one)} for {what}{against}, output {apart} the reference"


def _lack(ratio: Ratio) -> str:
    if ratio.high < 1:
        return "it is slower"
    if ratio.low <= 1:
        return "it is not faster beyond doubt"
    return f"it is not faster by {MIN_GAIN:.0%}"


def _ms(one: Figures) -> str:
    return f"{one.median_ms:.3g} ms" if one.median_ms < 100 else f"{one.median_ms:.0f} ms"


def output_problem(output: Mapping[str, NDArray[Any]], reference: Mapping[str, NDArray[Any]], min_snr_db: float) -> str:
    """What is wrong with the outputs of a step; empty: they are finite, not silent and close to the reference."""
    for name, wanted in reference.items():
        if name not in output:
            return f"it gives no {name}"
        if problem := _array_problem(output[name], wanted, min_snr_db):
            return f"its {name} {problem}"
    return ""


def _array_problem(got: NDArray[Any], wanted: NDArray[Any], min_snr_db: float) -> str:
    if got.shape != wanted.shape:
        return f"has the shape {list(got.shape)} instead of {list(wanted.shape)}"
    if not np.isfinite(got).all():
        return "holds values that are not finite"
    if _level(got) < SILENT * _level(wanted):
        return "is silent"
    if (snr_db := signal_to_noise_db(got, wanted)) < min_snr_db:
        return f"is {snr_db:.0f} dB from the reference, at least {min_snr_db:.0f} dB are wanted"
    return ""


def signal_to_noise_db(got: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Level of the reference over that of the difference, in dB, within -`EQUAL_DB` to `EQUAL_DB`."""
    noise, signal = _level(got.astype(np.float64) - wanted), _level(wanted)
    if noise == 0 or signal == 0:
        return EQUAL_DB if noise == 0 else -EQUAL_DB
    return float(np.clip(20 * math.log10(signal / noise), -EQUAL_DB, EQUAL_DB))


def _level(array: NDArray[Any]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(array.astype(np.float64))))) if array.size else 0.0
