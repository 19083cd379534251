import base64
import io
import json
import math
import shlex
import struct
import wave
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from firstaudio.bench.discovery.discover import discover, list_voices
from firstaudio.bench.spec import TargetSpec
from firstaudio.errors import BenchError

RATE = 16_000
SAMPLES = b"".join(struct.pack("<h", round(8000 * math.sin(n / 5))) for n in range(RATE // 2))


def wav_file() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(SAMPLES)
    return file.getvalue()


WAV = wav_file()


def answer(
    body: bytes | str | dict | list, content_type: str | None = None, status: int = 200, **headers: str
) -> bytes:
    """One whole HTTP answer; documents become JSON."""
    usual = "application/json" if isinstance(body, (dict, list)) else "text/html"
    data = (
        json.dumps(body).encode()
        if isinstance(body, (dict, list))
        else body.encode()
        if isinstance(body, str)
        else body
    )
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type or usual}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


NOT_FOUND = answer({"detail": "Not Found"}, status=404)
Route = bytes | Callable[[Any], bytes]


async def serve(loopback, routes: dict[str, Route]) -> tuple[str, list[Any]]:
    """A server with these routes ("POST /tts"), and the requests that it gets."""
    requests: list[Any] = []

    def route(request: Any) -> bytes:
        requests.append(request)
        found = routes.get(f"{request.method} {request.target.partition('?')[0]}", NOT_FOUND)
        return found if isinstance(found, bytes) else found(request)

    return await loopback.answer(route), requests


def speaks_openai(request: Any) -> bytes:
    if request.json.get("voice") is None:
        return answer({"error": {"message": "voice is required"}}, status=400)
    if request.json.get("stream_format") == "sse":
        event = json.dumps({"type": "speech.audio.delta", "audio": base64.b64encode(WAV).decode()})
        done = json.dumps({"type": "speech.audio.done"})
        return answer(f"data: {event}\n\ndata: {done}\n\n", "text/event-stream")
    match request.json["response_format"]:
        case "wav":
            return answer(WAV, "audio/wav")
        case "pcm":
            return answer(SAMPLES, "audio/pcm")
        case "mp3":
            return answer(WAV, "audio/wav")  # ignores what it does not know
        case name:
            return answer({"error": {"message": f"no {name} here"}}, status=400)


async def test_an_openai_server_is_found_without_a_description(loopback):
    voices = answer({"voices": [{"id": "amy", "name": "Amy"}, {"id": "joe", "name": "Joe"}]}, Server="tts/1")
    models = answer({"object": "list", "data": [{"id": "kokoro"}]})
    routes = {"GET /v1/audio/voices": voices, "GET /v1/models": models, "POST /v1/audio/speech": speaks_openai}
    url, _ = await serve(loopback, routes)
    found = await discover(url)

    assert (found.voices, found.models) == (("amy", "joe"), ("kokoro",))
    assert (found.engine, found.server) == ("kokoro", "tts/1")
    (endpoint,) = found.endpoints
    assert (endpoint.works, endpoint.method, endpoint.path) == (True, "POST", "/v1/audio/speech")
    assert (endpoint.container, endpoint.sample_rate, endpoint.content_type) == ("wav", RATE, "audio/wav")
    assert endpoint.formats == ("wav", "pcm")
    assert set(endpoint.refused_formats) == {"mp3", "opus", "aac", "flac"}
    assert "no flac here" in endpoint.refused_formats["flac"]
    assert (endpoint.sse, endpoint.streams) == (True, False)
    assert endpoint.spec == TargetSpec("openai", url)
    assert endpoint.command == f"firstaudio bench server --url {url} --voice amy"


@pytest.mark.parametrize("suffix", ["/", "/v1", "/v1/", "/v1/audio/speech"])
async def test_base_urls_of_openai_clients_are_understood(loopback, suffix: str):
    url, _ = await serve(loopback, {"POST /v1/audio/speech": speaks_openai})

    assert [endpoint.spec.url for endpoint in (await discover(url + suffix)).working] == [url]


def described(paths: dict[str, Any], **schemas: Any) -> bytes:
    return answer({"openapi": "3.1.0", "info": {"title": "Talker"}, "paths": paths, "components": {"schemas": schemas}})


def operation(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}, **more}


