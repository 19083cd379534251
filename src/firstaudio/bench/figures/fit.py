"""TTFA against the length of the text: does a target stream, or does it synthesise the whole text first?

TTFA is fitted as `a + b * characters`. How much b is says nothing by itself; beside the growth of the whole latency
it does: who streams begins after a time that does not depend on how much is still to come (b is a small part of that
growth), who synthesises whole keeps everything back until the end (b is nearly all of it).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from firstaudio.bench.figures.formulas import latency_ms, ttfa_ms
from firstaudio.bench.record import RequestRecord, measured
from firstaudio.bench.workload import Goals
from firstaudio.stats.sample import Slope, theil_sen

FitVerdict = Literal["streams", "whole", "unclear"]

MIN_REQUESTS = 8
MIN_SPREAD = 2.0  # longest over shortest text: less is no lever for a slope
STREAMS_BELOW = 0.25  # share of the growth of latency
WHOLE_ABOVE = 0.75
FLAT_SHARE = 0.10  # of TTFA: what the slope adds over all lengths that were sent is less, and so explains little


@dataclass(frozen=True, slots=True)
class Fit:
    """A straight line of TTFA over characters; None where there was too little to fit.

    Attributes:
        a_ms: TTFA of a text without characters, by the line.
        b_ms_per_char: What each character adds.
        b_low: Lower end of its 95 % interval.
        b_high: Upper end.
        latency_ms_per_char: What each character adds to the whole latency.
        share: Of that growth which is there before the first audio: b over it.
        n: Successful requests.
        verdict: What the target does.
        sentence: Why, with numbers.
        flat: Whether TTFA does not depend on the length, as far as can be told.
    """

    a_ms: float | None
    b_ms_per_char: float | None
    b_low: float | None
    b_high: float | None
    latency_ms_per_char: float | None
    share: float | None
    n: int
    verdict: FitVerdict
    sentence: str
    flat: bool = False


def fit_ttfa(records: Iterable[RequestRecord]) -> Fit:
    """Fit the measured successes; they should come from one target with one client and texts of several lengths."""
    points = list(_points(records))
    lengths = [length for length, _, _ in points]
    if len(points) < MIN_REQUESTS or max(lengths) < MIN_SPREAD * min(lengths):
        return _nothing(
            len(points),
            f"{len(points)} successes are too few or too equal in length: it takes {MIN_REQUESTS}, the longest text "
            f"at least {MIN_SPREAD:g} times as long as the shortest",
        )
    ttfa = theil_sen(lengths, [first for _, first, _ in points])
    latency = theil_sen(lengths, [whole for _, _, whole in points])
    if ttfa is None or latency is None:
        return _nothing(len(points), "there are fewer than three lengths of text: send more of them")
    return _fitted(len(points), ttfa, latency, max(lengths) - min(lengths))


def _points(records: Iterable[RequestRecord]) -> Iterable[tuple[int, float, float]]:
    """Characters, TTFA and latency of each success."""
    for record in measured(records):
        first, whole = ttfa_ms(record, Goals()), latency_ms(record, Goals())
        if record.ok and record.text and first is not None and whole is not None:
            yield len(record.text), first, whole


def _nothing(n: int, sentence: str) -> Fit:
    return Fit(None, None, None, None, None, None, n, "unclear", f"unclear: {sentence}")


def _fitted(n: int, ttfa: Slope, latency: Slope, spread: int) -> Fit:
    share = ttfa.value / latency.value if latency.low > 0 else None
    verdict, flat = _verdict(ttfa, latency), _is_flat(ttfa, spread)
    return Fit(
        a_ms=ttfa.intercept,
        b_ms_per_char=ttfa.value,
        b_low=ttfa.low,
        b_high=ttfa.high,
        latency_ms_per_char=latency.value,
        share=share,
        n=n,
        verdict=verdict,
        sentence=_sentence(ttfa, latency, verdict, flat),
        flat=flat,
    )


def _is_flat(ttfa: Slope, spread: int) -> bool:
    """Whether the slope is not told from none, or adds little from the shortest to the longest text."""
    return ttfa.low <= 0 <= ttfa.high or abs(ttfa.value) * spread < FLAT_SHARE * ttfa.intercept


def _verdict(ttfa: Slope, latency: Slope) -> FitVerdict:
    if latency.low <= 0:
        return "unclear"
    if ttfa.high <= STREAMS_BELOW * latency.value:
        return "streams"
    return "whole" if ttfa.low >= WHOLE_ABOVE * latency.value else "unclear"


def _sentence(ttfa: Slope, latency: Slope, verdict: FitVerdict, flat: bool) -> str:
    slope = f"{1000 * ttfa.value:.1f} ms per 1000 characters ({1000 * ttfa.low:.1f} to {1000 * ttfa.high:.1f})"
    course = f"flat over the length of the text, {ttfa.intercept:.1f} ms" if flat else f"{ttfa.intercept:.1f} ms"
    line = f"TTFA is {course} + {slope}; the whole latency grows by {1000 * latency.value:.1f} ms"
    why = {
        "streams": "audio begins long before the text is synthesised",
        "whole": "the first audio waits for nearly the whole synthesis",
        "unclear": "the first audio waits for a part of the synthesis, or the texts show too little of it",
    }
    if latency.low <= 0:
        return f"unclear: {line}, which is not told from no growth: send longer texts"
    return f"{'synthesises whole' if verdict == 'whole' else verdict}: {line}: {why[verdict]}"
