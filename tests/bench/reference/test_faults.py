"""Each fault, over each protocol, makes the failure that the harness should find."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from firstaudio.bench.exchange import Exchange, SpeakError
from firstaudio.bench.reading.read import read
from firstaudio.bench.reference import NULL, ReferenceServer, running
from firstaudio.bench.spec import Kind, TargetSpec
from firstaudio.bench.targets.make import make_target
from firstaudio.bench.utterance import Utterance

TEXT = "Every answer to this sentence has something wrong with it."
ENOUGH_S = 20.0
PATIENCE_S = 0.15  # with a server that says nothing, or nothing more


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with running(NULL, char_s=0.03, protocols=("http", "ws", "wyoming")) as started:
        yield started


def spec_of(server: ReferenceServer, kind: Kind) -> TargetSpec:
    url = {"websocket": server.ws_url, "elevenlabs": server.ws_url, "wyoming": server.wyoming_url}.get(kind, server.url)
    body = {"input": "{text}", "voice": "{voice}"} if kind == "torch" else None
    return TargetSpec(kind=kind, url=url, path="/tts" if kind == "websocket" else None, body=body)


async def outcome(spec: TargetSpec, voice: str) -> str:
    """Of one request, read as the harness reads it."""
    target, exchange = make_target(spec), Exchange()
    utterance = Utterance(TEXT, voice=voice)
    channel = await target.open()
    speaking = asyncio.create_task(channel.speak(utterance, exchange))
    try:
        async with asyncio.timeout(ENOUGH_S):
            while voice == "fault-hang-mid" and not (exchange.pieces or speaking.done()):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        async with asyncio.timeout(PATIENCE_S if "hang" in voice else ENOUGH_S):
            await speaking
    except SpeakError as error:
        exchange.failure = error.failure
    except TimeoutError:
        return f"timeout after {'some' if exchange.pieces else 'no'} audio"
    finally:
        speaking.cancel()
        await channel.close()
        await target.close()
    return str(read(exchange, target.reading, utterance).outcome)


@pytest.mark.parametrize("kind", ["openai", "websocket", "elevenlabs", "wyoming"])
@pytest.mark.parametrize("delivery", ["stream"])
async def test_a_good_voice_is_ok_over_every_protocol(server: ReferenceServer, kind: Kind, delivery: str):
    assert await outcome(spec_of(server, kind), "alto") == "ok"


@pytest.mark.parametrize("delivery", ["stream", "whole", "sse"])
async def test_a_good_voice_is_ok_in_every_delivery(server: ReferenceServer, delivery: str):
    spec = spec_of(server, "openai").replace(delivery=delivery)

    assert await outcome(spec, "alto") == "ok"


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("html", "wrong_format"),
        ("empty", "empty"),
        ("garbage", "wrong_format"),
        ("unauthorized", "unauthorized"),
        ("forbidden", "unauthorized"),
        ("missing", "not_found"),
        ("error", "http_error"),
        ("fail", "http_error"),
        ("hang", "timeout after no audio"),
        ("hang-mid", "timeout after some audio"),
        ("half", "truncated"),
        ("disconnect", "disconnected"),
        ("silence", "silent"),
        ("clipped", "clipped"),
        ("short", "short"),
        ("crumb", "silent"),
        ("type", "ok"),  # the first bytes tell what it is
    ],
)
async def test_a_fault_over_http_is_found(server: ReferenceServer, fault: str, found: str):
    assert await outcome(spec_of(server, "openai"), f"fault-{fault}") == found


@pytest.mark.parametrize("kind", ["websocket", "elevenlabs", "wyoming"])
@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("fail", "target_error"),
        ("hang-mid", "timeout after some audio"),
        ("disconnect", "disconnected"),
        ("silence", "silent"),
        ("clipped", "clipped"),
        ("short", "short"),
        ("unheard-of", "target_error"),
    ],
)
async def test_a_fault_over_other_protocols_is_found(server: ReferenceServer, kind: Kind, fault: str, found: str):
    assert await outcome(spec_of(server, kind), f"fault-{fault}") == found


async def test_an_error_event_after_some_audio_is_found(server: ReferenceServer):
    assert await outcome(spec_of(server, "openai").replace(delivery="sse"), "fault-fail") == "target_error"


async def test_samples_without_any_rate_are_found(server: ReferenceServer):
    assert await outcome(spec_of(server, "openai").replace(container="pcm"), "fault-no-rate") == "no_sample_rate"


@pytest.mark.parametrize("fault", ["disconnect", "hang-mid"])
async def test_whole_answers_break_in_the_middle_too(server: ReferenceServer, fault: str):
    found = {"disconnect": "disconnected", "hang-mid": "timeout after some audio"}[fault]

    assert await outcome(spec_of(server, "openai").replace(delivery="whole"), f"fault-{fault}") == found


async def test_half_of_a_whole_wav_is_found(server: ReferenceServer):
    assert await outcome(spec_of(server, "openai").replace(delivery="whole"), "fault-half") == "truncated"


async def test_a_fault_in_the_path_is_the_same(server: ReferenceServer):
    spec = spec_of(server, "openai").replace(path="/fault/html/v1/audio/speech")

    assert await outcome(spec, "alto") == "wrong_format"


async def test_an_endless_answer_does_not_fill_the_servers_memory(server: ReferenceServer):
    """A client that does not read is waited for: the server goes on answering others."""
    reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
    body = b'{"input": "On and on.", "voice": "fault-endless"}'
    writer.write(b"POST /tts HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await reader.readuntil(b"\r\n\r\n")

    assert await outcome(spec_of(server, "openai"), "alto") == "ok"
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
