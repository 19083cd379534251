import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import firstaudio.bench.targets.wyoming  # noqa: F401 # isort: skip # first: it silences what wyoming's own import warns of

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, TtsProgram
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStop, SynthesizeStopped

from firstaudio.bench.exchange import Exchange, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.wyoming import WyomingChannel, WyomingTarget
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

HELLO = Utterance("Hello there")
START = AudioStart(22_050, 2, 1)
STOP = AudioStop()
Say = Callable[[Eventable], Awaitable[None]]
Script = Callable[[Event, Say], Awaitable[bool]]


def chunk(audio: bytes, rate: int = 22_050, width: int = 2) -> AudioChunk:
    return AudioChunk(rate, width, 1, audio)


class FakeServer:
    """Runs a script for each event; one that returns False closes the connection."""

    def __init__(self, script: Script) -> None:
        self._script, self.heard, self.num_connections = script, list[Event](), 0
        self.handlers: list[asyncio.Task[None]] = []
        self.heard_ns: list[int] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.handlers.append(task)

        async def say(event: Eventable) -> None:
            await async_write_event(event.event(), writer)

        try:
            while (event := await async_read_event(reader)) is not None:
                self.heard.append(event)
                self.heard_ns.append(now_ns())
                if not await self._script(event, say):
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()


def saying(*events: Eventable, then: bool = True) -> Script:
    async def script(event: Event, say: Say) -> bool:
        if Synthesize.is_type(event.type):
            for answer in events:
                await say(answer)
        return then

    return script


@asynccontextmanager
async def channel_to(server: FakeServer, **fields: Any) -> AsyncIterator[WyomingChannel]:
    listener = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        channel = await WyomingTarget(TargetSpec("wyoming", f"tcp://127.0.0.1:{port}", **fields)).open()
        yield channel
        await channel.close()
    finally:
        listener.close()
        await listener.wait_closed()
        await asyncio.gather(*server.handlers)


async def failure_of(script: Script) -> FailureKind:
    async with channel_to(FakeServer(script)) as channel:
        with pytest.raises(SpeakError) as caught:
            await channel.speak(HELLO, Exchange())
    return caught.value.failure.kind


async def test_audio_chunks_arrive_with_their_format() -> None:
    server, exchange = FakeServer(saying(START, chunk(b"ab"), chunk(b"cdef"), STOP)), Exchange()
    async with channel_to(server) as channel:
        await channel.speak(Utterance("Hi.", voice="amy"), exchange)
    assert server.heard[0].data == {"text": "Hi.", "voice": {"name": "amy"}}
    assert exchange.pieces == [b"ab", b"cdef"]
    assert exchange.stated == PcmFormat(22_050)
    assert exchange.sent_ns is not None
    assert exchange.last_byte_ns is not None
    stamps = [exchange.sent_ns, *exchange.arrivals_ns, exchange.last_byte_ns]
    assert stamps == sorted(stamps)


async def test_the_connection_is_kept_while_the_server_keeps_it() -> None:
    server, second = FakeServer(saying(START, chunk(b"ab"), STOP)), Exchange()
    async with channel_to(server) as channel:
        await channel.speak(HELLO, Exchange())
        await channel.speak(HELLO, second)
    assert server.num_connections == 1
    assert second.connected_ns is None


async def test_a_server_that_closes_after_its_answer_is_connected_again() -> None:
    server, second = FakeServer(saying(START, chunk(b"ab"), STOP, then=False)), Exchange()
    async with channel_to(server) as channel:
        await channel.speak(HELLO, Exchange())
        await channel.speak(HELLO, second)
    assert server.num_connections == 2
    assert second.pieces == [b"ab"]
    assert second.connected_ns is not None
    assert second.sent_ns is not None
    assert second.connected_ns <= second.sent_ns


async def test_a_close_that_comes_late_is_a_disconnect_also_on_a_kept_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firstaudio.bench.targets.wire.STALE_S", 0.0)
    asked = 0

    async def script(_: Event, say: Say) -> bool:
        nonlocal asked
        asked += 1
        for answer in (START, chunk(b"ab"), STOP) if asked == 1 else ():
            await say(answer)
        return asked == 1

    async with channel_to(FakeServer(script)) as channel:
        await channel.speak(HELLO, Exchange())
        with pytest.raises(SpeakError) as caught:
            await channel.speak(HELLO, Exchange())
    assert caught.value.failure.kind == FailureKind.DISCONNECTED
    assert asked == 2


async def test_late_audio_is_never_counted_to_the_next_request() -> None:
    server = FakeServer(saying(START, chunk(b"ab"), STOP, START, chunk(b"cd"), STOP))
    async with channel_to(server) as channel:
        await channel.speak(HELLO, Exchange())
        await asyncio.sleep(0)
        with pytest.raises(SpeakError, match="its end was not understood") as caught:
            await channel.speak(HELLO, Exchange())
    assert caught.value.failure.kind == FailureKind.PROTOCOL


