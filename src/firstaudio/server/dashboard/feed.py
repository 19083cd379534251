"""`Feed`: one snapshot a second, made once for all who watch and not at all when nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from firstaudio.errors import NotReadyError, OverloadedError

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
HEARTBEAT_S = 5.0
MAX_VIEWERS = 32
LAST_WORDS_S = 0.5  # for a viewer to take the end of the body when the server shuts down

HEARTBEAT = b": still here\n\n"
FAILURE = b'event: failure\ndata: {"message": "the server could not make a snapshot; its log says why"}\n\n'


class Feed:
    """Server-sent events with snapshots; lives on the event loop.

    A viewer that reads too slowly misses snapshots; it never makes others wait, and nothing piles up for it.

    Args:
        make: Makes one snapshot, as JSON in one line.
        interval_s: From one snapshot to the next.
        heartbeat_s: The longest silence.
    """

    def __init__(
        self, make: Callable[[], Awaitable[bytes]], interval_s: float = INTERVAL_S, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        self._make, self._interval_s, self._heartbeat_s = make, interval_s, heartbeat_s
        self._event, self._number = b"", 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False
        self.num_viewers = 0
        self.closed = asyncio.Event()

    def require_room(self) -> None:
        """Raise NotReadyError when the server shuts down, OverloadedError when too many watch."""
        if self.closed.is_set():
            raise NotReadyError("the server is shutting down; try again shortly")
        if self.num_viewers >= MAX_VIEWERS:
            raise OverloadedError(f"{MAX_VIEWERS} dashboards are open already; close one of them", retry_after_s=10)

    async def events(self) -> AsyncGenerator[bytes]:
        """Each new snapshot as an event, with comments in longer silences; ends when the feed is closed."""
        seen = self._enter()
        try:
            while not self.closed.is_set():
                if self._number > seen:
                    seen = self._number
                    yield self._event
                elif not await self._is_news():
                    yield HEARTBEAT
        finally:
            self._leave()

    async def close(self) -> None:
        """End every viewer's events; returns when nothing runs any more. Idempotent."""
        self.closed.set()
        self._wake()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _enter(self) -> int:
        """Begin to watch; the number of the last snapshot that is too old to be shown."""
        self.num_viewers += 1
        if self._task is not None:
            return self._number - 1 if self._event else self._number
        self._task = asyncio.create_task(self._run(), name="dashboard")
        return self._number

    def _leave(self) -> None:
        self.num_viewers -= 1
        if not self.num_viewers and self._task is not None:
            self._task.cancel()
            self._task = None  # the next viewer begins anew, also while this one is still on its way out
            self._event = b""

    async def _is_news(self) -> bool:
        """Wait for something new; False where nothing came for a while."""
        news = self._news
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat_s):
                await news.wait()
        return news.is_set()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _run(self) -> None:
        while self.num_viewers:
            self._event = await self._next_event()
            self._number += 1
            self._wake()
            await asyncio.sleep(self._interval_s)

    async def _next_event(self) -> bytes:
        try:
            event = b"data: " + await self._make() + b"\n\n"
        except Exception:  # the boundary of this task: the viewers are told, and the next one may succeed
            if not self._is_failing:
                logger.exception("a snapshot for the dashboard could not be made")
            self._is_failing = True
            return FAILURE
        self._is_failing = False
        return event


class FeedResponse(Response):
    """The events of a feed, until the viewer goes or the server shuts down.

    Args:
        feed: With room for one more.
    """

    media_type = "text/event-stream"

    def __init__(self, feed: Feed) -> None:
        super().__init__(headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's signature)
        """Deliver."""
        delivery = asyncio.create_task(self._deliver(send))
        departure = asyncio.create_task(_departure(receive))
        closing = asyncio.create_task(self._feed.closed.wait())
        try:
            await asyncio.wait((delivery, departure, closing), return_when=asyncio.FIRST_COMPLETED)
            if not departure.done():
                await asyncio.wait((delivery,), timeout=LAST_WORDS_S)
        finally:
            for task in (delivery, departure, closing):
                task.cancel()
            await asyncio.wait((delivery, departure, closing))
        if not delivery.cancelled():
            delivery.result()

    async def _deliver(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with contextlib.aclosing(self._feed.events()) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _departure(receive: Receive) -> None:
    """Wait until the viewer is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
