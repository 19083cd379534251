"""What a step will take, learned from what steps took: a fixed part, and a part for each unit of size."""

from __future__ import annotations

MEMORY = 0.95  # how much of a step's weight is left after the next: some twenty steps count, so a slower clock is seen
SEED_WEIGHT = 3.0  # steps that a seed counts as


class Cost:
    """A line through the times of past steps, by weighted least squares. Not thread-safe.

    A line needs two sizes: while all steps have had the same one, the cost is taken to be in proportion to it.
    """

    def __init__(self) -> None:
        self._weight = self._size = self._time = self._square = self._product = 0.0

    @classmethod
    def seeded(cls, size: float, took_ns: float) -> Cost:
        """A cost that begins with what was measured before: one step of `size`."""
        cost = cls()
        cost._add(size, took_ns, SEED_WEIGHT)
        return cost

    def learn(self, size: float, took_ns: float) -> None:
        """Take in what a step has taken."""
        for name in ("_weight", "_size", "_time", "_square", "_product"):
            setattr(self, name, getattr(self, name) * MEMORY)
        self._add(size, took_ns, 1.0)

    def predict_ns(self, size: float) -> float:
        """What a step of `size` will take; 0 while nothing is known, so that it is tried."""
        line = self.line()
        return 0.0 if line is None else line[0] + line[1] * size

    def line(self) -> tuple[float, float] | None:
        """The fixed part and the part for each unit of size, in ns; neither is negative. None: nothing is known."""
        if self._weight == 0:
            return None
        mean_size, mean_time = self._size / self._weight, self._time / self._weight
        spread = self._square / self._weight - mean_size**2
        if spread <= 1e-6 * mean_size**2:
            return (0.0, mean_time / mean_size) if mean_size > 0 else (mean_time, 0.0)
        slope = (self._product / self._weight - mean_size * mean_time) / spread
        slope = min(max(slope, 0.0), mean_time / mean_size)
        return mean_time - slope * mean_size, slope

    def _add(self, size: float, took_ns: float, weight: float) -> None:
        self._weight += weight
        self._size += weight * size
        self._time += weight * took_ns
        self._square += weight * size * size
        self._product += weight * size * took_ns
