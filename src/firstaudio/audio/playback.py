"""The listener who plays while audio arrives, as integer arithmetic in nanoseconds.

The player begins `buffer_ns` after the first audio arrived and plays in real time. Where the audio runs out before
the next piece is there, it stalls: it waits for that piece and plays on at once. Pieces without audio (a header) are
no arrival. Let `before(i)` be the audio that precedes piece i; without a buffer

    preroll needed = max over i of (arrival(i) - arrival(0) - before(i)) = total stall

so the stalls are the steps by which the deficit sets a new record.

Used at both ends: the scheduler knows by it when a listener will run dry, the harness whether that happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stall:
    """Silence that the listener should not have heard: from `at_ns` for `duration_ns`."""

    at_ns: int
    duration_ns: int


def stalls(arrivals_ns: Sequence[int], durations_ns: Sequence[int], buffer_ns: int = 0) -> tuple[Stall, ...]:
    """Every stall of a player that begins `buffer_ns` after the first audio.

    Args:
        arrivals_ns: When each piece arrived, in order.
        durations_ns: How long each piece plays.
        buffer_ns: The player's pre-roll.
    """
    found = []
    runs_dry: int | None = None
    for arrival, duration in _with_audio(arrivals_ns, durations_ns):
        if runs_dry is None:
            runs_dry = arrival + buffer_ns
        elif arrival > runs_dry:
            found.append(Stall(runs_dry, arrival - runs_dry))
            runs_dry = arrival
        runs_dry += duration
    return tuple(found)


def total_stall_ns(arrivals_ns: Sequence[int], durations_ns: Sequence[int], buffer_ns: int = 0) -> int:
    """Sum of all stalls of a player that begins `buffer_ns` after the first audio."""
    return sum(stall.duration_ns for stall in stalls(arrivals_ns, durations_ns, buffer_ns))


def preroll_needed_ns(arrivals_ns: Sequence[int], durations_ns: Sequence[int]) -> int:
    """The smallest buffer with which playback never stalls; 0 without audio."""
    needed = before = 0
    first: int | None = None
    for arrival, duration in _with_audio(arrivals_ns, durations_ns):
        first = arrival if first is None else first
        needed = max(needed, arrival - first - before)
        before += duration
    return needed


def time_to_gapless_play_ns(arrivals_ns: Sequence[int], durations_ns: Sequence[int], sent_ns: int) -> int | None:
    """TTGP: from `sent_ns` to the earliest press of "play" that never stalls; None without audio."""
    first = next(iter(_with_audio(arrivals_ns, durations_ns)), None)
    return None if first is None else first[0] + preroll_needed_ns(arrivals_ns, durations_ns) - sent_ns


def streaming_efficiency(arrivals_ns: Sequence[int], durations_ns: Sequence[int], buffer_ns: int = 0) -> float | None:
    """Audio duration over audio duration and stalls, 0..1; None without audio."""
    audio = sum(durations_ns)
    return audio / (audio + total_stall_ns(arrivals_ns, durations_ns, buffer_ns)) if audio else None


def _with_audio(arrivals_ns: Sequence[int], durations_ns: Sequence[int]) -> Iterator[tuple[int, int]]:
    return ((at, duration) for at, duration in zip(arrivals_ns, durations_ns, strict=True) if duration > 0)


class PlaybackClock:
    """The same player without a buffer, fed piece by piece: what the scheduler knows of one listener.

    Attributes:
        deadline_ns: When the listener runs out of audio; None before the first delivery.
        stalled_ns: Sum of all stalls so far.
    """

    __slots__ = ("deadline_ns", "stalled_ns")

    def __init__(self) -> None:
        self.deadline_ns: int | None = None
        self.stalled_ns = 0

    def deliver(self, now_ns: int, duration_ns: int) -> None:
        """Audio of `duration_ns` reaches the listener now; after an underrun playback resumes with it."""
        if duration_ns <= 0:
            return
        if self.deadline_ns is None:
            self.deadline_ns = now_ns
        elif now_ns > self.deadline_ns:
            self.stalled_ns += now_ns - self.deadline_ns
            self.deadline_ns = now_ns
        self.deadline_ns += duration_ns

    def lead_ns(self, now_ns: int) -> int:
        """Audio that the listener still has; negative for as long as the listener has been waiting, 0 at first."""
        return 0 if self.deadline_ns is None else self.deadline_ns - now_ns
