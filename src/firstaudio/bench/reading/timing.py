"""The header `Server-Timing`: what a target says of its own stages.

Source: W3C Server Timing.
"""

from __future__ import annotations

import math
import re

_ENTRIES = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')
_PARAMETERS = re.compile(r'(?:[^;"]|"(?:\\.|[^"\\])*"?)+')


def server_timing_ms(header: str) -> dict[str, float]:
    """Duration of each stage that states one, in ms; of a stage that comes more than once, the sum."""
    stages: dict[str, float] = {}
    for entry in _ENTRIES.findall(header):
        name, _, rest = (part.strip() for part in entry.partition(";"))
        duration = _duration(_PARAMETERS.findall(rest))
        if name and duration is not None:
            stages[name] = stages.get(name, 0.0) + duration
    return stages


def _duration(parameters: list[str]) -> float | None:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "dur":
            return _number(value.strip().strip('"'))
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
