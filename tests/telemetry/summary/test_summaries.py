"""A window's summary: whose rows, from when, and how often it is computed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from firstaudio.clock import NS_PER_S
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store.store import MeasurementStore
from firstaudio.telemetry.summary import summaries as module
from firstaudio.telemetry.summary.summaries import MAX_KEPT, Summaries, WindowSummary, _window_summary

Make = Callable[..., Measurement]
NOW = 10_000.0


class HandClock:
    def __init__(self) -> None:
        self.now_s = 1.0

    def __call__(self) -> int:
        return round(self.now_s * NS_PER_S)


class CountingStore(MeasurementStore):
    """Counts how often it is asked."""

    num_asked = 0

    async def recent(self, *arguments: object, **more: object) -> list[Measurement]:  # type: ignore[override]
        self.num_asked += 1
        return await super().recent(*arguments, **more)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    store = CountingStore(tmp_path, 1000, 30)
    store.open()
    yield store
    await store.close()


@pytest.fixture
def summaries(store: CountingStore, clock: HandClock) -> Summaries:
    return Summaries(store, 800, lambda: NOW, clock)


async def test_it_is_of_clients_within_the_window(summaries: Summaries, store: CountingStore, measurement: Make):
    for seconds_ago, origin in ((5, "client"), (50, "client"), (5, "benchmark"), (5, "tuner"), (5, "warmup")):
        store.add(measurement(timestamp=NOW - seconds_ago, origin=origin))

    assert (await summaries.of_window(10)).summary.num_requests == 1
    assert (await summaries.of_window(100)).summary.num_requests == 2
    assert summaries.last is not None
    assert summaries.last.as_dict()["window_s"] == 100
    assert (await summaries.of_window(10)) is summaries.last


async def test_who_asks_again_soon_gets_what_is_known(
    summaries: Summaries, store: CountingStore, measurement: Make, clock: HandClock
):
    first = await summaries.of_window(10)
    store.add(measurement(timestamp=NOW))
    clock.now_s += 0.9
    assert await summaries.of_window(10) is first
    clock.now_s += 0.2

    assert (await summaries.of_window(10)).summary.num_requests == 1
    assert store.num_asked == 2


async def test_what_is_dear_stays_good_for_longer(
    summaries: Summaries, store: CountingStore, clock: HandClock, monkeypatch: pytest.MonkeyPatch
):
    def dear(*arguments: Any) -> WindowSummary:
        clock.now_s += 0.5
        return _window_summary(*arguments)

    monkeypatch.setattr(module, "_window_summary", dear)
    await summaries.of_window(10)
    clock.now_s += 9.9
    await summaries.of_window(10)
    assert store.num_asked == 1
    clock.now_s += 0.2
    await summaries.of_window(10)

    assert store.num_asked == 2


async def test_many_who_ask_at_once_are_one_computation(summaries: Summaries, store: CountingStore):
    answers = await asyncio.gather(*(summaries.of_window(10) for _ in range(20)))

    assert len({id(answer) for answer in answers}) == store.num_asked == 1


async def test_who_goes_away_while_it_is_computed_harms_nobody(summaries: Summaries):
    impatient = asyncio.create_task(summaries.of_window(10))
    await asyncio.sleep(0)
    patient = asyncio.create_task(summaries.of_window(10))
    impatient.cancel()

    assert (await patient).summary.num_requests == 0


async def test_it_says_when_there_are_more_rows_than_it_looks_at(
    summaries: Summaries, store: CountingStore, measurement: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MAX_ROWS", 3)
    for number in range(3):
        store.add(measurement(timestamp=NOW - 9 + number))
    assert (await summaries.of_window(10)).is_complete
    store.add(measurement(timestamp=NOW, ttfa_ms=1.0))
    found = await summaries.of_window(20)

    assert (found.is_complete, found.summary.num_requests, found.summary.ttfa.min) == (False, 3, 1.0)


async def test_only_some_windows_are_remembered(summaries: Summaries, store: CountingStore):
    for window_s in range(1, MAX_KEPT + 2):
        await summaries.of_window(window_s)
    await summaries.of_window(MAX_KEPT + 1)
    assert store.num_asked == MAX_KEPT + 1
    await summaries.of_window(1)

    assert store.num_asked == MAX_KEPT + 2
