"""`Probation`: what was kept is watched until it has served as many listeners as it was tried on."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from firstaudio.config import StreamingConfig
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.tuner.trial.experiment import ORIGINS, Experiment, counted
from firstaudio.telemetry.tuner.trial.verdict import Counts, harm

LENGTH = 200  # answers


class Probation:
    """Compares what goes wrong now with what went wrong in arm A of the experiment.

    Args:
        experiment: It was won by its arm B.
        before: What held until then.

    Attributes:
        harm: What the kept setting does to listeners, in words; empty: nothing.
    """

    def __init__(self, experiment: Experiment, before: StreamingConfig) -> None:
        self.experiment, self.before = experiment, before
        self.harm = ""
        self._then, self._now = experiment.counts["a"], Counts()

    @property
    def setting(self) -> str:
        """What was kept."""
        return self.experiment.knob.setting

    @property
    def is_over(self) -> bool:
        """Whether enough was seen."""
        return self._now.assigned >= LENGTH

    def record(self, answer: Measurement) -> None:
        """Learn how an utterance ended; those that were given an arm or came from the cache say nothing."""
        is_plain = answer.origin in ORIGINS and not answer.arm and answer.delivery != "whole"
        if not is_plain or answer.warmth == "cached" or self.is_over:
            return
        self._now = counted(replace(self._now, assigned=self._now.assigned + 1), answer)
        self.harm = self.harm or harm({"a": self._then, "b": self._now})

    def evidence(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        return {"counts": {"a": asdict(self._then), "b": asdict(self._now)}}
