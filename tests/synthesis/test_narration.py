"""A start that is not quick tells what it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from firstaudio.clock import NS_PER_S
from firstaudio.synthesis.narration import Patience, narrated
from firstaudio.synthesis.synthesizer import Readiness

AT_ONCE = Patience(quiet_s=0.0, interval_s=0.0)


class Start:
    """A start whose every look at it is a second later, and at the next message."""

    def __init__(self, *readiness: Readiness) -> None:
        self._readiness: Iterator[Readiness] = iter(readiness)
        self.over = asyncio.Event()
        self.said: list[str] = []
        self._now_s = -1

    def clock(self) -> int:
        self._now_s += 1
        return self._now_s * NS_PER_S

    def readiness(self) -> Readiness:
        found = next(self._readiness, None)
        if found is None:
            self.over.set()
            return Readiness("ready", 1.0, "ready")
        return found


def starting(message: str) -> Readiness:
    return Readiness("starting", 0.0, message)


async def test_what_a_start_does_is_said_when_it_changes_and_never_once_it_is_over():
    start = Start(starting("loading"), starting("loading"), starting("warming up"))

    async with narrated(start.readiness, start.said.append, AT_ONCE, start.clock):
        await start.over.wait()
    assert start.said == ["starting, 1 s: loading", "starting, 3 s: warming up"]


async def test_what_goes_on_for_long_is_said_again():
    start = Start(*[starting("measuring")] * 5)

    async with narrated(start.readiness, start.said.append, Patience(0.0, 0.0, repeat_s=2.0), start.clock):
        await start.over.wait()
    assert start.said == [f"starting, {second} s: measuring" for second in (1, 3, 5)]


async def test_a_quick_start_says_nothing_and_leaves_no_task():
    start = Start(starting("loading"))

    async with narrated(start.readiness, start.said.append, Patience(quiet_s=1000.0)):
        pass
    assert start.said == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_start_that_fails_is_told_by_its_error_alone():
    start = Start(Readiness("failed", 0.0, "there is no model"))

    async with narrated(start.readiness, start.said.append, AT_ONCE, start.clock):
        await start.over.wait()
    assert start.said == []
