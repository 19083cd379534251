import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from firstaudio.bench.exchange import Exchange, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.elevenlabs import ElevenLabsTarget
from firstaudio.bench.targets.messages import MessageChannel
from firstaudio.bench.utterance import Utterance
from firstaudio.clock import now_ns
from firstaudio.errors import BenchError

HELLO = Utterance("Hello there", voice="a b")
FINAL = json.dumps({"audio": None, "isFinal": True})


def audio(data: bytes) -> str:
    return json.dumps({"audio": base64.b64encode(data).decode(), "isFinal": None})


@asynccontextmanager
async def channel_to(
    handler: Callable[[ServerConnection], Awaitable[None]], **fields: Any
) -> AsyncIterator[MessageChannel]:
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        channel = await ElevenLabsTarget(TargetSpec("elevenlabs", f"http://127.0.0.1:{port}", **fields)).open()
        yield channel
        await channel.close()


class FakeElevenLabs:
    """Speaks two bytes for each text, as soon as it comes; what it was told is kept."""

    def __init__(self) -> None:
        self.addresses: list[tuple[str, str | None]] = []
        self.told: list[dict[str, Any]] = []
        self.told_ns: list[int] = []

    async def __call__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.addresses.append((socket.request.path, socket.request.headers.get("xi-api-key")))
        async for message in socket:
            self.told.append(json.loads(message))
            self.told_ns.append(now_ns())
            if self.told[-1]["text"] == "":
                await socket.send(FINAL)
                return
            if self.told[-1]["text"].strip():
                await socket.send(audio(b"\1\0"))


async def test_the_whole_text_goes_in_one_message() -> None:
    server, exchange = FakeElevenLabs(), Exchange()
    async with channel_to(server, token="key", model="flash") as channel:
        await channel.speak(HELLO, exchange)
    assert server.told == [{"text": " "}, {"text": "Hello there "}, {"text": ""}]
    path = "/v1/text-to-speech/a%20b/stream-input?model_id=flash&output_format=pcm_24000"
    assert server.addresses == [(path, "key")]
    assert exchange.pieces == [audio(b"\1\0").encode(), FINAL.encode()]
    assert exchange.stated == PcmFormat(24_000)
    assert exchange.connected_ns is not None
    assert exchange.sent_ns is not None
    assert exchange.last_byte_ns is not None
    stamps = [exchange.connected_ns, exchange.sent_ns, *exchange.arrivals_ns]
    assert stamps == sorted(stamps)
    assert exchange.last_byte_ns == exchange.arrivals_ns[-1]


async def test_paced_text_goes_in_pieces_and_the_first_one_counts_as_sent() -> None:
    server, exchange = FakeElevenLabs(), Exchange()
    async with channel_to(server, tokens_per_s=1000.0) as channel:
        await channel.speak(HELLO, exchange)
    assert [told["text"] for told in server.told] == [" ", "Hello", " there ", ""]
    assert len(exchange.pieces) == 3
    assert exchange.sent_ns is not None
    assert exchange.sent_ns <= server.told_ns[1]


async def test_each_utterance_has_a_connection_of_its_own() -> None:
    server, second = FakeElevenLabs(), Exchange()
    async with channel_to(server) as channel:
        await channel.speak(HELLO, Exchange())
        await channel.speak(HELLO, second)
    assert len(server.addresses) == 2
    assert second.connected_ns is not None


async def test_speed_and_language_are_told() -> None:
    server = FakeElevenLabs()
    async with channel_to(server) as channel:
        await channel.speak(Utterance("Hallo", voice="x", speed=1.2, language="de"), Exchange())
    assert server.told[0] == {"text": " ", "voice_settings": {"speed": 1.2}}
    assert server.addresses[0][0].endswith("?output_format=pcm_24000&language_code=de")


async def test_an_error_message_before_the_close_is_what_is_told() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"message": "An API key is needed", "error": "needs_authorization", "code": 1008}))
        await socket.close(1008, "no key")

    async with channel_to(handler, tokens_per_s=100.0) as channel:
        with pytest.raises(SpeakError, match="needs_authorization: An API key is needed") as caught:
            await channel.speak(HELLO, Exchange())
    assert caught.value.failure.kind == FailureKind.TARGET_ERROR


async def test_an_utterance_without_a_voice_has_no_address() -> None:
    async with channel_to(FakeElevenLabs()) as channel:
        with pytest.raises(SpeakError, match="name one"):
            await channel.speak(Utterance("Hello"), Exchange())


@pytest.mark.parametrize(
    ("fields", "container"),
    [
        ({}, "pcm"),
        ({"container": "pcm", "sample_rate": 16_000}, "pcm"),
        ({"container": "mp3"}, "mp3"),
        ({"path": "/v1/text-to-speech/{voice}/stream-input?output_format=mp3_22050_32"}, "mp3"),
    ],
)
def test_the_format_decides_how_audio_is_read(fields: dict[str, Any], container: str) -> None:
    assert ElevenLabsTarget(TargetSpec("elevenlabs", **fields)).reading == Reading(
        "messages", "audio", container=container
    )


async def test_a_format_in_the_path_states_the_rate_and_is_not_asked_for_twice() -> None:
    server, exchange = FakeElevenLabs(), Exchange()
    async with channel_to(server, path="/tts/{voice}?output_format=pcm_16000", model="m") as channel:
        await channel.speak(HELLO, exchange)
    assert server.addresses[0][0] == "/tts/a%20b?output_format=pcm_16000&model_id=m"
    assert exchange.stated == PcmFormat(16_000)


@pytest.mark.parametrize(
    "fields", [{"container": "flac"}, {"tokens_per_s": 0.0}, {"path": "/x?output_format=ulaw_8000"}]
)
def test_what_the_protocol_lacks_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BenchError):
        ElevenLabsTarget(TargetSpec("elevenlabs", **fields))
