"""The choice of a cut: of the places where a segment may end, the one that its budget asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from firstaudio.text.boundaries import Kind
from firstaudio.text.plan import Budget


class Cut(NamedTuple):
    """A place where a segment may end.

    Attributes:
        position: Offset of the first character after it.
        kind: How natural it is.
        seconds: Predicted speech from the segment's start up to here.
    """

    position: int
    kind: Kind
    seconds: float


def within_budget(cuts: Sequence[Cut], limit: int, budget: Budget) -> tuple[list[Cut], bool]:
    """The first of `cuts` that fit, and whether no later cut can change the choice among them.

    A paragraph is never left. The first cut worth `min_s` fits however long its last word takes to say, as far as
    `limit` allows.

    Args:
        cuts: Ascending.
        limit: The greatest position.
        budget: What is wanted.
    """
    good: Cut | None = None
    options: list[Cut] = []
    worthy = any_good = False
    for cut in cuts:
        if cut.position > limit or (worthy and cut.seconds > budget.max_s):
            return options, any_good
        if good and cut.seconds > good.seconds + budget.min_s:
            return options, True
        options.append(cut)
        worthy = cut.seconds >= budget.min_s
        any_good |= worthy and cut.kind >= budget.natural
        if cut.kind is Kind.PARAGRAPH:
            return options, True
        if good is None and cut.kind >= budget.natural and cut.seconds >= max(budget.min_s, budget.target_s):
            good = cut
    return options, False


def best_cut(options: Sequence[Cut], later: Sequence[Cut], budget: Budget) -> Cut:
    """The one of `options` (ascending, not empty) to take; `later` are the known cuts after them."""
    fitting = [cut for cut in options if cut.seconds >= budget.min_s]
    good = [cut for cut in fitting if cut.kind >= budget.natural]
    if good:
        return _with_short_rest(min(good, key=lambda cut: abs(cut.seconds - budget.target_s)), options, budget)
    if options[-1].kind is Kind.PARAGRAPH:
        return options[-1]
    fitting = _with_worthy_rest(fitting, later, budget) or fitting or list(options)
    strongest = max(min(cut.kind, Kind.CLAUSE) for cut in fitting)
    return [cut for cut in fitting if cut.kind >= strongest][-1]


def _with_short_rest(chosen: Cut, options: Sequence[Cut], budget: Budget) -> Cut:
    """`chosen`, or the end of its sentence where only a word or two would be left of that."""
    for cut in options:
        if cut.kind > chosen.kind and 0 < cut.seconds - chosen.seconds < budget.min_s and cut.seconds <= budget.max_s:
            chosen = cut
    return chosen


def _with_worthy_rest(options: Sequence[Cut], later: Sequence[Cut], budget: Budget) -> list[Cut]:
    """The options that leave enough of their clause for a segment of its own."""
    end_s = next((cut.seconds for cut in later if cut.kind >= Kind.CLAUSE), math.inf)
    if end_s > budget.max_s + budget.min_s:
        return list(options)
    return [cut for cut in options if end_s - cut.seconds >= budget.min_s]
