"""`Resting`: what was judged not long ago, and until when it is not tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from firstaudio.telemetry.tuner.decisions import Action, Decision
from firstaudio.telemetry.tuner.proposal import Tried
from firstaudio.telemetry.tuner.trial.experiment import Experiment

REST_S = 86_400.0  # before a value that was judged is tried again
UNDECIDED_REST_S = 3600.0  # before one that found too little traffic is
NO_GAIN: frozenset[Action] = frozenset({"left", "stopped", "rolled_back"})


class Resting:
    """For any thread.

    Args:
        now_s: Monotonic.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._until_s: dict[Tried, float] = {}
        self._lock = threading.Lock()

    def tried(self) -> frozenset[Tried]:
        """What rests now."""
        with self._lock:
            now_s = self._now_s()
            self._until_s = {tried: until_s for tried, until_s in self._until_s.items() if now_s < until_s}
            return frozenset(self._until_s)

    def add(self, experiment: Experiment, action: Action, verdict: str) -> None:
        """Let what was tried rest; with a gain that is not applied also what else this setting could be."""
        knob = experiment.knob
        values = [experiment.value, *(knob.candidates(experiment.base) if action == "recommended" else ())]
        until_s = self._now_s() + _rest_s(verdict)
        with self._lock:
            self._until_s |= {(knob.setting, experiment.current, value): until_s for value in values}

    def remember(self, decisions: Iterable[Decision], at: float, *, applies: bool) -> None:
        """Let rest what an earlier server found to be no gain; what it kept has to be found again.

        Args:
            decisions: The newest first.
            at: Now, in seconds since 1970, as the decisions have it.
            applies: Whether a gain is kept: then what was only recommended is worth another experiment.
        """
        settled = NO_GAIN if applies else NO_GAIN | {"recommended"}
        for decision in decisions:
            age_s, rest_s = at - decision.at, _rest_s(decision.verdict)
            if decision.action in settled and 0 <= age_s < rest_s:
                tried = (decision.setting, decision.current, decision.candidate)
                with self._lock:
                    self._until_s.setdefault(tried, self._now_s() + rest_s - age_s)


def _rest_s(verdict: str) -> float:
    return UNDECIDED_REST_S if verdict == "inconclusive" else REST_S
