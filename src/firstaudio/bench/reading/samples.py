"""Uncompressed samples of every width as mono PCM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.chunk import INT16_FULL_SCALE, Pcm

INTEGER_WIDTHS, FLOAT_WIDTHS = (1, 2, 3, 4), (4, 8)


def mono(data: bytes, width: int, num_channels: int, *, is_float: bool) -> Pcm:
    """The mean of all channels.

    Args:
        data: Whole frames, interleaved, little endian; one byte wide ones are unsigned.
        width: Bytes per sample: 1 to 4 of an integer, 4 or 8 of a float.
        num_channels: At least 1.
        is_float: IEEE 754 instead of integers.

    Returns:
        int16 for integers of two bytes, else float32 in -1..1 (floats beyond it stay so).
    """
    samples = _floats(data, width, is_float=is_float).reshape(-1, num_channels)
    mixed = samples[:, 0] if num_channels == 1 else samples.mean(axis=1)
    if width == 2:
        return np.rint(mixed * INT16_FULL_SCALE).astype(np.int16)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and that is found out
        return mixed.astype(np.float32)


def _floats(data: bytes, width: int, *, is_float: bool) -> NDArray[np.float64]:
    if is_float:
        return np.frombuffer(data, f"<f{width}").astype(np.float64)
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128.0) / 128.0
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)  # as the upper three bytes of four
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4").ravel() / 2.0**31
    return np.frombuffer(data, f"<i{width}") / 2.0 ** (8 * width - 1)
