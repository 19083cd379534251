import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from firstaudio.audio.chunk import WordMark
from firstaudio.errors import EngineError
from firstaudio.server.framing import EventFraming, RawFraming
from firstaudio.server.schemas.speech import SpeechEvent

PUBLISHED: TypeAdapter[Any] = TypeAdapter(SpeechEvent)


def events(data: bytes) -> list[dict[str, Any]]:
    blocks = data.decode().split("\n\n")
    assert blocks.pop() == ""
    payloads = [block.removeprefix("data: ") for block in blocks]
    for payload in payloads:
        PUBLISHED.validate_json(payload, strict=True, extra="forbid")
    return [json.loads(payload) for payload in payloads]


def test_raw_audio_is_sent_as_it_is():
    framing = RawFraming("audio/mpeg")
    assert framing.audio(b"abc", [WordMark(0, 1, 0, 1)]) == b"abc"
    assert framing.end(1.0) == b""


def test_raw_audio_cannot_tell_of_a_failure():
    assert RawFraming("audio/mpeg").failure(EngineError("broken")) is None


@given(st.binary(min_size=1, max_size=100))
def test_a_delta_event_carries_the_bytes_in_base64(encoded: bytes):
    framing = EventFraming("Hi", 24_000, words=False)
    expected = [{"type": "speech.audio.delta", "audio": base64.b64encode(encoded).decode()}]
    assert expected == events(framing.audio(encoded, []))


def test_the_last_event_counts_characters_and_20_ms_frames():
    usage = {"input_tokens": 2, "output_tokens": 51, "total_tokens": 53}
    expected = [{"type": "speech.audio.done", "usage": usage}]
    assert expected == events(EventFraming("Hi", 24_000, words=False).end(1.001))


def test_whole_frames_are_not_rounded_up_by_binary_fractions():
    assert events(EventFraming("Hi", 24_000, words=False).end(0.3))[0]["usage"]["output_tokens"] == 15


def test_words_come_before_their_audio_in_original_text_and_seconds():
    framing = EventFraming("Say *hello*", 10_000, words=True)
    words = [{"text": "hello", "start_char": 5, "end_char": 10, "start_s": 0.5, "end_s": 0.75}]
    sent = events(framing.audio(b"x", [WordMark(5, 10, 5_000, 7_500)]))
    assert [{"type": "speech.audio.words", "words": words}, {"type": "speech.audio.delta", "audio": "eA=="}] == sent


def test_words_wait_until_there_is_audio_to_go_with():
    framing = EventFraming("a b", 10, words=True)
    assert framing.audio(b"", [WordMark(0, 1, 0, 5)]) == b""
    sent = events(framing.audio(b"x", [WordMark(2, 3, 5, None)]))
    assert [word["text"] for word in sent[0]["words"]] == ["a", "b"]
    assert sent[0]["words"][1]["end_s"] is None


def test_words_that_wait_at_the_end_are_sent_before_the_end():
    framing = EventFraming("a", 10, words=True)
    framing.audio(b"", [WordMark(0, 1, 0, 5)])
    assert [event["type"] for event in events(framing.end(0.5))] == ["speech.audio.words", "speech.audio.done"]


def test_words_are_not_sent_unasked():
    framing = EventFraming("a", 10, words=False)
    assert [event["type"] for event in events(framing.audio(b"x", [WordMark(0, 1, 0, 5)]))] == ["speech.audio.delta"]


def test_a_failure_is_an_event_in_the_shape_of_every_error():
    detail = {"message": "broken", "type": "server_error", "param": None, "code": "engine_error"}
    expected = [{"type": "speech.audio.error", "error": detail}]
    assert expected == events(EventFraming("a", 10, words=False).failure(EngineError("broken")))
