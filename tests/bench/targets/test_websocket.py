import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.messages import MessageChannel, failure_in, has_ended
from firstaudio.bench.targets.websocket import WebsocketTarget
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

HELLO = Utterance("Hello.", voice="amy")
Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def channel_to(handler: Handler, process_request: Any = None, **fields: Any) -> AsyncIterator[MessageChannel]:
    async with serve(handler, "127.0.0.1", 0, process_request=process_request, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        target = WebsocketTarget(TargetSpec("websocket", f"ws://127.0.0.1:{port}", **fields))
        channel = await target.open()
        yield channel
        await channel.close()


def answering(*messages: str | bytes, asked: list[str | bytes] | None = None) -> Handler:
    async def handler(socket: ServerConnection) -> None:
        async for request in socket:
            if asked is not None:
                asked.append(request)
            for message in messages:
                await socket.send(message)

    return handler


def closing(*messages: str | bytes, code: int = 1000, reason: str = "") -> Handler:
    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        for message in messages:
            await socket.send(message)
        await socket.close(code, reason)

    return handler


async def failure_of(channel: MessageChannel, exchange: Exchange | None = None) -> tuple[FailureKind, str]:
    with pytest.raises(SpeakError) as caught:
        await channel.speak(HELLO, exchange or Exchange())
    return caught.value.failure.kind, caught.value.failure.message


async def test_the_default_message_asks_with_text_and_voice() -> None:
    asked: list[str | bytes] = []
    async with channel_to(answering("END", asked=asked)) as channel:
        await channel.speak(HELLO, Exchange())
        await channel.speak(Utterance("Bye."), Exchange())
    assert [json.loads(request) for request in asked] == [{"text": "Hello.", "voice": "amy"}, {"text": "Bye."}]


async def test_messages_are_kept_as_they_came_and_stamped_in_order() -> None:
    audio = json.dumps({"audio": base64.b64encode(b"cd").decode()})
    async with channel_to(answering(b"ab", audio, '{"done": true}')) as channel:
        exchange = Exchange()
        await channel.speak(HELLO, exchange)
    assert exchange.pieces == [b"ab", audio.encode(), b'{"done": true}']
    assert exchange.sent_ns is not None
    stamps = [exchange.sent_ns, *exchange.arrivals_ns]
    assert stamps == sorted(stamps)
    assert exchange.last_byte_ns == exchange.arrivals_ns[-1]


async def test_a_bare_end_word_is_no_part_of_the_body() -> None:
    async with channel_to(answering(b"ab", "END")) as channel:
        exchange = Exchange()
        await channel.speak(HELLO, exchange)
    assert exchange.pieces == [b"ab"]
    assert exchange.last_byte_ns is not None


async def test_the_connection_is_kept_while_the_server_keeps_it() -> None:
    async with channel_to(answering(b"ab", "END")) as channel:
        first, second = Exchange(), Exchange()
        await channel.speak(HELLO, first)
        await channel.speak(HELLO, second)
    assert (first.connected_ns, second.connected_ns) == (None, None)
    assert second.pieces == [b"ab"]


async def test_a_close_ends_the_answer_and_the_next_request_connects_again() -> None:
    async with channel_to(closing(b"ab")) as channel:
        first, second = Exchange(), Exchange()
        await channel.speak(HELLO, first)
        await channel.speak(HELLO, second)
    assert first.pieces == second.pieces == [b"ab"]
    assert first.connected_ns is None
    assert second.connected_ns is not None
    assert second.last_byte_ns is not None


async def test_an_error_message_is_the_targets_own_failure() -> None:
    async with channel_to(answering('{"error": {"message": "no such voice"}}')) as channel:
        assert await failure_of(channel) == (FailureKind.TARGET_ERROR, "the target says: no such voice")


async def test_a_close_with_an_error_code_is_the_targets_own_failure() -> None:
    async with channel_to(closing(b"ab", code=1011, reason="out of memory")) as channel:
        exchange = Exchange()
        expected = (FailureKind.TARGET_ERROR, "the target closed with code 1011: out of memory")
        assert await failure_of(channel, exchange) == expected
    assert exchange.pieces == [b"ab"]
    assert exchange.last_byte_ns is None


async def test_try_again_later_is_a_refusal() -> None:
    async with channel_to(closing(code=1013)) as channel:
        assert (await failure_of(channel))[0] == FailureKind.REFUSED


async def test_a_broken_connection_is_no_end() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(b"ab")
        await socket.send(b"cd")
        socket.transport.close()

    async with channel_to(handler) as channel:
        assert (await failure_of(channel))[0] == FailureKind.DISCONNECTED


async def test_a_close_of_an_idle_connection_that_crosses_the_request_is_tried_once_more() -> None:
    asked: list[str | bytes] = []

    async def handler(socket: ServerConnection) -> None:
        asked.append(await socket.recv())
        await socket.send(b"ab")
        await socket.send("END")
        asked.append(await socket.recv())  # on a kept connection: closed without a word

    async with channel_to(handler) as channel:
        await channel.speak(HELLO, Exchange())
        second = Exchange()
        await channel.speak(HELLO, second)
    assert len(asked) == 3
    assert second.pieces == [b"ab"]
    assert second.connected_ns is not None
    assert second.sent_ns is not None
    assert second.connected_ns <= second.sent_ns


async def test_a_close_with_an_error_code_on_a_kept_connection_is_not_tried_again() -> None:
    asked: list[str | bytes] = []

    async def handler(socket: ServerConnection) -> None:
        asked.append(await socket.recv())
        await socket.send(b"ab")
        await socket.send("END")
        asked.append(await socket.recv())
        await socket.close(1011, "out of memory")

    async with channel_to(handler) as channel:
        await channel.speak(HELLO, Exchange())
        kind, said = await failure_of(channel)
    assert kind == FailureKind.TARGET_ERROR
    assert "out of memory" in said
    assert len(asked) == 2


async def test_a_close_that_comes_late_is_no_crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstaudio.bench.targets.wire.STALE_S", 0.0)

    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(b"ab")
        await socket.send("END")
        await socket.recv()
        socket.transport.abort()

    async with channel_to(handler) as channel:
        await channel.speak(HELLO, Exchange())
        assert (await failure_of(channel))[0] == FailureKind.DISCONNECTED


async def test_text_that_is_not_json_is_another_protocol() -> None:
    async with channel_to(answering("Welcome!")) as channel:
        assert (await failure_of(channel))[0] == FailureKind.PROTOCOL


async def test_late_statistics_are_passed_over() -> None:
    late = asyncio.Event()

    async def handler(socket: ServerConnection) -> None:
        async for _ in socket:
            await socket.send(b"ab")
            await socket.send("END")
            await socket.send('{"type": "usage"}')
            await socket.ping()
            late.set()

    async with channel_to(handler) as channel:
        await channel.speak(HELLO, Exchange())
        await late.wait()
        second = Exchange()
        await channel.speak(HELLO, second)
    assert second.pieces == [b"ab"]


async def test_late_audio_is_never_counted_to_the_next_request() -> None:
    async def handler(socket: ServerConnection) -> None:
        async for _ in socket:
            await socket.send("END")
            await socket.send(b"late")
            await (await socket.ping())
            late.set()

    late = asyncio.Event()
    async with channel_to(handler) as channel:
        await channel.speak(HELLO, Exchange())
        await late.wait()
        assert (await failure_of(channel))[0] == FailureKind.PROTOCOL


async def test_a_cancelled_request_leaves_nothing_to_the_next() -> None:
    asked = asyncio.Event()

    async def handler(socket: ServerConnection) -> None:
        async for request in socket:
            asked.set()
            await socket.send(b"ab")
            if "Hello" not in str(request):
                await socket.send("END")

    async with channel_to(handler) as channel:
        task = asyncio.create_task(channel.speak(HELLO, Exchange()))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        second = Exchange()
        await channel.speak(Utterance("Bye."), second)
    assert second.pieces == [b"ab"]
    assert second.connected_ns is not None


async def test_a_speed_that_the_template_does_not_send_is_refused() -> None:
    async with channel_to(answering("END")) as channel:
        with pytest.raises(SpeakError, match="speed"):
            await channel.speak(Utterance("Hello.", speed=1.5), Exchange())


async def test_a_template_of_the_users_own_is_filled() -> None:
    asked: list[str | bytes] = []
    body = {"input": {"words": "{text}"}, "rate": "{speed}", "model": "{model}"}
    async with channel_to(answering("END", asked=asked), body=body) as channel:
        await channel.speak(Utterance("{speed}", speed=1.5), Exchange())
    assert json.loads(asked[0]) == {"input": {"words": "{speed}"}, "rate": 1.5}


async def test_the_token_goes_with_the_handshake() -> None:
    seen = []

    def look(_: ServerConnection, request: Any) -> None:
        seen.append((request.path, request.headers["Authorization"]))

    async with channel_to(answering("END"), look, token="abc", path="/speak"):
        pass
    assert seen == [("/speak", "Bearer abc")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (HTTPStatus.UNAUTHORIZED, FailureKind.UNAUTHORIZED),
        (HTTPStatus.NOT_FOUND, FailureKind.NOT_FOUND),
        (HTTPStatus.SERVICE_UNAVAILABLE, FailureKind.REFUSED),
        (HTTPStatus.INTERNAL_SERVER_ERROR, FailureKind.HTTP_ERROR),
        (HTTPStatus.OK, FailureKind.PROTOCOL),
    ],
)
async def test_a_refused_handshake_says_why(status: HTTPStatus, kind: FailureKind) -> None:
    def refuse(socket: ServerConnection, _: Any) -> Any:
        return socket.respond(status, "not here\n")

    with pytest.raises(SpeakError) as caught:
        async with channel_to(answering(), refuse):
            pass
    assert caught.value.failure.kind == kind


