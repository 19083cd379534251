"""`IdleTraffic`: texts of the tuner's own, spoken to nobody while nobody listens."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.errors import FirstaudioError
from firstaudio.synthesis.stream import SpeechStream
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

QUIET_S = 5.0  # without a listener, before it speaks
LONGEST_PAUSE_S = 300.0  # after failures in a row

_WHO = ("the courier", "a careful reader", "my neighbour", "the night train", "every visitor", "the old gardener")
_DOES = ("waits for", "remembers", "has lost sight of", "talks about", "will return to", "keeps a map of")
_WHAT = (
    "the quiet harbour",
    "a yellow bicycle",
    "the second winter",
    "an open window",
    "the long bridge",
    "the garden",
)
_WHEN = ("before the rain", "on Sunday", "late in the evening", "without a word", "after lunch", "for many years")
_NUM_SENTENCES = (1, 3, 6)  # short, medium, long


def texts(rng: random.Random) -> Iterator[str]:
    """Sentences without an end, of three lengths in turn; none begins like another: no cache is to know them."""
    while True:
        for number in _NUM_SENTENCES:
            yield " ".join(_sentence(rng) for _ in range(number))


class IdleTraffic:
    """Speaks one text after the other; makes way for whoever comes. Lives on the event loop.

    Args:
        synthesizer: Speaks.
        wanted: Whether there is anything to be learned at the moment.
        rng: Draws the texts.
        clock: Monotonic ns.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        wanted: Callable[[], bool],
        rng: random.Random,
        clock: Clock = now_ns,
        sleep: Callable[[float], object] = asyncio.sleep,
    ) -> None:
        self._synthesizer, self._wanted, self._clock, self._sleep = synthesizer, wanted, clock, sleep
        self._texts = texts(rng)
        self._stream: SpeechStream | None = None
        self._somebody_at_ns = clock()
        self.num_spoken = 0

    def make_way(self) -> None:
        """Somebody comes: what is being spoken ends within the step that runs, and counts no more from now on."""
        self._somebody_at_ns = self._clock()
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    async def run(self) -> None:
        """Speak while it is quiet; until it is cancelled."""
        failures = 0
        while True:
            if self._is_quiet() and self._wanted():
                failures = 0 if await self._speak() else failures + 1
                pause_s = 0.0 if not failures else min(LONGEST_PAUSE_S, QUIET_S * 2**failures)
            else:
                pause_s = QUIET_S / 2
            await self._wait(pause_s)

    async def _wait(self, seconds: float) -> None:
        result = self._sleep(seconds)
        if asyncio.iscoroutine(result):
            await result

    def _is_quiet(self) -> bool:
        if self._synthesizer.num_streams:
            self._somebody_at_ns = self._clock()
        return self._clock() - self._somebody_at_ns >= QUIET_S * NS_PER_S

    async def _speak(self) -> bool:
        """Say one text; False where that failed."""
        trace = Trace(request_id=f"tuner-{self.num_spoken}", origin="tuner", format="pcm", delivery="audio")
        try:
            stream = self._synthesizer.stream(Utterance(next(self._texts), request_id=trace.request_id), trace)
        except FirstaudioError as error:
            logger.info("the tuner cannot speak to itself now: %s", error.message)
            return False
        stream.hold()  # a stream that is cut off ends like one that is complete
        self._stream = stream
        try:
            return await self._listen(stream)
        finally:
            self._stream = None
            await stream.aclose()

    async def _listen(self, stream: SpeechStream) -> bool:
        try:
            async for chunk in stream:
                stream.trace.sent(round(chunk.duration_s * NS_PER_S))
                if self._synthesizer.readiness.state != "ready":
                    return True  # a shutdown does not wait for this
        except FirstaudioError as error:
            logger.info("the tuner's own text failed: %s", error.message)
            return False
        if self._stream is stream:
            self.num_spoken += 1
            stream.delivered()
        return True


def _sentence(rng: random.Random) -> str:
    who, does, what, when = (rng.choice(words) for words in (_WHO, _DOES, _WHAT, _WHEN))
    return f"{_name(rng)} says that {who} {does} {what}, {when}."


def _name(rng: random.Random) -> str:
    """A word that can be spoken and was not there before."""
    return "".join(rng.choice("bdfklmnprst") + rng.choice("aeiou") for _ in range(3)).capitalize()
