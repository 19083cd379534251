"""Sessions made of sessions: loaded when they are needed, each length of window compiled for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from firstaudio.engines.kokoro.decoder import HALF_FRAMES, SPECTRA
from firstaudio.engines.kokoro.runtimes.base import Arrays, Port, Runtime, Session, ShapedRuntime, Shapes


class Lazy:
    """A session that is loaded when it is first run: a stand-by costs no memory until then.

    Args:
        load: Loads it.
    """

    inputs: Sequence[Port] = ()
    outputs: Sequence[Port] = ()

    def __init__(self, load: Callable[[], Session]) -> None:
        self._load = load
        self._session: Session | None = None
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """See `Session.run`."""
        with self._lock:
            if self._session is None:
                self._session = self._load()
        return self._session.run(inputs)


class ByLength:
    """The window piece compiled for each length of window.

    Args:
        sessions: By length in frames.
    """

    def __init__(self, sessions: Mapping[int, Session]) -> None:
        self._sessions = dict(sessions)
        first = next(iter(self._sessions.values()))
        self.inputs, self.outputs = first.inputs, first.outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """See `Session.run`."""
        return self._sessions[inputs["hidden"].shape[2] // HALF_FRAMES].run(inputs)


def window_shapes(length: int, anchors: Mapping[str, Any], num_channels: int) -> Shapes:
    """Sizes of the window piece's inputs for a window of `length` frames."""
    half_frames = length * HALF_FRAMES
    return {
        "hidden": (1, int(anchors["width"]), half_frames),
        "har": (1, int(anchors["bins2"]), half_frames * SPECTRA + 1),
        "style": (1, 256),
        "affine": (1, num_channels, 2),
    }


def load_window(runtime: Runtime, path: Path, shapes: Mapping[int, Shapes]) -> Session:
    """The window piece on one runtime, for every length. Raises EngineError.

    Args:
        runtime: Where.
        path: The piece.
        shapes: By length in frames.
    """
    if not isinstance(runtime, ShapedRuntime):
        return runtime.load(path)
    return ByLength(dict(zip(shapes, runtime.load_each(path, list(shapes.values())), strict=True)))
