"""A workload as data: which texts are sent how, when and how often; all that a seed needs to repeat it.

A workload is a list of *cells*. A cell is one condition (one concurrency, one voice, one way of delivery ...) whose
requests are comparable with each other; every table, plot and comparison is over cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from firstaudio.bench.spec import TargetSpec
from firstaudio.slo import SHORT_TTFA_TARGET_MS, TTFA_TARGET_MS

TEXT_CLASSES = ("short", "medium", "long", "complex")
MIN_PER_CLIENT = 4  # requests of a closed loop: fewer measure the ramp and not the load

Arrival = Literal["closed", "poisson", "constant", "ramp", "trace"]
Label = Literal["cold", "warm", "cached"]


@dataclass(frozen=True, slots=True)
class Texts:
    """Where the texts come from.

    Attributes:
        classes: Text classes, drawn in turn.
        language: Of the corpus: "en", "de", "fr", "es".
        custom: The user's own texts instead of the corpus, in turn.
        unique: Whether each request gets a text that no other request of the session had. Repeated texts may be
            answered from a cache: their results are labelled "cached".
        seed: Of the choice.
    """

    classes: tuple[str, ...] = ("medium",)
    language: str = "en"
    custom: tuple[str, ...] = ()
    unique: bool = True
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """When requests are sent.

    Attributes:
        arrival: "closed": `concurrency` clients, each sends its next request when the last one has ended. The others
            are open: requests are sent at stated times, whether or not earlier ones have been answered.
        concurrency: Clients of a closed loop; in an open loop the most requests in flight (a request that finds no
            client waits for one, and its waiting counts).
        rate_per_s: Mean arrivals per second ("poisson", "constant"); at the end of a "ramp".
        start_rate_per_s: At the beginning of a "ramp".
        offsets_s: "trace": when each request is sent, in seconds from the start, ascending.
        num_requests: Measured requests; of a closed loop at least `MIN_PER_CLIENT` per client are made.
        duration_s: Measure for this long instead of `num_requests`.
        stagger_s: Over how long the clients of a closed loop start.
        think_s: How long a client of a closed loop waits after each answer, on average: a listener who listens. Drawn
            evenly from half to one and a half times as long, so that clients do not march in step.
        warmup_requests: At most as many unmeasured requests go before, until TTFA is stable; 0: none.
        deadline_s: For the whole cell; None: from the number of requests and their timeout.
        seed: Of the arrivals.
    """

    arrival: Arrival = "closed"
    concurrency: int = 1
    rate_per_s: float | None = None
    start_rate_per_s: float | None = None
    offsets_s: tuple[float, ...] = ()
    num_requests: int | None = 36
    duration_s: float | None = None
    stagger_s: float = 0.5
    think_s: float = 0.0
    warmup_requests: int = 24
    deadline_s: float | None = None
    seed: int = 1

    @property
    def quota(self) -> int | None:
        """Measured requests that will be sent; None when time decides."""
        if self.arrival == "trace":
            return len(self.offsets_s)
        if self.num_requests is None or self.duration_s is not None:
            return None
        return max(self.num_requests, MIN_PER_CLIENT * self.concurrency if self.arrival == "closed" else 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """One condition.

    Attributes:
        name: Unique in its session, as "c=4" or "premium c=1".
        target: Who speaks.
        axes: What varies between cells, for tables and plots: "concurrency", "voice", "text_class", "delivery",
            "speed", "rate_per_s", "target", "scenario" and their values.
        voice: The target's name of a voice; None leaves it to the target.
        speed: Factor.
        language: BCP-47 tag sent to the target; None: none.
        texts: What is said.
        load: When.
        ttfa_target_ms: Its own goal for TTFA; None: that of the workload.
    """

    name: str
    target: TargetSpec
    axes: Mapping[str, str | int | float] = field(default_factory=dict)
    voice: str | None = None
    speed: float = 1.0
    language: str | None = None
    texts: Texts = Texts()
    load: Load = Load()
    ttfa_target_ms: float | None = None

    @property
    def label(self) -> Label:
        """What its results may be compared with."""
        if not self.texts.unique or self.texts.custom:
            return "cached"
        return self.target.connections

    def replace(self, **changes: Any) -> Cell:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def goals(self, common: Goals) -> Goals:
        """What a listener of it expects, where `common` is expected of the workload."""
        return common if self.ttfa_target_ms is None else replace(common, ttfa_ms=self.ttfa_target_ms)

    def public(self) -> dict[str, Any]:
        """As JSON, without secrets."""
        return {**asdict(self), "axes": dict(self.axes), "target": self.target.public(), "label": self.label}


@dataclass(frozen=True, slots=True)
class Goals:
    """What a listener expects; a request that meets all of them is good.

    Attributes:
        ttfa_ms: Time to first audio.
        short_ttfa_ms: The same for texts under 50 characters, reported beside.
        buffer_ms: Pre-roll of the simulated player, for stalls, streaming efficiency and gapless shares.
    """

    ttfa_ms: float = TTFA_TARGET_MS
    short_ttfa_ms: float = SHORT_TTFA_TARGET_MS
    buffer_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Workload:
    """All that is to be measured in one session."""

    mode: str
    cells: tuple[Cell, ...]
    goals: Goals = Goals()

    def public(self) -> dict[str, Any]:
        """As JSON, without secrets."""
        return {"mode": self.mode, "goals": asdict(self.goals), "cells": [cell.public() for cell in self.cells]}

    @property
    def hash(self) -> str:
        """Equal for sessions that sent the same texts in the same way; where the target lives does not count."""
        shown = self.public()
        for cell in shown["cells"]:
            del cell["ttfa_target_ms"]  # it changes what is made of the answers
            for name in ("url", "name", "token", "headers", "verify_tls"):
                del cell["target"][name]
        return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]
