"""The last measurements: what was added is found, whatever the disk does, and nobody waits for it."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.store import store as module
from firstaudio.telemetry.store.file import connect
from firstaudio.telemetry.store.store import BATCH, MAX_WAITING, MeasurementStore, VoiceCount

Make = Callable[..., Measurement]


class Disk:
    """Opens files unless it is told to refuse."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None

    def connect(self, path: Path) -> sqlite3.Connection:
        if self.refusal:
            raise self.refusal
        return connect(path)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def store(tmp_path: Path, disk: Disk) -> AsyncIterator[MeasurementStore]:
    store = MeasurementStore(tmp_path / "state" / "measurements.db", 10_000, 30, connect=disk.connect)
    yield store
    await store.close()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (what is waited for happens in a thread and tells nobody)
            await asyncio.sleep(0.001)


async def ids(store: MeasurementStore, limit: int = 100, **asked: Any) -> list[str]:
    return [each.request_id for each in await store.recent(limit, **asked)]


def add(store: MeasurementStore, make: Make, names: str, **changes: Any) -> None:
    for name in names:
        store.add(make(request_id=name, **changes))


async def test_what_was_added_is_found_at_once_the_newest_first(store: MeasurementStore, measurement: Make):
    store.open()
    added = [measurement(request_id=name, ttfa_ms=float(number)) for number, name in enumerate("abc")]
    for each in added:
        store.add(each)

    assert await store.recent(2) == added[:0:-1]
    assert await store.count() == 3
    assert (store.problem, store.num_waiting) == ("", 0)


async def test_measurements_outlive_the_store(store: MeasurementStore, measurement: Make):
    store.open()
    add(store, measurement, "ab")
    await store.close()
    again = MeasurementStore(store.path, 100, 30)
    again.open()
    try:
        assert await ids(again) == ["b", "a"]
    finally:
        await again.close()


async def test_before_it_is_opened_measurements_wait_in_memory_and_no_disk_is_touched(
    store: MeasurementStore, measurement: Make
):
    add(store, measurement, "ab")
    await store.flush()

    assert await ids(store, voice="alloy") == ["b", "a"]
    assert (await store.count(), await store.voices(3)) == (2, [])
    assert not store.path.parent.exists()
    store.open()
    assert await ids(store) == ["b", "a"]
    assert store.num_waiting == 0


async def test_rows_are_written_without_anybody_asking(
    store: MeasurementStore, measurement: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "WRITE_AFTER_S", 0.001)
    store.open()
    await store.flush()
    add(store, measurement, "a")
    assert store.num_waiting == 1

    await eventually(lambda: store.num_waiting == 0)


async def test_a_full_batch_is_written_at_once(
    store: MeasurementStore, measurement: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "WRITE_AFTER_S", 1e6)
    store.open()
    await eventually(lambda: store.path.exists())
    await store.flush()
    await asyncio.sleep(0)
    for _ in range(BATCH):
        store.add(measurement())

    await eventually(lambda: store.num_waiting == 0)


async def test_adding_never_waits_for_the_disk(tmp_path: Path, measurement: Make):
    stuck, go = threading.Event(), threading.Event()

    def slow(path: Path) -> sqlite3.Connection:
        stuck.set()
        assert go.wait(20)
        return connect(path)

    store = MeasurementStore(tmp_path / "measurements.db", 10_000, 30, connect=slow)
    store.open()
    await eventually(stuck.is_set)
    for _ in range(3 * BATCH):
        store.add(measurement())
    assert store.num_waiting == 3 * BATCH
    go.set()

    assert await store.count() == 3 * BATCH
    await store.close()


async def test_what_cannot_wait_any_longer_is_counted_and_said(store: MeasurementStore, measurement: Make):
    for number in range(MAX_WAITING + 5):
        store.add(measurement(request_id=str(number)))

    assert (store.num_waiting, store.num_lost) == (MAX_WAITING, 5)
    assert "5 measurements were lost" in store.problem
    assert await ids(store, 1) == [str(MAX_WAITING + 4)]
    assert store.status()["num_lost"] == 5


