import base64
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.reading.envelope import unwrap
from firstaudio.bench.reading.jsonaudio import Base64Text
from firstaudio.bench.spec import Reading

AUDIO = bytes(range(256)) * 2


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def events(*parts: bytes, end: str = "\n") -> bytes:
    lines = [": hello", "retry: 10", ""]
    for part in parts:
        lines += [
            "event: speech.audio.delta",
            "data: " + json.dumps({"type": "speech.audio.delta", "audio": base64_of(part)}),
            "",
        ]
    lines += ['data: {"type": "speech.audio.done", "usage": {}}', "", "data: [DONE]", "", ""]
    return end.join(lines).encode()


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def document(audio: bytes, **more: object) -> bytes:
    return json.dumps(
        {"list": ["a", {"audio_data": "no"}], **more, "result": {"audio_data": base64_of(audio)}}
    ).encode()


SSE = Reading("sse", error_field="error")
JSON = Reading("json", audio_field="result.audio_data", error_field="error")
BODIES = [
    (SSE, events(AUDIO[:100], AUDIO[100:101], AUDIO[101:])),
    (SSE, events(AUDIO[:301], AUDIO[301:], end="\r\n")),
    (SSE, events(AUDIO, end="\r")),
    (JSON, document(AUDIO)),
    (JSON, document(AUDIO).replace(b"/", b"\\/").replace(b"+", b"\\u002b")),
    (Reading("raw"), AUDIO),
]


@pytest.mark.parametrize(("reading", "body"), BODIES)
@settings(deadline=None)
@given(places=st.lists(st.integers(0, 4000), max_size=12))
def test_any_split_gives_the_same_audio(reading: Reading, body: bytes, places: list[int]) -> None:
    unwrapped = unwrap(cut(body, places), reading)
    assert (b"".join(unwrapped.pieces), unwrapped.failure) == (AUDIO, None)


@pytest.mark.parametrize(("reading", "body"), BODIES)
def test_byte_by_byte_gives_the_same_audio(reading: Reading, body: bytes) -> None:
    unwrapped = unwrap([body[i : i + 1] for i in range(len(body))], reading)
    assert (b"".join(unwrapped.pieces), unwrapped.failure) == (AUDIO, None)


@pytest.mark.parametrize(("reading", "body"), [BODIES[0], BODIES[3]])
def test_the_first_audio_byte_lands_in_the_piece_that_completes_it(reading: Reading, body: bytes) -> None:
    """Two characters of base64 make the first byte: the piece with the second one has it."""
    second = body.index(base64_of(AUDIO[:100])[:20].encode()) + 1
    assert [b"", AUDIO[:1]] == [p[:1] for p in unwrap([body[:second], body[second:]], reading).pieces]
    assert [AUDIO[:1], AUDIO[1:2]] == [p[:1] for p in unwrap([body[: second + 1], body[second + 1 :]], reading).pieces]


@settings(deadline=None)
@given(st.binary(max_size=40), st.lists(st.integers(0, 60), max_size=6), st.booleans())
def test_base64_decodes_in_any_pieces_with_and_without_padding(data: bytes, places: list[int], is_padded: bool) -> None:
    text = base64.b64encode(data) if is_padded else base64.b64encode(data).rstrip(b"=")
    decoder = Base64Text()
    assert data == b"".join(decoder.feed(part) for part in cut(text, places))


@pytest.mark.parametrize("text", [b"QUI*", b"QQ==QQ==", b"data:audio/wav;base64,QUJD"])
def test_base64_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Base64Text().feed(text)


def test_messages_are_binary_audio_or_json_with_base64() -> None:
    pieces = [b'{"ready": true}', b"\x01\x02", b'{"audio": "AwQ="}', b'{"audio": null, "isFinal": true}', b"{ audio"]
    unwrapped = unwrap(pieces, Reading("messages"))
    assert (unwrapped.pieces, unwrapped.failure) == ((b"", b"\x01\x02", b"\x03\x04", b"", b"{ audio"), None)


def test_audio_in_an_array_is_found_by_its_index() -> None:
    body = b'{"choices": [{"audio": "AAAA"}, {"audio": "AQID"}]}'
    assert unwrap([body], Reading("json", "choices.1.audio")).pieces == (b"\x01\x02\x03",)


