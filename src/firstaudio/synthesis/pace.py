"""What work costs on a lane, as far as it is known: expected at first, then measured."""

from __future__ import annotations

SMOOTHING = 0.1  # weight of the newest step in the running figures


class Pace:
    """Running figures of one engine.

    Args:
        expected_rtf: Seconds of work per second of audio on one lane, until measured.
        expected_first_step_s: Seconds of work before a stream's first audio, until measured.

    Attributes:
        rtf: Seconds of work per second of audio.
        first_step_s: Seconds of work before a stream's first audio.
    """

    def __init__(self, expected_rtf: float, expected_first_step_s: float = 0.0) -> None:
        self.rtf, self.first_step_s = expected_rtf, expected_first_step_s
        self._num_started = 1 if expected_first_step_s else 0  # an expectation counts as one that was seen

    def begun(self, work_s: float) -> None:
        """A stream has its first audio after so much work."""
        self._num_started += 1  # while there are few, their mean
        self.first_step_s += max(SMOOTHING, 1 / self._num_started) * (work_s - self.first_step_s)

    def went_on(self, work_s: float, audio_s: float) -> None:
        """So much more audio came of so much work; a short piece tells less."""
        self.rtf += SMOOTHING * min(1.0, audio_s) * (work_s / audio_s - self.rtf)