REFUSALS = [
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.OperationalError("attempt to write a readonly database"),
    PermissionError(13, "Permission denied"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_while_the_disk_refuses_memory_answers_and_then_everything_is_written(
    store: MeasurementStore, disk: Disk, measurement: Make, refusal: Exception, caplog: pytest.LogCaptureFixture
):
    disk.refusal = refusal
    store.open()
    add(store, measurement, "ab")
    with caplog.at_level(logging.WARNING):
        assert await ids(store) == ["b", "a"]
        add(store, measurement, "c")
        assert await ids(store) == ["c", "b", "a"]
    assert store.is_memory_only
    assert str(store.path) in store.problem
    assert len([each for each in caplog.records if "memory alone" in each.message]) == 1
    disk.refusal = None
    await store.flush()

    assert (store.problem, store.num_waiting) == ("", 0)
    assert await ids(store) == ["c", "b", "a"]


async def test_a_disk_that_refuses_is_asked_again(
    store: MeasurementStore, disk: Disk, measurement: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    disk.refusal = REFUSALS[0]
    store.open()
    add(store, measurement, "a")
    await eventually(lambda: store.is_memory_only)
    disk.refusal = None

    await eventually(lambda: store.num_waiting == 0)
    await eventually(lambda: not store.is_memory_only)


async def test_rows_in_the_file_and_rows_in_memory_are_one_list(tmp_path: Path, measurement: Make):
    full = {"is": False}

    class Full(sqlite3.Connection):
        def executemany(self, *arguments: Any) -> sqlite3.Cursor:
            if full["is"]:
                raise sqlite3.OperationalError("database or disk is full")
            return super().executemany(*arguments)

    def opens(path: Path) -> sqlite3.Connection:
        connect(path).close()
        return sqlite3.connect(path, isolation_level=None, factory=Full)

    store = MeasurementStore(tmp_path / "measurements.db", 100, 30, connect=opens)
    store.open()
    add(store, measurement, "ab")
    await store.flush()
    full["is"] = True
    add(store, measurement, "cd", voice="echo")

    assert await ids(store) == ["d", "c", "b", "a"]
    assert await ids(store, 3) == ["d", "c", "b"]
    assert await ids(store, voice="alloy") == ["b", "a"]
    assert (await store.count(), store.num_waiting) == (4, 2)
    assert "full" in store.problem
    full["is"] = False
    assert await ids(store) == ["d", "c", "b", "a"]
    assert store.num_waiting == 0
    await store.close()


async def test_a_corrupt_file_is_reported_and_nothing_waits(store: MeasurementStore, measurement: Make):
    store.path.parent.mkdir()
    store.path.write_bytes(b"no database at all" * 1000)
    store.open()
    add(store, measurement, "a")

    assert await ids(store) == ["a"]
    assert not store.is_memory_only
    assert ".corrupt-" in store.problem


async def test_a_row_of_our_own_mistake_is_lost_alone_and_counted(
    store: MeasurementStore, measurement: Make, caplog: pytest.LogCaptureFixture
):
    store.open()
    await store.flush()
    store.add(measurement(stages_ms={"queue": object()}))
    with pytest.raises(TypeError):
        await store.flush()
    add(store, measurement, "a")

    assert await ids(store) == ["a"]
    assert store.num_lost == 1


async def test_what_was_not_written_at_the_end_is_said(
    store: MeasurementStore, disk: Disk, measurement: Make, caplog: pytest.LogCaptureFixture
):
    disk.refusal = REFUSALS[0]
    store.open()
    add(store, measurement, "ab")
    await store.close()

    assert "2 measurements were never written" in caplog.text


async def test_closing_leaves_no_thread_and_may_be_repeated(store: MeasurementStore, measurement: Make):
    before = set(threading.enumerate())
    store.open()
    store.open()
    add(store, measurement, "a")
    await store.close()
    await store.close()

    assert not [one for one in set(threading.enumerate()) - before if one.name.startswith("measurements")]
    assert await ids(store) == []


async def test_the_voices_that_clients_heard_most_come_first(store: MeasurementStore, measurement: Make):
    store.open()
    add(store, measurement, "abc", voice="echo")
    add(store, measurement, "de", voice="alloy", timestamp=5.0)
    add(store, measurement, "f", voice="alloy", language="de")
    add(store, measurement, "gggg", voice="fable", origin="benchmark")
    add(store, measurement, "hhhh", voice="onyx", ttfa_ms=None)

    echo = VoiceCount("synthetic", "echo", "en-us", 3)
    german = VoiceCount("synthetic", "alloy", "de", 1)
    assert await store.voices(9) == [echo, VoiceCount("synthetic", "alloy", "en-us", 2), german]
    assert await store.voices(9, since=6.0) == [echo, german]
    assert await store.voices(1) == [echo]


FILTERS = st.fixed_dictionaries(
    {"limit": st.integers(1, 30), "since": st.none() | st.integers(0, 10)},
    optional={
        "voice": st.sampled_from(["alloy", "echo"]),
        "origin": st.sampled_from(["client", "tuner"]) | st.just({"client", "tuner"}),
        "outcome": st.just("completed"),
        "engine": st.just("synthetic"),
    },
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.integers(0, 10).map(float),
            "voice": st.sampled_from(["alloy", "echo"]),
            "origin": st.sampled_from(["client", "tuner", "warmup"]),
            "outcome": st.sampled_from(["completed", "failed"]),
        }
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=40)
@given(written=ROWS, waiting=ROWS, asked=FILTERS)
def test_a_question_finds_what_a_list_would(
    measurement: Make, tmp_path_factory: pytest.TempPathFactory, written: Any, waiting: Any, asked: Any
):
    disk = Disk()
    rows = [measurement(request_id=str(number), **changes) for number, changes in enumerate([*written, *waiting])]

    async def found() -> list[Measurement]:
        store = MeasurementStore(tmp_path_factory.mktemp("s") / "measurements.db", 1000, 30, connect=disk.connect)
        store.open()
        for row in rows[: len(written)]:
            store.add(row)
        await store.flush()
        for row in rows[len(written) :]:
            store.add(row)
        answer = await store.recent(**asked)
        await store.close()
        return answer

    def wanted(row: Measurement) -> bool:
        names = {name: {value} if isinstance(value, str) else value for name, value in asked.items()}
        since = asked["since"]
        return (since is None or row.timestamp >= since) and all(
            getattr(row, name) in names[name] for name in ("voice", "origin", "outcome", "engine") if name in names
        )

    expected = [row for row in reversed(rows) if wanted(row)][: asked["limit"]]
    assert asyncio.run(found()) == expected
