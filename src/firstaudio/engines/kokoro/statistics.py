"""Mean and variance at each norm of the generator, for each voice: what windows use in place of their own.

They are measured once, on sentences of the voice's language decoded whole (`models optimize`), and lie beside the
pieces, each under its voice's name and styles: another voice of the same name has others. A blend of voices has the
weighted mean of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.kokoro.disk import atomic_write
from firstaudio.engines.kokoro.voices import shares_of

Floats = NDArray[np.float32]

FOLDER = "statistics"
HASH_DIGITS = 16  # of the hash of a voice's styles, in the file's name
_SAFE = re.compile(r"[A-Za-z0-9._-]+")


class StatisticsTable:
    """The statistics of each voice, read when they are asked for. Thread-safe: two readers read the same.

    Args:
        folder: Of the pieces.
        num_channels: Of all norms together.
        styles: The voices there are, and the hash of the styles of each: see `VoiceTable.digests`.
    """

    def __init__(self, folder: Path, num_channels: int, styles: Mapping[str, str]) -> None:
        self._folder = folder / FOLDER
        self._num_channels = num_channels
        self._styles = dict(styles)
        self._known: dict[str, Floats] = {}

    def has(self, voice: str) -> bool:
        """Whether `get` can answer for a canonical voice id."""
        return all(self._read(name) is not None for name, _ in shares_of(voice))

    def get(self, voice: str) -> Floats:
        """Mean and variance of each channel, shape (num_channels, 2). Only where `has`."""
        total = np.zeros((self._num_channels, 2), np.float32)  # not kept: there are as many blends as weights
        for name, share in shares_of(voice):
            row = self._read(name)
            assert row is not None, f"no statistics of {voice}"
            total += row * np.float32(share)
        return total

    def put(self, voice: str, statistics: Floats) -> None:
        """Keep what was measured of one voice of the file. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        buffer = BytesIO()
        np.save(buffer, statistics.astype(np.float32))
        atomic_write(self._path(voice), buffer.getvalue())
        self._known.pop(voice, None)

    def _read(self, name: str) -> Floats | None:
        known = self._known.get(name)
        if known is not None or name not in self._styles:
            return known
        try:
            with self._path(name).open("rb") as file:
                found: Floats = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError):
            return None
        if found.shape != (self._num_channels, 2) or not np.isfinite(found).all():
            return None
        self._known[name] = found
        return found

    def _path(self, name: str) -> Path:
        safe = name if _SAFE.fullmatch(name) else name.encode().hex()
        return self._folder / f"{safe}-{self._styles[name][:HASH_DIGITS]}.npy"


def measure_statistics(runs: Sequence[Callable[[], tuple[Floats, int]]]) -> Floats:
    """Statistics over several runs as if they were one.

    Args:
        runs: Each gives mean and variance, shape (num_channels, 2), and its number of frames.
    """
    weight = 0
    mean: NDArray[np.floating] = np.zeros(0)
    square: NDArray[np.floating] = np.zeros(0)
    for run in runs:
        statistics, num_frames = run()
        own_mean, own_square = statistics[:, 0], statistics[:, 1] + statistics[:, 0] ** 2
        mean = own_mean * num_frames + (mean if weight else 0)
        square = own_square * num_frames + (square if weight else 0)
        weight += num_frames
    mean, square = mean / weight, square / weight
    return np.stack([mean, np.maximum(square - mean**2, 0)], axis=1).astype(np.float32)
