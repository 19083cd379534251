"""`Experiment`: one knob, two values, the same traffic; who gets what, what came of it, and when to look."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import NamedTuple

from firstaudio.config import StreamingConfig
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.tuner.knobs import Knob, Metric, Value
from firstaudio.telemetry.tuner.trial.allocation import Allocation, Pairs, Windows
from firstaudio.telemetry.tuner.trial.verdict import LOOK_ALPHAS, LOOK_SHARES, Arm, Cells, Counts, Verdict, harm, judge
from firstaudio.trace import Trace

ORIGINS = ("client", "tuner")  # a benchmark measures what holds; nobody listens to a warm-up
WINDOW_BLOCKS = 24  # of a minute each
MAX_ANSWERS = 20_000
STALL_MS = 10.0  # a shorter gap is hidden by the buffer of any player's device


class Stratum(NamedTuple):
    """What an utterance has in common with the one that it is compared with."""

    origin: str
    engine: str
    text_class: str
    format: str
    loaded: bool


def stratum(of: Trace | Measurement) -> Stratum:
    """The kind of an utterance; the same before and after it was spoken, but for one that another engine spoke."""
    return Stratum(of.origin, of.engine, of.text_class, of.format, of.num_ahead > 0)


class Label(NamedTuple):
    """What `Trace.arm` says: experiment, arm, block, joined by slashes."""

    experiment: str
    arm: Arm
    block: int

    def __str__(self) -> str:
        return f"{self.experiment}/{self.arm}/{self.block}"

    @classmethod
    def read(cls, text: str) -> Label | None:
        """The parts; None where there are none."""
        experiment, _, rest = text.partition("/")
        arm, _, block = rest.partition("/")
        if arm not in ("a", "b") or not block.isdecimal():
            return None
        return cls(experiment, "a" if arm == "a" else "b", int(block))


@dataclass(frozen=True, slots=True)
class Plan:
    """When an experiment ends.

    Attributes:
        max_rounds: Blocks with an answer of either arm.
        max_s: Seconds.
    """

    max_rounds: int
    max_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """One judgement that is due.

    Attributes:
        alpha: What it may spend.
        is_last: Whether the experiment ends with it.
    """

    alpha: float
    is_last: bool


class Experiment:
    """Holds no lock and no clock: whoever owns it passes the time.

    Args:
        id: Names it in traces and decisions.
        knob: What is turned.
        base: Arm A: what holds.
        value: The knob's value in arm B.
        plan: When it ends.
        reason: Why it is made.
        begun_s: Monotonic.
        begun_at: Seconds since 1970.
        rng: Draws the arms.

    Attributes:
        harm: What arm B does to listeners; once it is not empty, everyone has arm A.
        num_answers: Answers that count.
        num_looks: Looks that were taken.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 (its name everywhere else)
        knob: Knob,
        base: StreamingConfig,
        value: Value,
        plan: Plan,
        reason: str,
        begun_s: float,
        begun_at: float,
        rng: random.Random,
    ) -> None:
        self.id, self.knob, self.base, self.value, self.reason = id, knob, base, value, reason
        self.candidate = knob.turned(base, value)
        self.plan = plan if knob.unit == "utterance" else replace(plan, max_rounds=min(plan.max_rounds, WINDOW_BLOCKS))
        self.begun_s, self.begun_at = begun_s, begun_at
        self.harm = ""
        self.num_answers = self.num_looks = 0
        self._allocation: Allocation = Pairs(rng) if knob.unit == "utterance" else Windows(rng, begun_s)
        self._cells: dict[tuple[int, Hashable], dict[Arm, list[dict[Metric, float]]]] = {}
        self._complete: set[int] = set()
        self._counts: dict[Arm, Counts] = {"a": Counts(), "b": Counts()}

    @property
    def current(self) -> Value:
        """The knob's value in arm A."""
        return self.knob.value(self.base)

    @property
    def counts(self) -> dict[Arm, Counts]:
        """What went wrong, by arm."""
        return dict(self._counts)

    @property
    def num_rounds(self) -> int:
        """Blocks with an answer of either arm."""
        return len(self._complete)

    def assign(self, trace: Trace, now_s: float) -> StreamingConfig:
        """The settings of a new utterance; its trace is labelled where it is part of the experiment."""
        if self.harm or trace.origin not in ORIGINS:
            return self.base
        # An answer that is sent as a whole has its first audio at its end, whatever the knobs say.
        place = None if trace.delivery == "whole" else self._allocation.place(stratum(trace), now_s)
        if place is None:
            return self._arm(self._allocation.arm(now_s) or "a")
        counts = self._counts[place.arm]
        self._counts[place.arm] = replace(counts, assigned=counts.assigned + 1)
        trace.arm = str(Label(self.id, place.arm, place.block))
        return self._arm(place.arm)

    def record(self, answer: Measurement) -> None:
        """Learn how an utterance ended; those without a label of this experiment say nothing."""
        label = Label.read(answer.arm)
        if label is None or label.experiment != self.id:
            return
        self._count(label.arm, answer)
        if values := _values(answer):
            self._add(label, stratum(answer), values)

    def due(self, now_s: float) -> Look | None:
        """The look that should be taken now."""
        shares = [share * self.plan.max_rounds for share in LOOK_SHARES]
        is_over = now_s - self.begun_s >= self.plan.max_s or self.num_answers >= MAX_ANSWERS
        if is_over or self.num_rounds >= shares[-1]:
            return Look(LOOK_ALPHAS[-1], is_last=True)
        if self.num_looks < len(shares) - 1 and self.num_rounds >= shares[self.num_looks]:
            return Look(LOOK_ALPHAS[self.num_looks], is_last=False)
        return None

    def progress(self, now_s: float) -> float:
        """Share of what it may take, 0..1: answers or time, whichever is further."""
        shares = (
            self.num_rounds / self.plan.max_rounds,
            self.num_answers / MAX_ANSWERS,
            (now_s - self.begun_s) / self.plan.max_s,
        )
        return min(1.0, max(shares))

    def take(self, look: Look) -> Judgement:
        """What a look needs, copied: it is judged on another thread."""
        self.num_looks += 1
        cells: Cells = {key: {arm: list(found) for arm, found in cell.items()} for key, cell in self._cells.items()}
        return Judgement(self.knob, cells, self.counts, look.alpha)

    def _arm(self, arm: Arm) -> StreamingConfig:
        return self.candidate if arm == "b" else self.base

    def _count(self, arm: Arm, answer: Measurement) -> None:
        self._counts[arm] = counted(self._counts[arm], answer)
        self.harm = self.harm or harm(self._counts)

    def _add(self, label: Label, kind: Stratum, values: dict[Metric, float]) -> None:
        self.num_answers += 1
        cell = self._cells.setdefault((label.block, kind), {"a": [], "b": []})
        cell[label.arm].append(values)
        if all(cell.values()):
            self._complete.add(label.block)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The data of one look."""

    knob: Knob
    cells: Cells
    counts: dict[Arm, Counts]
    alpha: float

    def __call__(self) -> Verdict:
        """Judge; takes up to a second of arithmetic."""
        return judge(self.cells, self.counts, self.knob.moves, self.knob.guards, alpha=self.alpha)


def counted(counts: Counts, answer: Measurement) -> Counts:
    """`counts` with what went wrong in one more answer."""
    return replace(
        counts,
        failed=counts.failed + _is_failed(answer),
        stalled=counts.stalled + is_stalled(answer),
        left=counts.left + _has_left(answer),
    )


def _is_failed(answer: Measurement) -> bool:
    """Whether the server could not finish it."""
    return answer.outcome == "failed"


def is_stalled(answer: Measurement) -> bool:
    """Whether a listener who plays at once hears a gap."""
    return answer.preroll_ms is not None and answer.preroll_ms > STALL_MS


def _has_left(answer: Measurement) -> bool:
    """Whether a listener went before the first audio."""
    return answer.origin == "client" and answer.outcome == "cancelled" and answer.ttfa_ms is None


def _values(answer: Measurement) -> dict[Metric, float]:
    """What an answer says of speed. A cached or cold one says nothing, a failed one was infinitely slow."""
    if _is_failed(answer):
        return {"ttfa_ms": float("inf"), "ttgp_ms": float("inf")}
    if answer.warmth != "warm" or answer.outcome not in ("completed", "cancelled"):
        return {}
    values: dict[Metric, float] = {}
    if answer.ttfa_ms is not None:
        values["ttfa_ms"] = answer.ttfa_ms
    if answer.outcome == "completed" and answer.ttgp_ms is not None and answer.rtf is not None:
        values |= {"ttgp_ms": answer.ttgp_ms, "rtf": answer.rtf}
    return values
