"""`Decoder`: runs of tokens to audio through the pieces, whole or a window at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.kokoro.runtimes.base import Arrays, Session
from firstaudio.engines.kokoro.windows import LENGTHS, SAMPLES_PER_FRAME, Window, plan_windows

SAMPLE_RATE = 24_000
# Each frame is two half frames, the rate of F0 and of what enters the generator; each of those is 60 spectra.
HALF_FRAMES = 2
SPECTRA = 60
# A beginning of the source is right but for its last frame, where it does not know what comes.
SOURCE_MARGIN = 1
# The inverse STFT overlaps 4 spectra, 5 samples apart.
TAIL_MARGIN = 4
HOP = 5

Floats = NDArray[np.float32]
Wants = Mapping[str, Mapping[str, Any]]
RunWindow = Callable[[Arrays, int], tuple[Floats, str]]
"""Executes the window piece: its inputs and its length in frames to `x` and who made it. Raises EngineError."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the front makes of one run of tokens.

    Attributes:
        hidden: What enters the generator, float32 [1, width, 2F].
        f0: The F0 curve in Hz, float32 [1, 2F].
        durations: Frames of each token, pads included, int64 [N + 2]; their sum is F.
        style: As given to the front, float32 [1, 256].
    """

    hidden: Floats
    f0: Floats
    durations: NDArray[np.int64]
    style: Floats

    @property
    def num_frames(self) -> int:
        """F: codec frames of 25 ms."""
        return int(self.f0.shape[1]) // HALF_FRAMES


class NoiseTape:
    """The random numbers of one run; the same from its beginning, however much of it is asked for.

    Args:
        want: distribution, fixed and per_half_frame sizes, as in `surgery.cut.Noise`.
        seed: The same seed gives the same tape.
    """

    def __init__(self, want: Mapping[str, Any], seed: Sequence[int]) -> None:
        self._want, self._seed = want, list(seed)

    def beginning(self, num_half_frames: int) -> Floats:
        """The numbers up to there. Time is the first dimension that grows; those before it have size 1."""
        random = np.random.default_rng(self._seed)
        draw = random.standard_normal if self._want["distribution"] == "normal" else random.random
        sizes = zip(self._want["fixed"], self._want["per_half_frame"], strict=True)
        return draw([fixed + growth * num_half_frames for fixed, growth in sizes], dtype=np.float32)


class Source:
    """The source's spectra of one run, made when they are needed.

    The first window needs only the beginning, which costs a fraction; the rest is made with the second one.

    Args:
        session: The piece `source`.
        noise: What it wants, by input.
        f0: The curve, [1, 2F].
        seed: Of the noise.
    """

    def __init__(
        self, session: Session, noise: Mapping[str, Mapping[str, Any]], f0: Floats, seed: Sequence[int]
    ) -> None:
        self._session, self._f0 = session, f0
        self._tapes = {name: NoiseTape(want, [*seed, index]) for index, (name, want) in enumerate(noise.items())}
        self._har: Floats | None = None

    def har(self, begin: int, end: int) -> Floats:
        """Spectra of frames `begin` to `end`, [1, bins2, 120 (end - begin) + 1]. Raises EngineError."""
        num_frames = self._f0.shape[1] // HALF_FRAMES
        if begin == 0 and self._har is None and end + SOURCE_MARGIN < num_frames:
            har = self._make(end + SOURCE_MARGIN)
        else:
            har = self._har = self._make(num_frames) if self._har is None else self._har
        per_frame = SPECTRA * HALF_FRAMES
        return np.ascontiguousarray(har[:, :, begin * per_frame : end * per_frame + 1])

    def _make(self, num_frames: int) -> Floats:
        length = num_frames * HALF_FRAMES
        noise = {name: tape.beginning(length) for name, tape in self._tapes.items()}
        return self._session.run({"f0": np.ascontiguousarray(self._f0[:, :length]), **noise})["har"]


class Decoder:
    """The pieces of one model, loaded.

    Args:
        front: The piece of that name, and so on. Each is run by one thread at a time.
        source: Likewise.
        tail: Likewise.
        generator: Gives the generator as it was, for whole runs; called when it is needed.
        window: Executes the window piece.
        noise: What random numbers the source wants, by input.
        name: Of the runtime of everything but the windows.
        lengths: Frames of the windows.
        min_frames: Shorter runs are decoded whole; at least the first of `lengths`, which counts where this is 0.
    """

    def __init__(
        self,
        front: Session,
        source: Session,
        tail: Session,
        generator: Callable[[], Session],
        window: RunWindow,
        noise: Wants,
        name: str,
        lengths: Sequence[int] = LENGTHS,
        min_frames: int = 0,
    ) -> None:
        self.name = name
        self._front, self._source, self._tail = front, source, tail
        self._generator, self._window, self._noise = generator, window, noise
        self._lengths = tuple(lengths)
        self._min_frames = max(self._lengths[0], min_frames)

    def features(self, ids: Sequence[int], style: Floats, speed: float) -> Features:
        """Run the front.

        Args:
            ids: 1 to 510 tokens; the pad (0) at both ends is added here.
            style: Shape (1, 256).
            speed: Factor.

        Raises:
            EngineError: The session failed.
        """
        given = {"tokens": np.array([[0, *ids, 0]]), "style": style, "speed": np.array([speed])}
        made = self._front.run(as_wanted(self._front, given))
        return Features(made["hidden"], made["f0"], made["durations"].reshape(-1), style)

    def whole(self, features: Features, seed: Sequence[int]) -> Floats:
        """All audio of a run at once, shape (600 F,). Raises EngineError."""
        x = self._generator().run(self.generator_inputs(features, seed))["x"]
        return self._tail.run({"x": x})["audio"].reshape(-1)

    def generator_inputs(self, features: Features, seed: Sequence[int]) -> Arrays:
        """What the generator wants for a whole run."""
        har = Source(self._source, self._noise, features.f0, seed).har(0, features.num_frames)
        return {"hidden": features.hidden, "har": har, "style": features.style}

    def can_window(self, features: Features) -> bool:
        """Whether a run is long enough for windows: whole it is exact, and what is short does not take long."""
        return features.num_frames >= self._min_frames

    def windows(self, features: Features, affine: Floats, seed: Sequence[int]) -> Iterator[tuple[Floats, str]]:
        """The same audio a window at a time, each with the name of the runtime that made it; together (600 F,).

        A run that is too short for windows comes whole.

        Args:
            features: Of the run.
            affine: Factor and offset of each channel of each norm, shape (1, num_channels, 2).
            seed: Of the noise.

        Raises:
            EngineError: No session is left that can.
        """
        if not self.can_window(features):
            yield self.whole(features, seed), self.name
            return
        source = Source(self._source, self._noise, features.f0, seed)
        for window in plan_windows(features.num_frames, self._lengths):
            begin, end = window.begin * HALF_FRAMES, window.end * HALF_FRAMES
            inputs = {
                "hidden": np.ascontiguousarray(features.hidden[:, :, begin:end]),
                "har": source.har(window.begin, window.end),
                "style": features.style,
                "affine": affine,
            }
            x, name = self._window(inputs, window.length)
            yield self._to_audio(x, window), name

    def _to_audio(self, x: Floats, window: Window) -> Floats:
        """The kept frames' samples of the window's spectra."""
        per_frame = SPECTRA * HALF_FRAMES
        first, last = ((frame - window.begin) * per_frame for frame in (window.keep_begin, window.keep_end))
        begin, end = max(0, first - TAIL_MARGIN), min(x.shape[2], last + TAIL_MARGIN + 1)
        audio = self._tail.run({"x": np.ascontiguousarray(x[:, :, begin:end])})["audio"].reshape(-1)
        skip = (first - begin) * HOP
        return audio[skip : skip + window.num_kept * SAMPLES_PER_FRAME]


def as_wanted(session: Session, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays in the element types that the session's inputs have."""
    types = {port.name: port.dtype for port in session.inputs}
    return {name: value.astype(types[name], copy=False) for name, value in inputs.items()}
