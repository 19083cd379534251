import asyncio
from typing import Any

import pytest

from firstaudio.bench.exchange import Exchange, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets.http import make_http_target, stated_format
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
UTTERANCE = Utterance('Grüße, "Welt"', voice="amy", speed=1.25, language="de")
PLAIN = Utterance("Hello")


class Recorder:
    """Answers every request alike and keeps it."""

    def __init__(self, answer: bytes = OK) -> None:
        self.requests: list[Any] = []
        self._answer = answer

    def __call__(self, request: Any) -> bytes:
        self.requests.append(request)
        return self._answer


async def asked(loopback, utterance: Utterance = PLAIN, **spec: Any) -> Any:
    """The request that a server gets for an utterance."""
    recorder = Recorder()
    url = await loopback.answer(recorder) + spec.pop("base", "")
    target = make_http_target(TargetSpec(url=url, **spec))
    channel = await target.open()
    exchange = Exchange()
    await channel.speak(utterance, exchange)
    await channel.close()
    await target.close()
    assert exchange.pieces == [b"hi"]
    return recorder.requests[0]


async def test_openai_gets_what_is_stated_and_nothing_else(loopback):
    request = await asked(loopback, kind="openai")

    assert (request.method, request.target) == ("POST", "/v1/audio/speech")
    assert request.json == {"model": "tts-1", "input": "Hello", "response_format": "wav"}
    assert (request.headers["content-type"], request.headers["accept-encoding"]) == ("application/json", "identity")
    assert "authorization" not in request.headers


async def test_openai_gets_voice_speed_language_model_token_and_headers(loopback):
    spec = {"model": "m", "container": "mp3", "token": "t0k", "headers": {"X-Tenant": "a"}, "delivery": "whole"}
    request = await asked(loopback, UTTERANCE, kind="openai", **spec)

    assert request.json == {
        "model": "m",
        "input": 'Grüße, "Welt"',
        "voice": "amy",
        "language": "de",
        "speed": 1.25,
        "response_format": "mp3",
        "stream": False,
    }
    assert (request.headers["authorization"], request.headers["x-tenant"]) == ("Bearer t0k", "a")


async def test_openai_events_are_asked_of_a_model_that_sends_them(loopback):
    request = await asked(loopback, kind="openai", delivery="sse")

    assert (request.json["stream_format"], request.json["model"]) == ("sse", "gpt-4o-mini-tts")


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", None, "/v1/audio/speech"),
        ("/", None, "/v1/audio/speech"),
        ("/v1", None, "/v1/audio/speech"),
        ("/v1/", None, "/v1/audio/speech"),
        ("/v1/audio/speech", None, "/v1/audio/speech"),
        ("/api", None, "/api/v1/audio/speech"),
        ("/v10", None, "/v10/v1/audio/speech"),
        ("", "speak", "/speak"),
        ("/a", "/speak?x=1", "/a/speak?x=1"),
    ],
)
async def test_the_path_is_found_from_what_people_write(loopback, base: str, path: str | None, target: str):
    assert target == (await asked(loopback, kind="openai", base=base, path=path)).target


async def test_torch_inference_calls_the_voice_its_model(loopback):
    assert (await asked(loopback, kind="torch")).json == {"model_name": "default", "inputs": "Hello"}
    request = await asked(loopback, Utterance("a", voice="speecht5"), kind="torch")
    assert (request.target, request.json) == ("/synthesize", {"model_name": "speecht5", "inputs": "a"})
    both = {"model_name": "m", "inputs": 'Grüße, "Welt"', "voice": "amy", "language": "de", "speed": 1.25}
    assert both == (await asked(loopback, UTTERANCE, kind="torch", model="m")).json


async def test_a_generic_target_sends_what_is_stated(loopback):
    assert (await asked(loopback, kind="http", path="/tts")).json == {"text": "Hello"}
    everything = {"text": 'Grüße, "Welt"', "voice": "amy", "language": "de", "speed": 1.25, "model": "m"}
    assert everything == (await asked(loopback, UTTERANCE, kind="http", model="m")).json


