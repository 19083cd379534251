"""What a row says of a request is what happened to it: who made its audio, what of its time was the server's."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstaudio.audio.encode import make_encoder
from firstaudio.clock import NS_PER_S, now_ns
from firstaudio.config import CacheConfig, Config, StreamingConfig, TelemetryConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError
from firstaudio.server.framing import RawFraming
from firstaudio.server.responses import StreamedResponse
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance

LONG = "The first clause is kept, and it goes out at once. The second sentence has to be made, every time anew!"
SHORT = "Nothing follows."

Started = Callable[..., Any]


@pytest.fixture
def started(tools: Any, tmp_path: Path) -> Started:
    """Runs a server whose rows are those of this test alone."""

    @contextmanager
    def run(config: Config | None = None, engines: Any = None) -> Iterator[Any]:
        config = config or tools.settings()
        kept = replace(config.telemetry, state_folder=str(tmp_path / "state"))
        config = replace(config, telemetry=kept, cache=CacheConfig(warm_up=False))
        with tools.run(config, engines) as running:
            yield running

    return run


def rows(running: Any) -> list[dict[str, Any]]:
    """The measurements, the oldest first."""
    return running.get("/ttfa-measurements").json["measurements"][::-1]


class Counting(SyntheticEngine):
    """Counts the segments that it was asked for."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.num_segments = 0

    def prepare(self, request: Any) -> Any:
        self.num_segments += 1
        return super().prepare(request)


@pytest.mark.parametrize(
    ("text", "fields", "warmth", "num_made"),
    [
        (LONG, {"stream": False}, "warm", 1),
        (LONG, {"stream_format": "sse"}, "cached", 1),
        (LONG, {}, "cached", 1),
        (SHORT, {"stream": False}, "cached", 0),
        (SHORT, {}, "cached", 0),
    ],
)
def test_an_answer_is_cached_where_all_that_its_first_audio_needs_was_kept(
    tools: Any, started: Started, text: str, fields: dict[str, Any], warmth: str, num_made: int
):
    config = tools.settings()
    engine = Counting(config)
    with started(config, {"synthetic": engine}) as running:
        running.speak(input=text)
        before = engine.num_segments
        reply = running.speak(input=text, **fields)
        first, again = rows(running)

    assert engine.num_segments - before == num_made
    assert (first["details"]["warmth"], again["details"]["warmth"]) == ("cold", warmth)
    assert reply.headers["x-warmth"] == warmth


def test_a_whole_answer_of_which_only_the_beginning_was_kept_counts_for_the_target(tools: Any, started: Started):
    with started(replace(tools.settings(), telemetry=TelemetryConfig(ttfa_target_ms=0.5))) as running:
        for _ in range(3):
            running.speak(input=LONG, stream=False)
        summary = running.get("/ttfa-performance").json["summary"]

    assert (summary["attainment"]["num"], summary["attainment"]["n"]) == (0, 3)
    assert {name: group["num_requests"] for name, group in summary["by_warmth"].items()} == {"cold": 1, "warm": 2}


def test_a_whole_answer_that_fails_behind_what_was_kept_is_no_cached_one(tools: Any, started: Started):
    class Failing(SyntheticEngine):
        is_broken = False

        def prepare(self, request: Any) -> Any:
            if self.is_broken:
                raise EngineError("broken")
            return super().prepare(request)

    config = tools.settings()
    engine = Failing(config)
    with started(config, {"synthetic": engine}) as running:
        running.speak(input=LONG)
        engine.is_broken = True
        assert running.speak(input=LONG, stream=False).status == 500
        [_, failed] = rows(running)
        summary = running.get("/ttfa-performance").json["summary"]

    assert (failed["details"]["outcome"], failed["details"]["warmth"]) == ("failed", "warm")
    assert (summary["attainment"]["num"], summary["attainment"]["n"]) == (1, 2)


async def test_a_reader_that_pauses_does_not_make_the_server_slower(tools: Any):
    one = Synthesizer(replace(tools.settings(), streaming=StreamingConfig(max_lead_s=0.5)))
    await one.start()
    stream = one.stream(Utterance(LONG))
    paused_ns = 0

    async def read_slowly(message: Any) -> None:
        nonlocal paused_ns
        while message["type"] == "http.response.body" and stream.idle_since_ns is None:  # noqa: ASYNC110 (no event)
            await asyncio.sleep(0)
        begin_ns = now_ns()
        await asyncio.sleep(0)
        paused_ns += (now_ns() - begin_ns) * (message["type"] == "http.response.body")

    async def stay() -> Any:
        return await asyncio.Event().wait()

    response = StreamedResponse(stream, make_encoder("pcm", stream.sample_rate), RawFraming("audio/pcm"))
    await response({"type": "http"}, stay, read_slowly)
    await one.close()

    trace = stream.trace
    assert trace.outcome == "completed"
    assert 0 < paused_ns <= trace.reader_ns <= trace.stages_ns["chunk_delivery"]
    assert trace.rtf * trace.audio_s == pytest.approx(
        (trace.finished_ns - trace.accepted_ns - trace.reader_ns) / NS_PER_S
    )
