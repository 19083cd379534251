"""The tuner's sentences that name a line of the configuration."""

from __future__ import annotations

from firstaudio.telemetry.tuner.decisions import Decision
from firstaudio.telemetry.tuner.knobs import toml
from firstaudio.telemetry.tuner.proposal import Proposal


def advice(decision: Decision) -> str:
    """What to do with a decision, as the end of a sentence; empty where there is nothing."""
    if decision.action not in ("recommended", "kept"):
        return ""
    line = f"{decision.setting} = {toml(decision.candidate)}"
    return f"; put {line} into the configuration" + (" to keep it over a restart" * (decision.action == "kept"))


def worth_trying(found: Proposal) -> str:
    """What somebody may ask for, where the tuner may not begin it by itself."""
    return (
        f"worth trying: {found.knob.setting} = {toml(found.value)}, because {found.reason}; "
        "POST /benchmarks/optimization/trigger tries it, with tuner.experiment the tuner does so by itself"
    )
