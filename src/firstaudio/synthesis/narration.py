"""What a start that takes its time says meanwhile: nothing while it is quick, then what is being done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.synthesis.synthesizer import Readiness


@dataclass(frozen=True, slots=True)
class Patience:
    """When a start speaks up.

    Attributes:
        quiet_s: A start that is over before says nothing, in seconds.
        interval_s: How often is looked whether it does something else, in seconds.
        repeat_s: What still goes on is said again after so many seconds.
    """

    quiet_s: float = 2.0
    interval_s: float = 0.25
    repeat_s: float = 30.0


PATIENCE = Patience()
_BEFORE_ENGINES = {"not started": "the engines come next"}


@asynccontextmanager
async def narrated(
    readiness: Callable[[], Readiness],
    say: Callable[[str], None],
    patience: Patience = PATIENCE,
    clock: Clock = now_ns,
) -> AsyncIterator[None]:
    """Say what a start is doing while the block waits for it: when it changes, and from time to time.

    Args:
        readiness: Of the synthesizer that is started; what it tells is said only while it starts.
        say: Prints a line.
        patience: When.
        clock: For tests.
    """
    narrator = asyncio.create_task(_narrate(readiness, say, patience, clock), name="tell of the start")
    try:
        yield
    finally:
        narrator.cancel()
        await asyncio.gather(narrator, return_exceptions=True)


async def _narrate(
    readiness: Callable[[], Readiness], say: Callable[[str], None], patience: Patience, clock: Clock
) -> None:
    begin_ns = clock()
    said, said_s = "", 0.0
    await asyncio.sleep(patience.quiet_s)
    while True:
        now, passed_s = readiness(), (clock() - begin_ns) / NS_PER_S
        is_news = now.message != said or passed_s - said_s >= patience.repeat_s
        if now.state == "starting" and is_news:
            say(f"starting, {passed_s:.0f} s: {_BEFORE_ENGINES.get(now.message, now.message)}")
            said, said_s = now.message, passed_s
        await asyncio.sleep(patience.interval_s)
