"""Whatever a client sends, it gets a 4xx in one shape that says what to do, never a 500."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from firstaudio.config import StreamingConfig

SPEECH = "/v1/audio/speech"
JSON = {"content_type": "application/json"}


def encode(**fields: Any) -> bytes:
    return json.dumps({"input": "Hello world!"} | fields).encode()


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"", 400, "invalid_request", None),
        (b"{", 400, "invalid_request", None),
        (b"[]", 400, "invalid_request", None),
        (b"null", 400, "invalid_request", None),
        (b"{}", 400, "invalid_request", "input"),
        (b'{"input": "\xff"}', 400, "invalid_request", None),
        (b'{"input": "\\ud800"}', 400, "invalid_request", None),
        (b'{"input": "Hi", "speed": NaN}', 400, "invalid_request", "speed"),
        (b'{"input": "Hi", "speed": Infinity}', 400, "invalid_request", "speed"),
        (b'{"input": "Hi", "speed": 1e999}', 400, "invalid_request", "speed"),
        (b"[" * 500_000, 400, "invalid_request", None),
        (b'{"a":' * 150_000, 400, "invalid_request", None),
        (encode(input=""), 400, "empty_input", "input"),
        (encode(input=" \n\t"), 400, "empty_input", "input"),
        (encode(input="\0\0"), 400, "empty_input", "input"),
        (encode(input=7), 400, "invalid_request", "input"),
        (encode(text="Other"), 400, "invalid_request", "text"),
        (encode(input="x" * 50_001), 400, "input_too_long", "input"),
        (encode(voice="nobody"), 400, "unknown_voice", "voice"),
        (encode(voice="\r\nX-Evil: 1"), 400, "unknown_voice", "voice"),
        (encode(voice="v\0" * 64), 400, "unknown_voice", "voice"),
        (encode(voice=["alloy"]), 400, "invalid_request", "voice"),
        (encode(model="gpt-9"), 404, "model_not_found", "model"),
        (encode(model="\0"), 404, "model_not_found", "model"),
        (encode(lang="tlh"), 400, "unknown_language", "language"),
        (encode(response_format="ogg"), 400, "unknown_format", "response_format"),
        (encode(format="MP3"), 400, "unknown_format", "format"),
        (encode(speed=0.2), 400, "invalid_request", "speed"),
        (encode(speed=True), 400, "invalid_request", "speed"),
        (encode(pitch=0.4), 400, "invalid_request", "pitch"),
        (encode(stream=0), 400, "invalid_request", "stream"),
        (encode(stream_format="ws"), 400, "invalid_request", "stream_format"),
        (encode(word_timestamps=True), 400, "invalid_request", "word_timestamps"),
        (encode(volume=1), 400, "invalid_request", "volume"),
    ],
)
def test_a_wrong_request_is_refused(server: Any, body: bytes, status: int, code: str, param: str | None):
    reply = server.request("POST", SPEECH, body, **JSON)
    error = reply.error
    assert (reply.status, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert 10 < len(error["message"]) < 600


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "audio/wav"])
def test_a_body_that_is_not_json_is_415(server: Any, content_type: str):
    reply = server.request("POST", SPEECH, encode(), content_type=content_type)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")


def test_a_compressed_body_is_415(server: Any):
    assert server.request("POST", SPEECH, encode(), content_encoding="gzip", **JSON).status == 415


def test_a_body_without_a_content_type_is_taken_as_json(server: Any):
    assert server.request("POST", SPEECH, encode()).status == 200


def test_a_body_over_the_limit_is_413(server: Any):
    reply = server.request("POST", SPEECH, encode(input="x" * 2_000_000), **JSON)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


def test_a_declared_8_mib_is_refused_before_it_is_sent(server: Any, tools: Any):
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 8388608\r\nExpect: 100-continue\r\n\r\n"
        )
        assert tools.read_until(connection, b"\r\n").startswith(b"HTTP/1.1 413 ")


def test_an_undeclared_8_mib_is_counted_while_it_arrives(server: Any):
    def pieces() -> Iterator[bytes]:
        yield b'{"input": "'
        for _ in range(128):
            yield b"x" * 65_536
        yield b'"}'

    reply = server.request("POST", SPEECH, pieces(), transfer_encoding="chunked", **JSON)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


def test_a_chunked_body_within_the_limit_is_accepted(server: Any):
    reply = server.request("POST", SPEECH, iter([b'{"input": ', b'"Hello"}']), transfer_encoding="chunked", **JSON)
    assert reply.status == 200


def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(server: Any):
    with server.connect() as connection:
        connection.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert server.speak().status == 200


def test_a_body_that_never_arrives_completely_is_408_and_ends_the_connection(tools: Any):
    with tools.run(tools.settings(body_timeout_s=0.05)) as impatient, impatient.connect() as connection:
        connection.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        head, _, body = tools.read_all(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nconnection: close" in head.lower()
        assert json.loads(body)["error"]["code"] == "body_timeout"


def test_an_unknown_path_is_404(server: Any):
    reply = server.get("/v1/nothing")
    assert (reply.status, reply.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_405_and_names_the_right_one(server: Any, method: str):
    reply = server.request(method, SPEECH)
    assert (reply.status, reply.error["code"], reply.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_head_is_get_without_a_body(server: Any):
    reply = server.request("HEAD", "/health")
    assert (reply.status, reply.body) == (200, b"")


def test_every_response_carries_a_request_id(server: Any):
    ids = {server.get("/").headers["x-request-id"], server.get("/nothing").headers["x-request-id"]}
    assert len(ids) == 2
    assert None not in ids


def test_a_sane_request_id_of_the_client_is_kept(server: Any):
    assert server.get("/", x_request_id="call-7:a.b").headers["x-request-id"] == "call-7:a.b"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'a"b', "a;b"])
def test_a_strange_request_id_is_replaced(server: Any, sent: str):
    assert server.get("/", x_request_id=sent).headers["x-request-id"] != sent


def test_unknown_fields_can_be_allowed_and_are_then_named(tools: Any):
    with tools.run(tools.settings(unknown_fields="ignore")) as lenient:
        reply = lenient.speak(instructions="Whisper.", **{"größe\r\n": 1})
        assert reply.status == 200
        assert reply.headers["x-ignored-fields"] == "gr%C3%B6%C3%9Fe%0D%0A, instructions"


def test_a_full_server_says_when_to_come_back(tools: Any):
    config = replace(tools.settings(), streaming=StreamingConfig(max_streams=1))
    with tools.run(config) as small, small.ask(input="word " * 2_000, response_format="pcm") as first:
        tools.read_until(first, b"\r\n\r\n")
        reply = small.speak()
        assert (reply.status, reply.error["code"], reply.error["type"]) == (429, "overloaded", "rate_limit_error")
        assert int(reply.headers["retry-after"]) >= 1
