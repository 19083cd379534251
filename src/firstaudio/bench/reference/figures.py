"""What a reference server states about itself: every figure, and how it is written as a command-line flag."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from firstaudio.errors import BenchError

PROTOCOLS = ("http", "ws", "wyoming")


def _figure(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Figures:
    """The truth about a reference server. The defaults are those of a good server on a good machine.

    Everything at 0 (`NULL`) makes the null server, which answers as fast as it can: what a client measures
    against it is the client.
    """

    ttfa_ms: float = _figure(50.0, "from the request's last byte to the first audio, in ms")
    rtf: float = _figure(0.3, "synthesis seconds per audio second, after the first chunk")
    chunk_ms: float = _figure(100.0, "audio per chunk, in ms")
    char_s: float = _figure(0.06, "audio per character at speed 1, in s")
    sample_rate: int = _figure(24_000, "of the audio, in Hz")
    capacity: int = _figure(0, "how many requests are synthesised at once, the others wait in line; 0: all")
    max_waiting: int = _figure(0, "how long the line may become, beyond it requests are refused with 429; 0: any")
    failure_rate: float = _figure(0.0, "share of requests that fail with 500, 0..1")
    stalls: tuple[tuple[float, float], ...] = _figure((), "AFTER_AUDIO_S:PAUSE_MS, repeatable: pauses in each answer")
    freeze: tuple[float, float] | None = _figure(None, "AT_S:FOR_S: the whole server stands still once")
    jitter_ms: float = _figure(0.0, "standard deviation of the lateness of chunks (normal, never early), in ms")
    streams: bool = _figure(True, "whether audio leaves before all of it is synthesised")
    early_header: bool = _figure(False, "send the response and WAV headers at the start, long before the first audio")
    token: str = _figure("", "bearer token (ElevenLabs: xi-api-key) that every request must carry")
    seed: int = _figure(1, "of failures and jitter")

    def __post_init__(self) -> None:
        """Raises BenchError for a figure that is out of range."""
        at_least = {"ttfa_ms": 0, "rtf": 0, "chunk_ms": 1, "char_s": 0.001, "sample_rate": 4000, "capacity": 0}
        at_least |= {"max_waiting": 0, "failure_rate": 0, "jitter_ms": 0}
        for name, low in at_least.items():
            if getattr(self, name) < low:
                raise BenchError(f"{name} of a reference server must be at least {low}, not {getattr(self, name)}")
        if self.token == "--":  # argparse takes it for the end of the flags
            raise BenchError("the token of a reference server cannot be '--'; choose another")
        if self.failure_rate > 1:
            raise BenchError(f"failure_rate is a share from 0 to 1, not {self.failure_rate}")
        pairs = self.stalls if self.freeze is None else (*self.stalls, self.freeze)
        if any(min(pair) < 0 for pair in pairs):
            raise BenchError(f"stalls and freezes have no negative numbers: {self.stalls}, {self.freeze}")

    def replace(self, **changes: Any) -> Figures:
        """A copy with some figures changed."""
        return replace(self, **changes)


NULL = Figures(ttfa_ms=0.0, rtf=0.0)


def to_flags(figures: Figures) -> Iterator[str]:
    """The flags by which `from_flags` makes equal figures."""
    for each in fields(Figures):
        value, flag = getattr(figures, each.name), "--" + each.name.replace("_", "-")
        if value == each.default:
            continue
        if isinstance(value, bool):
            yield flag if value else "--no-" + flag[2:]
        elif isinstance(value, tuple):
            pairs = value if each.name == "stalls" else (value,)
            yield from (f"{flag}={first!r}:{second!r}" for first, second in pairs)
        else:
            yield f"{flag}={value}" if isinstance(value, str) else f"{flag}={value!r}"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per figure."""
    for each in fields(Figures):
        flag, shown = "--" + each.name.replace("_", "-"), f"{each.metadata['help']} (default: {each.default})"
        if isinstance(each.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=each.default, help=shown)
        elif each.name == "stalls":
            parser.add_argument(flag, action="append", type=_pair, default=[], help=shown)
        elif each.name == "freeze":
            parser.add_argument(flag, type=_pair, help=shown)
        else:
            parser.add_argument(flag, type=type(each.default), default=each.default, help=shown)


def from_flags(parsed: argparse.Namespace) -> Figures:
    """The figures of parsed flags."""
    values = {each.name: getattr(parsed, each.name) for each in fields(Figures)}
    return Figures(**{**values, "stalls": tuple(values["stalls"])})


def _pair(text: str) -> tuple[float, float]:
    try:
        first, second = text.split(":")
        return float(first), float(second)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected two numbers as 1.5:250, got {text!r}") from None
