"""What is worth trying now: the symptom in the last measurements, and the knob that can move it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from firstaudio.config import StreamingConfig
from firstaudio.stats.sample import wilson
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.tuner.knobs import KNOBS, Knob, Value, toml
from firstaudio.telemetry.tuner.trial.experiment import ORIGINS, is_stalled
from firstaudio.telemetry.tuner.trial.verdict import ABSOLUTE_FLOORS, RELATIVE_FLOOR

MIN_ROWS = 20
STALL_SHARE = 0.01  # from which on, for certain, listeners are worth an experiment

Tried = tuple[str, Value, Value]  # setting, what it stood at, what was tried


@dataclass(frozen=True, slots=True)
class Proposal:
    """One experiment that could be made."""

    knob: Knob
    value: Value
    reason: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why no experiment is worth making."""

    reason: str


Found = Proposal | Nothing


def usable(rows: Sequence[Measurement]) -> list[Measurement]:
    """Measurements that knobs can change: clients' and the tuner's own, streamed, not from the cache, with audio."""
    return [
        row
        for row in rows
        if row.origin in ORIGINS and row.delivery != "whole" and row.warmth == "warm" and row.ttfa_ms is not None
    ]


def propose(rows: Sequence[Measurement], streaming: StreamingConfig, tried: Collection[Tried] = ()) -> Found:
    """The most promising experiment, or why there is none.

    Args:
        rows: The last measurements.
        streaming: What holds.
        tried: What was judged not long ago.
    """
    seen = usable(rows)
    if len(seen) < MIN_ROWS:
        return Nothing(f"{len(seen)} streamed answers were measured; {MIN_ROWS} are needed to see what is slow")
    reasons = []
    for knob in KNOBS:
        open_values = _open(knob, streaming, tried)
        symptom, absence = _symptom(knob, seen)
        if symptom and open_values:
            return Proposal(knob, open_values[0], f"{symptom}; {knob.reason(streaming, open_values[0])}")
        reasons.append(absence if not symptom else f"{knob.setting}: nothing is left to try")
    return Nothing("; ".join(dict.fromkeys(reasons)))


def choose(rows: Sequence[Measurement], streaming: StreamingConfig, tried: Collection[Tried] = ()) -> Found:
    """For somebody who asks for an experiment: the most promising one, and without a symptom the first not tried."""
    found = propose(rows, streaming, tried)
    return found if isinstance(found, Proposal) else _first_open(streaming, tried)


def wished(knob: Knob, value: object, streaming: StreamingConfig) -> Found:
    """For somebody who names the knob.

    Args:
        knob: What to turn.
        value: What to try; None leaves that to the knob.
        streaming: What holds.

    Raises:
        RequestError: `value` is none that the setting can have.
    """
    if value is not None:
        return _asked_for(knob, knob.checked(streaming, value)[0], streaming)
    values = knob.candidates(streaming)
    if not values:
        return Nothing(f"{knob.setting} stands at {toml(knob.value(streaming))}, where nothing better is known")
    return _asked_for(knob, values[0], streaming)


def _asked_for(knob: Knob, value: Value, streaming: StreamingConfig) -> Proposal:
    return Proposal(knob, value, f"asked for; {knob.reason(streaming, value)}")


def _first_open(streaming: StreamingConfig, tried: Collection[Tried]) -> Found:
    for knob in KNOBS:
        if values := _open(knob, streaming, tried):
            return _asked_for(knob, values[0], streaming)
    return Nothing("every value worth trying was tried not long ago")


def _open(knob: Knob, streaming: StreamingConfig, tried: Collection[Tried]) -> list[Value]:
    current = knob.value(streaming)
    return [value for value in knob.candidates(streaming) if (knob.setting, current, value) not in tried]


def _symptom(knob: Knob, rows: Sequence[Measurement]) -> tuple[str, str]:
    """What this knob could mend, or why there is nothing."""
    return _stalls(rows) if knob.moves == "ttgp_ms" else _slow_stages(knob, rows)


def _slow_stages(knob: Knob, rows: Sequence[Measurement]) -> tuple[str, str]:
    """The stages that the knob can shorten bound its gain."""
    ttfa_ms = median(row.ttfa_ms for row in rows if row.ttfa_ms is not None)
    spent_ms = median(sum(row.first_audio_ms.get(stage, 0.0) for stage in knob.stages) for row in rows)
    told = f"{' and '.join(knob.stages)} take {spent_ms:.1f} of {ttfa_ms:.1f} ms until the first audio (n {len(rows)})"
    if spent_ms > max(ABSOLUTE_FLOORS["ttfa_ms"], RELATIVE_FLOOR * ttfa_ms):
        return told, ""
    return "", f"{told}: no gain that counts is to be had"


def _stalls(rows: Sequence[Measurement]) -> tuple[str, str]:
    stalled = sum(map(is_stalled, rows))
    told = f"{stalled} of {len(rows)} answers had a gap"
    return (told, "") if wilson(stalled, len(rows))[0] > STALL_SHARE else ("", told)
