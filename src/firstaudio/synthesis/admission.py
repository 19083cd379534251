"""Whether one more listener can be served without anyone running dry: the processor demand criterion.

Under earliest-deadline-first, work is schedulable if the work that falls due by any moment t fits into what the lanes
can do until t. A stream's audio falls due at the pace of its playback, so the demand is piecewise linear and need be
looked at only where its slope changes.

Source: S. K. Baruah, L. E. Rosier, R. R. Howell, "Algorithms and complexity concerning the preemptive scheduling of
periodic, real-time tasks on one processor", Real-Time Systems 2 (1990).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Demand(NamedTuple):
    """What one stream asks of the engine.

    Attributes:
        due_s: From now until its listener needs the next audio, in seconds.
        audio_s: Audio that is still to be made, in seconds; it falls due at the pace of playback from `due_s` on.
        startup_s: Work that falls due at `due_s` at once: the first audio of a stream that has sent nothing.
    """

    due_s: float
    audio_s: float
    startup_s: float = 0.0


def feasible(demands: Iterable[Demand], rtf: float, num_lanes: int, max_utilization: float = 1.0) -> bool:
    """Whether every stream can be kept playing.

    Args:
        demands: All streams, the new one included.
        rtf: Seconds of work per second of audio on one lane.
        num_lanes: Steps that run at the same time.
        max_utilization: Share of the lanes' time that may be promised.
    """
    changes: list[tuple[float, float, float]] = []  # (when, work that falls due at once, change of slope)
    for demand in demands:
        due_s = max(0.0, demand.due_s)
        changes.append((due_s, demand.startup_s, rtf))
        changes.append((due_s + demand.audio_s, 0.0, -rtf))
    work_s = slope = before_s = 0.0
    for at_s, jump, change in sorted(changes):
        work_s += slope * (at_s - before_s) + jump
        if work_s > num_lanes * at_s * max_utilization + 1e-9:
            return False
        slope, before_s = slope + change, at_s
    return True
