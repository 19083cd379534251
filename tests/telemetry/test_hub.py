"""Telemetry is fed with traces, and nothing that observes it can harm a stream or another observer."""

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from firstaudio.config import CacheConfig, Config, EngineConfig, ServerConfig, SyntheticConfig, TelemetryConfig
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.telemetry.hub import Telemetry
from firstaudio.telemetry.measurement import Measurement

Begin = Callable[..., Any]


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts a synthesizer and its telemetry; closes them as the server does."""
    begun = []

    async def begin_(**telemetry: Any) -> tuple[Synthesizer, Telemetry]:
        config = Config(
            engine=EngineConfig(names=("synthetic",)),
            synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0),
            cache=CacheConfig(warm_up=False),
            telemetry=TelemetryConfig(**{"state_folder": str(tmp_path)} | telemetry),
        )
        synthesizer = Synthesizer(config)
        begun.append((synthesizer, Telemetry(config, synthesizer, lambda: 1000.0)))
        await begun[-1][1].start()
        await synthesizer.start()
        return begun[-1]

    yield begin_
    for synthesizer, telemetry in begun:
        await synthesizer.close()
        await telemetry.close()


async def speak(synthesizer: Synthesizer, name: str) -> None:
    async with synthesizer.stream(Utterance("Say this.", request_id=name)) as stream:
        async for _ in stream:
            pass


async def test_every_finished_trace_is_stored_and_told_to_observers(begin: Begin):
    synthesizer, telemetry = await begin()
    seen: list[Measurement] = []
    telemetry.add_observer(seen.append)
    for name in "ab":
        await speak(synthesizer, name)

    assert [row.request_id for row in seen] == ["a", "b"]
    assert await telemetry.store.recent(9) == seen[::-1]
    assert all(row.timestamp == pytest.approx(1000.0, abs=20) for row in seen)


async def test_an_observer_that_fails_harms_nobody(begin: Begin, caplog: pytest.LogCaptureFixture):
    synthesizer, telemetry = await begin()
    seen: list[Measurement] = []

    def fail(_: Measurement) -> None:
        raise ValueError("it broke")

    telemetry.add_observer(fail)
    telemetry.add_observer(seen.append)
    await speak(synthesizer, "a")

    assert len(seen) == 1
    assert "it broke" in caplog.text


async def test_what_is_measured_outlives_it(begin: Begin):
    before = set(threading.enumerate())
    synthesizer, telemetry = await begin()
    await speak(synthesizer, "a")
    await synthesizer.close()
    await telemetry.close()
    assert not [one for one in set(threading.enumerate()) - before if one.name.startswith("measurements")]
    _, again = await begin()

    assert [row.request_id for row in await again.store.recent(9)] == ["a"]


async def test_the_status_tells_of_the_store_and_of_the_last_summary(begin: Begin, tmp_path: Path):
    synthesizer, telemetry = await begin()
    assert telemetry.status()["performance"] is None
    await speak(synthesizer, "a")
    await telemetry.summaries.of_window(60)
    status = telemetry.status()

    assert status["performance"]["num_requests"] == 1
    assert status["store"] == {
        "path": str(tmp_path / "measurements-8000.db"),
        "is_memory_only": False,
        "problem": None,
        "num_waiting": 0,
        "num_lost": 0,
    }


async def test_switched_off_it_hears_and_keeps_nothing(begin: Begin, tmp_path: Path):
    synthesizer, telemetry = await begin(enabled=False)
    seen: list[Measurement] = []
    telemetry.add_observer(seen.append)
    await speak(synthesizer, "a")

    assert seen == await telemetry.store.recent(9) == []
    assert telemetry.status()["store"] is None
    assert not (tmp_path / "measurements-8000.db").exists()


async def test_servers_that_share_a_folder_do_not_answer_for_each_other(tmp_path: Path):
    places = [
        Telemetry(config, Synthesizer(config)).store.path
        for config in (
            Config(server=ServerConfig(port=port), telemetry=TelemetryConfig(state_folder=str(tmp_path)))
            for port in (8000, 8001)
        )
    ]

    assert places == [tmp_path / "measurements-8000.db", tmp_path / "measurements-8001.db"]
