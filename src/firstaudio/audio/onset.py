"""Onset: the first sample that a listener can hear.

The definition is the one by which text-to-speech servers are compared from outside: a short RMS window with its mean
removed (so that a DC offset is not sound) must reach a level and stay there (so that a click is not speech).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import INT16_FULL_SCALE, Pcm


@dataclass(frozen=True, slots=True)
class OnsetParameters:
    """What counts as audible; stored with every result that depends on it.

    Attributes:
        threshold_dbfs: Level to be reached, RMS over full scale 1.0, in dB.
        window_s: Length of the RMS window in seconds.
        hop_s: Distance between windows in seconds.
        sustained_s: How long every window must reach the level, in seconds.
    """

    threshold_dbfs: float = -40.0
    window_s: float = 0.010
    hop_s: float = 0.001
    sustained_s: float = 0.020


DEFAULT_ONSET = OnsetParameters()


def find_onset(pcm: Pcm, sample_rate: int, parameters: OnsetParameters = DEFAULT_ONSET) -> int | None:
    """The first audible sample.

    The first window that opens a sustained run is found; within it the onset is the first sample whose distance from
    the window's median reaches the level (from its mean, a loud end would make the silence before it deviate). So the
    onset of a tone that begins abruptly is exact to the sample, which the window's own start (up to a window early)
    and end (up to a window late) are not.

    Args:
        pcm: Shape (num_samples,), int16 or float32.
        sample_rate: In Hz.
        parameters: What counts as audible.

    Returns:
        The sample's index, or None when nothing is audible for long enough.
    """
    samples = _as_float64(pcm)
    window = max(1, round(parameters.window_s * sample_rate))
    starts = _window_starts(len(samples), window, parameters.hop_s * sample_rate)
    num_sustained = max(1, round(parameters.sustained_s / parameters.hop_s))
    if len(starts) < num_sustained:
        return None
    power = _power(samples, starts, window)
    loud = power >= 10.0 ** (parameters.threshold_dbfs / 10.0)
    first = _first_run(loud, num_sustained)
    if first is None:
        return None
    opening = samples[starts[first] : starts[first] + window]
    deviation = np.abs(opening - np.median(opening))
    amplitude = 10.0 ** (parameters.threshold_dbfs / 20.0)
    return int(starts[first] + np.argmax(deviation >= amplitude))


def _as_float64(pcm: Pcm) -> NDArray[np.float64]:
    scale = INT16_FULL_SCALE if pcm.dtype == np.int16 else 1.0
    return pcm.astype(np.float64) / scale


def _window_starts(num_samples: int, window: int, hop: float) -> NDArray[np.intp]:
    num_windows = max(0, int((num_samples - window) / hop) + 1) if num_samples >= window else 0
    starts: NDArray[np.intp] = np.rint(np.arange(num_windows) * hop).astype(np.intp)
    return starts[starts + window <= num_samples]


def _power(samples: NDArray[np.float64], starts: NDArray[np.intp], window: int) -> NDArray[np.float64]:
    """Variance of every window (its power, mean removed), from running sums."""
    total = np.concatenate(([0.0], np.cumsum(samples)))
    energy = np.concatenate(([0.0], np.cumsum(samples * samples)))
    mean = (total[starts + window] - total[starts]) / window
    variance: NDArray[np.float64] = (energy[starts + window] - energy[starts]) / window - mean * mean
    return variance


def _first_run(flags: NDArray[np.bool_], length: int) -> int | None:
    """Index where the first run of at least `length` true flags begins."""
    count = np.concatenate(([0], np.cumsum(flags)))
    complete = count[length:] - count[:-length] == length
    return int(np.argmax(complete)) if complete.any() else None
