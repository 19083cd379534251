"""A target in this process, whose answers a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from firstaudio.bench.exchange import Exchange
from firstaudio.bench.spec import Reading
from firstaudio.bench.targets.base import Channel
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns

Behaviour = Callable[[Utterance, Exchange], Awaitable[None]]


async def at_once(utterance: Utterance, exchange: Exchange) -> None:
    """An answer after one turn of the event loop."""
    exchange.sent_ns = now_ns()
    await asyncio.sleep(0)
    exchange.arrived(b"audio")
    exchange.last_byte_ns = now_ns()


@dataclass
class FakeTarget:
    """Answers each utterance as `behaviour` says, and counts channels and requests.

    Attributes:
        behaviour: Fills the exchange, or raises.
        refuses: Raised by `open`, while it is set.
        spoken: Texts in order of arrival.
        most: Requests in flight at once.
    """

    behaviour: Behaviour = at_once
    refuses: Exception | None = None
    spoken: list[str] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    opened: int = 0
    closed: int = 0
    reading: Reading = field(default_factory=Reading)

    async def open(self) -> Channel:
        if self.refuses is not None:
            raise self.refuses
        self.opened += 1
        return FakeChannel(self)

    async def close(self) -> None:
        """Nothing is shared."""


@dataclass
class FakeChannel:
    target: FakeTarget
    is_open: bool = True

    async def speak(self, utterance: Utterance, exchange: Exchange) -> None:
        self.target.spoken.append(utterance.text)
        self.target.in_flight += 1
        self.target.most = max(self.target.most, self.target.in_flight)
        try:
            await self.target.behaviour(utterance, exchange)
        finally:
            self.target.in_flight -= 1

    async def close(self) -> None:
        self.target.closed += self.is_open
        self.is_open = False


@pytest.fixture
def target() -> FakeTarget:
    return FakeTarget()
