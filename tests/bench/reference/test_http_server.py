"""The reference server over HTTP, as a client sees it."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from firstaudio.bench.reference import NULL, ReferenceServer, running
from firstaudio.bench.reference.sound import Sound

TEXT = "Ten letters and some more."
RATE = 24_000


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with running(NULL, char_s=0.02) as started:
        yield started


@pytest.fixture(scope="module")
def guarded() -> Iterator[ReferenceServer]:
    with running(NULL, token="open sesame", failure_rate=1.0) as started:
        yield started


def ask(server: ReferenceServer, path: str = "/v1/audio/speech", **body: Any) -> http.client.HTTPResponse:
    data = json.dumps({"input": TEXT, **body}).encode()
    request = urllib.request.Request(server.url + path, data, {"X-Request-ID": "mine"})
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=5)
    return response


def get(server: ReferenceServer, path: str) -> Any:
    with urllib.request.urlopen(server.url + path, timeout=5) as response:
        return json.load(response)


def refused(server: ReferenceServer, path: str = "/v1/audio/speech", data: bytes = b"{}", **headers: str) -> Any:
    request = urllib.request.Request(server.url + path, data, headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    with caught.value as error:
        return error.code, json.load(error)


def samples(num_chars: int = len(TEXT), voice: str = "") -> bytes:
    count = round(num_chars * 0.02 * RATE)
    return Sound(RATE, voice).part(0, count, count)


def test_a_streamed_wav_has_a_header_of_unknown_length_and_every_sample(server: ReferenceServer):
    with ask(server) as response:
        body = response.read()

    assert body[:4] + body[8:16] + body[36:40] == b"RIFFWAVEfmt data"
    assert struct.unpack("<I", body[40:44]) == (0xFFFFFFFF,)
    assert struct.unpack("<I", body[24:28]) == (RATE,)
    assert body[44:] == samples()
    assert response.headers["X-Request-ID"] == "mine"
    assert response.headers["Server-Timing"] == "queue;dur=0.000, model_inference;dur=0.000"


def test_a_whole_wav_states_its_length(server: ReferenceServer):
    with ask(server, stream=False) as response:
        body = response.read()

    assert struct.unpack("<I", body[40:44]) == (len(samples()),)
    assert int(response.headers["Content-Length"]) == len(body)
    assert body[44:] == samples()


def test_bare_samples_state_their_rate_beside(server: ReferenceServer):
    with ask(server, response_format="pcm", voice="tenor") as response:
        assert response.headers["Content-Type"] == "audio/pcm;rate=24000"
        assert response.read() == samples(voice="tenor")


def test_events_carry_the_same_samples_and_the_usage(server: ReferenceServer):
    with ask(server, stream_format="sse", response_format="pcm") as response:
        events = [json.loads(line.removeprefix(b"data: ")) for line in response if line.strip()]

    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == samples()
    assert [event["type"] for event in events] == ["speech.audio.delta"] * (len(events) - 1) + ["speech.audio.done"]
    assert events[-1]["usage"]["input_tokens"] > 0


def test_torch_inference_gets_one_document(server: ReferenceServer):
    data = json.dumps({"inputs": TEXT, "model_name": "any"}).encode()
    with urllib.request.urlopen(server.url + "/synthesize", data, timeout=5) as response:
        document = json.load(response)

    assert base64.b64decode(document["audio_data"])[44:] == samples()
    assert (document["success"], document["sample_rate"]) == (True, RATE)


def test_several_requests_in_one_packet_are_answered_in_order(server: ReferenceServer):
    bodies = [json.dumps({"text": text, "stream": False, "response_format": "pcm"}) for text in ("abcdef", "abcdefgh")]
    head = "POST /tts HTTP/1.1\r\nHost: x\r\nConnection: {}\r\nContent-Length: {}\r\n\r\n{}"
    requests = [head.format(how, len(body), body) for how, body in zip(("keep-alive", "close"), bodies, strict=True)]
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection, connection.makefile("rb") as stream:
        connection.sendall("".join(requests).encode())
        answers = stream.read().split(b"HTTP/1.1 200 OK\r\n")[1:]

    assert [len(answer.partition(b"\r\n\r\n")[2]) for answer in answers] == [
        round(0.12 * RATE) * 2,
        round(0.16 * RATE) * 2,
    ]


def test_it_tells_what_it_offers(server: ReferenceServer):
    assert get(server, "/health") == {"status": "ok"}
    assert {"id": "slow10", "name": "Slow10"} in get(server, "/v1/audio/voices")["voices"]
    assert get(server, "/v1/models")["data"][0]["id"] == "reference"
    assert set(get(server, "/openapi.json")["paths"]) == {"/v1/audio/speech", "/tts", "/synthesize"}


def test_the_log_holds_the_request(server: ReferenceServer):
    with ask(server, voice="alto") as response:
        response.read()
    row = server.truth(1)["requests"][0]

    assert (row["request_id"], row["voice"], row["num_chars"]) == ("mine", "alto", len(TEXT))
    assert sum(row["num_samples"]) * 2 == len(samples())
    assert row["accepted_ns"] <= row["written_ns"][0] <= row["written_ns"][-1] <= row["ended_ns"]


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"[]", 400, "the body must be a JSON object"),
        (b"{}", 400, "input must be the text to speak"),
        (b'{"text": " "}', 400, "text must be the text to speak"),
        (b'{"input": "Hi.", "speed": 9}', 400, "speed is a number from 0.25 to 4, not 9"),
        (b'{"input": "Hi.", "response_format": "mp3"}', 400, "response_format is 'wav' or 'pcm' here"),
        (b'{"input": "Hi.", "voice": "fault-of-mine"}', 400, "no fault 'of-mine'; there are html"),
        (b'{"input": "' + b"x" * 20_001 + b'"}', 400, "input may have 20000 characters"),
        (b'{"input": "' + b"x" * (1 << 20) + b'"}', 413, "send at most 1048576 bytes"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(server: ReferenceServer, data: bytes, code: int, message: str):
    status, document = refused(server, data=data)

    assert (status, document["error"]["message"][: len(message)]) == (code, message)


def test_an_unknown_path_is_not_found(server: ReferenceServer):
    assert refused(server, "/nowhere")[0] == 404


def test_a_wrong_method_is_not_allowed(server: ReferenceServer):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(server, "/v1/audio/speech")
    caught.value.close()

    assert caught.value.code == 405


def test_the_token_is_wanted(guarded: ReferenceServer):
    assert refused(guarded)[0] == 401
    assert refused(guarded, Authorization="Bearer wrong")[0] == 403
    assert refused(guarded, Authorization="Bearer open sesame")[0] == 400


def test_a_stated_failure_is_500_and_for_torch_inference_a_200_that_says_so(guarded: ReferenceServer):
    key = {"xi-api-key": "open sesame"}
    assert refused(guarded, data=b'{"input": "Hi."}', **key)[0] == 500
    request = urllib.request.Request(guarded.url + "/synthesize", b'{"inputs": "Hi."}', key)
    with urllib.request.urlopen(request, timeout=5) as response:
        assert json.load(response)["success"] is False


def test_one_lane_and_a_line_of_one_refuse_the_third():
    with running(ttfa_ms=10_000, capacity=1, max_waiting=1) as busy:
        host, connections = busy.url.removeprefix("http://"), []
        for _ in range(2):
            connections.append(http.client.HTTPConnection(host, timeout=5))
            connections[-1].request("POST", "/tts", b'{"text": "Hi."}')
        while busy.truth()["most_waiting"] < 1:
            pass
        status, document = refused(busy, data=b'{"input": "Hi."}')
        for connection in connections:
            connection.close()

    assert (status, document["error"]["message"]) == (429, "the line is full: come back in 1 s")


def test_early_headers_come_long_before_audio():
    with running(ttfa_ms=10_000, early_header=True) as slow, ask(slow) as response:
        assert len(response.read1(4096)) == 44
        assert response.headers["Server-Timing"] == "queue;dur=0.000"


def test_a_freeze_on_demand_is_logged(server: ReferenceServer):
    with urllib.request.urlopen(server.url + "/freeze?ms=3", b"", timeout=5):
        pass
    begin_ns, end_ns = server.truth()["freezes_ns"][-1]

    assert end_ns - begin_ns >= 3_000_000
