"""The feed: made once for all, only while somebody watches; a failure or a stuck viewer harms nobody else."""

import asyncio
import contextlib

import pytest

from firstaudio.errors import NotReadyError, OverloadedError
from firstaudio.server.dashboard.feed import FAILURE, HEARTBEAT, MAX_VIEWERS, Feed, FeedResponse


class Maker:
    """Makes numbered snapshots, one for each ticket."""

    def __init__(self, tickets=0):
        self.num_made = 0
        self.fails = False
        self._tickets = asyncio.Semaphore(tickets)

    def give(self, number=1):
        for _ in range(number):
            self._tickets.release()

    async def __call__(self):
        await self._tickets.acquire()
        self.num_made += 1
        if self.fails:
            raise ZeroDivisionError("as told")
        return str(self.num_made).encode()


@pytest.fixture
async def maker():
    return Maker()


@pytest.fixture
async def feed(maker):
    feed = Feed(maker, interval_s=0.0)
    yield feed
    await feed.close()
    assert is_at_rest(feed)


def is_at_rest(feed):
    """Whether no task of it runs."""
    return feed._task is None or feed._task.done()


def event(number):
    return b"data: %d\n\n" % number


async def test_a_snapshot_is_made_once_for_all_who_watch(feed, maker):
    async with contextlib.aclosing(feed.events()) as one, contextlib.aclosing(feed.events()) as two:
        waiting = asyncio.gather(anext(one), anext(two))
        maker.give()
        assert await waiting == [event(1), event(1)]
    assert maker.num_made == 1


async def test_nothing_is_made_while_nobody_watches(feed, maker):
    maker.give(5)
    async with contextlib.aclosing(feed.events()) as events:
        await anext(events)
    made = maker.num_made
    for _ in range(10):
        await asyncio.sleep(0)
    assert (maker.num_made, is_at_rest(feed), feed.num_viewers) == (made, True, 0)


async def test_who_comes_after_a_pause_sees_nothing_old(feed, maker):
    maker.give()
    async with contextlib.aclosing(feed.events()) as events:
        assert await anext(events) == event(1)
    async with contextlib.aclosing(feed.events()) as events:
        waiting = asyncio.ensure_future(anext(events))
        maker.give()
        assert await waiting == event(2)


async def test_who_joins_others_sees_the_last_snapshot_at_once(feed, maker):
    maker.give()
    async with contextlib.aclosing(feed.events()) as one, contextlib.aclosing(feed.events()) as two:
        await anext(one)
        assert await anext(two) == event(1)


async def test_a_slow_viewer_misses_snapshots_and_nothing_piles_up(feed, maker):
    maker.give()
    async with contextlib.aclosing(feed.events()) as slow, contextlib.aclosing(feed.events()) as quick:
        assert [await anext(slow), await anext(quick)] == [event(1), event(1)]
        maker.give(2)
        while await anext(quick) != event(3):
            pass
        assert await anext(slow) == event(3)


async def test_a_failure_is_told_logged_once_and_not_the_end(feed, maker, caplog):
    maker.fails = True
    async with contextlib.aclosing(feed.events()) as events:
        for _ in range(2):
            maker.give()
            assert await anext(events) == FAILURE
        maker.fails = False
        maker.give()
        assert await anext(events) == event(3)
    assert len(caplog.records) == 1


async def test_a_silence_is_broken_by_a_sign_of_life(maker):
    feed = Feed(maker, heartbeat_s=0.0)
    async with contextlib.aclosing(feed.events()) as events:
        assert await anext(events) == HEARTBEAT
    await feed.close()


async def test_closing_ends_every_viewers_events(feed, maker):
    events = feed.events()
    waiting = asyncio.ensure_future(anext(events, None))
    await asyncio.sleep(0)
    await feed.close()
    assert await waiting is None
    with pytest.raises(NotReadyError):
        feed.require_room()


async def test_there_is_room_for_so_many_and_no_more(feed, maker):
    maker.give()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_VIEWERS):
            feed.require_room()
            events = await stack.enter_async_context(contextlib.aclosing(feed.events()))
            await anext(events)
        with pytest.raises(OverloadedError):
            feed.require_room()
    feed.require_room()


async def test_a_viewer_that_takes_nothing_does_not_hold_up_the_end(feed, maker):
    maker.give()
    stuck = asyncio.Event()

    async def send(message):
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.Event().wait()

    response = asyncio.create_task(FeedResponse(feed)({}, asyncio.Event().wait, send))
    await stuck.wait()
    await feed.close()
    await response
    assert feed.num_viewers == 0


async def test_a_viewer_that_goes_is_forgotten_at_once(feed, maker):
    maker.give()
    gone, begun = asyncio.Event(), asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        begun.set()

    response = asyncio.create_task(FeedResponse(feed)({}, receive, send))
    await begun.wait()
    gone.set()
    await response
    assert feed.num_viewers == 0
