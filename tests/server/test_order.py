import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from firstaudio.config import ServerConfig
from firstaudio.errors import (
    BodyTooLargeError,
    EmptyTextError,
    RequestError,
    TextTooLongError,
    UnknownFormatError,
    UnsupportedMediaTypeError,
)
from firstaudio.server.order import SpeechOrder, read_body, read_order

REJECT = ServerConfig()
IGNORE = ServerConfig(unknown_fields="ignore")


def order(limits: ServerConfig = REJECT, **fields: Any) -> SpeechOrder:
    return read_order(json.dumps(fields).encode(), limits)


def refusal(body: bytes, limits: ServerConfig = REJECT) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read_order(body, limits)
    return caught.value


class Body:
    """A request whose body arrives in the given pieces."""

    def __init__(self, *pieces: bytes, **headers: str) -> None:
        self._messages = [
            {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
            for index, piece in enumerate(pieces)
        ]
        self._headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def receive(self) -> dict[str, Any]:
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    @property
    def num_unread(self) -> int:
        return len(self._messages)

    async def read(self, max_bytes: int) -> bytes:
        scope = {"type": "http", "method": "POST", "headers": self._headers}
        return await read_body(Request(scope, self.receive), ServerConfig(max_body_bytes=max_bytes))


def test_openais_smallest_request_gets_openais_defaults():
    expected = SpeechOrder("Hi", "tts-1", "alloy", None, 1.0, 1.0, "auto", "mp3", "audio", False, ())
    assert expected == order(model="tts-1", input="Hi", voice="alloy")


def test_the_short_names_mean_the_same_as_the_long_ones():
    long = order(input="Hi", language="de", response_format="wav")
    assert long == order(text="Hi", lang="de", format="wav")


def test_a_field_and_its_short_name_may_agree():
    assert order(input="Hi", response_format="wav") == order(input="Hi", text="Hi", response_format="wav", format="wav")


@pytest.mark.parametrize(("one", "other"), [("input", "text"), ("language", "lang"), ("response_format", "format")])
def test_a_field_and_its_short_name_may_not_differ(one: str, other: str):
    error = refusal(json.dumps({"input": "Hi", one: "wav", other: "mp3"}).encode())
    assert other == error.param


def test_null_counts_as_not_given():
    names = ("model", "voice", "language", "speed", "pitch", "response_format", "stream", "stream_format")
    assert order(input="Hi") == order(input="Hi", **dict.fromkeys(names))


def test_a_voice_may_be_an_object_with_an_id():
    assert order(input="Hi", voice={"id": "alloy"}).voice == "alloy"


def test_stream_false_asks_for_everything_at_once():
    assert order(input="Hi", stream=False).delivery == "whole"


def test_sse_asks_for_events():
    assert order(input="Hi", stream_format="sse", stream=True).delivery == "sse"


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd"])
def test_the_tts_1_models_answer_sse_with_raw_audio_and_say_so(model: str):
    answer = order(input="Hi", model=model, stream_format="sse")
    assert (answer.delivery, answer.ignored_fields) == ("audio", ("stream_format",))


def test_instructions_are_accepted_and_named_as_ignored():
    assert order(input="Hi", instructions="Whisper.").ignored_fields == ("instructions",)


def test_unknown_fields_can_be_ignored_and_are_named():
    assert order(IGNORE, input="Hi", volume=11, mood={"a": [1]}).ignored_fields == ("volume", "mood")


@pytest.mark.parametrize(
    ("field", "advice"),
    [
        ("lang_code", "use language"),
        ("LANG_CODE", "use language"),
        ("langauge", "did you mean language? Else leave it out"),
        ("mood", "leave it out"),
    ],
)
def test_an_unknown_field_is_answered_with_what_to_send_in_its_place(field: str, advice: str):
    with pytest.raises(RequestError) as refused:
        order(input="Hi", **{field: "a"})
    assert refused.value.message.startswith(f"unknown field '{field}'; {advice}. Known fields: input, ")
    assert refused.value.param == field


def test_the_utterance_carries_everything_that_the_synthesizer_needs():
    made = order(text="Hi", model="espeak", voice="alloy", lang="de", speed=2, pitch=0.5).utterance("r1")
    expected = ("Hi", "espeak", "alloy", "de", 2.0, 0.5, "r1")
    assert expected == (
        made.text, made.engine, made.voice, made.language, made.speed, made.pitch, made.request_id,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"speed": 0.24}, "speed"),
        ({"speed": 4.01}, "speed"),
        ({"speed": True}, "speed"),
        ({"speed": "1"}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"speed": float("inf")}, "speed"),
        ({"pitch": 0.49}, "pitch"),
        ({"pitch": 2.1}, "pitch"),
        ({"input": 5}, "input"),
        ({"input": ["Hi"]}, "input"),
        ({"text": {}}, "text"),
        ({"voice": 5}, "voice"),
        ({"voice": {}}, "voice"),
        ({"voice": {"id": None}}, "voice"),
        ({"voice": "v" * 129}, "voice"),
        ({"model": 1}, "model"),
        ({"model": "m" * 129}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_format": "websocket"}, "stream_format"),
        ({"stream": False, "stream_format": "sse"}, "stream"),
        ({"decode": "streamed"}, "decode"),
        ({"decode": True}, "decode"),
        ({"word_timestamps": 1}, "word_timestamps"),
        ({"word_timestamps": True}, "word_timestamps"),
        ({"word_timestamps": True, "stream": False}, "word_timestamps"),
        ({"word_timestamps": True, "stream_format": "sse", "model": "tts-1"}, "word_timestamps"),
        ({"response_format": "ogg"}, "response_format"),
        ({"format": 3}, "format"),
        ({"volume": 3}, "volume"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str):
    error = refusal(json.dumps({"input": "Hi", **fields}).encode())
    assert param == error.param
    assert param in error.message


def test_what_the_synthesizer_must_know_reaches_it():
    asked = order(input="Hi", decode="windowed", stream_format="sse", word_timestamps=True).utterance("id")
    assert (asked.text, asked.decode, asked.word_marks, asked.request_id) == ("Hi", "windowed", True, "id")
    assert order(input="Hi", decode=None).decode == "auto"


def test_an_unknown_format_has_an_error_of_its_own_that_lists_the_formats():
    error = refusal(b'{"input": "Hi", "response_format": "ogg"}')
    assert isinstance(error, UnknownFormatError)
    assert "mp3, opus, aac, flac, wav, pcm" in error.message


@pytest.mark.parametrize("text", ["", " ", "\n\t\u00a0\u3000"])
def test_blank_text_is_refused(text: str):
    assert isinstance(refusal(json.dumps({"input": text}).encode()), EmptyTextError)


def test_missing_text_is_refused_under_the_name_that_it_should_have():
    assert refusal(b'{"voice": "alloy"}').param == "input"


def test_the_longest_text_is_accepted_and_one_character_more_is_not():
    limits = ServerConfig(max_input_chars=3)
    assert order(limits, text="äöü").text == "äöü"
    error = refusal(json.dumps({"text": "äöüß"}).encode(), limits)
    assert isinstance(error, TextTooLongError)
    assert error.param == "text"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'input': 1}",
        b"null",
        b"[]",
        b'"Hi"',
        b"5",
        b"\xff\xfe",
        b'{"input": "\xff"}',
        b'{"input": "\\ud800"}',
        b'{"input": "Hi"} x',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"speed": ' + b"9" * 100_000 + b"}",
    ],
)
def test_what_is_not_a_json_object_is_refused(body: bytes):
    error = refusal(body)
    assert "the body" in error.message


