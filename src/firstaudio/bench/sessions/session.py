"""A saved benchmark, in memory. How it lies on disk is in `firstaudio.bench.sessions.store`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from firstaudio.bench.result import CellResult

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Clip:
    """The audio of one notable request, kept for listening.

    Attributes:
        cell: Name of its cell.
        index: Of the record.
        why: For people: "slowest to first audio", "longest stall", ...
        file: WAV file, relative to the session's folder.
    """

    cell: str
    index: int
    why: str
    file: str


@dataclass(slots=True)
class Session:
    """One benchmark. JSON by `to_json`; the raw rows are beside it in `records.jsonl`.

    Attributes:
        name: Also that of its folder.
        mode: "demo", "server", "voices", ...
        created: Wall clock of the beginning, ISO 8601 with zone; metadata, never used in arithmetic.
        origin_ns: `perf_counter_ns` at that moment.
        command: The command line that reproduces the run, as arguments, without secrets.
        configuration: `Workload.public()`.
        workload_hash: `Workload.hash`.
        environment: Machine, versions, load (`bench.machine.environment`).
        definitions: Metric formulas, statistics and onset parameters that were in force.
        targets: By name: the specification without secrets and what the server says of itself.
        cells: Computed results in order of running.
        findings: What a mode found beyond its cells, by kind: "preflight" (the target does not speak), "truth", "fit",
            "capacity", "ab", "discovery", "leak", "scenarios", "streaming", "recommendations". Each is
            JSON.
        clips: Audio kept for listening.
        warnings: For people, one sentence each.
        completed: False for a run that was interrupted: what is here is what it had until then.
        schema_version: Of this shape.
    """

    name: str
    mode: str
    created: str
    origin_ns: int
    command: list[str]
    configuration: Mapping[str, Any]
    workload_hash: str
    environment: Mapping[str, Any]
    definitions: Mapping[str, Any]
    targets: dict[str, Any] = field(default_factory=dict)
    cells: list[CellResult] = field(default_factory=list)
    findings: dict[str, Any] = field(default_factory=dict)
    clips: list[Clip] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    completed: bool = False
    schema_version: int = SCHEMA_VERSION

    @property
    def reasons(self) -> list[str]:
        """Why the session is INVALID, one sentence each; empty for a VALID one."""
        reasons = [] if self.completed else ["the run was interrupted: what is here is partial"]
        if "preflight" in self.findings:
            reasons = [f"nothing could be measured: {self.findings['preflight']['message']}"]
        if not any(cell.ok for cell in self.cells) and self.cells:
            reasons.append("no request succeeded")
        for cell in self.cells:
            reasons += [f"{cell.name}: {c.detail}" for c in cell.checks if c.voids and c.ok is False]
        return reasons

    @property
    def valid(self) -> bool:
        """Whether its numbers may be quoted."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """As JSON, with the verdict spelled out."""
        verdict = {"verdict": "VALID" if self.valid else "INVALID", "reasons": self.reasons}
        return {**asdict(self), **verdict}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Session:
        """The inverse of `to_json`; raises KeyError or TypeError for a document of another shape."""
        known = {name: document[name] for name in cls.__slots__}
        known["cells"] = [CellResult.from_json(cell) for cell in document["cells"]]
        known["clips"] = [Clip(**clip) for clip in document["clips"]]
        return cls(**known)