async def test_a_generic_target_fills_its_template(loopback):
    body = {"q": {"t": "<{text}>"}, "rate": "{speed}", "fixed": [1]}
    request = await asked(
        loopback, Utterance("a", voice="v 1"), kind="http", path="/x/{voice}", method="put", body=body
    )

    assert (request.method, request.target) == ("PUT", "/x/v%201")
    assert request.json == {"q": {"t": "<a>"}, "rate": 1.0, "fixed": [1]}


async def test_a_generic_target_can_get(loopback):
    request = await asked(loopback, Utterance("a b"), kind="http", method="GET", base="/say?text={text}&voice={voice}")

    assert (request.method, request.target, request.body) == ("GET", "/say?text=a%20b", b"")


@pytest.mark.parametrize(
    ("spec", "reading"),
    [
        ({"kind": "openai"}, Reading(container="wav")),
        (
            {"kind": "openai", "delivery": "whole", "container": "pcm", "sample_rate": 24000},
            Reading(container="pcm", sample_rate=24000),
        ),
        ({"kind": "openai", "delivery": "sse"}, Reading("sse", "audio", "error", "wav")),
        ({"kind": "torch"}, Reading("json", "audio_data", "error", "wav")),
        ({"kind": "http"}, Reading(container="wav")),
        ({"kind": "http", "audio": "json:result.wav"}, Reading("json", "result.wav", "error", "wav")),
        ({"kind": "http", "audio": "sse:data"}, Reading("sse", "data", "error", "wav")),
        ({"kind": "http", "delivery": "sse"}, Reading("sse", "audio", "error", "wav")),
    ],
)
def test_the_reading_follows_from_the_specification(spec: dict[str, Any], reading: Reading):
    assert reading == make_http_target(TargetSpec(url="http://host", **spec)).reading


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "openai", "url": "host"}, "write it as http://"),
        ({"kind": "wyoming"}, "write one of openai, http, torch"),
        ({"kind": "openai", "delivery": "quick"}, "write stream, whole or sse"),
        ({"kind": "torch", "delivery": "sse"}, "write delivery whole"),
        ({"kind": "http", "audio": "json:"}, 'write "body", "json:<field>"'),
        ({"kind": "http", "audio": "messages:a"}, 'write "body", "json:<field>"'),
        ({"kind": "http", "delivery": "sse", "audio": "body"}, "write sse:<field>"),
        ({"kind": "http", "body": {"a": "b"}}, 'add "{text}"'),
        ({"kind": "http", "method": "GET"}, "put {text} into the path"),
        ({"kind": "openai", "token": "a\nb"}, "'Authorization'"),
        ({"kind": "http", "method": "GET", "path": "/{text}", "headers": {"X\r\n": "a"}}, "characters"),
    ],
)
def test_a_bad_specification_is_refused_with_what_to_write(spec: dict[str, Any], words: str):
    with pytest.raises(BenchError) as caught:
        make_http_target(TargetSpec(**{"url": "http://host", **spec}))

    assert words in str(caught.value)


async def spoken(loopback, answer: bytes, utterance: Utterance = PLAIN, **spec: Any) -> Exchange:
    """The exchange of one utterance, with its failure."""
    target = make_http_target(TargetSpec(url=await loopback.answer(Recorder(answer)), **{"kind": "openai", **spec}))
    channel = await target.open()
    exchange = Exchange()
    try:
        await channel.speak(utterance, exchange)
    except SpeakError as error:
        exchange.failure = error.failure
    await channel.close()
    return exchange


