"""What the targets that are not HTTP share: noting a piece, and refusing what the target would not learn."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.utterance import Utterance

MAX_BODY_BYTES = 256 * 2**20  # 90 minutes of 24 kHz int16: no text of a benchmark needs as much


class Intake:
    """Fills one exchange.

    Args:
        exchange: Of the request that is underway.
        max_bytes: Beyond it the answer is called endless.
    """

    __slots__ = ("_left", "exchange")

    def __init__(self, exchange: Exchange, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.exchange = exchange
        self._left = max_bytes

    def take(self, data: bytes, at_ns: int) -> None:
        """Note a piece that arrived at `at_ns`. Raises SpeakError (endless)."""
        self.exchange.arrived(data, at_ns)
        self._left -= len(data)
        if self._left < 0:
            message = f"the answer is endless ({len(self.exchange.pieces):,} pieces for one text): look why"
            raise SpeakError(FailureKind.ENDLESS, message)


def require_told(told: AbstractSet[str], utterance: Utterance, what_to_do: str) -> None:
    """Refuse a request of which the target would not learn everything: its figures would be called something else.

    Args:
        told: What the target is told, of "voice", "speed" and "language".
        utterance: The request.
        what_to_do: For a person.

    Raises:
        SpeakError: Something would be lost.
    """
    speed = None if utterance.speed == 1.0 else f"{utterance.speed:g}"
    asked = {"voice": utterance.voice, "speed": speed, "language": utterance.language}
    for name, value in asked.items():
        if value is not None and name not in told:
            raise SpeakError(FailureKind.PROTOCOL, f"the target cannot be told the {name} {value!r}: {what_to_do}")
