"""A piece in memory: the sessions that may run it behind one door, so that each step is checked and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.kokoro.decoder import HALF_FRAMES, SPECTRA
from firstaudio.engines.kokoro.dialect import Dialect
from firstaudio.engines.kokoro.runtimes.base import Arrays, Session
from firstaudio.engines.kokoro.runtimes.board import RoutedSession
from firstaudio.engines.kokoro.runtimes.router import Router
from firstaudio.engines.kokoro.sessions import Lazy

Inputs = Mapping[str, NDArray[Any]]

# What a step's cost grows with: tokens for what reads tokens, else codec frames.
_SIZES: dict[str, Callable[[Inputs], float]] = {
    "front": lambda inputs: inputs["tokens"].shape[1],
    "source": lambda inputs: inputs["f0"].shape[1] / HALF_FRAMES,
    "generator": lambda inputs: inputs["hidden"].shape[2] / HALF_FRAMES,
    "window": lambda inputs: inputs["hidden"].shape[2] / HALF_FRAMES,
    "tail": lambda inputs: inputs["x"].shape[2] / (HALF_FRAMES * SPECTRA),
}
_NEVER_CONSTANT = {"front": ("hidden",), "source": (), "generator": ("x",), "window": ("x",), "tail": ("audio",)}


class LoadedPiece:
    """One graph, itself a session. Thread-safe: each of its sessions runs a step at a time.

    Args:
        name: Of the piece; "model" for a file that was not cut.
        sessions: Those that may run it, as `Router` takes them.
        size: What a step's cost grows with.
        never_constant: Outputs that have gone silent where all their values are the same.
    """

    def __init__(
        self,
        name: str,
        sessions: Sequence[RoutedSession],
        size: Callable[[Inputs], float],
        never_constant: Sequence[str],
    ) -> None:
        self.name = name
        self.inputs, self.outputs = sessions[0].session.inputs, sessions[0].session.outputs
        self._router = Router(sessions, graph=name)
        self._size, self._never_constant = size, tuple(never_constant)

    def run(self, inputs: Inputs) -> Arrays:
        """See `Session.run`. Raises EngineError (retryable) where every session failed."""
        return self.run_by_whom(inputs)[0]

    def run_by_whom(self, inputs: Inputs) -> tuple[Arrays, str]:
        """The outputs, and the name of the session that made them. Raises what `run` raises."""
        return self._router.run(inputs, self._size(inputs), self._is_valid)

    def statistics(self) -> list[dict[str, Any]]:
        """What each session has done, under the name of the piece."""
        return [{"piece": self.name, **asdict(each)} for each in self._router.statistics()]

    def _is_valid(self, outputs: Arrays) -> bool:
        return is_sound(outputs, self._never_constant)


def piece_on(name: str, sessions: Sequence[RoutedSession]) -> LoadedPiece:
    """A piece of a model that was cut."""
    return LoadedPiece(name, sessions, _SIZES[name], _NEVER_CONSTANT[name])


def whole_file_on(sessions: Sequence[RoutedSession], dialect: Dialect) -> LoadedPiece:
    """A model that was not cut."""
    return LoadedPiece("model", sessions, lambda inputs: inputs[dialect.tokens].shape[1], (dialect.audio,))


def with_stand_by(name: str, load: Callable[[], Session], *, is_needed_now: bool = True) -> list[RoutedSession]:
    """A session, and a second one of the same runtime in case that the first one is broken.

    Args:
        name: Of the runtime.
        load: Loads a session. Raises what `Runtime.load` raises, here where the first one is needed now.
        is_needed_now: Whether the first one is loaded now; the second one never is.
    """
    first = load() if is_needed_now else Lazy(load)
    return [
        RoutedSession(name, first, is_loaded=is_needed_now),
        RoutedSession(name, Lazy(load), is_stand_by=True, is_loaded=False),
    ]


def is_sound(outputs: Arrays, never_constant: Sequence[str]) -> bool:
    """Whether outputs can be: numbers that are finite, and what is never constant is not."""
    numbers = [value for value in outputs.values() if np.issubdtype(value.dtype, np.floating)]
    if not all(np.isfinite(value).all() for value in numbers):
        return False
    return all(outputs[name].size and np.ptp(outputs[name]) > 0 for name in never_constant)
