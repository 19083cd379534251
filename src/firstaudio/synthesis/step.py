"""What runs on lanes: an utterance as steps, and what one step brings."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from firstaudio.audio.chunk import Chunk
from firstaudio.engines.base import Waiting


class StepResult(NamedTuple):
    """What one step brought.

    Attributes:
        chunks: Audio, possibly none.
        done: Whether the utterance is complete.
        remaining_s: Estimated audio that is still to be made, in seconds.
        is_own_work: Whether all of the audio was made in this step, so that its time tells what audio costs; not so
            where it was kept from earlier or made for another stream.
        waits_for: Calls what it is given once when the next step is worth its lane; None: it is at once.
    """

    chunks: list[Chunk]
    done: bool
    remaining_s: float
    is_own_work: bool = True
    waits_for: Waiting | None = None


class Work(Protocol):
    """One utterance, as the scheduler sees it."""

    def step(self, lead_s: float, crowded: bool) -> StepResult:
        """Do a bounded piece of work on a lane.

        Args:
            lead_s: Audio that the listener has ahead, in seconds.
            crowded: Whether other streams wait for a lane.

        Raises:
            FirstaudioError: Ends the stream.
        """
        ...

    def close(self) -> None:
        """Give back the engine's resources, on a lane; after the last step or instead of it."""
        ...
