"""Runtimes against each other on this machine: the same step in interleaved rounds, every output checked."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from firstaudio.clock import NS_PER_MS, Clock, now_ns
from firstaudio.engines.kokoro.runtimes.base import Arrays, Runtime, Session
from firstaudio.engines.kokoro.runtimes.figures import (
    MIN_ROUNDS,
    MIN_SNR_DB,
    Figures,
    output_problem,
    signal_to_noise_db,
)
from firstaudio.errors import FirstaudioError

NUM_WARM_UP = 2  # the first run of a shape compiles and allocates, the second shows what stays


def compare(
    candidates: Sequence[Runtime],
    graph: Path,
    inputs: Mapping[str, NDArray[Any]],
    reference: Arrays,
    rounds: int = 9,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    min_snr_db: float = MIN_SNR_DB,
    seed: int = 0,
    clock: Clock = now_ns,
    progress: Callable[[str, int, int], object] = lambda *_: None,
) -> list[Figures]:
    """Measure one step on every candidate.

    All are loaded, then warmed, then run once a round, in an order drawn anew for each round: what disturbs the
    machine for a while disturbs all alike. Every output is checked, the warm-up's too: a device that goes silent after
    its first step is found. A candidate that fails is out and keeps its reason; the others go on.

    Args:
        candidates: In the order of rank.
        graph: An ONNX file.
        inputs: Of one step, with sound in them.
        reference: The step's right outputs, by name.
        rounds: At least `MIN_ROUNDS`.
        shapes: For `Runtime.load`.
        min_snr_db: How close an output must be to the reference.
        seed: Of the order.
        clock: For tests.
        progress: Told what is being done, how much is done, how much there is to do.

    Returns:
        One for each candidate, in their order.
    """
    if rounds < MIN_ROUNDS:
        raise ValueError(f"a comparison needs at least {MIN_ROUNDS} rounds, not {rounds}")
    step = _Step(inputs, reference, min_snr_db, clock)
    num_steps = 2 * len(candidates) + 1
    trials: list[_Trial] = []
    for index, runtime in enumerate(candidates):
        progress(f"measuring runtimes: loading {runtime.name}", index, num_steps)
        trials.append(_load(runtime, graph, shapes, clock))
    for index, trial in enumerate(trials, len(candidates)):
        progress(f"measuring runtimes: warming {trial.name}", index, num_steps)
        for _ in range(NUM_WARM_UP):
            trial.run(step, is_timed=False)
    progress(f"measuring runtimes: {rounds} rounds of all", num_steps - 1, num_steps)
    order = random.Random(seed)
    for _ in range(rounds):
        for trial in order.sample(trials, len(trials)):
            trial.run(step, is_timed=True)
    return [trial.figures() for trial in trials]


@dataclass(frozen=True, slots=True)
class _Step:
    inputs: Mapping[str, NDArray[Any]]
    reference: Arrays
    min_snr_db: float
    clock: Clock


@dataclass(slots=True)
class _Trial:
    """A candidate on its way through the rounds."""

    name: str
    session: Session | None = None
    load_ms: float | None = None
    problem: str = ""
    times_ms: list[float] = field(default_factory=list)
    snr_db: float | None = None

    def run(self, step: _Step, *, is_timed: bool) -> None:
        """One step, unless something has failed before."""
        if self.problem or self.session is None:
            return
        begin_ns = step.clock()
        try:
            output = self.session.run(step.inputs)
        except FirstaudioError as error:
            self.problem = error.message
            return
        took_ms = (step.clock() - begin_ns) / NS_PER_MS
        self.problem = output_problem(output, step.reference, step.min_snr_db)
        if not self.problem:
            worst = min(signal_to_noise_db(output[name], wanted) for name, wanted in step.reference.items())
            self.snr_db = worst if self.snr_db is None else min(self.snr_db, worst)
            if is_timed:
                self.times_ms.append(took_ms)

    def figures(self) -> Figures:
        return Figures(self.name, self.load_ms, tuple(self.times_ms), self.snr_db, self.problem)


def _load(runtime: Runtime, graph: Path, shapes: Mapping[str, Sequence[int]] | None, clock: Clock) -> _Trial:
    begin_ns = clock()
    try:
        session = runtime.load(graph, shapes)
    except FirstaudioError as error:
        return _Trial(runtime.name, problem=error.message)
    return _Trial(runtime.name, session, (clock() - begin_ns) / NS_PER_MS)
