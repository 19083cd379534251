"""One client of a load: keeps its channel, sends one request at a time, notes whatever goes wrong as a failure."""

from __future__ import annotations

import asyncio
import contextlib

from firstaudio.bench.exchange import Exchange, Failure, FailureKind, SpeakError
from firstaudio.bench.targets.base import Channel, Target
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns

CLOSE_TIMEOUT_S = 1.0
MAX_BACKOFF_S = 1.0
BACKOFF_S = 0.1


class Client:
    """A client.

    Args:
        target: Whom to ask.
        number: Unique over all load processes.
        timeout_s: For one request, connecting included.
        cold: A new channel for each request; opening it is part of the request.
    """

    def __init__(self, target: Target, number: int, *, timeout_s: float, cold: bool) -> None:
        self.number = number
        self._target = target
        self._timeout_s = timeout_s
        self._cold = cold
        self._channel: Channel | None = None

    async def prepare(self) -> None:
        """Open a warm channel beforehand. Where that fails, the first request tries again and has the failure."""
        if self._cold or self._channel is not None:
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timeout_s):
                self._channel = await self._target.open()

    async def request(self, utterance: Utterance, exchange: Exchange) -> None:
        """One request, from dispatch to its end; a failure of whatever kind is noted and not raised.

        Raises:
            asyncio.CancelledError: The harness ends the request; noted as well.
        """
        limit = asyncio.timeout(self._timeout_s)
        exchange.dispatched_ns = now_ns()
        try:
            async with limit:
                await self._speak(utterance, exchange)
        except SpeakError as error:
            exchange.failure = error.failure
        except asyncio.CancelledError:
            exchange.failure = Failure(FailureKind.CANCELLED, "the harness ended the run before the answer did")
            raise
        except Exception as error:  # noqa: BLE001 - a target is foreign code: its faults concern one request
            exchange.failure = self._fault(error, limit.expired(), exchange)
            if not limit.expired():  # nobody knows in what state such a channel is
                await self._drop()
        if self._cold:
            await self._drop()

    async def _speak(self, utterance: Utterance, exchange: Exchange) -> None:
        if self._channel is None:
            self._channel = await self._target.open()
            exchange.connected_ns = now_ns()
        await self._channel.speak(utterance, exchange)

    def _fault(self, error: Exception, expired: bool, exchange: Exchange) -> Failure:
        if expired:
            came = "its first bytes" if exchange.pieces else "nothing"  # no count: reports put equal messages together
            message = f"no complete answer within {self._timeout_s:g} s ({came} arrived): raise the timeout"
            return Failure(FailureKind.TIMEOUT, message)
        return Failure(FailureKind.TARGET_ERROR, f"the target raised {type(error).__name__}: {error}")

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await channel.close()

    async def close(self) -> None:
        """Close the channel; a channel that does not close is left behind after `CLOSE_TIMEOUT_S`."""
        await self._drop()


def backoff_s(exchange: Exchange) -> float:
    """How long a client of a closed loop waits after this answer, so that refusals do not make it spin.

    A target without room is asked again after its `Retry-After`, at most `MAX_BACKOFF_S`; one that cannot be reached
    after `BACKOFF_S`.
    """
    if exchange.failure is None or exchange.failure.kind not in (FailureKind.REFUSED, FailureKind.UNREACHABLE):
        return 0.0
    try:
        return min(max(float(exchange.headers["retry-after"]), 0.0), MAX_BACKOFF_S)
    except (KeyError, ValueError):  # none, or a date
        return BACKOFF_S
