"""The ramp of windows: which frames are decoded together, and which of them are kept. Pure arithmetic, in codec frames.

A frame is 600 samples (25 ms). A window of `length` frames keeps its core and throws away `CONTEXT` frames on each side
that is not an end of the run. Lengths are few and fixed, so that a runtime can compile each once; the last window ends
where the run ends and so decodes some frames twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SAMPLES_PER_FRAME = 600
# The generator looks 3.5 frames to each side; with 3 it is 70 dB from exact, with 4 exact (docs/log.md).
CONTEXT = 4
# Small first, so that speech begins; then larger, because context is decoded in vain. 0.3, 0.6 and 1.2 s are kept.
LENGTHS = (16, 32, 56)


@dataclass(frozen=True, slots=True)
class Window:
    """Frames of a run.

    Attributes:
        begin: First frame that is decoded.
        end: One past the last frame that is decoded.
        keep_begin: First frame that is kept.
        keep_end: One past the last frame that is kept.
    """

    begin: int
    end: int
    keep_begin: int
    keep_end: int

    @property
    def length(self) -> int:
        """Frames that are decoded."""
        return self.end - self.begin

    @property
    def num_kept(self) -> int:
        """Frames that are kept."""
        return self.keep_end - self.keep_begin


def plan_windows(num_frames: int, lengths: Sequence[int] = LENGTHS, context: int = CONTEXT) -> list[Window]:
    """Windows that together keep every frame of a run once, in order; each `lengths` long.

    A run shorter than the first length is one window of its own length.

    Args:
        num_frames: Of the run; at least 1.
        lengths: Ascending; each more than twice the context.
        context: Frames at a side that are decoded and not kept.
    """
    if num_frames < lengths[0]:
        return [Window(0, num_frames, 0, num_frames)]
    windows: list[Window] = []
    kept = 0
    while kept < num_frames:
        windows.append(_next_window(kept, num_frames, len(windows), lengths, context))
        kept = windows[-1].keep_end
    return windows


def _next_window(kept: int, num_frames: int, index: int, lengths: Sequence[int], context: int) -> Window:
    begin = max(0, kept - context)
    rest = num_frames - begin
    allowed = [length for length in lengths[: index + 1] if length <= num_frames]
    last = next((length for length in allowed if length >= rest), None)
    if last is not None:
        return Window(num_frames - last, num_frames, kept, num_frames)
    end = begin + allowed[-1]
    return Window(begin, end, kept, end - context)
