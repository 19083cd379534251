import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.targets.pacing import alongside, cut, paced


class HandMoved:
    """A clock that only sleeping and `now` move."""

    def __init__(self) -> None:
        self.now = 1_000
        self.sleeps: list[float] = []

    def __call__(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += round(seconds * 1e9)


@given(st.text())
def test_the_pieces_make_up_the_text_exactly(text: str) -> None:
    assert "".join(cut(text)) == text


@given(st.text())
def test_no_piece_is_empty(text: str) -> None:
    assert all(cut(text))


def test_short_words_stay_whole_and_long_ones_are_cut_evenly() -> None:
    assert cut("A cat sleeps on synthesizers.") == ["A", " cat", " sle", "eps", " on", " synt", "hesi", "zers."]


def test_space_at_the_end_belongs_to_the_last_word() -> None:
    assert cut("Go on \n") == ["Go", " on \n"]


async def test_pieces_come_at_absolute_times() -> None:
    clock = HandMoved()
    seen = [(piece, clock.now) async for piece in paced(["a", "b", "c"], 4.0, clock=clock, sleep=clock.sleep)]
    assert seen == [("a", 1_000), ("b", 250_001_000), ("c", 500_001_000)]


async def test_a_slow_receiver_delays_no_later_piece() -> None:
    clock = HandMoved()
    seen = []
    async for piece in paced(["a", "b", "c", "d"], 10.0, clock=clock, sleep=clock.sleep):
        seen.append((piece, clock.now))
        clock.now += 150_000_000 if piece == "a" else 0
    assert seen == [("a", 1_000), ("b", 150_001_000), ("c", 200_001_000), ("d", 300_001_000)]


async def test_a_sleep_that_wakes_early_is_slept_again() -> None:
    clock = HandMoved()

    async def half(seconds: float) -> None:
        await clock.sleep(seconds / 2 if seconds > 0.01 else seconds)

    last = [clock.now async for _ in paced(["a", "b"], 10.0, clock=clock, sleep=half)][-1]
    assert last == 100_001_000


async def test_the_end_of_receiving_ends_the_sender() -> None:
    ended = []

    async def send() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("send")

    async def receive() -> None:
        await asyncio.sleep(0)

    await alongside(send(), receive())
    assert ended == ["send"]


async def test_a_sender_that_raises_ends_the_receiver() -> None:
    async def send() -> None:
        raise ZeroDivisionError

    async def receive() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        await alongside(send(), receive())


async def test_receiving_goes_on_when_all_is_sent() -> None:
    sent = asyncio.Event()
    done = []

    async def send() -> None:
        sent.set()

    async def receive() -> None:
        await sent.wait()
        await asyncio.sleep(0)
        done.append("all")

    await alongside(send(), receive())
    assert done == ["all"]