@pytest.mark.parametrize(
    "body",
    [
        "{" + ",".join(f'"{i:x}":1' for i in range(100_000)) + "}",
        '{"input":"Hi","a":[' + ",".join("[]" for _ in range(300_000)) + "]}",
        '{"input":"Hi","a":[' + ",".join('"\\\\"' for _ in range(100_000)) + "]}",
    ],
)
def test_a_long_body_that_is_mostly_structure_is_refused_before_it_is_parsed(body: str):
    error = refusal(body.encode(), IGNORE)
    assert "too many values" in error.message


@pytest.mark.parametrize(
    "text", ['"' * 50_000, "\\" * 50_000, "[{,:}]" * 8_000, "\U0001f600" * 25_000, "\n" * 49_999 + "a"]
)
def test_a_long_text_is_accepted_whatever_it_is_made_of(text: str):
    assert text == order(input=text).text


def test_a_long_value_is_not_echoed():
    error = refusal(json.dumps({"input": "Hi", "speed": "x" * 10_000}).encode())
    assert len(error.message) < 300


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_any_bytes_give_an_order_or_a_request_error(body: bytes):
    with suppress(RequestError):
        read_order(body, REJECT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "input", "text", "model", "voice", "language", "lang", "instructions", "response_format", "format", "speed",
    "pitch", "stream_format", "stream", "word_timestamps", "decode", "other",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6), st.sampled_from([REJECT, IGNORE]))
@settings(max_examples=200)
def test_any_values_give_an_order_or_a_request_error(fields: dict[str, Any], limits: ServerConfig):
    try:
        answer = order(limits, **fields)
    except RequestError:
        return
    assert answer.text.strip()
    assert 0.25 <= answer.speed <= 4.0


async def test_a_body_in_pieces_is_joined():
    assert await Body(b'{"a"', b":1", b"}").read(100) == b'{"a":1}'


async def test_a_declared_length_over_the_limit_is_refused_unread():
    body = Body(b"x", content_length="101")
    with pytest.raises(BodyTooLargeError):
        await body.read(100)
    assert body.num_unread == 1


async def test_an_undeclared_length_is_counted_while_reading():
    body = Body(b"x" * 60, b"x" * 60, b"x" * 60)
    with pytest.raises(BodyTooLargeError):
        await body.read(100)
    assert body.num_unread == 1


async def test_a_body_of_exactly_the_limit_is_accepted():
    assert await Body(b"x" * 100, content_length="100").read(100) == b"x" * 100


async def test_a_client_that_leaves_while_sending_is_not_answered():
    body = Body(b"x", b"y")
    body._messages.pop()
    with pytest.raises(ClientDisconnect):
        await body.read(100)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"],
)
async def test_json_is_accepted_by_any_of_its_names(content_type: str):
    assert await Body(b"{}", content_type=content_type).read(100) == b"{}"


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "multipart/form-data; boundary=x"},
        {"content_type": ""},
        {"content_type": "application/json; charset=latin-1"},
        {"content_type": "application/json", "content_encoding": "gzip"},
    ],
)
async def test_anything_but_plain_json_is_refused(headers: dict[str, str]):
    with pytest.raises(UnsupportedMediaTypeError):
        await Body(b"{}", **headers).read(100)
