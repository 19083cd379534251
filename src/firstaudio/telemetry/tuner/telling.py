"""What the tuner tells: its state as JSON, and what its experiments recommend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from firstaudio.config import StreamingConfig
from firstaudio.telemetry.advice.recommendation import Gain, Recommendation, Setting
from firstaudio.telemetry.tuner.decisions import Decision
from firstaudio.telemetry.tuner.knobs import KNOBS, Knob
from firstaudio.telemetry.tuner.status import TunerStatus
from firstaudio.telemetry.tuner.trial.experiment import Experiment
from firstaudio.telemetry.tuner.words import advice


def as_dict(status: TunerStatus) -> dict[str, Any]:
    """How the tuner stands, as JSON."""
    return {
        "state": status.state,
        "remark": status.remark,
        "cool_down_s": status.cool_down_s,
        "on_probation": status.on_probation or None,
        "experiments": [] if status.experiment is None else [_experiment(status.experiment, status.progress)],
        "knobs": [_knob(knob, status.streaming) for knob in KNOBS],
        "changed": [
            {"setting": setting, "configured": configured, "value": value}
            for setting, configured, value in status.changed
        ],
        "decisions": [asdict(decision) for decision in status.decisions],
        "num_own_texts": status.num_spoken,
        "problem": status.problem or None,
        "failure": status.failure or None,
    }


def recommendations(status: TunerStatus) -> list[Recommendation]:
    """Settings that an experiment found better than what holds, or that hold and are not configured."""
    knobs = {knob.setting: knob for knob in KNOBS}
    changed = {setting: value for setting, _, value in status.changed}
    found = []
    for decision in _newest(status.decisions):
        knob = knobs.get(decision.setting)
        if knob is None:
            continue
        is_open = decision.action == "recommended" and knob.value(status.streaming) == decision.current
        is_kept = decision.action == "kept" and changed.get(decision.setting) == decision.candidate
        if is_open or is_kept:
            found.append(_recommendation(decision))
    return found


def _newest(decisions: Iterable[Decision]) -> list[Decision]:
    """The newest of each setting."""
    found: dict[str, Decision] = {}
    for decision in decisions:
        found.setdefault(decision.setting, decision)
    return list(found.values())


def _recommendation(decision: Decision) -> Recommendation:
    target: dict[str, Any] = decision.evidence.get("target") or {}
    a, b = target.get("median_a"), target.get("median_b")
    gain = Gain(None, "it moves another time than that of the first audio")
    if target.get("metric") == "ttfa_ms" and a is not None and b is not None:
        gain = Gain(max(0.0, a - b), "the difference of the medians of the answers that were compared")
    return Recommendation(
        "tuner",
        "info",
        f"{decision.setting}: {decision.sentence}",
        advice(decision).removeprefix("; "),
        {"n": target.get("n"), "decided_at": decision.at, **decision.evidence},
        gain,
        setting=Setting(decision.setting, decision.candidate),
    )


def _experiment(experiment: Experiment, progress: float | None) -> dict[str, Any]:
    return {
        "id": experiment.id,
        "setting": experiment.knob.setting,
        "current": experiment.current,
        "candidate": experiment.value,
        "moves": experiment.knob.moves,
        "guards": list(experiment.knob.guards),
        "unit": experiment.knob.unit,
        "reason": experiment.reason,
        "begun_at": experiment.begun_at,
        "progress": progress,
        "num_rounds": experiment.num_rounds,
        "max_rounds": experiment.plan.max_rounds,
        "max_s": experiment.plan.max_s,
        "num_looks": experiment.num_looks,
        "counts": {arm: asdict(counts) for arm, counts in experiment.counts.items()},
    }


def _knob(knob: Knob, streaming: StreamingConfig) -> dict[str, Any]:
    return {
        "setting": knob.setting,
        "value": knob.value(streaming),
        "candidates": knob.candidates(streaming),
        "moves": knob.moves,
        "guards": list(knob.guards),
        "unit": knob.unit,
        "why": knob.why,
    }