async def test_what_else_came_late_costs_the_connection_and_not_the_request() -> None:
    server, second = FakeServer(saying(START, chunk(b"ab"), STOP, SynthesizeStopped())), Exchange()
    async with channel_to(server) as channel:
        await channel.speak(HELLO, Exchange())
        await channel.speak(HELLO, second)
    assert second.pieces == [b"ab"]


async def test_an_error_event_is_the_targets_own_failure() -> None:
    async with channel_to(FakeServer(saying(Error("no such voice", "voice-not-found")))) as channel:
        with pytest.raises(SpeakError, match=r"no such voice \(voice-not-found\)") as caught:
            await channel.speak(HELLO, Exchange())
    assert caught.value.failure.kind == FailureKind.TARGET_ERROR


async def test_a_close_before_the_end_is_a_disconnect() -> None:
    assert await failure_of(saying(START, chunk(b"ab"), then=False)) == FailureKind.DISCONNECTED


async def test_a_format_that_changes_is_another_protocol() -> None:
    assert await failure_of(saying(START, chunk(b"ab", rate=16_000), STOP)) == FailureKind.PROTOCOL


async def test_samples_of_another_width_are_refused() -> None:
    assert await failure_of(saying(chunk(b"abcd", width=4), STOP)) == FailureKind.WRONG_FORMAT


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"{}\n", b"[1]\n", b"7\n"])
async def test_what_is_no_event_is_another_protocol(garbage: bytes) -> None:
    gone = asyncio.Event()

    async def not_wyoming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(garbage)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    listener = await asyncio.start_server(not_wyoming, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        channel = await WyomingTarget(TargetSpec("wyoming", f"tcp://127.0.0.1:{port}")).open()
        with pytest.raises(SpeakError) as caught:
            await channel.speak(HELLO, Exchange())
        await gone.wait()
    assert caught.value.failure.kind == FailureKind.PROTOCOL


async def test_a_speed_cannot_be_told() -> None:
    async with channel_to(FakeServer(saying(STOP))) as channel:
        with pytest.raises(SpeakError, match="speed"):
            await channel.speak(Utterance("Hello", speed=2.0), Exchange())


async def test_a_cancelled_request_leaves_nothing_to_the_next() -> None:
    begun = asyncio.Event()

    async def script(event: Event, say: Say) -> bool:
        await say(chunk(b"ab"))
        begun.set()
        if event.data["text"] != HELLO.text:
            await say(STOP)
        return True

    server, second = FakeServer(script), Exchange()
    async with channel_to(server) as channel:
        task = asyncio.create_task(channel.speak(HELLO, Exchange()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await channel.speak(Utterance("Bye."), second)
    assert second.pieces == [b"ab"]
    assert server.num_connections == 2


def streaming(*, supported: bool) -> Script:
    """Two bytes for each piece of text, as soon as it comes."""
    program = TtsProgram("fake", Attribution("", ""), True, None, None, [], supports_synthesize_streaming=supported)

    async def script(event: Event, say: Say) -> bool:
        if Describe.is_type(event.type):
            await say(Info(tts=[program]))
        elif SynthesizeChunk.is_type(event.type):
            await say(chunk(b"ab"))
        elif SynthesizeStop.is_type(event.type):
            await say(SynthesizeStopped())
        return True

    return script


async def test_paced_text_goes_in_pieces_and_the_first_one_counts_as_sent() -> None:
    server, exchange = FakeServer(streaming(supported=True)), Exchange()
    async with channel_to(server, tokens_per_s=1000.0) as channel:
        await channel.speak(HELLO, exchange)
    kinds = ["describe", "synthesize-start", "synthesize-chunk", "synthesize-chunk", "synthesize-stop"]
    assert [event.type for event in server.heard] == kinds
    assert [event.data["text"] for event in server.heard[2:4]] == ["Hello", " there"]
    assert exchange.pieces == [b"ab", b"ab"]
    assert exchange.sent_ns is not None
    assert exchange.sent_ns <= server.heard_ns[2]


async def test_a_server_that_wants_the_whole_text_is_not_paced() -> None:
    with pytest.raises(SpeakError, match="drop tokens_per_s"):
        async with channel_to(FakeServer(streaming(supported=False)), tokens_per_s=10.0):
            pass


async def test_nobody_at_the_port_is_unreachable() -> None:
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    with pytest.raises(SpeakError) as caught:
        await WyomingTarget(TargetSpec("wyoming", f"tcp://127.0.0.1:{port}")).open()
    assert caught.value.failure.kind == FailureKind.UNREACHABLE


def test_samples_are_read_as_the_events_state() -> None:
    assert WyomingTarget(TargetSpec("wyoming", "tcp://h:1")).reading == Reading("raw", container="pcm")


@pytest.mark.parametrize("url", ["tcp://host", "http://host:1", "tcp://host:99999", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BenchError, match="tcp://host:port"):
        WyomingTarget(TargetSpec("wyoming", url))
