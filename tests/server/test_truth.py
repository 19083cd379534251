"""What a row says of a request is what happened to it: who made its audio, what of its time was the server's."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstaudio.audio.encode import make_encoder
from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns
from firstaudio.config import CacheConfig, Config, StreamingConfig, TelemetryConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError
from firstaudio.server.app import create_app
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


class Held(SyntheticEngine):
    """Gives a segment's first chunk when it is told to."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.is_asked, self.may_speak = threading.Event(), threading.Event()

    def steps(self, prepared: Any) -> Iterator[Any]:
        self.is_asked.set()
        assert self.may_speak.wait(20)
        yield from super().steps(prepared)


class Connection:
    """The server's side of a connection, with the moment of everything that happens on it.

    Attributes:
        asked_ns: When the server first wanted the request's body.
        given_ns: When each part of the answer's body was handed over.
        taken_ns: When it was taken, which takes a while.
    """

    def __init__(self, body: bytes) -> None:
        self._body, self._is_asked = body, False
        self.asked_ns = 0
        self.given_ns: list[int] = []
        self.taken_ns: list[int] = []

    async def receive(self) -> Any:
        if self._is_asked:
            await asyncio.Event().wait()  # the client stays
        self._is_asked, self.asked_ns = True, now_ns()
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Any) -> None:
        if not message.get("body"):
            return
        self.given_ns.append(now_ns())
        pass_time()
        self.taken_ns.append(now_ns())


def pass_time() -> None:
    """So that what is stamped before it differs from what is stamped after it."""
    until_ns = now_ns() + 2 * NS_PER_MS
    while now_ns() < until_ns:
        pass


def scope_of(body: bytes) -> dict[str, Any]:
    headers = [(b"host", b"test"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/audio/speech",
        "raw_path": b"/v1/audio/speech",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
    }


@pytest.mark.parametrize("fields", [{}, {"response_format": "wav"}, {"stream_format": "sse"}, {"stream": False}])
async def test_ttfa_ends_when_the_connection_has_taken_the_first_audio_and_not_later(
    tools: Any, tmp_path: Path, fields: dict[str, Any]
):
    """One clock for both sides: the server's figure lies between what can be seen around it."""
    config = replace(
        tools.settings(),
        telemetry=TelemetryConfig(state_folder=str(tmp_path)),
        cache=CacheConfig(warm_up=False),
    )
    engine = Held(config)
    app = create_app(config, {"synthetic": engine})
    body = json.dumps({"input": LONG, "response_format": "pcm"} | fields).encode()
    connection = Connection(body)
    async with app.router.lifespan_context(app):
        await app.state.service.startup
        called_ns = now_ns()
        asking = asyncio.create_task(app(scope_of(body), connection.receive, connection.send))
        await asyncio.to_thread(engine.is_asked.wait, 20)
        pass_time()
        released_ns = now_ns()
        engine.may_speak.set()
        await asking
        ended_ns = now_ns()
        [row] = await app.state.service.telemetry.store.recent(1)

    next_ns = [*connection.given_ns, ended_ns][1]
    assert called_ns < connection.asked_ns < released_ns < connection.given_ns[0]
    assert connection.taken_ns[0] - connection.asked_ns <= row.ttfa_ms * NS_PER_MS <= next_ns - called_ns
    assert connection.taken_ns[-1] - connection.asked_ns <= row.duration_ms * NS_PER_MS <= ended_ns - called_ns
