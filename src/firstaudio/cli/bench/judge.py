"""What a command line may ask for, judged before anything runs: ranges of figures, and errors that are the user's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from firstaudio.errors import BenchError, ConfigError

# Flag: least and greatest value, and what the figure is.
RANGES: dict[str, tuple[float, float, str]] = {
    "timeout": (0.001, 86_400.0, "seconds for one request"),
    "duration": (0.1, 604_800.0, "seconds"),
    "rate": (0.001, 100_000.0, "requests per second"),
    "start_rate": (0.001, 100_000.0, "requests per second"),
    "think": (0.0, 3600.0, "seconds"),
    "speed": (0.1, 10.0, "a factor"),
    "sample_rate": (1.0, 1_000_000.0, "in Hz"),
    "tokens_per_s": (0.001, 1_000_000.0, "tokens per second"),
    "warmup": (0.0, 1_000_000.0, "a number of requests"),
    "workers": (0.0, 1024.0, "a number of processes"),
    "server_pid": (1.0, 2.0**31, "the id of a process"),
    "ttfa_target": (0.001, 1e9, "milliseconds"),
    "buffer": (0.0, 1e9, "milliseconds"),
    "per_round": (1.0, 1_000_000.0, "a number of requests"),
}
PROGRESS = ("auto", "json")


class UsageError(ConfigError):
    """The command line asks for something that cannot be."""

    code = "usage"


def check(flags: SimpleNamespace) -> None:
    """Judge every figure on the command line. Raises UsageError."""
    for name, (low, high, what) in RANGES.items():
        value = getattr(flags, name, None)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise UsageError(f"--{name.replace('_', '-')} is {what}, from {low:g} to {high:g}, not {value:g}")
    if flags.progress not in PROGRESS:
        raise UsageError(f"--progress {flags.progress} is not known; use one of {', '.join(PROGRESS)}")


@contextmanager
def usage() -> Iterator[None]:
    """What the harness refuses in this block is the fault of the command line."""
    try:
        yield
    except BenchError as error:
        raise UsageError(error.message) from error