async def test_an_unknown_endpoint_is_found_from_its_description(loopback):
    schema = {
        "type": "object",
        "required": ["sentence", "quality", "tenant"],
        "properties": {
            "sentence": {"type": "string"},
            "speaker": {"allOf": [{"$ref": "#/components/schemas/Speaker"}], "type": "string"},
            "speaking_rate": {"type": "number", "default": 1.0},
            "speaker_id": {"type": "integer"},
            "quality": {"type": "integer", "default": 3},
            "tenant": {"$ref": "#/components/schemas/Tenant"},
            "output_format": {"type": "string"},
        },
    }
    paths = {
        "/make/speech": {"post": operation({"$ref": "#/components/schemas/Ask"})},
        "/voices": {"get": {"operationId": "tts_voices"}},
        "/speech/transcribe": {"post": operation({"properties": {"text": {"type": "string"}}})},
    }
    description = described(
        paths, Ask=schema, Speaker={"enum": ["ann", "bob"]}, Tenant={"type": "string", "examples": ["t1"]}
    )
    document = {"result": {"note": "x", "wav": base64.b64encode(WAV).decode()}}
    url, requests = await serve(loopback, {"GET /openapi.json": description, "POST /make/speech": answer(document)})
    found = await discover(url)

    (endpoint,) = found.working
    body = {"sentence": "{text}", "speaker": "{voice}", "speaking_rate": "{speed}", "quality": 3, "tenant": "t1"}
    assert (found.engine, found.voices, endpoint.found_by) == ("Talker", ("ann", "bob"), "OpenAPI")
    assert (endpoint.spec.kind, endpoint.spec.body, endpoint.spec.audio) == ("http", body, "json:result.wav")
    first = next(request for request in requests if request.target == "/make/speech")
    assert first.json == {"sentence": "Hi.", "speaking_rate": 1.0, "quality": 3, "tenant": "t1"}
    assert not [request for request in requests if request.target == "/speech/transcribe"]
    assert shlex.split(endpoint.command)[2:] == [
        *("server", "--url", url, "--kind", "http", "--path", "/make/speech"),
        *("--body", json.dumps(body), "--audio", "json:result.wav"),
    ]


async def test_a_description_may_be_linked_from_the_documentation(loopback):
    parameters = [{"name": "text", "in": "query"}, {"name": "voice", "in": "query"}]
    paths = {"/talk": {"get": {"summary": "Text to speech", "parameters": parameters}}}
    routes = {
        "GET /docs": answer("<script>SwaggerUIBundle({url: '/hidden/api.json'})</script>"),
        "GET /hidden/api.json": described(paths),
        "GET /talk": answer(WAV, "audio/wav"),
    }
    url, _ = await serve(loopback, routes)
    (endpoint,) = (await discover(url)).working

    assert (endpoint.method, endpoint.path) == ("GET", "/talk?text={text}&voice={voice}")


async def test_torch_inference_is_found_and_its_refusals_told(loopback):
    audio = {"success": True, "audio_data": base64.b64encode(WAV).decode()}
    url, requests = await serve(loopback, {"POST /synthesize": answer(audio)})
    (endpoint,) = (await discover(url)).endpoints
    assert (endpoint.spec.kind, endpoint.works, endpoint.sample_rate) == ("torch", True, RATE)
    assert next(r for r in requests if r.target == "/synthesize").json["inputs"] == "Hi."

    url, _ = await serve(loopback, {"POST /synthesize": answer({"success": False, "error": "no such model"})})
    found = await discover(url)
    assert [endpoint.works for endpoint in found.endpoints] == [False]
    assert "no such model" in found.endpoints[0].message
    assert found.notes == (
        "no endpoint spoke: state its path, body and where the audio is, see `firstaudio bench server`",
    )


async def test_piper_and_coqui_are_found(loopback):
    url, _ = await serve(
        loopback, {"POST /": answer(WAV, "audio/wav"), "GET /voices": answer({"en": {"a": 1}, "de": {}})}
    )
    found = await discover(url)
    assert ([e.path for e in found.working], found.voices) == (["/"], ("en", "de"))

    url, requests = await serve(loopback, {"GET /api/tts": answer(WAV, "audio/wav")})
    (endpoint,) = (await discover(url)).working
    assert endpoint.spec.method == "GET"
    assert "/api/tts?text=Hi." in {request.target for request in requests}


