"""From a saved session of the harness to the figures of a run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from firstaudio.telemetry.runs.records import CellFigures, RunSummary

GIB = 2**30
OTHERS = "other processes"  # the harness's name of that check


def summarise_session(document: Mapping[str, Any]) -> RunSummary:
    """The figures of a session.

    Args:
        document: `<name>.json` as the harness writes it.

    Raises:
        ValueError: It has another shape.
    """
    try:
        cells = tuple(_figures(cell) for cell in document["cells"])
        warnings = session_warnings(document)
        typical = [figures for figures, cell in zip(cells, document["cells"], strict=True) if _is_typical(cell)]
        return RunSummary(
            verdict=str(document["verdict"]),
            reasons=tuple(map(str, document["reasons"])),
            completed=bool(document["completed"]),
            num_requests=sum(cell.num_requests for cell in cells),
            num_ok=sum(cell.num_ok for cell in cells),
            ttfa_ms=geometric_mean([cell.ttfa_ms for cell in typical]),
            rtf=geometric_mean([cell.rtf for cell in typical]),
            num_typical_cells=len(typical),
            num_warnings=len(warnings),
            first_warning=warnings[0] if warnings else None,
            others_cpu_share=_others(document["cells"]),
            machine=machine_hash(document["environment"]["machine"]),
            workload_hash=str(document["workload_hash"]),
            versions=_versions(document["environment"]["software"]),
            cells=cells,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the session has another shape than this version knows: {error!r}") from error


def session_warnings(document: Mapping[str, Any]) -> list[str]:
    """What the harness warns of, each once: what other processes took first, then its other doubts, then its remarks.

    Args:
        document: As for `summarise_session`; a part that is not there warns of nothing.
    """
    doubts = [
        (str(check["name"]) != OTHERS, f"{cell['name']}: {check['detail']}")
        for cell in document.get("cells", [])
        for check in cell.get("checks", [])
        if check["ok"] is False and not check["voids"]
    ]
    first = [sentence for _, sentence in sorted(doubts, key=itemgetter(0))]
    return list(dict.fromkeys([*first, *map(str, document.get("warnings", []))]))


def geometric_mean(values: Sequence[float | None]) -> float | None:
    """None unless there are values, each of them is known, and all are above 0."""
    known = [value for value in values if value is not None and value > 0]
    if not known or len(known) < len(values):
        return None
    return math.exp(math.fsum(map(math.log, known)) / len(known))


def machine_hash(machine: Mapping[str, Any]) -> str:
    """Short hash of the machine alone, so that runs of different versions on it can be compared."""
    memory = machine["memory_bytes"]
    equal = {
        "cpu": machine["cpu"],
        "cores": [machine["physical_cores"], machine["logical_cores"], machine["usable_cores"]],
        "memory_gib": memory and round(memory / GIB),
        "os": machine["os"],
    }
    return hashlib.sha256(json.dumps(equal, sort_keys=True).encode()).hexdigest()[:12]


def _is_typical(cell: Mapping[str, Any]) -> bool:
    """Whether its TTFA is that of one listener who is streamed to what no cache holds."""
    axes = cell["axes"]
    return bool(axes.get("concurrency") == 1 and axes.get("delivery") != "whole" and cell["label"] != "cached")


def _others(cells: Sequence[Mapping[str, Any]]) -> float | None:
    shares = [cell["client"]["others_cpu_share"] for cell in cells if cell["client"]]
    return max((float(share) for share in shares if share is not None), default=None)


def _figures(cell: Mapping[str, Any]) -> CellFigures:
    concurrency = cell["axes"].get("concurrency")
    return CellFigures(
        name=str(cell["name"]),
        label=str(cell["label"]),
        concurrency=concurrency if isinstance(concurrency, int) else None,
        num_requests=int(cell["issued"]),
        num_ok=int(cell["ok"]),
        ttfa_ms=_median(cell["distributions"], "ttfa_ms"),
        rtf=_median(cell["distributions"], "rtf"),
    )


def _median(distributions: Mapping[str, Any], name: str) -> float | None:
    value = distributions[name]["quantiles"]["p50"]["value"] if name in distributions else None
    return float(value) if value is not None else None


def _versions(software: Mapping[str, Any]) -> dict[str, str]:
    own = {name: software[name] for name in ("firstaudio", "python")}
    return {str(name): str(version) for name, version in {**own, **software["packages"]}.items()}