def test_what_arrived_before_an_error_event_is_kept_in_its_piece() -> None:
    pieces = [
        events(AUDIO).partition(b'data: {"type": "speech.audio.done')[0],
        b'data: {"type": "speech.audio.error", "error": {"message": "no voice"}}\n\n',
        b"data: x",
    ]
    unwrapped = unwrap(pieces, Reading("sse"))
    assert unwrapped.pieces == (AUDIO, b"", b"")
    assert unwrapped.failure is not None
    assert unwrapped.failure.kind == FailureKind.TARGET_ERROR
    assert unwrapped.failure.message == "the target says: no voice; look into its log"


@pytest.mark.parametrize(
    ("reading", "body", "kind", "words"),
    [
        (JSON, b'{"success": false, "error": "out of memory"}', FailureKind.TARGET_ERROR, "out of memory"),
        (JSON, b'{"success": false}', FailureKind.TARGET_ERROR, "without a reason"),
        (JSON, b'{"error": {"message": "no model"}}', FailureKind.TARGET_ERROR, "no model"),
        (JSON, document(AUDIO)[:-3], FailureKind.PROTOCOL, "not a JSON document"),
        (JSON, b"%PDF garbage", FailureKind.PROTOCOL, "begins with '%PDF garbage'"),
        (JSON, b'{"a": 1, "b": 2}', FailureKind.PROTOCOL, "the fields: a, b"),
        (JSON, b"[1]", FailureKind.PROTOCOL, "is a list"),
        (JSON, b'{"result": {"audio_data": "QUI*"}}', FailureKind.PROTOCOL, "not base64"),
        (JSON, b'{"result": {"audio_data": "AAAA", "audio_data": "AQID"}}', FailureKind.PROTOCOL, "more than once"),
        (JSON, b"\xff\xfe{", FailureKind.PROTOCOL, "not a JSON document"),
        (SSE, b"RIFF....WAVE", FailureKind.WRONG_FORMAT, "begins with 'RIFF....WAVE'"),
        (SSE, b'{"error": "quota"}', FailureKind.TARGET_ERROR, "quota"),
        (SSE, b"data: {]\n\ndata: {}\n\n", FailureKind.PROTOCOL, "not JSON"),
        (SSE, b'data: {"audio": "*"}\n\n', FailureKind.PROTOCOL, "not base64"),
        (SSE, b'event: error\ndata: {"message": "busy"}\n\n', FailureKind.TARGET_ERROR, "busy"),
        (SSE, b'data: {"error": "gone"}\n\n', FailureKind.TARGET_ERROR, "gone"),
        (SSE, events(AUDIO, AUDIO)[:900], FailureKind.TRUNCATED, "middle of an event"),
        (SSE, events(AUDIO).partition(b'data: {"type": "speech.audio.done')[0], FailureKind.TRUNCATED, "without"),
        (Reading("messages"), b'{"success": false, "message": "no"}', FailureKind.TARGET_ERROR, "no"),
        (Reading("messages"), b'{"audio": "***"}', FailureKind.PROTOCOL, "not base64"),
    ],
)
def test_what_is_wrong_is_said(reading: Reading, body: bytes, kind: FailureKind, words: str) -> None:
    failure = unwrap([body], reading).failure
    assert failure is not None
    assert (kind, True) == (failure.kind, words in failure.message)


@pytest.mark.parametrize("envelope", ["raw", "sse", "json", "messages"])
def test_a_body_of_nothing_is_no_failure_of_the_envelope(envelope) -> None:
    assert tuple(getattr(unwrap([b"", b""], Reading(envelope)), n) for n in ("pieces", "failure")) == ((b"", b""), None)


def test_an_event_without_its_empty_line_counts() -> None:
    assert tuple(
        getattr(unwrap([b'data:{"audio": "AA=="}'], Reading("sse")), name) for name in ("pieces", "failure")
    ) == ((b"\x00",), None)


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([SSE, JSON, Reading("messages")]), st.lists(st.integers(0, 300)))
def test_garbage_never_raises(body: bytes, reading: Reading, places: list[int]) -> None:
    pieces = cut(body, places)
    assert len(pieces) == len(unwrap(pieces, reading).pieces)


@settings(deadline=None)
@given(st.text('{}[]",:\\u0d audio', max_size=60), st.sampled_from([SSE, JSON, Reading("json")]))
def test_near_json_never_raises(text: str, reading: Reading) -> None:
    for body in (text, "data: " + text + "\n\n", '{"audio": "' + text):
        assert len(unwrap([body.encode()], reading).pieces) == 1