async def test_a_refusal_is_told_and_the_channel_stays_usable(loopback):
    answers = iter([b"HTTP/1.1 401 No\r\nContent-Length: 16\r\n\r\n" + b'{"detail":"who"}', OK])
    target = make_http_target(TargetSpec("openai", await loopback.answer(lambda _: next(answers))))
    channel = await target.open()
    with pytest.raises(SpeakError, match="HTTP 401: who; state a token"):
        await channel.speak(PLAIN, Exchange())
    exchange = Exchange()
    await channel.speak(PLAIN, exchange)
    await channel.close()
    await channel.close()

    assert (exchange.status, exchange.pieces, loopback.num_connections) == (200, [b"hi"], 1)


async def test_what_the_template_has_no_place_for_is_not_dropped(loopback):
    exchange = await spoken(loopback, OK, UTTERANCE, kind="http", body={"t": "{text}"})

    assert exchange.failure is not None
    assert "no place for the voice" in exchange.failure.message
    assert exchange.sent_ns is None


async def test_a_warm_channel_is_connected_before_it_speaks(loopback):
    exchange = await spoken(loopback, OK)

    assert (exchange.connected_ns, loopback.num_connections) == (None, 1)


async def test_cold_connections_are_made_for_every_request(loopback):
    target = make_http_target(TargetSpec("openai", await loopback.answer(Recorder()), connections="cold"))
    channel = await target.open()
    exchanges = [Exchange(), Exchange()]
    for exchange in exchanges:
        await channel.speak(PLAIN, exchange)
    await channel.close()

    assert all(exchange.connected_ns for exchange in exchanges)
    assert loopback.num_connections == 2


async def test_a_server_that_nobody_started_is_unreachable(unused_tcp_port: int):
    with pytest.raises(SpeakError, match="nothing listens there") as caught:
        await make_http_target(TargetSpec("openai", f"http://127.0.0.1:{unused_tcp_port}")).open()

    assert FailureKind.UNREACHABLE is caught.value.failure.kind


async def test_a_connection_that_is_never_made_ends(monkeypatch):
    async def never(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    with pytest.raises(SpeakError, match=r"no connection within 0\.01 s"):
        await make_http_target(TargetSpec("openai", "http://host", timeout_s=0.01)).open()


@pytest.mark.parametrize(
    ("headers", "stated"),
    [
        ({}, None),
        ({"content-type": "audio/wav"}, None),
        ({"content-type": "audio/pcm"}, None),
        ({"x-sample-rate": "22050"}, PcmFormat(22050)),
        ({"content-type": "audio/pcm;rate=24000;channels=1"}, PcmFormat(24000)),
        ({"content-type": "audio/L16; Channels=2; Rate=16000"}, PcmFormat(16000, num_channels=2)),
        ({"content-type": "audio/wav;rate=24000"}, None),
        ({"content-type": "audio/pcm;rate=fast"}, None),
        ({"x-sample-rate": "0"}, None),
        ({"x-sample-rate": "24 kHz", "content-type": "audio/pcm;rate=8000"}, PcmFormat(8000)),
    ],
)
def test_a_rate_is_stated_by_header_fields_or_not_at_all(headers: dict[str, str], stated: PcmFormat | None):
    assert stated == stated_format(headers)


async def test_the_stated_rate_is_on_the_exchange(loopback):
    answer = b"HTTP/1.1 200 OK\r\nX-Sample-Rate: 8000\r\nContent-Length: 2\r\n\r\nhi"

    assert PcmFormat(8000) == (await spoken(loopback, answer, container="pcm")).stated


async def test_an_answer_that_broke_off_has_its_rate(loopback):
    async def half(peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nX-Sample-Rate: 8000\r\nContent-Length: 4\r\n\r\nhi")

    target = make_http_target(TargetSpec("openai", await loopback.start(half), container="pcm"))
    channel, exchange = await target.open(), Exchange()
    with pytest.raises(SpeakError, match="in the middle of its answer"):
        await channel.speak(PLAIN, exchange)

    assert PcmFormat(8000) == exchange.stated
