"""A Kokoro model in memory: what speaks runs of tokens, whole or in windows, and why it does it so."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.kokoro.decoder import Decoder, as_wanted
from firstaudio.engines.kokoro.dialect import Dialect
from firstaudio.engines.kokoro.loaded_piece import LoadedPiece
from firstaudio.engines.kokoro.pieces import Pieces
from firstaudio.engines.kokoro.statistics import StatisticsTable
from firstaudio.errors import EngineError, RequestError

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]


@dataclass(slots=True)
class Part:
    """Audio of one step.

    Attributes:
        pcm: Float, shape (num_samples,).
        runtime: What made it.
        durations: Frames of each token, pads included, of the run that it belongs to; None where nobody knows.
        decode: "windowed" or "whole", as it was: a run that is too short for windows is decoded whole.
    """

    pcm: Floats
    runtime: str
    durations: NDArray[np.int64] | None
    decode: str


class Model(Protocol):
    """Speaks runs of tokens."""

    @property
    def can_window(self) -> bool:
        """Whether windows are possible at all."""
        ...

    def knows(self, voice: str) -> bool:
        """Whether windows are possible with a canonical voice id."""
        ...

    def parts(
        self, ids: Sequence[int], voice: str, style: Floats, speed: float, seed: Sequence[int], *, windowed: bool
    ) -> Iterator[Part]:
        """The audio of a run: one part, or with `windowed` one for each window where it is long enough for them.

        Raises:
            EngineError: No session could do a step.
        """
        ...

    def statistics(self) -> list[dict[str, Any]]:
        """What each session has done: `SessionStatistics`, and `piece`, the graph that it runs."""
        ...


class CutModel:
    """A model that was cut.

    Args:
        pieces: On disk.
        decoder: On the loaded pieces.
        loaded: All of them.
        voices: Statistics of each voice.
    """

    def __init__(
        self, pieces: Pieces, decoder: Decoder, loaded: Sequence[LoadedPiece], voices: StatisticsTable
    ) -> None:
        self.pieces, self.decoder, self.voices = pieces, decoder, voices
        self._loaded = tuple(loaded)

    @property
    def can_window(self) -> bool:
        """Always."""
        return True

    def knows(self, voice: str) -> bool:
        """Whether statistics of it were measured."""
        return self.voices.has(voice)

    def parts(
        self, ids: Sequence[int], voice: str, style: Floats, speed: float, seed: Sequence[int], *, windowed: bool
    ) -> Iterator[Part]:
        """See `Model.parts`."""
        features = self.decoder.features(ids, style, speed)
        if not (windowed and self.decoder.can_window(features)):
            yield Part(checked(self.decoder.whole(features, seed)), self.decoder.name, features.durations, "whole")
            return
        affine = self.pieces.norms.affine(self.voices.get(voice))
        for pcm, name in self.decoder.windows(features, affine, seed):
            yield Part(checked(pcm), name, features.durations, "windowed")

    def statistics(self) -> list[dict[str, Any]]:
        """See `Model.statistics`."""
        return [row for piece in self._loaded for row in piece.statistics()]


class WholeModel:
    """A model that could not be cut: the file as it is.

    Args:
        loaded: The whole file.
        dialect: Names of its inputs and outputs.
    """

    def __init__(self, loaded: LoadedPiece, dialect: Dialect) -> None:
        self._loaded, self._dialect = loaded, dialect

    @property
    def can_window(self) -> bool:
        """Never."""
        return False

    def knows(self, voice: str) -> bool:  # noqa: ARG002 -- the protocol's
        """Never."""
        return False

    def parts(
        self, ids: Sequence[int], voice: str, style: Floats, speed: float, seed: Sequence[int], *, windowed: bool
    ) -> Iterator[Part]:
        """See `Model.parts`. The noise is the file's own: `seed` has no effect."""
        del voice, seed, windowed
        dialect = self._dialect
        if dialect.speed_is_whole and speed != round(speed):
            raise RequestError(
                f"this model takes only whole speeds and could not be cut; ask for speed 1, 2, 3 or 4, not {speed:g}",
                param="speed",
            )
        given = {dialect.tokens: np.array([[0, *ids, 0]]), dialect.style: style, dialect.speed: np.array([speed])}
        made, name = self._loaded.run_by_whom(as_wanted(self._loaded, given))
        durations = None if dialect.durations is None else made[dialect.durations].reshape(-1).astype(np.int64)
        yield Part(checked(made[dialect.audio].reshape(-1).astype(np.float32)), name, durations, "whole")

    def statistics(self) -> list[dict[str, Any]]:
        """See `Model.statistics`."""
        return self._loaded.statistics()


def checked(pcm: Floats) -> Floats:
    """The audio, if it can be speech. Raises EngineError (retryable) for what is empty, not finite or dead silent."""
    if not len(pcm):
        raise EngineError("the model gave no audio", retryable=True)
    if not np.isfinite(pcm).all():
        raise EngineError("the model gave audio that is not finite", retryable=True)
    if not np.ptp(pcm):
        raise EngineError("the model gave dead silence", retryable=True)
    return pcm
