"""The responses without a socket: what is sent when, and what happens to the stream."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from firstaudio.audio.chunk import Chunk, WordMark
from firstaudio.audio.encode import make_encoder
from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.errors import EmptyTextError, EngineError, FirstaudioError, NotReadyError
from firstaudio.server.framing import EventFraming, RawFraming
from firstaudio.server.responses import SpeechResponse, StreamedResponse, WholeResponse, server_timing
from firstaudio.server.spool import Spool
from firstaudio.trace import Trace

RATE = 24_000


class FakeStream:
    """Yields chunks of 100 ms, then an end of the given kind."""

    voice, language, sample_rate = "größe", "en", RATE
    idle_since_ns: int | None = None

    def __init__(
        self, num_chunks: int, error: Exception | None = None, *, cancelled: bool = False, clock: Clock = now_ns
    ) -> None:
        self.trace = Trace(clock=clock)
        self.engine, self.held = "fake", False
        self.num_read = self.num_closed = 0
        self.begun = asyncio.Event()
        self._num_chunks, self._error, self._cancelled = num_chunks, error, cancelled

    def __aiter__(self) -> "FakeStream":
        return self

    async def __anext__(self) -> Chunk:
        await asyncio.sleep(0)
        if self.num_read < self._num_chunks:
            self.num_read += 1
            self.begun.set()
            self.engine = "second"  # the first one has failed before its first audio
            self.trace.failover = 'fake; reason="engine_error"'
            self.trace.ran("openvino-cpu", "windowed")
            return Chunk(np.full(RATE // 10, self.num_read, np.int16), RATE, words=(WordMark(0, 1, 0, 1),))
        if self._error:
            self.trace.finish("failed")
            raise self._error
        if self._cancelled or not self.held:
            self.trace.finish("cancelled" if self._cancelled else "completed")
        raise StopAsyncIteration

    def hold(self) -> None:
        self.held = True

    def delivered(self) -> None:
        self.trace.finish("completed")

    def broken(self, error: FirstaudioError) -> None:
        self.trace.finish("failed", error.message)

    async def aclose(self) -> None:
        self.num_closed += 1


class Wire:
    """Both ends of an ASGI conversation."""

    def __init__(self, on_send: Callable[["Wire"], Awaitable[None]] | None = None) -> None:
        self.sent: list[Any] = []
        self.gone = asyncio.Event()
        self._on_send = on_send

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self._on_send:
            await self._on_send(self)

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def carry(self, response: SpeechResponse) -> "Wire":
        await response({"type": "http"}, self.receive, self.send)
        return self

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def is_complete(self) -> bool:
        return bool(self.sent) and not self.sent[-1].get("more_body", True)

    def header(self, name: bytes) -> bytes:
        return dict(self.sent[0]["headers"])[name]


def streamed(stream: Any, *, sse: bool = False, name: str = "pcm") -> SpeechResponse:
    framing = EventFraming("a", RATE, words=False) if sse else RawFraming("audio/pcm")
    return StreamedResponse(stream, make_encoder(name, RATE), framing)


def whole(stream: Any) -> SpeechResponse:
    return WholeResponse(stream, Spool(make_encoder("pcm", RATE), RATE), "audio/pcm", RATE)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NS_PER_S

    def __call__(self) -> int:
        return self.now


async def until_gone(_: Wire) -> None:
    """A client that never reads."""
    await asyncio.Event().wait()


async def test_every_chunk_is_sent_by_itself_and_the_end_is_clean():
    wire = await Wire().carry(streamed(FakeStream(3)))
    assert [len(message.get("body", b"")) for message in wire.sent] == [0, 4_800, 4_800, 4_800, 0]
    assert wire.is_complete


@pytest.mark.parametrize("make", [streamed, whole])
async def test_the_stream_is_closed_at_the_end(make: Any):
    stream = FakeStream(3)
    await Wire().carry(make(stream))
    assert stream.num_closed == 1


@pytest.mark.parametrize(("make", "num_sent"), [(streamed, 4), (whole, 1)])
async def test_a_reader_that_pauses_when_all_is_made_is_not_in_the_real_time_factor(make: Any, num_sent: int):
    clock = HandClock()
    stream = FakeStream(3, clock=clock)
    stream.idle_since_ns = 0
    stream.trace.audio_s = 0.3

    async def pause(wire: Wire) -> None:
        clock.now += NS_PER_S * (len(wire.sent) > 1)  # not before the headers

    await Wire(pause).carry(make(stream))

    assert stream.trace.reader_ns == num_sent * NS_PER_S == stream.trace.stages_ns["chunk_delivery"]
    assert stream.trace.rtf == 0.0


async def test_what_the_engine_makes_while_the_reader_pauses_is_in_the_real_time_factor():
    clock = HandClock()
    stream = FakeStream(1, clock=clock)
    stream.trace.audio_s = 0.1

    async def make_on(wire: Wire) -> None:
        if wire.sent[-1].get("more_body"):
            clock.now += 2 * NS_PER_S  # the engine's
            stream.idle_since_ns = clock.now
            clock.now += 5 * NS_PER_S  # the reader's

    await Wire(make_on).carry(streamed(stream))

    assert stream.trace.reader_ns == 5 * NS_PER_S
    assert stream.trace.rtf == pytest.approx(2 / 0.1)


async def test_a_reader_that_never_comes_back_is_not_in_the_real_time_factor():
    clock = HandClock()
    stream = FakeStream(1, clock=clock)
    stream.trace.audio_s, stream.idle_since_ns = 0.1, 0

    async def leave(wire: Wire) -> None:
        if len(wire.sent) > 1:
            clock.now += NS_PER_S
            wire.gone.set()
            await until_gone(wire)

    await Wire(leave).carry(streamed(stream))
    stream.trace.finish("cancelled")

    assert (stream.trace.reader_ns, stream.trace.rtf) == (NS_PER_S, 0.0)


@pytest.mark.parametrize("make", [streamed, whole])
async def test_the_first_audio_is_noted_when_it_was_handed_over(make: Any):
    stream = FakeStream(1)
    noted: list[bool] = []

    async def note(_: Wire) -> None:
        noted.append(stream.trace.first_sent_ns is not None)

    await Wire(note).carry(make(stream))
    assert noted[:2] == [False, False]
    assert stream.trace.first_sent_ns is not None
    assert stream.trace.stages_ns["chunk_delivery"] > 0
    assert stream.trace.stages_ns["audio_conversion"] > 0


@pytest.mark.parametrize("make", [streamed, whole])
async def test_a_failure_before_the_first_audio_is_raised_and_nothing_was_sent(make: Any):
    stream, wire = FakeStream(0, EngineError("broken")), Wire()
    with pytest.raises(EngineError):
        await wire.carry(make(stream))
    assert (wire.sent, stream.num_closed) == ([], 1)


async def test_a_failure_before_everything_is_said_leaves_a_whole_response_unsent():
    wire = Wire()
    with pytest.raises(EngineError):
        await wire.carry(whole(FakeStream(5, EngineError("broken"))))
    assert wire.sent == []


@pytest.mark.parametrize("error", [EngineError("broken"), ZeroDivisionError()])
async def test_a_failure_after_the_first_audio_leaves_raw_audio_without_an_end(error: Exception):
    stream = FakeStream(2, error)
    wire = await Wire().carry(streamed(stream))
    assert (len(wire.body), wire.is_complete, stream.num_closed) == (9_600, False, 1)


@pytest.mark.parametrize("error", [EngineError("broken"), ZeroDivisionError()])
async def test_a_failure_after_the_first_audio_is_an_event(error: Exception):
    wire = await Wire().carry(streamed(FakeStream(2, error), sse=True))
    assert wire.is_complete
    assert b'"type":"speech.audio.error"' in wire.sent[-1]["body"]
    assert b"speech.audio.done" not in wire.body


@pytest.mark.parametrize(("num_chunks", "expected"), [(0, NotReadyError), (2, None)])
async def test_a_stream_that_the_shutdown_ended_does_not_pass_for_complete(
    num_chunks: int, expected: type[FirstaudioError] | None
):
    stream, wire = FakeStream(num_chunks, cancelled=True), Wire()
    if expected:
        with pytest.raises(expected):
            await wire.carry(streamed(stream))
    else:
        assert not (await wire.carry(streamed(stream))).is_complete


@pytest.mark.parametrize("make", [streamed, whole])
async def test_silence_is_the_texts_fault(make: Any):
    with pytest.raises(EmptyTextError):
        await Wire().carry(make(FakeStream(0)))


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac"])
async def test_audio_that_only_the_encoders_end_lets_go_is_sent_too(name: str):
    stream = FakeStream(1)
    stream.__class__ = type("Short", (FakeStream,), {"__anext__": _ten_samples})
    wire = await Wire().carry(streamed(stream, name=name))
    assert wire.is_complete
    assert wire.body
    assert stream.trace.first_sent_ns is not None


async def _ten_samples(stream: FakeStream) -> Chunk:
    chunk = await FakeStream.__anext__(stream)
    return chunk.with_pcm(chunk.pcm[:10])


async def test_a_client_that_does_not_read_is_not_read_for():
    stream, wire = FakeStream(1_000), Wire(until_gone)
    carrying = asyncio.create_task(wire.carry(streamed(stream)))
    for _ in range(100):
        await asyncio.sleep(0)
    assert stream.num_read == 1
    wire.gone.set()
    await carrying
    assert stream.num_closed == 1


@pytest.mark.parametrize("make", [streamed, whole])
async def test_a_client_that_leaves_ends_the_stream(make: Any):
    stream, wire = FakeStream(1_000_000), Wire()
    carrying = asyncio.create_task(wire.carry(make(stream)))
    await stream.begun.wait()
    wire.gone.set()
    await carrying
    assert (stream.num_closed, wire.is_complete) == (1, False)
    assert stream.num_read < 1_000_000


@pytest.mark.parametrize("make", [streamed, whole])
async def test_a_cancelled_response_closes_its_stream_and_leaves_no_task(make: Any):
    stream, wire = FakeStream(1_000_000), Wire()
    carrying = asyncio.create_task(wire.carry(make(stream)))
    await stream.begun.wait()
    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    assert stream.num_closed == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_whole_response_longer_than_memory_comes_from_disk_unchanged():
    stream = FakeStream(300)
    wire = await Wire().carry(whole(stream))
    expected = b"".join(np.full(RATE // 10, index + 1, "<i2").tobytes() for index in range(300))
    assert wire.body == expected
    assert wire.header(b"content-length") == str(len(expected)).encode()
    assert max(len(message.get("body", b"")) for message in wire.sent) <= 262_144


async def test_a_voice_of_any_name_fits_into_a_header():
    wire = await Wire().carry(streamed(FakeStream(1)))
    assert wire.header(b"x-voice") == b"gr%C3%B6%C3%9Fe"


@pytest.mark.parametrize("make", [streamed, whole])
async def test_headers_say_who_really_speaks_what_runs_and_who_was_passed_over(make: Any):
    wire = await Wire().carry(make(FakeStream(1)))
    names = (b"x-engine", b"x-runtime", b"x-decode", b"x-failover")
    assert [wire.header(name) for name in names] == [
        b"second",
        b"openvino-cpu",
        b"windowed",
        b'fake; reason="engine_error"',
    ]


async def test_a_whole_response_is_complete_when_its_last_byte_was_sent():
    stream = FakeStream(1)
    outcomes: list[Any] = []

    async def note(_: Wire) -> None:
        outcomes.append(stream.trace.outcome)

    await Wire(note).carry(whole(stream))
    assert (outcomes, stream.trace.outcome) == ([None, None], "completed")


async def test_many_ignored_fields_make_no_endless_header():
    fields = [f"field {index}" for index in range(1_000)]
    response = StreamedResponse(FakeStream(1), make_encoder("pcm", RATE), RawFraming("audio/pcm"), fields)  # type: ignore[arg-type]
    assert len((await Wire().carry(response)).header(b"x-ignored-fields")) < 2_000


def test_server_timing_holds_the_stages_and_the_time_until_now():
    now = 1_000_000
    trace = Trace(clock=lambda: now)
    trace.add("queue", 500_000)
    now = 3_500_000
    expected = (
        b"queue;dur=0.500, text_processing;dur=0.000, phonemize;dur=0.000, model_inference;dur=0.000, "
        b"audio_conversion;dur=0.000, chunk_delivery;dur=0.000, ttfa;dur=2.500"
    )
    assert server_timing(trace) == expected
