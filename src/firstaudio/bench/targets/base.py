"""What a target is: something that can be asked to speak, over connections that its clients keep.

A `Target` is made from a `TargetSpec` (data: it goes into the session file, and to load workers in other processes).
Each client of a run opens one `Channel` and sends one utterance after the other through it.
"""

from __future__ import annotations

from typing import Protocol

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.spec import Reading
from firstaudio.bench.utterance import Utterance


class Channel(Protocol):
    """One client's way to a target. One request at a time; usable again after a failed one."""

    async def speak(self, utterance: Utterance, exchange: Exchange) -> None:
        """Send one utterance and fill the exchange until the end of the answer.

        Sets `sent_ns`, `headers_ns`, `status`, `headers`, `last_byte_ns`, and `connected_ns` when it had to connect.
        A channel whose connection the target has closed while idle connects again by itself.
        Cancellation (the runner's deadline) leaves the channel usable: whatever was underway is thrown away, the next
        `speak` begins afresh.

        Raises:
            SpeakError: The request failed. What had arrived until then stays on the exchange.
        """
        ...

    async def close(self) -> None:
        """Release the connection. Idempotent."""
        ...


class Target(Protocol):
    """Something that speaks."""

    @property
    def reading(self) -> Reading:
        """How the audio lies in what arrives."""
        ...

    async def open(self) -> Channel:
        """A connected channel. Raises SpeakError (unreachable)."""
        ...

    async def close(self) -> None:
        """Release what all channels share. Idempotent."""
        ...
