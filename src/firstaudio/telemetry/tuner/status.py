"""`TunerStatus`: how the tuner stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from firstaudio.config import StreamingConfig
from firstaudio.telemetry.tuner.decisions import Decision
from firstaudio.telemetry.tuner.knobs import Value
from firstaudio.telemetry.tuner.trial.experiment import Experiment

State = Literal["off", "observing", "experimenting", "cooling_down"]


@dataclass(frozen=True, slots=True)
class TunerStatus:
    """How the tuner stands.

    Attributes:
        state: "off" where `tuner.enabled` is.
        remark: Why it is doing what it does.
        cool_down_s: Until it may begin another experiment, in seconds.
        experiment: The one that runs.
        progress: How much of what it may take it has taken, 0..1; None where none runs.
        on_probation: What was kept and is watched still; empty: nothing.
        streaming: What holds for new utterances outside an experiment.
        changed: Settings that are not as configured: (setting, configured, now).
        decisions: The newest first.
        problem: Why decisions are not kept on disk; empty where they are.
        failure: What went wrong in the tuner itself last time; empty: nothing.
        num_fast_path: Utterances of clients that began with a short first segment.
        num_spoken: Texts of its own.
    """

    state: State
    remark: str
    cool_down_s: float
    experiment: Experiment | None
    progress: float | None
    on_probation: str
    streaming: StreamingConfig
    changed: tuple[tuple[str, Value, Value], ...]
    decisions: tuple[Decision, ...]
    problem: str
    failure: str
    num_fast_path: int
    num_spoken: int