async def test_nobody_at_the_port_is_unreachable() -> None:
    async with serve(answering(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(SpeakError) as caught:
        await WebsocketTarget(TargetSpec("websocket", f"ws://127.0.0.1:{port}")).open()
    assert caught.value.failure.kind == FailureKind.UNREACHABLE


def test_the_reading_says_where_audio_is() -> None:
    spec = TargetSpec("websocket", "ws://h", audio="messages:result.pcm", container="pcm", sample_rate=16_000)
    assert WebsocketTarget(spec).reading == Reading("messages", "result.pcm", container="pcm", sample_rate=16_000)


@pytest.mark.parametrize("fields", [{"tokens_per_s": 10.0}, {"body": {"words": "hello"}}, {"audio": "sse:audio"}])
def test_what_a_websocket_cannot_do_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BenchError):
        WebsocketTarget(TargetSpec("websocket", "ws://h", **fields))


@pytest.mark.parametrize(
    "told",
    [
        {"isFinal": True},
        {"done": True, "audio": "AAAA"},
        {"type": "audio.done"},
        {"event": "synthesis_complete"},
        {"status": "finished"},
        {"type": "END"},
    ],
)
def test_messages_that_end_an_answer(told: dict[str, Any]) -> None:
    assert has_ended(told)


@pytest.mark.parametrize(
    "told",
    [
        {"isFinal": False},
        {"isFinal": None},
        {"done": "no"},
        {"type": "audio.delta"},
        {"type": "sentence.done"},
        {"event": "word_end"},
        {"type": "legend"},
        {"status": "ok"},
    ],
)
def test_messages_that_do_not_end_an_answer(told: dict[str, Any]) -> None:
    assert not has_ended(told)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"error": None, "audio": "AAAA"}, None),
        ({"type": "terror"}, None),
        ({"error": "bad"}, "bad"),
        ({"error": "input_timeout_exceeded", "message": "no text"}, "input_timeout_exceeded: no text"),
        ({"type": "speech.audio.error", "message": "no text"}, "no text"),
        ({"error": True}, '{"error": true}'),
    ],
)
def test_what_a_message_says_of_a_failure(told: dict[str, Any], said: str | None) -> None:
    assert failure_in(told) == said