async def test_samples_of_an_unknown_rate_work_but_are_told(loopback):
    url, _ = await serve(loopback, {"POST /tts": answer(SAMPLES, "audio/pcm")})
    (endpoint,) = (await discover(url)).working

    assert (endpoint.spec.container, endpoint.sample_rate) == ("pcm", None)
    assert "rate" in endpoint.message


async def test_a_server_that_streams_is_seen_to(loopback):
    async def handler(peer) -> None:
        while True:
            request = await peer.request()
            if request.target != "/tts":
                await peer.send(NOT_FOUND)
                continue
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(WAV), 4000):
                piece = WAV[start : start + 4000]
                await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await peer.send(b"0\r\n\r\n")

    (endpoint,) = (await discover(await loopback.start(handler))).working

    assert endpoint.streams is True
    assert "5 pieces" in endpoint.streaming_seen


async def test_a_token_is_sent_and_kept_out_of_the_result(loopback):
    def guarded(request: Any) -> bytes:
        allowed = request.headers.get("authorization") == "Bearer s3cret"
        return answer(WAV, "audio/wav") if allowed else answer({"detail": "who are you"}, status=401)

    url, _ = await serve(loopback, {"POST /v1/audio/speech": guarded})
    refused = await discover(url)
    assert (refused.endpoints[0].status, refused.working) == (401, ())
    assert "the server wants a token: state one that it accepts" in refused.notes

    found = await discover(url, token="s3cret")
    assert len(found.working) == 1
    assert "s3cret" not in json.dumps(asdict(found))


async def test_pages_that_answer_everything_are_no_endpoints(loopback):
    url = await loopback.answer(lambda _: answer("<html>a single-page application</html>"))

    assert (await discover(url)).endpoints == ()


@pytest.mark.parametrize("broken", [{"paths": 3}, {"paths": {"/tts": {"post": {"requestBody": {"$ref": "#/x/y"}}}}}])
async def test_a_broken_description_does_no_harm(loopback, broken: dict[str, Any]):
    url, _ = await serve(loopback, {"GET /openapi.json": answer({"openapi": "3", **broken})})

    assert (await discover(url)).endpoints == ()


async def test_a_description_that_refers_to_itself_ends(loopback):
    paths = {"/tts": {"post": operation({"$ref": "#/components/schemas/A"})}}
    loop = {"anyOf": [{"$ref": "#/components/schemas/A"}], "properties": {"text": {"type": "string"}}}
    routes = {"GET /openapi.json": described(paths, A=loop), "POST /tts": answer(WAV, "audio/wav")}
    url, _ = await serve(loopback, routes)

    assert [endpoint.path for endpoint in (await discover(url)).working] == ["/tts"]


async def test_voices_alone_are_listed_without_a_word_spoken(loopback):
    url, requests = await serve(loopback, {"GET /v1/voices": answer({"voices": [{"voice_id": "v1", "name": "x"}]})})

    assert await list_voices(url) == ("v1",)
    assert {request.method for request in requests} == {"GET"}


async def test_nobody_there_is_one_sentence(unused_tcp_port: int):
    with pytest.raises(BenchError, match="nothing listens there"):
        await discover(f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(BenchError, match="no Wyoming server that answers"):
        await discover(f"tcp://127.0.0.1:{unused_tcp_port}")


async def test_a_server_of_another_protocol_is_told(loopback):
    async def greet(peer) -> None:
        await peer.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        await peer.gone()

    with pytest.raises(BenchError, match=r"does not speak HTTP|closed the connection"):
        await discover(await loopback.start(greet))


async def test_a_server_that_never_answers_is_told(loopback):
    async def silent(peer) -> None:
        await peer.gone()

    with pytest.raises(BenchError, match=r"did not answer within 0\.05 s"):
        await discover(await loopback.start(silent), timeout_s=0.05)


async def test_a_wyoming_server_is_asked_what_it_is_and_let_speak():
    pytest.importorskip("wyoming")
    from firstaudio.bench.reference.running import running

    with running(ttfa_ms=0, rtf=0, protocols=("http", "wyoming")) as server:
        found = await discover(server.wyoming_url)
        voices = await list_voices(server.wyoming_url)

    (endpoint,) = found.working
    assert (found.engine, voices) == ("reference", found.voices)
    assert (endpoint.spec.kind, endpoint.container, endpoint.sample_rate) == ("wyoming", "pcm", 24_000)
    assert endpoint.command == f"firstaudio bench server --url {server.wyoming_url}"
