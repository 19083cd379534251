"""What the cells of one session have in common, and the usual ways to vary it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from firstaudio.bench.spec import Delivery, TargetSpec
from firstaudio.bench.workload import TEXT_CLASSES, Arrival, Cell, Goals, Load, Texts

PLANS = {"demo": 12, "quick": 36, "standard": 72, "tail": 368}  # measured requests per cell
DEFAULT_LEVELS = (1, 2, 4, 8, 16)
SPEEDS = (0.75, 1.0, 1.25, 1.5)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a user asked for.

    Attributes:
        target: Who is measured.
        voices: To be measured or compared; empty: whatever the target's default is.
        levels: Concurrency levels, or, in an open loop, the most requests in flight (the first one counts).
        requests: Measured requests per cell.
        texts: What is said, where the mode does not vary it.
        arrival: Closed or open loop.
        rate_per_s: Of an open loop.
        duration_s: Instead of `requests`.
        think_s: Pause of each client after an answer, on average.
        warmup: Unmeasured requests before each cell, at most.
        speed: Factor.
        goals: What a listener expects.
        voice_tests: Whether modes that compare voices beside other things do.
        speed_tests: The same for speaking speeds.
    """

    target: TargetSpec
    voices: tuple[str, ...] = ()
    levels: tuple[int, ...] = DEFAULT_LEVELS
    requests: int = PLANS["standard"]
    texts: Texts = field(default_factory=Texts)
    arrival: Arrival = "closed"
    rate_per_s: float | None = None
    start_rate_per_s: float | None = None
    duration_s: float | None = None
    think_s: float = 0.0
    warmup: int = 24
    speed: float = 1.0
    goals: Goals = field(default_factory=Goals)
    voice_tests: bool = True
    speed_tests: bool = True

    @property
    def voice(self) -> str | None:
        """The first voice; None leaves it to the target."""
        return self.voices[0] if self.voices else None

    def cell(self, name: str, concurrency: int = 1, **axes: str | int | float) -> Cell:
        """A cell at one concurrency; change what varies with `Cell.replace`."""
        load = Load(
            arrival=self.arrival,
            concurrency=concurrency,
            rate_per_s=self.rate_per_s,
            start_rate_per_s=self.start_rate_per_s,
            num_requests=self.requests,
            duration_s=self.duration_s,
            think_s=self.think_s,
            warmup_requests=self.warmup,
            seed=self.texts.seed,
        )
        return Cell(
            name=name,
            target=self.target,
            axes={"concurrency": concurrency, **axes},
            voice=self.voice,
            speed=self.speed,
            language=None if self.texts.language == "en" else self.texts.language,
            texts=self.texts,
            load=load,
        )

    def at_levels(self, prefix: str = "", **axes: str | int | float) -> Iterator[Cell]:
        """One cell per concurrency level."""
        return (self.cell(f"{prefix}c={level}", level, **axes) for level in self.levels)

    def by_text_class(self) -> Iterator[Cell]:
        """One cell per text class, one client."""
        for text_class in TEXT_CLASSES:
            texts = replace(self.texts, classes=(text_class,), custom=(), unique=True)
            yield self.cell(f"text={text_class}", text_class=text_class).replace(texts=texts)

    def by_voice(self, voices: Iterable[str]) -> Iterator[Cell]:
        """One cell per voice, one client."""
        return (self.cell(f"voice={voice}", voice=voice).replace(voice=voice) for voice in voices)

    def by_speed(self) -> Iterator[Cell]:
        """One cell per speaking speed, one client; none where they are not wanted."""
        speeds = SPEEDS if self.speed_tests else ()
        return (self.cell(f"speed={speed}", speed=speed).replace(speed=speed) for speed in speeds)

    def by_delivery(self, deliveries: Iterable[Delivery] = ("stream", "whole")) -> Iterator[Cell]:
        """Streamed and whole answers to the same kind of texts, one client."""
        for delivery in deliveries:
            yield self.cell(f"delivery={delivery}", delivery=delivery).replace(
                target=self.target.replace(delivery=delivery)
            )
