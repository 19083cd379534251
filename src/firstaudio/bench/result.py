"""What is computed from the records of a cell: the shapes of every figure that a session holds.

All of it is JSON by `dataclasses.asdict`. A figure that could not be had is None, never 0; why is beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantile with its confidence interval.

    Attributes:
        value: None when there are too few samples, or when it is infinite.
        low: Lower end of the two-sided 95 % interval; None if it cannot be stated.
        high: Upper end; None if it cannot be stated, or is infinite.
        needs: Samples needed, when there are too few.
        infinite: So many requests failed that the quantile is a failure.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    needs: int | None = None
    infinite: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """One per-request metric over a cell; failures are infinite (lower is better) or zero (higher is better).

    Attributes:
        n: Requests, failed ones included.
        num_failed: Of them.
        mean: Over successes; None without any.
        minimum: Over successes.
        maximum: Over successes.
        quantiles: "p50", "p90", "p95", "p99".
    """

    n: int
    num_failed: int
    mean: float | None
    minimum: float | None
    maximum: float | None
    quantiles: Mapping[str, Estimate]

    @property
    def median(self) -> Estimate:
        """The 50th percentile."""
        return self.quantiles["p50"]


@dataclass(frozen=True, slots=True)
class Check:
    """One consistency check or condition of validity.

    Attributes:
        name: Short, as "dispatch lag".
        ok: Whether it holds; None when it could not be judged.
        detail: With numbers, one sentence; for a failed one, what to do.
        voids: Whether a failure makes the cell INVALID (otherwise it is a warning).
    """

    name: str
    ok: bool | None
    detail: str
    voids: bool = True


@dataclass(frozen=True, slots=True)
class Floor:
    """What the client itself costs: the same client, as many of them, against a server that answers at once, in ms."""

    p50_ms: float
    p99_ms: float
    num_requests: int
    concurrency: int
    workers: int


@dataclass(frozen=True, slots=True)
class ClientSide:
    """How the harness itself fared during the window.

    Attributes:
        cpu_share: Of one core, by the busiest load process; 0.8 is too much.
        loop_lag_p99_ms: How late its event loop was.
        dispatch_lag_p99_ms: `dispatched - scheduled`; None in a closed loop.
        late_share: Requests dispatched more than 1 ms late; None in a closed loop.
        mean_in_flight: Requests in flight, averaged over the window, counted while it ran.
        others_cpu_share: Of the whole machine, used by processes other than the harness and a local target.
        workers: Load processes.
        floor: Beside every TTFA; None when it was not measured.
    """

    cpu_share: float
    loop_lag_p99_ms: float
    dispatch_lag_p99_ms: float | None
    late_share: float | None
    mean_in_flight: float
    others_cpu_share: float | None
    workers: int
    floor: Floor | None = None


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell, computed.

    Attributes:
        name: Of the cell.
        axes: Of the cell.
        label: "cold", "warm" or "cached".
        cell: The whole cell as JSON.
        window_s: Wall time from the first measured dispatch to the last byte of the last measured answer.
        issued: Measured requests; equals `ok + failed + cancelled`.
        failures: Count by kind, without those cancelled.
        distributions: By metric name (`bench.figures.metrics`), over measured requests.
        totals: By metric name; one figure for the cell, None if it has none.
        quality: Findings over the cell, by name.
        stages_ms: Median of each stage that the target reports, in ms.
        server: Resources of the server's process tree, when it was told which; else None.
        client: How the harness fared; None when recomputed from an incomplete session.
        checks: Consistency and validity.
        completed: False when the cell was interrupted.
    """

    name: str
    axes: Mapping[str, str | int | float]
    label: str
    cell: Mapping[str, Any]
    window_s: float
    issued: int
    ok: int
    failed: int
    cancelled: int
    failures: Mapping[str, int]
    distributions: Mapping[str, Distribution]
    totals: Mapping[str, float | None]
    quality: Mapping[str, float | None] = field(default_factory=dict)
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    server: Mapping[str, float | None] | None = None
    client: ClientSide | None = None
    checks: tuple[Check, ...] = ()
    completed: bool = True

    @property
    def valid(self) -> bool:
        """No check that voids it has failed."""
        return not any(check.voids and check.ok is False for check in self.checks)

    def ttfa_target_ms(self, common_ms: float) -> float:
        """The time to first audio that it was held to, where `common_ms` is the goal of the workload."""
        own = self.cell.get("ttfa_target_ms")
        return common_ms if own is None else float(own)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> CellResult:
        """The inverse of `to_json`."""
        client = row["client"]
        return cls(
            **{
                **row,
                "distributions": {name: _distribution(d) for name, d in row["distributions"].items()},
                "client": client and ClientSide(**{**client, "floor": client["floor"] and Floor(**client["floor"])}),
                "checks": tuple(Check(**check) for check in row["checks"]),
            }
        )


def _distribution(row: Mapping[str, Any]) -> Distribution:
    return Distribution(**{**row, "quantiles": {name: Estimate(**e) for name, e in row["quantiles"].items()}})
